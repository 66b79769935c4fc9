/* SPDX-License-Identifier: MIT */
/* Page files that a benchmark makes and removes. */
#include <stdlib.h>
#include <unistd.h>

#include "library.h"

mpg_pager *fresh_pager(const struct place *place, const char *name, int format, uint64_t pages,
                       unsigned flags, char **path)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;

    options.page_size = PAGE_SIZE_USED;
    options.format = format;
    options.initial_pages = pages;
    options.flags = flags;
    *path = fresh_path(place, name);
    must(mpg_create(&pager, *path, &options), "create");
    return pager;
}

void forget(mpg_pager *pager, char *path)
{
    must(mpg_close(pager), "close");
    (void)unlink(path);
    free(path);
}
