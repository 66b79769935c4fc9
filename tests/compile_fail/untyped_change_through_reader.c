/* SPDX-License-Identifier: MIT */
/* Without typed pagers: a file that was opened read-only is changed. */
/* flags: -pedantic-errors */
#include "mappedpages.h"

int take(mpg_page_id *id, mpg_pager *pager, const mpg_pager *reader);

int take(mpg_page_id *id, mpg_pager *pager, const mpg_pager *reader)
{
    (void)pager;
    (void)reader;
#ifdef FAULT
    return mpg_alloc(id, reader, 0);
#else
    return mpg_alloc(id, pager, 0);
#endif
}
