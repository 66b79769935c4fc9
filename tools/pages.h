/* SPDX-License-Identifier: MIT */
/* Several pages in one commit, by plain numbers. All return 0 or the library's error. */
#ifndef PAGES_H
#define PAGES_H

#include "mappedpages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The lowest free ids, into ids[0…count-1]. */
int alloc_regular_pages(mpg_pager *pager, uint64_t *ids, size_t count, unsigned flags);
int alloc_protected_pages(mpg_pager *pager, uint64_t *ids, size_t count);

int free_pages(mpg_pager *pager, const uint64_t *ids, size_t count, bool protected);

#endif
