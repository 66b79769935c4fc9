/* SPDX-License-Identifier: MIT */
/* A transaction on 16 KiB pages where one on 4 KiB pages is wanted. */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);
MPG_DEFINE_PAGER(big, 16384);

int take(blk_page_id *id, blk_txn small, big_txn large);

int take(blk_page_id *id, blk_txn small, big_txn large)
{
    (void)small;
    (void)large;
#ifdef FAULT
    return blk_txn_alloc(id, large, 0);
#else
    return blk_txn_alloc(id, small, 0);
#endif
}
