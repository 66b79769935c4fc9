/* SPDX-License-Identifier: MIT */
/*
 * What `mappedpages bench` measures with: a plain file and a page file, in a directory of their
 * own.
 */
#ifndef BENCH_GROUND_H
#define BENCH_GROUND_H

#include "mappedpages.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GROUND_PAGES 2048u /* of the plain file, and protected ones of the page file */
#define GROUND_PAGE_BYTES ((size_t)4096)

struct ground {
    char directory[PATH_MAX];
    char plain_path[PATH_MAX + 8];
    char file_path[PATH_MAX + 8];
    int plain; /* descriptor, or -1 */
    mpg_pager *pager;
    uint64_t random;
    mpg_error_info error; /* why something failed */
    unsigned char page[GROUND_PAGE_BYTES];
};

/*
 * In a new directory in `parent`. False: ground->error says why. What was made is to be removed in
 * either case.
 */
bool ground_make(struct ground *ground, const char *parent);
void ground_remove(struct ground *ground);

/* Take note of a failed system call, or call of the library; both return false. */
bool ground_system_failed(struct ground *ground, const char *operation);
bool ground_library_failed(struct ground *ground);

/* A page by chance. */
uint64_t ground_any_page(uint64_t *random);
/* Writes one page of the plain file. */
bool ground_write_plain(struct ground *ground, uint64_t page);
/* Commits one transaction that changes something in so many protected pages. 0 or MPG_E_…. */
int ground_commit(mpg_pager *pager, uint64_t *random, unsigned pages);

#endif
