/* SPDX-License-Identifier: MIT */
/*
 * What each operation changes, applied to an edit. The public functions and transactions
 * are made of these. All run with the pager's lock held and leave undoing to the edit.
 */
#ifndef MPGI_APPLY_H
#define MPGI_APPLY_H

#include "pager/edit.h"

/*
 * The lowest page >= *from that may be given out, with the file grown to hold it; *from moves past
 * it. Nothing is marked yet.
 */
int mpgi_choose_page(mpg_pager *pager, uint64_t *from, uint64_t *page);
/* The lowest protected id >= *from that may be given out; *from moves past it. */
int mpgi_choose_protected(mpg_pager *pager, uint64_t *from, uint64_t *id);

/* Pages in a row. */
struct page_run {
    uint64_t first, count;
};

/* Zero is an empty list; `runs` is to be freed by who made it. */
struct page_runs {
    struct page_run *runs;
    size_t count, capacity;
};

/* Chooses and marks `count` pages; adds them to `runs`, also on failure. */
int mpgi_apply_alloc_runs(struct edit *edit, struct page_runs *runs, size_t count, unsigned flags);
/* The ids of all pages in the list, in its order. */
void mpgi_runs_expand(mpg_page_id *ids, const struct page_runs *runs);
/* As mpgi_apply_alloc_runs, for an array that may be written at once. */
int mpgi_apply_alloc_many(struct edit *edit, mpg_page_id *ids, size_t count, unsigned flags);
/*
 * Whether nobody holds a page: 0, BUSY, or EDIT_GIVEN_BACK, with which the edit is to be tried
 * again.
 */
int mpgi_check_not_held(const mpg_pager *pager, uint64_t page);
/* Checks that a page of this id may be allocated, and allocates it. May return EDIT_RESTART. */
int mpgi_apply_alloc_at(struct edit *edit, uint64_t page, unsigned flags);
/* The same for a page that the transaction holds which is being committed. */
int mpgi_apply_alloc_held(struct edit *edit, uint64_t page, bool zero);
int mpgi_apply_free(struct edit *edit, uint64_t page);

int mpgi_apply_alloc_protected(struct edit *edit, uint64_t id);
int mpgi_apply_alloc_protected_many(struct edit *edit, mpg_protected_id *ids, size_t count);
int mpgi_apply_free_protected(struct edit *edit, uint64_t id);

/*
 * The page holds a content that can go elsewhere: mpgi_evict, and once more. Returned by what
 * checks alloc_at.
 */
#define EDIT_EVICT 3
/* Makes a content leave its page. Durable on return. Called without the lock. */
int mpgi_evict(mpg_pager *pager, uint64_t page);
/* So often, before others are believed to be faster; then this is the error. */
#define MOST_EVICTIONS 8
int mpgi_fail_taken(const mpg_pager *pager, uint64_t page);

/* Checks what can be said of an id before anything is applied. */
int mpgi_check_alloc_at(mpg_pager *pager, uint64_t page);
int mpgi_check_free(mpg_pager *pager, uint64_t page);
int mpgi_check_alloc_protected_at(mpg_pager *pager, uint64_t id);
int mpgi_check_protected_id(const mpg_pager *pager, uint64_t id, const char *operation);

#endif
