/* SPDX-License-Identifier: MIT */
/* What a transaction gathers until its commit. */
#ifndef MPGI_TXN_H
#define MPGI_TXN_H

#include "mappedpages.h"
#include "pager/apply.h"
#include "pager/protected_write.h"

/* A regular page that the transaction allocates. */
struct txn_page {
    uint64_t page;
    unsigned flags;         /* MPG_ZERO */
    unsigned char *content; /* page_size bytes to fill it with, or NULL */
};

/* A protected page that the transaction allocates, writes or both. */
struct txn_protected {
    struct protected_write write;
    bool allocated; /* by this transaction: what is not written is zeros */
};

struct mpg_txn {
    mpg_pager *pager;
    struct id_map pages;           /* page → struct txn_page */
    struct id_map freed;           /* pages to free */
    struct id_map protected_pages; /* protected id → struct txn_protected */
    struct id_map freed_protected; /* protected ids to free */
    struct id_map replaced;        /* page in use → its new content, page_size bytes, owned */
};

/* What a transaction changes besides the contents of pages in use. */
struct txn_size {
    size_t contents; /* of protected pages */
    size_t changes;  /* at most so many, that have none */
};

/* Makes ready what takes time. Called without the lock, before the edit begins. */
void mpgi_txn_prepare(mpg_txn *txn);

/* Applies all of it to an edit. May return EDIT_RESTART. */
int mpgi_txn_apply(mpg_txn *txn, struct edit *edit);

struct txn_size mpgi_txn_size(const mpg_txn *txn);

/* Frees the transaction and what it holds of the pager. Called with the lock held, and keeps it. */
void mpgi_txn_free(mpg_txn *txn);

#endif
