/* SPDX-License-Identifier: MIT */
/* A sub-allocator for pages of 4 KiB begun on a pager of 16 KiB pages. */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);
MPG_DEFINE_PAGER(big, 16384);

MPG_DEFINE_SUB_ALLOCATOR_ON(rec, blk, 512);

int begin(rec_sub *sub, blk_pager small, big_pager large);

int begin(rec_sub *sub, blk_pager small, big_pager large)
{
    (void)small;
    (void)large;
#ifdef FAULT
    return rec_open(sub, large);
#else
    return rec_open(sub, small);
#endif
}
