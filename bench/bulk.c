/* SPDX-License-Identifier: MIT */
/*
 * alloc_bulk of a million pages against writing the nodes of the space tree that it changes, and
 * one fdatasync. (It writes a record, and them at the next checkpoint.) Both files are sparse, and
 * all that is written was written before.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "library.h"

#define MILLION 1000000u
#define FILE_PAGES (MILLION + MILLION / 8)
/* Of the space tree. */
#define PAGES_OF_A_NODE 16256u

struct bulk {
    mpg_pager *pager;
    char *path;
    mpg_page_id *ids;
    bool held; /* the million is allocated */
    int nodes_fd;
    char *nodes_path;
    unsigned char node[PAGE_SIZE_USED];
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
}

static void run_alloc(void *context, unsigned operations)
{
    struct bulk *bulk = context;

    (void)operations;
    must(mpg_alloc_bulk(bulk->ids, bulk->pager, MILLION, 0), "alloc_bulk");
    bulk->held = true;
}

/* The nodes that a million pages change, each in a place of its own, and a sync. */
static void run_nodes(void *context, unsigned operations)
{
    struct bulk *bulk = context;

    (void)operations;
    for (uint64_t page = 0; page < MILLION; page += PAGES_OF_A_NODE)
        if (pwrite(bulk->nodes_fd, bulk->node, sizeof(bulk->node),
                   (off_t)(page * PAGE_SIZE_USED)) != (ssize_t)sizeof(bulk->node))
            die_errno("pwrite");
    if (fdatasync(bulk->nodes_fd) != 0)
        die_errno("fdatasync");
}

static void bulk_open(struct bulk *bulk, const struct place *place)
{
    mpg_protected_id id;

    bulk->pager = fresh_pager(place, "bulk", MPG_FORMAT_1, FILE_PAGES, MPG_SPARSE, &bulk->path);
    must(mpg_alloc_protected(&id, bulk->pager), "alloc_protected");
    bulk->ids = must_alloc(MILLION * sizeof(*bulk->ids));
    bulk->nodes_path = fresh_path(place, "nodes");
    bulk->nodes_fd = open(bulk->nodes_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (bulk->nodes_fd < 0 || ftruncate(bulk->nodes_fd, (off_t)FILE_PAGES * PAGE_SIZE_USED) != 0)
        die_errno(bulk->nodes_path);
}

static void bulk_close(struct bulk *bulk)
{
    forget(bulk->pager, bulk->path);
    (void)close(bulk->nodes_fd);
    (void)unlink(bulk->nodes_path);
    free(bulk->nodes_path);
    free(bulk->ids);
}

void bench_bulk(const struct place *place)
{
    unsigned rounds = place->quick ? 5 : 21;
    struct bulk bulk = {.nodes_fd = -1};
    struct contestant all[2] = {
        {.name = "alloc_bulk",
         .prepare = prepare_alloc,
         .run = run_alloc,
         .context = &bulk,
         .operations = 1},
        {.name = "nodes", .run = run_nodes, .context = &bulk, .operations = 1},
    };

    bulk_open(&bulk, place);
    measure(all, 2, rounds);
    report("alloc_bulk of 1 million pages, time / its nodes",
           times_faster(&all[1], &all[0], rounds), "x", AT_MOST, 3);
    report_note("%.1f ms, against %.1f ms for writing the nodes that it changes",
                median_ns(&all[0], rounds) / 1e6, median_ns(&all[1], rounds) / 1e6);
    bulk_close(&bulk);
    free(all[0].ns);
    free(all[1].ns);
}
