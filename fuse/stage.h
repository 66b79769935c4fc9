/* SPDX-License-Identifier: MIT */
/* What one handle wrote to a protected page and has not committed: ranges of bytes. */
#ifndef STAGE_H
#define STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget.h"
#include "client.h"
#include "mappedpages.h"

struct extent {
    uint64_t offset;
    uint64_t length;
    uint64_t capacity;    /* bytes that data has room for */
    unsigned char *data;  /* owned; NULL: zeros, which take no memory */
    struct client writer; /* who wrote it */
};

/*
 * With the size of a page, and maybe a budget, and else zero, it is empty. Not locked: its handle
 * is. The memory is taken from the budget, on the account of who wrote first.
 */
struct stage {
    uint64_t page_size;
    struct budget *budget;
    struct payer *payer;
    struct extent *extents; /* in ascending order, not overlapping */
    size_t count;
    size_t capacity; /* extents there is room for */
    bool truncated;  /* what the extents do not cover is zeros, not what was committed */
    bool mixed;      /* somebody wrote over what somebody else had staged */
    struct client truncated_by;
};

/*
 * Puts bytes, or zeros, onto what is staged. Return 0, ENOMEM, or ENOSPC if that is over the
 * budget; if they fail, nothing changed.
 */
int stage_write(struct stage *stage, const struct client *writer, const void *data, uint64_t offset,
                uint64_t length);
int stage_zero(struct stage *stage, const struct client *writer, uint64_t offset, uint64_t length);
/* The page was truncated by opening it; for an empty stage. */
void stage_truncate(struct stage *stage, const struct client *writer);

/* Where the last of what is staged ends. */
uint64_t stage_end(const struct stage *stage);
/* Forgets what is staged from `size` on. */
void stage_cut(struct stage *stage, uint64_t size);

/* Puts what is staged within [offset, offset + length) onto `data`, which holds those bytes. */
void stage_apply(const struct stage *stage, void *data, uint64_t offset, uint64_t length);

static inline bool stage_is_empty(const struct stage *stage)
{
    return stage->count == 0 && !stage->truncated;
}

/* Whether a client wrote some of it, or may have: more than the truncation of opening it. */
bool stage_has_of(const struct stage *stage, const struct client *writer);

/* One of those who staged something; for a stage that is not empty. */
static inline const struct client *stage_writer(const struct stage *stage)
{
    return stage->count > 0 ? &stage->extents[0].writer : &stage->truncated_by;
}

void stage_clear(struct stage *stage);
/*
 * Drops what a client staged. A truncation stays for those whose bytes are left. False if there was
 * nothing of it. If somebody else's bytes had been overwritten, all is dropped, and *other is one
 * of those whose bytes went, too; otherwise its thread is -1.
 */
bool stage_drop(struct stage *stage, const struct client *writer, struct client *other);

/*
 * Commits exactly the staged bytes, as one step, and forgets them if that worked: MPG_E_ code. With
 * `writer` only what that one wrote, unless that belongs together with what others did: it is over
 * theirs or theirs over it, or the page was truncated.
 */
int stage_commit(struct stage *stage, mpg_pager *pager, mpg_protected_id id,
                 const struct client *writer);

#endif
