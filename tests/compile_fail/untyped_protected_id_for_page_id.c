/* SPDX-License-Identifier: MIT */
/* Without typed pagers: the id of a protected page where that of a regular page is wanted. */
#include "mappedpages.h"

int give_back(mpg_pager *pager, mpg_page_id page, mpg_protected_id guarded);

int give_back(mpg_pager *pager, mpg_page_id page, mpg_protected_id guarded)
{
    (void)page;
    (void)guarded;
#ifdef FAULT
    return mpg_free(pager, guarded);
#else
    return mpg_free(pager, page);
#endif
}
