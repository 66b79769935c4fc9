/* SPDX-License-Identifier: MIT */
/* A pager of 16 KiB pages where one of 4 KiB pages is wanted. */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);
MPG_DEFINE_PAGER(big, 16384);

int take(blk_page_id *id, blk_pager small, big_pager large);

int take(blk_page_id *id, blk_pager small, big_pager large)
{
    (void)small;
    (void)large;
#ifdef FAULT
    return blk_alloc(id, large, 0);
#else
    return blk_alloc(id, small, 0);
#endif
}
