/* SPDX-License-Identifier: MIT */
/*
 * Group commit: eight threads at once, each with pages of its own, against one thread that does the
 * same. And what disk and processors allow: the same with no library about, where the last of eight
 * threads to arrive writes as many pages as a batch does, and syncs.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

#define THREADS 8u
#define OPERATIONS 80u /* of each thread, in a round */
#define FILE_PAGES 10000u

/* So many pages have their entries in one node of the directory. */
#define NEAR_PAGES 64u
/* … and so many in eight. */
#define FAR_PAGES 1000u

struct crowd {
    mpg_pager *pager;
    char *path;
    unsigned threads;
    unsigned protected_pages;
    mpg_page_id pages[THREADS * OPERATIONS];
    unsigned held; /* how many of them are allocated */
};

struct member {
    pthread_t thread;
    struct crowd *crowd;
    unsigned number;
    unsigned operations;
};

static void *commit_all(void *context)
{
    const struct member *member = context;
    unsigned share = member->crowd->protected_pages / THREADS;
    uint64_t random = member->number + 1;

    for (unsigned i = 0; i < member->operations; i++) {
        mpg_protected_id id = {member->number * share + next_random(&random) % share};
        mpg_writer *writer;

        must(mpg_writer_open(&writer, member->crowd->pager, id), "writer_open");
        memset(mpg_writer_data(writer), (int)i, PAGE_SIZE_USED);
        must(mpg_writer_commit(writer), "writer_commit");
    }
    return NULL;
}

static void *alloc_all(void *context)
{
    const struct member *member = context;
    mpg_page_id *pages = &member->crowd->pages[member->number * member->operations];

    for (unsigned i = 0; i < member->operations; i++)
        must(mpg_alloc(&pages[i], member->crowd->pager, 0), "alloc");
    return NULL;
}

/* `operations` in all, whatever the number of threads. */
static void crowd_run(struct crowd *crowd, unsigned operations, void *(*work)(void *))
{
    struct member members[THREADS];

    for (unsigned i = 0; i < crowd->threads; i++) {
        members[i] =
            (struct member){.crowd = crowd, .number = i, .operations = operations / crowd->threads};
        if (pthread_create(&members[i].thread, NULL, work, &members[i]) != 0)
            die_errno("pthread_create");
    }
    for (unsigned i = 0; i < crowd->threads; i++)
        (void)pthread_join(members[i].thread, NULL);
}

static void run_commit(void *context, unsigned operations)
{
    crowd_run(context, operations, commit_all);
}

static void prepare_alloc(void *context, unsigned operations)
{
    struct crowd *crowd = context;

    (void)operations;
    must(mpg_free_bulk(crowd->pager, crowd->pages, crowd->held), "free_bulk");
    crowd->held = 0;
}

static void run_alloc(void *context, unsigned operations)
{
    struct crowd *crowd = context;

    crowd_run(crowd, operations, alloc_all);
    crowd->held = operations;
}

static struct crowd *crowd_open(const struct place *place, unsigned threads,
                                unsigned protected_pages)
{
    struct crowd *crowd = must_alloc(sizeof(*crowd));
    mpg_protected_id ids[FAR_PAGES];

    crowd->threads = threads;
    crowd->protected_pages = protected_pages;
    crowd->pager =
        fresh_pager(place, threads == 1 ? "one" : "crowd", 0, FILE_PAGES, 0, &crowd->path);
    must(mpg_alloc_protected_bulk(ids, crowd->pager, protected_pages), "alloc_protected_bulk");
    /* As with the floor, what is measured is not a first write, nor a file that was never used. */
    wear(crowd->pager, ids, protected_pages);
    return crowd;
}

static void crowd_close(struct crowd *crowd)
{
    forget(crowd->pager, crowd->path);
    free(crowd);
}

/* One line of the table: how many times faster all[1] is than all[0]. */
static void report_ratio(const char *what, struct contestant all[2], const struct place *place,
                         enum sense sense)
{
    unsigned rounds = place->quick ? 5 : 31;

    measure(all, 2, rounds);
    report(what, times_faster(&all[1], &all[0], rounds), "x", sense, 4);
    report_note("%.0f us each, against %.0f us", median_ns(&all[1], rounds) / 1000,
                median_ns(&all[0], rounds) / 1000);
    free(all[0].ns);
    free(all[1].ns);
}

/* Eight threads against one, both as `work` says. */
static void compare(const struct place *place, const char *what, const struct contestant *work,
                    unsigned protected_pages)
{
    struct contestant all[2] = {*work, *work};

    all[0].operations = OPERATIONS;
    all[0].context = crowd_open(place, 1, protected_pages);
    all[1].operations = THREADS * OPERATIONS;
    all[1].context = crowd_open(place, THREADS, protected_pages);
    report_ratio(what, all, place, AT_LEAST);
    crowd_close(all[0].context);
    crowd_close(all[1].context);
}

/* Threads that do nothing but wait for each other, for the writes of a commit and for the sync. */
struct limit {
    struct floor_file *floor;
    pthread_mutex_t lock;
    pthread_cond_t written;
    unsigned operations;
    unsigned arrived;
    unsigned batches;
};

/* What one commit writes: the record, the page behind it. */
static void run_limit_one(void *context, unsigned operations)
{
    struct limit *limit = context;

    for (unsigned i = 0; i < operations; i++)
        floor_write_piece(limit->floor, 2);
}

static void *limit_all(void *context)
{
    struct limit *limit = context;

    (void)pthread_mutex_lock(&limit->lock);
    for (unsigned i = 0; i < limit->operations; i++) {
        unsigned batch = limit->batches;

        if (++limit->arrived == THREADS) {
            /* What a batch of eight writes where there is room for all of it in one piece. */
            floor_write_piece(limit->floor, THREADS + 1);
            limit->arrived = 0;
            limit->batches++;
            (void)pthread_cond_broadcast(&limit->written);
        }
        while (limit->batches == batch)
            (void)pthread_cond_wait(&limit->written, &limit->lock);
    }
    (void)pthread_mutex_unlock(&limit->lock);
    return NULL;
}

static void run_limit_batch(void *context, unsigned operations)
{
    struct limit *limit = context;
    pthread_t threads[THREADS];

    limit->operations = operations / THREADS;
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, limit_all, limit) != 0)
            die_errno("pthread_create");
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
}

static void report_limit(const struct place *place)
{
    struct limit limit = {.floor = floor_open(place),
                          .lock = PTHREAD_MUTEX_INITIALIZER,
                          .written = PTHREAD_COND_INITIALIZER};
    struct contestant all[2] = {
        {.name = "one", .run = run_limit_one, .context = &limit, .operations = OPERATIONS},
        {.name = "batch",
         .run = run_limit_batch,
         .context = &limit,
         .operations = THREADS * OPERATIONS},
    };

    report_ratio("the same writes and syncs, no library", all, place, NO_TARGET);
    floor_close(limit.floor);
}

void bench_threads(const struct place *place)
{
    static const struct contestant alloc = {
        .name = "alloc", .prepare = prepare_alloc, .run = run_alloc};
    static const struct contestant commit = {.name = "commit", .run = run_commit};

    compare(place, "alloc, 8 threads / 1 thread", &alloc, NEAR_PAGES);
    compare(place, "protected commit of 64 pages, 8 threads / 1", &commit, NEAR_PAGES);
    report_limit(place);
    compare(place, "protected commit of 1,000 pages, 8 threads / 1", &commit, FAR_PAGES);
}
