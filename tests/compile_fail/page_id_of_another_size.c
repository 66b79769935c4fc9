/* SPDX-License-Identifier: MIT */
/* The id of a page of 16 KiB where one of 4 KiB is wanted. */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);
MPG_DEFINE_PAGER(big, 16384);

int give_back(blk_pager pager, blk_page_id small, big_page_id large);

int give_back(blk_pager pager, blk_page_id small, big_page_id large)
{
    (void)small;
    (void)large;
#ifdef FAULT
    return blk_free(pager, large);
#else
    return blk_free(pager, small);
#endif
}
