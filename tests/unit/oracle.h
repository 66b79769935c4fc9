/* SPDX-License-Identifier: MIT */
/*
 * An oracle: a plain model of one open page file that knows what every call must answer.
 *
 * It keeps the content of every page, who holds what, and which copies views show. What it cannot
 * know, which pages the file takes for itself, it asks mpg_page_use.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mappedpages.h"
#include "mappedpages_snapshot.h"
#include "support/memory_disk.h"

#define MOST_TXNS 3u
#define MOST_VIEWS 8u
#define MOST_WRITERS 6u
#define MOST_SNAPSHOTS 3u
#define MOST_GUARDED 2048u /* protected ids the model has room for */
#define MOST_TXN_ITEMS 24u
#define NOBODY UINT32_MAX

/* A page of the file. */
struct known_page {
    bool regular;           /* allocated as a regular page */
    uint32_t holder;        /* transaction that allocates it, or NOBODY */
    uint64_t freed;         /* number of the commit that freed it; 0: never seen free of anything */
    unsigned char *content; /* of a regular page */
};

/* A protected page. */
struct known_guarded {
    bool in_use;
    uint32_t holder;  /* transaction that allocates it, or NOBODY */
    uint64_t page[2]; /* of the file, with its copies */
    unsigned current; /* 0 or 1: which copy is the committed one */
    uint64_t freed;   /* number of the commit that freed it */
    unsigned pins[2]; /* views that show each copy */
    bool has_writer;
    unsigned char *content; /* the committed one */
};

struct known_view {
    const void *data; /* NULL: none */
    uint64_t id;
    unsigned copy;
    unsigned char *content; /* what it must go on showing */
};

struct known_snapshot {
    mpg_snapshot *snapshot;                /* NULL: none */
    unsigned char *contents[MOST_GUARDED]; /* of the pages that there were; NULL: of none */
    uint64_t count;
};

struct known_writer {
    mpg_writer *writer; /* NULL: none */
    uint64_t id;
};

/* Something that a transaction does to one page. */
struct txn_item {
    enum { ITEM_ALLOC, ITEM_FREE, ITEM_GUARDED_ALLOC, ITEM_GUARDED_WRITE, ITEM_GUARDED_FREE } kind;
    uint64_t id;
    unsigned flags;         /* ITEM_ALLOC: MPG_ZERO */
    unsigned char *content; /* what was staged, or NULL */
    unsigned char *mask;    /* ITEM_GUARDED_…: which bytes were, or NULL */
};

struct known_txn {
    mpg_txn *txn; /* NULL: none */
    struct txn_item items[MOST_TXN_ITEMS];
    unsigned count;
};

struct oracle {
    struct memory_disk disk;
    mpg_options options;
    mpg_pager *pager;
    uint64_t random;
    size_t page_size;
    uint64_t capacity;  /* pages the disk can hold */
    uint64_t most_live; /* regular pages to have at once */
    uint64_t max_pages; /* the format's limits */
    uint64_t max_guarded;
    uint64_t generation; /* of the last commit */
    uint64_t total;      /* pages of the file */
    struct known_page *pages;
    struct known_guarded *guarded;
    struct known_view views[MOST_VIEWS];
    struct known_writer writers[MOST_WRITERS];
    struct known_snapshot snapshots[MOST_SNAPSHOTS];
    struct known_txn txns[MOST_TXNS];
    uint64_t regular_count, guarded_count;
    unsigned char *buffer, *other; /* a page each */
    const char *operation;         /* for messages */
    bool failed;
    char why[256];
};

/*
 * Whether contents of protected pages move: then no view is in anybody's way, and each has one
 * page.
 */
static inline bool oracle_moves(const struct oracle *oracle)
{
    return oracle->options.format == MPG_FORMAT_1;
}

/* Whether a page may be kept because a view shows what was, or is, in it. */
bool oracle_may_be_shown(struct oracle *oracle, uint64_t page);

/* The first reason why the library was wrong is kept. */
__attribute__((format(printf, 2, 3))) void oracle_fail(struct oracle *oracle, const char *format,
                                                       ...);
/* The result is one of two that are right; details of a failure are there. */
bool oracle_expect2(struct oracle *oracle, int result, int wanted, int also);
bool oracle_expect(struct oracle *oracle, int result, int wanted);

uint64_t oracle_any(struct oracle *oracle, uint64_t below);
bool oracle_once_in(struct oracle *oracle, uint64_t times);

void oracle_begin(struct oracle *oracle, const mpg_options *options, uint64_t capacity,
                  uint64_t most_live, uint64_t seed);
void oracle_end(struct oracle *oracle);
/* Ends views, writers and transactions, closes and opens again. */
void oracle_reopen(struct oracle *oracle);
/* Asks for the numbers of mpg_stat, and compares them with what is known. */
void oracle_count(struct oracle *oracle);
/* Compares everything there is to see. */
void oracle_verify(struct oracle *oracle);

/* What happened to a page; `commit` is the number of the one that frees it. */
void oracle_now_regular(struct oracle *oracle, uint64_t page, bool zero);
void oracle_now_free(struct oracle *oracle, uint64_t page, uint64_t commit);
void oracle_now_guarded(struct oracle *oracle, uint64_t id);
void oracle_now_unguarded(struct oracle *oracle, uint64_t id, uint64_t commit);
/* Whether `page` was the right one to give out; `holder` took it. */
void oracle_check_choice(struct oracle *oracle, uint64_t page, uint32_t holder);

/* Ids of all kinds: mostly sensible, some not. */
uint64_t oracle_some_page(struct oracle *oracle);
uint64_t oracle_some_guarded(struct oracle *oracle);
/*
 * Whether `id` is the lowest that is free to `txn`, which may be NULL; what gathers may come later.
 */
void oracle_check_guarded(struct oracle *oracle, uint64_t id, const struct known_txn *txn);
/* What freeing, allocating or touching such a page must say. */
int oracle_answer_free(struct oracle *oracle, uint64_t page);
int oracle_answer_alloc_at(struct oracle *oracle, uint64_t page);
int oracle_answer_content(struct oracle *oracle, uint64_t page);
/* Whether the file has taken the page for itself, once all is committed. */
bool oracle_is_taken_after_all(struct oracle *oracle, uint64_t page);
/* Fills `length` bytes at random. */
void oracle_fill(struct oracle *oracle, unsigned char *bytes, size_t length);
/* A range within a page, now and then the whole of it. */
void oracle_range(struct oracle *oracle, size_t *offset, size_t *length);

/* One random operation on pages; on views and writers; on transactions. */
void oracle_do_pages(struct oracle *oracle);
void oracle_do_guarded(struct oracle *oracle);
void oracle_do_txn(struct oracle *oracle);
/* Ends all transactions without committing. */
void oracle_abort_all(struct oracle *oracle);

/* Opens, reads or closes a snapshot. */
void oracle_do_snapshot(struct oracle *oracle);
/* All that are open show what they did when they were opened. */
void oracle_verify_snapshots(struct oracle *oracle);
void oracle_close_snapshots(struct oracle *oracle);
/* Pages that are kept for them, and for views. */
uint64_t oracle_held(const struct oracle *oracle);

#endif
