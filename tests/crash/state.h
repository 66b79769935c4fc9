/* SPDX-License-Identifier: MIT */
/*
 * What a page file shall show: which pages there are, and what is promised of their content.
 *
 * Contents come from a fixed set, the pool, and are named by their number in it.
 */
#ifndef CRASH_STATE_H
#define CRASH_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mappedpages.h"

/* Numbers of contents. */
#define CONTENT_ANY 0u  /* nothing is promised */
#define CONTENT_ZERO 1u /* zeros */
#define POOL_SIZE_MAX 1024u
#define POOL_BYTES_MAX (16u << 20)

/* Makes the pool for a page size; again for another one. */
void pool_init(size_t page_size);
void pool_free(void);
/* How many contents there are. */
unsigned pool_size(void);
/* page_size bytes; not for CONTENT_ANY. */
const unsigned char *pool_content(unsigned content);

struct page_state {
    uint64_t id;
    uint16_t content; /* what the page shows after a crash */
    uint16_t written; /* regular pages: what was written and not synced, or CONTENT_ANY */
};

/* Pages in ascending order of id. */
struct page_set {
    struct page_state *pages;
    size_t count, capacity;
};

/* NULL if there is none of that id. */
struct page_state *page_set_find(const struct page_set *set, uint64_t id);
void page_set_add(struct page_set *set, uint64_t id, unsigned content);
void page_set_remove(struct page_set *set, uint64_t id);

struct state {
    struct page_set regular;
    struct page_set protected_pages;
    /* What mpg_stat says in this state; total 0: not known. */
    uint64_t total, free, metadata;
    uint64_t generation; /* of the commit that made it; 0: not known */
    char label[MPG_LABEL_MAX + 1];
    bool any_label; /* … or another one */
};

void state_copy(struct state *to, const struct state *from);
/* Forgets what was written and not synced, as a crash does. */
void state_forget_written(struct state *state);
void state_free(struct state *state);
/* Notes what mpg_stat says. */
void state_count(struct state *state, const mpg_pager *pager);

/* What a pager shows. */
enum shown {
    SHOWS_IT,    /* this state */
    SHOWS_ELSE,  /* another one, and says nothing of it */
    SHOWS_DAMAGE /* it reports an error while it is looked at */
};

/*
 * Whether a pager shows this state. If not, says in `why` (of `size` bytes) what is different.
 * `buffer` has room for a page.
 */
enum shown state_shown(const struct state *state, const mpg_pager *pager, unsigned char *buffer,
                       char *why, size_t size);
bool state_matches(const struct state *state, const mpg_pager *pager, unsigned char *buffer,
                   char *why, size_t size);

/* Whether the file is sound: mpg_check finds nothing and the counts add up. As state_matches. */
bool file_is_sound(const mpg_pager *pager, char *why, size_t size);

#endif
