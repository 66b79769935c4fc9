/* SPDX-License-Identifier: MIT */
/*
 * mappedpages bench: what a disk gives, and what the library makes of it there.
 *
 * A round does everything once, in turn, so that what disturbs the machine disturbs all of a round
 * alike; each figure is the median of the rounds.
 */

#include "arguments.h"
#include "bench_ground.h"
#include "command.h"
#include "json.h"
#include "output.h"
#include "progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 7
#define THREADS 8
#define TRANSACTION_PAGES 64

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Does something so many times. False: ground->error says why not. */
typedef bool operation(struct ground *ground, unsigned count);

/* ---- what is measured ---- */

static bool write_and_sync(struct ground *ground, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        ground->page[0]++;
        if (!ground_write_plain(ground, ground_any_page(&ground->random))) {
            return false;
        }
        if (fdatasync(ground->plain) != 0) {
            return ground_system_failed(ground, "fdatasync");
        }
    }
    return true;
}

/* So many pages, each transaction with so many of them. */
static bool commit(struct ground *ground, unsigned count, unsigned pages)
{
    for (unsigned i = 0; i < count; i += pages) {
        if (ground_commit(ground->pager, &ground->random, pages) != 0) {
            return ground_library_failed(ground);
        }
    }
    return true;
}

static bool commit_page(struct ground *ground, unsigned count)
{
    return commit(ground, count, 1);
}

static bool commit_pages(struct ground *ground, unsigned count)
{
    return commit(ground, count, TRANSACTION_PAGES);
}

static bool allocate_and_free(struct ground *ground, unsigned count)
{
    for (unsigned i = 0; i < count; i += 2) {
        mpg_page_id id;

        if (mpg_alloc(&id, ground->pager, 0) != 0 || mpg_free(ground->pager, id) != 0) {
            return ground_library_failed(ground);
        }
    }
    return true;
}

/* One of several threads. */
struct committer {
    pthread_t thread;
    mpg_pager *pager;
    uint64_t random;
    unsigned count;
    mpg_error_info error;
};

static void *commit_alone(void *argument)
{
    struct committer *committer = argument;

    for (unsigned i = 0; i < committer->count && committer->error.code == 0; i++) {
        if (ground_commit(committer->pager, &committer->random, 1) != 0) {
            (void)mpg_last_error(&committer->error);
        }
    }
    return NULL;
}

static bool commit_together(struct ground *ground, unsigned count)
{
    struct committer committers[THREADS];
    unsigned begun = 0;
    bool fine = true;

    for (; begun < THREADS && fine; begun += fine) {
        struct committer *one = &committers[begun];

        *one = (struct committer){
            .pager = ground->pager, .random = ground->random + begun, .count = count / THREADS};
        errno = pthread_create(&one->thread, NULL, commit_alone, one);
        fine = errno == 0 || ground_system_failed(ground, "pthread_create");
    }
    while (begun-- > 0) {
        (void)pthread_join(committers[begun].thread, NULL);
        if (committers[begun].error.code != 0) {
            ground->error = committers[begun].error;
            fine = false;
        }
    }
    (void)ground_any_page(&ground->random);
    return fine;
}

static bool read_protected(struct ground *ground, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        mpg_protected_id id = {ground_any_page(&ground->random)};

        if (mpg_protected_read(ground->page, ground->pager, id) != 0) {
            return ground_library_failed(ground);
        }
    }
    return true;
}

/* The first one is what the others are compared with. */
static const struct row {
    const char *key;
    const char *what;
    operation *run;
    unsigned count;   /* operations in a round */
    bool of_the_disk; /* whether it makes sense to compare it */
} rows[] = {
    {"write_and_sync", "without the library: a page, synced", write_and_sync, 64, false},
    {"commit_page", "a page, in a transaction of its own", commit_page, 64, true},
    {"commit_64_pages", "a page, 64 in a transaction", commit_pages, 1024, true},
    {"commit_8_threads", "a page, 8 threads with one each", commit_together, 256, true},
    {"allocate_or_free", "a regular page allocated or freed", allocate_and_free, 64, true},
    {"read", "a page read, and its checksum looked at", read_protected, 8192, false},
};

#define ROWS (sizeof rows / sizeof *rows)

struct figures {
    double ns[ROWS][ROUNDS]; /* that an operation took */
    double of_the_disk[ROWS]
                      [ROUNDS]; /* how many times as fast it was as the first row in this round */
};

/* ---- measuring and telling ---- */

static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static bool measure_round(struct figures *figures, struct ground *ground, unsigned round)
{
    for (unsigned i = 0; i < ROWS; i++) {
        uint64_t begun = now();

        if (!rows[i].run(ground, rows[i].count)) {
            return false;
        }
        figures->ns[i][round] = (double)(now() - begun) / rows[i].count;
        figures->of_the_disk[i][round] = figures->ns[0][round] / figures->ns[i][round];
    }
    return true;
}

/* Signals that ask to end are held back meanwhile, so that nothing is left behind. */
static bool measure(struct figures *figures, struct ground *ground, const char *parent, bool quiet)
{
    struct progress progress;
    bool fine;

    progress_begin(&progress, "bench", ROUNDS, quiet);
    hold_signals();
    fine = ground_make(ground, parent);
    for (unsigned round = 0; fine && round < ROUNDS && !asked_to_end(); round++) {
        progress_update(&progress, round);
        fine = measure_round(figures, ground, round);
    }
    ground_remove(ground);
    progress_end(&progress);
    let_signals_end();
    stop_holding_signals();
    return fine;
}

static int compare(const void *one, const void *other)
{
    const double *a = one;
    const double *b = other;

    return (*a > *b) - (*a < *b);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

static void print_table(struct figures *figures)
{
    printf("%-38s %10s %10s %12s\n", "", "us each", "a second", "of the disk");
    for (unsigned i = 0; i < ROWS; i++) {
        double ns = median(figures->ns[i]);

        printf("%-38s %10.1f %10.0f", rows[i].what, ns / 1e3, 1e9 / ns);
        if (rows[i].of_the_disk) {
            printf(" %10.2f x", median(figures->of_the_disk[i]));
        }
        putchar('\n');
    }
}

static void print_json(struct figures *figures, const char *directory)
{
    struct json out;

    json_begin(&out, stdout);
    json_string(&out, "directory", directory);
    for (unsigned i = 0; i < ROWS; i++) {
        json_open(&out, rows[i].key, '{');
        json_number(&out, "nanoseconds", (uint64_t)median(figures->ns[i]));
        if (rows[i].of_the_disk) {
            json_number(&out, "percent_of_the_disk",
                        (uint64_t)(100 * median(figures->of_the_disk[i])));
        }
        json_close(&out, '}');
    }
    json_end(&out);
}

static int run(int argc, char **argv)
{
    static struct ground ground;
    static struct figures figures;
    bool json = false;
    bool quiet = false;
    int option;

    while ((option = next_option(&command_bench, argc, argv)) != -1) {
        json |= option == 'j';
        quiet |= option == 'q';
    }
    if (optind == argc) {
        usage_error(&command_bench, "no directory was named");
    }
    expect_arguments(&command_bench, argc, argv, 1, 1);
    hints_are_for(HINT_CREATE);
    if (!measure(&figures, &ground, argv[optind], quiet || json)) {
        return report_error(argv[optind], &ground.error, json);
    }
    if (json) {
        print_json(&figures, argv[optind]);
    } else {
        print_table(&figures);
    }
    return finish_output(STATUS_FINE);
}

const struct command command_bench = {
    .name = "bench",
    .summary = "Measures a disk, and what the library makes of it",
    .usage = "[-jq] DIRECTORY",
    .help =
        "Makes a plain file and a page file in the directory (32 MiB in all), and takes them away\n"
        "again. What commits do is compared with what the disk itself does: one page of 4 KiB "
        "written\n"
        "at a random place, and synced. All figures are medians of rounds in which everything has "
        "its\n"
        "turn; what else the machine does shows in them.\n\n"
        "  -j, --json   the result as a JSON object\n"
        "  -q, --quiet  no progress\n"
        "  -h, --help   this help\n",
    .options = options,
    .run = run,
};
