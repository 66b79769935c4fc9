/* SPDX-License-Identifier: MIT */
/* The id of a protected page where that of a regular page is wanted. */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);

int give_back(blk_pager pager, blk_page_id page, blk_protected_id guarded);

int give_back(blk_pager pager, blk_page_id page, blk_protected_id guarded)
{
    (void)page;
    (void)guarded;
#ifdef FAULT
    return blk_free(pager, guarded);
#else
    return blk_free(pager, page);
#endif
}
