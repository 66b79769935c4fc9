/* SPDX-License-Identifier: MIT */
/*
 * Opening for writing after the process died, with as many records behind the root as there can be,
 * and nothing of the file in the system's cache: records and nodes are read, what the last commit
 * wrote is verified, all is folded.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "library.h"

#define PAGES 20000u
/*
 * One less than it takes for a checkpoint. The first commit is one, the second has the root written
 * again with it.
 */
#define RECORDS 63u

static mpg_protected_id ids[PAGES];

/* Works on the file and dies. */
static void work_and_die(const char *path, unsigned size, uint64_t random)
{
    unsigned char content[PAGE_SIZE_USED];
    mpg_pager *pager;

    must(mpg_open(&pager, path, NULL), "open");
    memset(content, 0x77, sizeof(content));
    for (unsigned i = 0; i < RECORDS + 2; i++) {
        mpg_txn *txn;

        must(mpg_txn_begin(&txn, pager), "txn_begin");
        for (unsigned k = 0; k < size; k++) {
            memcpy(content, &random, sizeof(random));
            must(mpg_txn_protected_write(txn, ids[next_random(&random) % PAGES], content, 0,
                                         sizeof(content)),
                 "txn_protected_write");
        }
        must(mpg_txn_commit(txn, 0), "txn_commit");
    }
    _exit(0);
}

/* All of it is on the disk, so none of it has to stay. */
static void drop_cache(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        die_errno(path);
    (void)close(fd);
}

static void run(const char *path, unsigned size, unsigned rounds)
{
    double *ms = must_alloc(rounds * sizeof(*ms));
    char what[80];

    for (unsigned round = 0; round < rounds; round++) {
        mpg_pager *pager;
        uint64_t begin;
        int status;
        pid_t pid;

        (void)fflush(stdout);
        pid = fork();
        if (pid < 0)
            die_errno("fork");
        if (pid == 0)
            work_and_die(path, size, round + 1);
        if (waitpid(pid, &status, 0) != pid || status != 0)
            die_errno("the process that was to die");
        drop_cache(path);
        begin = now_ns();
        must(mpg_open(&pager, path, NULL), "open");
        ms[round] = (double)(now_ns() - begin) / 1e6;
        must(mpg_close(pager), "close");
    }
    (void)snprintf(what, sizeof(what), "open after a crash, %u commits of %u, cold", RECORDS, size);
    report(what, median(ms, rounds), "ms", AT_MOST, 20);
    free(ms);
}

void bench_reopen(const struct place *place)
{
    unsigned rounds = place->quick ? 3 : 9;
    char *path;
    mpg_pager *pager = fresh_pager(place, "reopen", MPG_FORMAT_1, 4, MPG_DEFER_ALLOCATION, &path);

    must(mpg_alloc_protected_bulk(ids, pager, PAGES), "alloc_protected_bulk");
    wear(pager, ids, place->quick ? PAGES / 10 : PAGES);
    must(mpg_close(pager), "close");
    run(path, 1, rounds);
    run(path, 8, rounds);
    run(path, 64, rounds);
    (void)unlink(path);
    free(path);
}
