/* SPDX-License-Identifier: MIT */
/* What one handle wrote to a protected page and has not committed: ranges of bytes. */
#ifndef STAGE_H
#define STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mappedpages.h"

struct extent {
    uint64_t offset;
    uint64_t length;
    uint64_t capacity;   /* bytes that data has room for */
    unsigned char *data; /* owned; NULL: zeros, which take no memory */
};

/* Zero-initialised is empty. Not locked: its handle is. */
struct stage {
    struct extent *extents; /* in ascending order, not overlapping */
    size_t count;
    size_t capacity; /* extents there is room for */
    bool written;    /* more than the truncation of opening it; to be committed at a close */
};

/* Puts bytes, or zeros, onto what is staged. Return 0 or ENOMEM, and then nothing changed. */
int stage_write(struct stage *stage, const void *data, uint64_t offset, uint64_t length);
int stage_zero(struct stage *stage, uint64_t offset, uint64_t length);

/* Puts what is staged within [offset, offset + length) onto `data`, which holds those bytes. */
void stage_apply(const struct stage *stage, void *data, uint64_t offset, uint64_t length);

static inline bool stage_is_empty(const struct stage *stage)
{
    return stage->count == 0;
}

void stage_clear(struct stage *stage);

/*
 * Commits exactly the staged bytes, as one step, and clears the stage if that worked: MPG_E_ code.
 */
int stage_commit(struct stage *stage, mpg_pager *pager, mpg_protected_id id);

#endif
