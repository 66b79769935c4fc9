/* SPDX-License-Identifier: MIT */
/*
 * The library's benchmark: how fast it is compared with what the disk and the memory can do.
 *
 *     bench/library [-q] [-n PAGES] [-r ROUNDS] [-w TIMES] [-t THREADS] [DIRECTORY [PART…]]
 *
 * -q takes few rounds. The parts are durable, threads, bulk, memory, large, reopen, full, commits
 * and reading; without any, all. -n, -r and -w are for commits: of how many pages (20,000 if not
 * said), how many rounds, and how often each page is rewritten before. -t is for reading: from how
 * many threads (2 if not said).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "large.h"
#include "library.h"

static const struct part {
    const char *name;
    void (*run)(const struct place *place);
} parts[] = {
    {"durable", bench_durable}, {"threads", bench_threads}, {"bulk", bench_bulk},
    {"memory", bench_memory},   {"large", bench_large},     {"reopen", bench_reopen},
    {"full", bench_full},       {"commits", bench_commits}, {"reading", bench_reading},
};

static bool is_wanted(const char *name, char *const *wanted, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(wanted[i], name) == 0)
            return true;
    return count == 0;
}

static uint64_t number(const char *text, uint64_t most)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text == 0 || *end != 0 || value == 0 || value > most) {
        (void)fprintf(stderr, "bench: %s is not a number from 1 to %llu\n", text,
                      (unsigned long long)most);
        exit(2);
    }
    return value;
}

static void take_options(struct place *place, int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "qn:r:w:t:")) != -1) {
        if (option == 'q')
            place->quick = true;
        else if (option == 'n')
            place->pages = number(optarg, MOST_COMMIT_PAGES);
        else if (option == 't')
            place->threads = (unsigned)number(optarg, 1000);
        else if (option == 'r')
            place->rounds = (unsigned)number(optarg, 100000);
        else if (option == 'w')
            place->wear = (unsigned)number(optarg, 1000);
        else
            exit(2);
    }
}

int main(int argc, char **argv)
{
    struct place place = {.pages = 20000};
    char directory[4096];
    int at;

    if (argc == 3 && strcmp(argv[1], LARGE_CHILD) == 0)
        return large_child(argv[2]);
    take_options(&place, argc, argv);
    at = optind;
    (void)snprintf(directory, sizeof(directory), "%s/mpg-bench-XXXXXX", at < argc ? argv[at] : ".");
    if (mkdtemp(directory) == NULL)
        die_errno(directory);
    place.directory = directory;
    report_title("Library, pages of 4 KiB; ratios are rates, medians over interleaved rounds");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (is_wanted(parts[i].name, argv + at + 1, argc - at - 1))
            parts[i].run(&place);
    if (rmdir(directory) != 0)
        die_errno(directory);
    return 0;
}
