/* SPDX-License-Identifier: MIT */
/* The id of a protected page of 16 KiB where one of 4 KiB is wanted. */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);
MPG_DEFINE_PAGER(big, 16384);

int give_back(blk_pager pager, blk_protected_id small, big_protected_id large);

int give_back(blk_pager pager, blk_protected_id small, big_protected_id large)
{
    (void)small;
    (void)large;
#ifdef FAULT
    return blk_free_protected(pager, large);
#else
    return blk_free_protected(pager, small);
#endif
}
