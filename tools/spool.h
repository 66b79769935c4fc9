/* SPDX-License-Identifier: MIT */
/*
 * Pages put aside, in a temporary file without a name, until it is known that all of them are good.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "page_archive.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spooled_page {
    struct archived_page page;
    uint64_t place; /* which content of the temporary file is its */
};

struct spool {
    int fd; /* the temporary file, or -1 */
    size_t page_size;
    struct spooled_page *pages; /* owned */
    size_t count, capacity;
};

/* Where temporary files are made. */
const char *spool_directory(void);

/* Both return 0, or -1 with errno set. */
int spool_begin(struct spool *spool, size_t page_size);
int spool_add(struct spool *spool, const struct archived_page *page, const void *content);
/* Regular pages first, each kind in order of ids; of a page that came more than once the last. */
void spool_sort(struct spool *spool);
/* The content of a page. Returns 0, or -1 with errno set. */
int spool_read(void *content, const struct spool *spool, const struct spooled_page *page);
void spool_end(struct spool *spool);

#endif
