/* SPDX-License-Identifier: MIT */

#include "pages.h"

#include "output.h"

#include <stdlib.h>

int alloc_regular_pages(mpg_pager *pager, uint64_t *ids, size_t count, unsigned flags)
{
    mpg_page_id *pages = allocate(count, sizeof *pages);
    int status = mpg_alloc_bulk(pages, pager, count, flags);

    for (size_t i = 0; status == 0 && i < count; i++) {
        ids[i] = pages[i].value;
    }
    free(pages);
    return status;
}

int alloc_protected_pages(mpg_pager *pager, uint64_t *ids, size_t count)
{
    mpg_protected_id *pages = allocate(count, sizeof *pages);
    int status = mpg_alloc_protected_bulk(pages, pager, count);

    for (size_t i = 0; status == 0 && i < count; i++) {
        ids[i] = pages[i].value;
    }
    free(pages);
    return status;
}

static int free_regular_pages(mpg_pager *pager, const uint64_t *ids, size_t count)
{
    mpg_page_id *pages = allocate(count, sizeof *pages);
    int status;

    for (size_t i = 0; i < count; i++) {
        pages[i].value = ids[i];
    }
    status = mpg_free_bulk(pager, pages, count);
    free(pages);
    return status;
}

static int free_protected_pages(mpg_pager *pager, const uint64_t *ids, size_t count)
{
    mpg_protected_id *pages = allocate(count, sizeof *pages);
    int status;

    for (size_t i = 0; i < count; i++) {
        pages[i].value = ids[i];
    }
    status = mpg_free_protected_bulk(pager, pages, count);
    free(pages);
    return status;
}

int free_pages(mpg_pager *pager, const uint64_t *ids, size_t count, bool protected)
{
    return protected ? free_protected_pages(pager, ids, count)
                     : free_regular_pages(pager, ids, count);
}
