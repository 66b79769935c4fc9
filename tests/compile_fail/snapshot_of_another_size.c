/* SPDX-License-Identifier: MIT */
/* A snapshot of 16 KiB pages where one of 4 KiB pages is wanted. */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);
MPG_DEFINE_PAGER(big, 16384);

int take(blk_page *page, blk_snapshot small, big_snapshot large);

int take(blk_page *page, blk_snapshot small, big_snapshot large)
{
    (void)small;
    (void)large;
#ifdef FAULT
    return blk_snapshot_read(page, large, blk_protected_at(0));
#else
    return blk_snapshot_read(page, small, blk_protected_at(0));
#endif
}
