/* SPDX-License-Identifier: MIT */
/*
 * Pages of an archive, put into a page file by a transaction. Functions return 0 or the library's
 * error.
 */
#ifndef PAGE_PUT_H
#define PAGE_PUT_H

#include <stdbool.h>

#include "mappedpages.h"
#include "page_archive.h"

/* Whether a page has to be allocated first. */
int page_put_is_missing(bool *missing, const mpg_pager *pager, const struct archived_page *page);
/* Allocates it; `flags` are those of mpg_txn_alloc_at, for a regular one. */
int page_put_allocate(mpg_txn *txn, const struct archived_page *page, unsigned flags);
/*
 * The whole content of a page; `missing`: one that the transaction allocated. Of regular pages that
 * were there before, some formats can take none (UNSUPPORTED), and others no more than some
 * thousands (so says the commit). These can be written in place.
 */
int page_put_write(mpg_txn *txn, const struct archived_page *page, bool missing,
                   const void *content, size_t page_size);

#endif
