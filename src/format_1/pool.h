/* SPDX-License-Identifier: MIT */
/*
 * Free pages that contents and records can be put into, as runs: of each leaf of the space tree
 * that is looked at, a bit a page, and over the bits a tree of longest runs, so that the highest
 * run that is long enough is found in a few steps. What is here are suggestions: whoever takes a
 * page asks the space tree.
 *
 * Regular pages are given out from the low end and contents from the high end, so that regular
 * pages do not cut the runs into pieces.
 */
#ifndef MPGI_POOL_H
#define MPGI_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Words of 64 pages that a leaf has at most, as a power of two. */
#define POOL_WORDS 256
/* So many leaves are looked at at once; 5 KiB each. */
#define POOL_LEAVES_MAX 192

/* A run of pages. */
struct pool_run {
    uint64_t first;
    uint64_t count;
};

/* What has been found for the contents of a batch. It is out of the pool, and not marked yet. */
struct finding {
    struct pool_run *runs; /* owned */
    size_t count, capacity;
    uint64_t pages;
    bool unsure; /* pages came into the pool meanwhile, and perhaps these, too */
};

struct pool_leaf;

struct pool {
    struct pool_leaf *leaves[POOL_LEAVES_MAX]; /* by index; owned */
    unsigned count;
    uint64_t leaf_pages; /* pages in a leaf: a multiple of 64 */
    uint64_t pages;      /* bits set in all */
    uint64_t cursor;     /* leaves from this page on were not looked at yet */
};

void mpgi_pool_init(struct pool *pool, uint64_t leaf_pages);
/* Forgets everything. */
void mpgi_pool_reset(struct pool *pool);

/* Whether the leaf of this index is looked at. */
bool mpgi_pool_covers(const struct pool *pool, uint64_t leaf);
/* Takes a leaf in: bit i of bits[w] is page 64 * w + i of it. False: no memory. */
bool mpgi_pool_cover(struct pool *pool, uint64_t leaf, const uint64_t *bits, unsigned words);
/* Drops the leaf that has the fewest pages. */
void mpgi_pool_drop_poorest(struct pool *pool);

/* Drops the leaf that a page is in: it is looked at anew when it is needed. */
void mpgi_pool_forget(struct pool *pool, uint64_t page);

/* A page can be had, or cannot. Nothing happens where its leaf is not looked at. */
void mpgi_pool_add(struct pool *pool, uint64_t page);
void mpgi_pool_remove(struct pool *pool, uint64_t page);

/*
 * The highest run of at least `want` pages, which may reach further; or, if there is none, the
 * longest. Returns its length, 0 if there is no page at all.
 */
uint64_t mpgi_pool_find(const struct pool *pool, uint64_t want, struct pool_run *run);
/* How many pages from `page` on can be had in a row, at most `most`. */
uint64_t mpgi_pool_from(const struct pool *pool, uint64_t page, uint64_t most);

/* Whether a page is among those found; `finding` may be NULL. */
bool mpgi_finding_has(const struct finding *finding, uint64_t page);

#endif
