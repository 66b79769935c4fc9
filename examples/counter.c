/* SPDX-License-Identifier: MIT */
/*
 * A counter that survives everything: each run adds one to a number on a protected page.
 *
 *     counter FILE
 *
 * The number is kept as text, so that it can be read through a mounted file system as well. A crash
 * leaves the old number or the new one, never something in between; two runs at the same time are
 * kept apart by the file's lock.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mappedpages.h"

/* Protected pages are numbered from 0. This program has one. */
static const mpg_protected_id COUNTER = {0};

/* Says why the last call failed. */
static int complain(void)
{
    mpg_error_info info;

    mpg_last_error(&info);
    fprintf(stderr, "counter: %s\n", info.message);
    return -1;
}

/* Opens the file, and makes it if there is none. */
static int open_file(mpg_pager **pager, const char *path)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_CREATE;
    return mpg_open(pager, path, &options) == 0 ? 0 : complain();
}

/* Makes sure that there is the page. It begins as zeros, which read as an empty text. */
static int have_page(mpg_pager *pager)
{
    int code = mpg_alloc_protected_at(pager, COUNTER);

    return code == 0 || code == MPG_E_EXISTS ? 0 : complain();
}

static int count_one(mpg_pager *pager, uint64_t *number)
{
    mpg_writer *writer;

    /* The writer's buffer begins as what was committed last. Nobody sees it before the commit. */
    if (mpg_writer_open(&writer, pager, COUNTER) != 0)
        return complain();
    char *text = mpg_writer_data(writer);
    *number = strtoull(text, NULL, 10) + 1;
    snprintf(text, mpg_page_size(pager), "%" PRIu64 "\n", *number);

    /* From here on the new number is on the disk, whatever happens. */
    if (mpg_writer_commit(writer) != 0) {
        complain();
        mpg_writer_discard(writer);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    mpg_pager *pager;
    uint64_t number = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: counter FILE\n");
        return 2;
    }
    if (open_file(&pager, argv[1]) != 0)
        return 1;
    int failed = have_page(pager) != 0 || count_one(pager, &number) != 0;
    if (mpg_close(pager) != 0)
        failed = complain();
    if (!failed)
        printf("%" PRIu64 "\n", number);
    return failed ? 1 : 0;
}
