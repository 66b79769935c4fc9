/* SPDX-License-Identifier: MIT */
/*
 * An array that says what each page is used for, two bits a page (enum mpg_page_use). Page
 * i is bits 2 * (i % 4) of byte i / 4; so a zeroed array says that all pages are free.
 */
#ifndef MPGI_PAGE_USES_H
#define MPGI_PAGE_USES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mappedpages.h"

#define USES_PER_BYTE 4

static inline enum mpg_page_use mpgi_uses_get(const unsigned char *uses, uint64_t index)
{
    return (enum mpg_page_use)(uses[index / USES_PER_BYTE] >> (2 * (index % USES_PER_BYTE)) & 3);
}

static inline void mpgi_uses_set(unsigned char *uses, uint64_t index, enum mpg_page_use use)
{
    unsigned shift = 2 * (index % USES_PER_BYTE);
    unsigned char *byte = &uses[index / USES_PER_BYTE];

    *byte = (unsigned char)((*byte & ~(3u << shift)) | (unsigned)use << shift);
}

/* Sets pages [first, end). */
void mpgi_uses_fill(unsigned char *uses, uint64_t first, uint64_t end, enum mpg_page_use use);

/* How many of the pages [first, end) have this use; and whether all of them have. */
uint64_t mpgi_uses_count(const unsigned char *uses, uint64_t first, uint64_t end,
                         enum mpg_page_use use);
bool mpgi_uses_all(const unsigned char *uses, uint64_t first, uint64_t end, enum mpg_page_use use);

/*
 * The lowest index >= from, with index + apart < end, such that it and the page `apart` pages
 * behind it are free in each of the `versions` arrays; with 0 it is one page. Array k has
 * lengths[k] bytes, and all beyond them is free; a NULL array is all free. Returns false, and
 * leaves *index alone, if there is none.
 */
bool mpgi_uses_find_free(const unsigned char *const *uses, const size_t *lengths, unsigned versions,
                         uint64_t from, uint64_t end, uint64_t apart, uint64_t *index);

/* How many of the pages from `from` on, below `end`, are free in a row in each of the arrays. */
uint64_t mpgi_uses_free_run(const unsigned char *const *uses, const size_t *lengths,
                            unsigned versions, uint64_t from, uint64_t end);

/*
 * Which of the pages [first, min(end, first + 64 * words)) have this use: bit i of bits[w] is page
 * first + 64 * w + i. All of bits is written; pages from `end` on are 0 there.
 */
void mpgi_uses_scan(const unsigned char *uses, uint64_t first, uint64_t end, enum mpg_page_use use,
                    uint64_t *bits, unsigned words);

#endif
