/* SPDX-License-Identifier: MIT */
/* Group commit: eight threads that each commit a page of their own, against one. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

#define THREADS 8u
#define OPERATIONS 40u
#define PAGES_A_THREAD 64u

struct crowd {
    mpg_pager *pager;
    char *path;
    unsigned threads;
};

struct member {
    pthread_t thread;
    mpg_pager *pager;
    uint64_t first; /* protected pages [first, first + PAGES_A_THREAD) are its own */
    unsigned operations;
};

static void *commit_all(void *context)
{
    const struct member *member = context;

    for (unsigned i = 0; i < member->operations; i++) {
        mpg_protected_id id = {member->first + i % PAGES_A_THREAD};
        mpg_writer *writer;

        must(mpg_writer_open(&writer, member->pager, id), "writer_open");
        memset(mpg_writer_data(writer), (int)i, PAGE_SIZE_USED);
        must(mpg_writer_commit(writer), "writer_commit");
    }
    return NULL;
}

/* `operations` in all, whatever the number of threads. */
static void crowd_run(void *context, unsigned operations)
{
    struct crowd *crowd = context;
    struct member members[THREADS];

    for (unsigned i = 0; i < crowd->threads; i++) {
        members[i] = (struct member){.pager = crowd->pager,
                                     .first = i * (uint64_t)PAGES_A_THREAD,
                                     .operations = operations / crowd->threads};
        if (pthread_create(&members[i].thread, NULL, commit_all, &members[i]) != 0)
            die_errno("pthread_create");
    }
    for (unsigned i = 0; i < crowd->threads; i++)
        (void)pthread_join(members[i].thread, NULL);
}

static void crowd_open(struct crowd *crowd, const struct place *place, unsigned threads)
{
    mpg_protected_id ids[THREADS * PAGES_A_THREAD];

    crowd->threads = threads;
    crowd->pager = fresh_pager(place, threads == 1 ? "one" : "crowd", 0, 10000, 0, &crowd->path);
    must(mpg_alloc_protected_bulk(ids, crowd->pager, THREADS * PAGES_A_THREAD),
         "alloc_protected_bulk");
    for (int copy = 0; copy < 2; copy++) {
        mpg_txn *txn;

        must(mpg_txn_begin(&txn, crowd->pager), "txn_begin");
        for (unsigned i = 0; i < THREADS * PAGES_A_THREAD; i++)
            must(mpg_txn_protected_write(txn, ids[i], "first", 0, 5), "txn_protected_write");
        must(mpg_txn_commit(txn, 0), "txn_commit");
    }
}

void bench_threads(const struct place *place)
{
    unsigned rounds = place->quick ? 5 : 31;
    struct crowd one, many;
    struct contestant all[2] = {
        {.name = "one", .run = crowd_run, .context = &one, .operations = OPERATIONS},
        {.name = "many", .run = crowd_run, .context = &many, .operations = THREADS * OPERATIONS},
    };

    crowd_open(&one, place, 1);
    crowd_open(&many, place, THREADS);
    measure(all, 2, rounds);
    report("protected commit, 8 threads / 1 thread", times_faster(&all[1], &all[0], rounds), "x",
           AT_LEAST, 4);
    forget(one.pager, one.path);
    forget(many.pager, many.path);
    free(all[0].ns);
    free(all[1].ns);
}
