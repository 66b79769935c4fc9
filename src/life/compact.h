/* SPDX-License-Identifier: MIT */
#ifndef MPGI_COMPACT_H
#define MPGI_COMPACT_H

#include "life/compact_plan.h"
#include "mappedpages_compact.h"
#include "pager/pager.h"

struct compact {
    mpg_pager *pager;
    const mpg_compact_options *options;
    unsigned char *buffer; /* owned */
    size_t capacity;       /* of it */
    uint64_t done;         /* bytes of contents that were moved */
    uint64_t expected;     /* that are to be moved, in all */
    mpg_compact_result result;
};

/*
 * As mpg_compact, of a pager that nobody else uses, with its lock held, and nothing pending. After
 * a failure its format is to be loaded again.
 */
int mpgi_compact(mpg_compact_result *result, mpg_pager *pager, const mpg_compact_options *options);

/* ---- compact_write.c ---- */

/* Copies contents to where they go, which nobody uses. */
int mpgi_compact_write(struct compact *compact, const struct compact_move *moves, size_t count);
/* Commits what is pending in the format, without a batch. The gate is passed. */
int mpgi_compact_commit(mpg_pager *pager);
/*
 * Cuts the file off behind the pages that the durable version, and the one before it, count (rule
 * 9).
 */
int mpgi_compact_cut(mpg_pager *pager);

#endif
