/* SPDX-License-Identifier: MIT */
/* Facts about an open file and about the library. */
#include <string.h>

#include "base/error.h"
#include "pager/pager.h"

int mpg_stat(struct mpg_stat *st, const mpg_pager *pager)
{
    struct mpg_stat facts;

    if (st->size != sizeof(facts))
        return mpgi_fail(MPG_E_INVALID, "stat", MPG_NO_PAGE,
                         "struct mpg_stat of %zu bytes is not of this version (%zu)", st->size,
                         sizeof(facts));
    memset(&facts, 0, sizeof(facts));
    pager_lock(pager);
    pager->ops->facts(pager->format, visible_version(pager), &facts);
    facts.file_bytes = pager->file.bytes;
    pager_unlock(pager);
    facts.size = sizeof(facts);
    facts.format = pager->ops->id;
    facts.page_size = pager->page_size;
    facts.read_only = pager->read_only;
    facts.name_unsure = pager->file.name_unsure;
    *st = facts;
    return 0;
}

size_t mpg_page_size(const mpg_pager *pager)
{
    return pager->page_size;
}

int mpg_descriptor(const mpg_pager *pager)
{
    return pager->file.fd;
}

void mpg_version(int *major, int *minor, int *patch)
{
    *major = MPG_VERSION_MAJOR;
    *minor = MPG_VERSION_MINOR;
    *patch = MPG_VERSION_PATCH;
}
