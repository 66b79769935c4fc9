/* SPDX-License-Identifier: MIT */
/*
 * A page file of 1 TiB, sparse, with 10^8 pages allocated and 10^7 protected pages: what
 * opening it takes, how much memory a pager on it has, and what operations cost there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counting_io.h"
#include "large.h"
#include "library.h"
#include "pager/open.h"

#define FILE_PAGES (UINT64_C(1) << 28)
#define ALLOCATED UINT64_C(100000000)
#define PROTECTED UINT64_C(10000000)
#define CHUNK UINT64_C(1000000)
#define PROTECTED_CHUNK UINT64_C(100000)

static void fill(mpg_pager *pager)
{
    mpg_page_id *ids = must_alloc(CHUNK * sizeof(*ids));
    mpg_protected_id *protected = must_alloc(PROTECTED_CHUNK * sizeof(*protected));

    for (uint64_t i = 0; i < ALLOCATED; i += CHUNK)
        must(mpg_alloc_bulk(ids, pager, CHUNK, 0), "alloc_bulk");
    for (uint64_t i = 0; i < PROTECTED; i += PROTECTED_CHUNK)
        must(mpg_alloc_protected_bulk(protected, pager, PROTECTED_CHUNK), "alloc_protected_bulk");
    free(ids);
    free(protected);
}

/* ---- in a process of its own: opening, and memory ---- */

/* Resident memory of this process in bytes. */
static uint64_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size, pages;

    if (file == NULL || fscanf(file, "%lu %lu", &size, &pages) != 2)
        die_errno("/proc/self/statm");
    (void)fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Asks for each page that there is, of both kinds. */
static void touch_all(const mpg_pager *pager)
{
    uint64_t regular = 0, guarded = 0;
    mpg_page_iter pages;
    mpg_protected_iter protected_pages;
    mpg_page_id id = {0};
    mpg_protected_id protected_id = {0};
    int result;

    mpg_page_iter_begin(&pages, pager, id);
    for (; (result = mpg_page_iter_next(&id, &pages)) == 1; regular++) {
        const void *data;

        must(mpg_page_get(&data, pager, id), "page_get");
    }
    must(result, "iter_next");
    mpg_protected_iter_begin(&protected_pages, pager, protected_id);
    for (; (result = mpg_protected_iter_next(&protected_id, &protected_pages)) == 1; guarded++) {
        mpg_protected_info info;

        must(mpg_protected_stat(&info, pager, protected_id), "protected_stat");
    }
    must(result, "iter_next");
    if (regular != ALLOCATED || guarded != PROTECTED)
        die_errno("iterate: not as many pages as were allocated");
}

/* Reads all over the file, touches all of it, commits. */
static void work(mpg_pager *pager)
{
    uint64_t random = 7;
    mpg_page_id id = {0};

    for (int i = 0; i < 20000; i++) {
        mpg_protected_id some = {next_random(&random) % PROTECTED};
        mpg_protected_info info;
        enum mpg_page_use use;

        must(mpg_page_use(&use, pager, next_random(&random) % FILE_PAGES), "page_use");
        must(mpg_protected_stat(&info, pager, some), "protected_stat");
    }
    touch_all(pager);
    for (int i = 0; i < 200; i++) {
        mpg_protected_id some = {next_random(&random) % PROTECTED};
        mpg_writer *writer;

        must(mpg_writer_open(&writer, pager, some), "writer_open");
        must(mpg_writer_commit(writer), "writer_commit");
        must(mpg_alloc(&id, pager, 0), "alloc");
        must(mpg_free(pager, id), "free");
    }
}

int large_child(const char *path)
{
    struct counts counts = {.reads = 0};
    double ms[11];
    uint64_t before, reads = 0;
    mpg_pager *pager;

    for (size_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
        uint64_t begin = now_ns();

        counts.reads = 0;
        must(mpgi_open_with(&pager, path, NULL, false, &counting_io, &counts), "open");
        ms[i] = (double)(now_ns() - begin) / 1e6;
        reads = counts.reads;
        must(mpg_close(pager), "close");
    }
    before = resident();
    must(mpg_open(&pager, path, NULL), "open");
    work(pager);
    printf("%.3f %llu %llu\n", median(ms, sizeof(ms) / sizeof(ms[0])), (unsigned long long)reads,
           (unsigned long long)(resident() - before));
    must(mpg_close(pager), "close");
    return 0;
}

static void open_apart(const char *path)
{
    double ms;
    unsigned long long reads, bytes;
    int ends[2], status;
    FILE *answer;
    pid_t pid;

    (void)fflush(stdout);
    if (pipe(ends) != 0 || (pid = fork()) < 0)
        die_errno("fork");
    if (pid == 0) {
        if (dup2(ends[1], STDOUT_FILENO) >= 0)
            (void)execl("/proc/self/exe", "library", LARGE_CHILD, path, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    answer = fdopen(ends[0], "r");
    if (answer == NULL || fscanf(answer, "%lf %llu %llu", &ms, &reads, &bytes) != 3 ||
        waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "bench: the process that opens the large file failed\n");
        exit(1);
    }
    (void)fclose(answer);
    report("open, 1 TiB, 10^8 pages allocated", ms, "ms", AT_MOST, 5);
    report("… page reads", (double)reads, "", AT_MOST, 100);
    report("… resident memory, all of them touched", (double)bytes / (1 << 20), "MiB", AT_MOST, 8);
}

/* ---- operations there ---- */

static void run_alloc(void *context, unsigned operations)
{
    for (unsigned i = 0; i < operations; i++) {
        mpg_page_id id;

        must(mpg_alloc(&id, context, 0), "alloc");
    }
}

static void run_commit(void *context, unsigned operations)
{
    static uint64_t random = 11;

    for (unsigned i = 0; i < operations; i++) {
        /* Few enough that both copies of each were written before the clock starts. */
        mpg_protected_id id = {next_random(&random) % 16 * (PROTECTED / 16)};
        mpg_writer *writer;

        must(mpg_writer_open(&writer, context, id), "writer_open");
        must(mpg_writer_commit(writer), "writer_commit");
    }
}

static void operate(const struct place *place, const char *path)
{
    unsigned rounds = place->quick ? 3 : 15;
    mpg_pager *pager;
    struct contestant all[3] = {
        {.name = "floor", .run = floor_run, .operations = 50},
        {.name = "alloc", .run = run_alloc, .operations = 50},
        {.name = "commit", .run = run_commit, .operations = 50},
    };

    must(mpg_open(&pager, path, NULL), "open");
    all[0].context = floor_open(place);
    all[1].context = pager;
    all[2].context = pager;
    measure(all, 3, rounds);
    report("… alloc / floor", times_faster(&all[1], &all[0], rounds), "x", NO_TARGET, 0);
    report("… protected commit / floor", times_faster(&all[2], &all[0], rounds), "x", NO_TARGET, 0);
    floor_close(all[0].context);
    must(mpg_close(pager), "close");
    for (int i = 0; i < 3; i++)
        free(all[i].ns);
}

void bench_large(const struct place *place)
{
    uint64_t begin = now_ns();
    char *path;
    mpg_pager *pager =
        fresh_pager(place, "large", 0, FILE_PAGES, MPG_SPARSE | MPG_DEFER_ALLOCATION, &path);

    fill(pager);
    must(mpg_close(pager), "close");
    report("making a file of 1 TiB and 10^8 pages", (double)(now_ns() - begin) / 1e9, "s",
           NO_TARGET, 0);
    open_apart(path);
    operate(place, path);
    (void)unlink(path);
    free(path);
}
