/* SPDX-License-Identifier: MIT */
/*
 * Commits in a file in which 98 % of the pages that can be given out are, against one with half of
 * them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

#define FILE_PAGES 40000u
#define PROTECTED 10000u
#define SIZES 3u
#define MOST 64u

static const unsigned sizes[SIZES] = {1, 8, MOST};

struct file {
    mpg_pager *pager;
    char *path;
    mpg_protected_id ids[PROTECTED];
    uint64_t random;
    unsigned size; /* pages of a commit */
};

/* Allocates regular pages until so many per cent of those that may be are. */
static void fill(mpg_pager *pager, unsigned percent)
{
    struct mpg_stat stat = {.size = sizeof(stat)};
    mpg_page_id *pages;
    uint64_t free_pages, count;

    must(mpg_stat(&stat, pager), "stat");
    free_pages = stat.total_pages - stat.metadata_pages - stat.regular_pages -
                 2 * (uint64_t)stat.protected_pages;
    count = free_pages * percent / 100;
    pages = must_alloc((size_t)count * sizeof(*pages));
    must(mpg_alloc_bulk(pages, pager, (size_t)count, 0), "alloc_bulk");
    free(pages);
}

static struct file *open_file(const struct place *place, const char *name, unsigned percent)
{
    struct file *file = must_alloc(sizeof(*file));

    file->pager = fresh_pager(place, name, MPG_FORMAT_1, FILE_PAGES, 0, &file->path);
    must(mpg_alloc_protected_bulk(file->ids, file->pager, PROTECTED), "alloc_protected_bulk");
    fill(file->pager, percent);
    wear(file->pager, file->ids, place->quick ? PROTECTED / 5 : PROTECTED);
    return file;
}

static void run(void *context, unsigned operations)
{
    struct file *file = context;
    unsigned char content[PAGE_SIZE_USED];

    memset(content, 0x33, sizeof(content));
    for (unsigned i = 0; i < operations; i++) {
        mpg_txn *txn;

        must(mpg_txn_begin(&txn, file->pager), "txn_begin");
        for (unsigned k = 0; k < file->size; k++) {
            memcpy(content, &file->random, sizeof(file->random));
            must(mpg_txn_protected_write(txn, file->ids[next_random(&file->random) % PROTECTED],
                                         content, 0, sizeof(content)),
                 "txn_protected_write");
        }
        must(mpg_txn_commit(txn, 0), "txn_commit");
    }
}

void bench_full(const struct place *place)
{
    unsigned rounds = place->quick ? 3 : 15;
    struct file *half = open_file(place, "half", 50);
    struct file *full = open_file(place, "full", 98);

    for (size_t i = 0; i < SIZES; i++) {
        struct contestant all[2] = {
            {.name = "half", .run = run, .context = half, .operations = 64},
            {.name = "full", .run = run, .context = full, .operations = 64},
        };
        char what[80];

        half->size = full->size = sizes[i];
        measure(all, 2, rounds);
        (void)snprintf(what, sizeof(what), "commit of %u, file 98 %% full / half full", sizes[i]);
        report(what, times_faster(&all[1], &all[0], rounds), "x", NO_TARGET, 0);
        report_note("%.0f us, against %.0f us", median_ns(&all[1], rounds) / 1000,
                    median_ns(&all[0], rounds) / 1000);
        free(all[0].ns);
        free(all[1].ns);
    }
    forget(half->pager, half->path);
    forget(full->pager, full->path);
    free(half);
    free(full);
}
