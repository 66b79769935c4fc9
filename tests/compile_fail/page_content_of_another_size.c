/* SPDX-License-Identifier: MIT */
/* The content of a page of 4 KiB taken for one of 16 KiB. */
/* flags: -pedantic-errors */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);
MPG_DEFINE_PAGER(big, 16384);

int show(const blk_page **small, const big_page **large, blk_pager pager, blk_page_id id);

int show(const blk_page **small, const big_page **large, blk_pager pager, blk_page_id id)
{
    (void)small;
    (void)large;
#ifdef FAULT
    return blk_page_get(large, pager, id);
#else
    return blk_page_get(small, pager, id);
#endif
}
