/* SPDX-License-Identifier: MIT */
/* A file that was opened read-only is changed. */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);

int take(blk_page_id *id, blk_pager pager, blk_reader reader);

int take(blk_page_id *id, blk_pager pager, blk_reader reader)
{
    (void)pager;
    (void)reader;
#ifdef FAULT
    return blk_alloc(id, reader, 0);
#else
    return blk_alloc(id, pager, 0);
#endif
}
