/* SPDX-License-Identifier: MIT */
/*
 * alloc_bulk of a million pages against the least it could cost: the very writes it makes, replayed
 * by offset and length into another file, and one fdatasync. Both files are sparse, and all that is
 * written was written before.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "counting_io.h"
#include "library.h"
#include "pager/open.h"

#define MILLION 1000000u
#define FILE_PAGES (MILLION + MILLION / 8)

struct bulk {
    mpg_pager *pager;
    char *path;
    struct counts counts;
    mpg_page_id *ids;
    bool held; /* the million is allocated */
    int replay_fd;
    char *replay_path;
    unsigned char *zeros; /* as long as the longest write */
    size_t longest;
};

/* Frees the million, and two commits later its pages are the first to be taken again. */
static void prepare_alloc(void *context, unsigned operations)
{
    struct bulk *bulk = context;
    mpg_protected_id id = {0};

    (void)operations;
    if (bulk->held)
        must(mpg_free_bulk(bulk->pager, bulk->ids, MILLION), "free_bulk");
    for (int i = 0; i < 2; i++) {
        mpg_writer *writer;

        must(mpg_writer_open(&writer, bulk->pager, id), "writer_open");
        must(mpg_writer_commit(writer), "writer_commit");
    }
    bulk->counts.written_count = 0;
}

static void run_alloc(void *context, unsigned operations)
{
    struct bulk *bulk = context;

    (void)operations;
    bulk->counts.remember = true;
    must(mpg_alloc_bulk(bulk->ids, bulk->pager, MILLION, 0), "alloc_bulk");
    bulk->counts.remember = false;
    bulk->held = true;
}

static void prepare_replay(void *context, unsigned operations)
{
    struct bulk *bulk = context;

    (void)operations;
    for (size_t i = 0; i < bulk->counts.written_count; i++)
        if (bulk->counts.written[i].length > bulk->longest)
            bulk->longest = bulk->counts.written[i].length;
    free(bulk->zeros);
    bulk->zeros = must_alloc(bulk->longest);
}

static void run_replay(void *context, unsigned operations)
{
    struct bulk *bulk = context;

    (void)operations;
    for (size_t i = 0; i < bulk->counts.written_count; i++) {
        const struct written *written = &bulk->counts.written[i];

        if (pwrite(bulk->replay_fd, bulk->zeros, written->length, (off_t)written->offset) !=
            (ssize_t)written->length)
            die_errno("pwrite");
    }
    if (fdatasync(bulk->replay_fd) != 0)
        die_errno("fdatasync");
}

static void bulk_open(struct bulk *bulk, const struct place *place)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_protected_id id;

    options.page_size = PAGE_SIZE_USED;
    options.initial_pages = FILE_PAGES;
    options.flags = MPG_SPARSE;
    bulk->path = fresh_path(place, "bulk");
    must(mpgi_create_with(&bulk->pager, bulk->path, &options, &counting_io, &bulk->counts),
         "create");
    must(mpg_alloc_protected(&id, bulk->pager), "alloc_protected");
    bulk->ids = must_alloc(MILLION * sizeof(*bulk->ids));
    bulk->replay_path = fresh_path(place, "replay");
    bulk->replay_fd = open(bulk->replay_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (bulk->replay_fd < 0 || ftruncate(bulk->replay_fd, (off_t)FILE_PAGES * PAGE_SIZE_USED) != 0)
        die_errno(bulk->replay_path);
}

static void bulk_close(struct bulk *bulk)
{
    forget(bulk->pager, bulk->path);
    (void)close(bulk->replay_fd);
    (void)unlink(bulk->replay_path);
    free(bulk->replay_path);
    free(bulk->zeros);
    free(bulk->counts.written);
    free(bulk->ids);
}

void bench_bulk(const struct place *place)
{
    unsigned rounds = place->quick ? 5 : 21;
    struct bulk bulk = {.replay_fd = -1};
    struct contestant all[2] = {
        {.name = "alloc_bulk",
         .prepare = prepare_alloc,
         .run = run_alloc,
         .context = &bulk,
         .operations = 1},
        {.name = "replay",
         .prepare = prepare_replay,
         .run = run_replay,
         .context = &bulk,
         .operations = 1},
    };
    uint64_t bytes = 0;

    bulk_open(&bulk, place);
    measure(all, 2, rounds);
    for (size_t i = 0; i < bulk.counts.written_count; i++)
        bytes += bulk.counts.written[i].length;
    report("alloc_bulk of 1 million pages, time / its writes",
           times_faster(&all[1], &all[0], rounds), "x", AT_MOST, 3);
    report_note("%.1f ms, against %.1f ms for its %zu writes, %.0f KiB",
                median_ns(&all[0], rounds) / 1e6, median_ns(&all[1], rounds) / 1e6,
                bulk.counts.written_count, (double)bytes / 1024);
    bulk_close(&bulk);
    free(all[0].ns);
    free(all[1].ns);
}
