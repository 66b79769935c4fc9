/* SPDX-License-Identifier: MIT */
/* A byte is stored where only the committed content is shown. */
#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);

unsigned char first(const blk_page *view, blk_page *page);

unsigned char first(const blk_page *view, blk_page *page)
{
#ifdef FAULT
    view->bytes[0] = 1;
#else
    page->bytes[0] = 1;
#endif
    return (unsigned char)(view->bytes[0] + page->bytes[0]);
}
