/* SPDX-License-Identifier: MIT */
/*
 * Commits of 1, 8, 64 and 512 pages in steady state: every page was rewritten some times before, in
 * commits that are not smaller, so that what is free is as scattered as it will ever be. What a
 * commit takes when it is one of those that pay for others shows in the highest percentiles, and in
 * the mean. Ratios are medians over the rounds; a round has so many commits that those which pay
 * for others are among them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commits.h"

#define REWRITES 10u
/*
 * A page file is brought into steady state in commits of at least so many pages, or it would take
 * all day.
 */
#define LEAST_PREPARING 64u
/*
 * Of a file of more pages than that: the largest commits, one pattern, and no other stores; it
 * would take hours.
 */
#define MANY_PAGES 100000u

#define CONTESTANTS_MAX 6u
#define SIZES 4u
#define COMMITS_MAX 300u /* in a round */

static const struct size {
    unsigned pages;
    unsigned commits; /* in a round */
} sizes[SIZES] = {{512, 40}, {64, 80}, {8, 150}, {1, 300}};

enum pattern { UNIFORM, HOT, SEQUENTIAL, PATTERNS };

static const char *const pattern_names[PATTERNS] = {"uniform", "90 % to 10 %", "sequential"};

/* Which pages come next, none twice in a commit. */
struct chooser {
    enum pattern pattern;
    uint64_t pages;
    uint64_t random;
    uint64_t next;     /* where a sequence goes on */
    uint32_t *used_in; /* by id: the commit that has it */
    uint32_t commit;
    uint64_t ids[MOST_IN_A_COMMIT];
};

struct runner {
    const struct committer *committer;
    void *store;
    struct chooser chooser;
    double *ns; /* of each commit */
    size_t count;
    double *round_ns; /* of a commit, in the mean, by round */
    unsigned rounds;  /* so far */
    uint64_t bytes;   /* that the process wrote meanwhile */
};

/* ---- Which pages ---------------------------------------------------------------------------- */

static uint64_t choose_one(struct chooser *chooser)
{
    uint64_t hot = chooser->pages / 10 + 1;

    switch (chooser->pattern) {
    case SEQUENTIAL:
        return chooser->next++ % chooser->pages;
    case HOT:
        if (next_random(&chooser->random) % 10 != 0)
            return next_random(&chooser->random) % hot;
        break;
    default:
        break;
    }
    return next_random(&chooser->random) % chooser->pages;
}

static void choose(struct chooser *chooser, unsigned count)
{
    chooser->commit++;
    for (unsigned i = 0; i < count; i++) {
        do {
            chooser->ids[i] = choose_one(chooser);
        } while (chooser->used_in[chooser->ids[i]] == chooser->commit);
        chooser->used_in[chooser->ids[i]] = chooser->commit;
    }
}

/* ---- Running -------------------------------------------------------------------------------- */

/* Bytes that this process gave to calls that write. */
static uint64_t written_bytes(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    unsigned long long bytes = 0;
    char line[100];

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "wchar: %llu", &bytes) == 1)
            break;
    (void)fclose(file);
    return bytes;
}

static void prepare(struct runner *runner, unsigned size, unsigned rewrites)
{
    struct chooser *chooser = &runner->chooser;
    unsigned least = chooser->pages > MANY_PAGES ? MOST_IN_A_COMMIT : LEAST_PREPARING;
    unsigned count = size < least ? least : size;

    if (runner->committer == &contiguous_committer)
        return;
    for (uint64_t done = 0; done < rewrites * chooser->pages; done += count) {
        choose(chooser, count);
        runner->committer->commit(runner->store, chooser->ids, count);
    }
}

static void run(struct runner *runner, const struct size *size)
{
    uint64_t bytes = written_bytes();
    double sum = 0;

    for (unsigned i = 0; i < size->commits; i++) {
        uint64_t begin;

        choose(&runner->chooser, size->pages);
        begin = now_ns();
        runner->committer->commit(runner->store, runner->chooser.ids, size->pages);
        runner->ns[runner->count] = (double)(now_ns() - begin);
        sum += runner->ns[runner->count++];
    }
    runner->round_ns[runner->rounds++] = sum / size->commits;
    runner->bytes += written_bytes() - bytes;
}

/* ---- Figures -------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double mean(const struct runner *runner)
{
    double sum = 0;

    for (size_t i = 0; i < runner->count; i++)
        sum += runner->ns[i];
    return sum / (double)runner->count;
}

/* Of sorted values. */
static double percentile(const struct runner *runner, unsigned per_mille)
{
    size_t index = runner->count * per_mille / 1000;

    return runner->ns[index < runner->count ? index : runner->count - 1];
}

static void print_head(void)
{
    (void)printf("\n%-12s %5s %-26s %9s %9s %9s %9s %10s %8s\n", "pattern", "pages", "who",
                 "p50 us", "p99", "p99.9", "mean", "contiguous", "written");
}

/* How many times faster `a` was than `b`. */
static double faster(const struct runner *a, const struct runner *b)
{
    struct contestant of_a = {.ns = a->round_ns}, of_b = {.ns = b->round_ns};

    return times_faster(&of_a, &of_b, a->rounds);
}

static void print_line(enum pattern pattern, const struct size *size, const struct runner *runner,
                       const struct runner *floor)
{
    double committed = (double)runner->count * size->pages * PAGE_SIZE_USED;

    (void)printf("%-12s %5u %-26s %9.1f %9.1f %9.1f %9.1f %8.2f x %6.2f x\n",
                 pattern_names[pattern], size->pages, runner->committer->name,
                 percentile(runner, 500) / 1000, percentile(runner, 990) / 1000,
                 percentile(runner, 999) / 1000, mean(runner) / 1000, faster(runner, floor),
                 (double)runner->bytes / committed);
    (void)fflush(stdout);
}

/* How much is wanted of a commit of uniformly chosen pages, as rates; 0: nothing. */
static const struct wanted {
    unsigned pages;
    double contiguous, lmdb, sqlite;
} wanted[SIZES] = {{512, 0.25, 3, 3}, {64, 0.4, 4, 2.5}, {8, 0.55, 0, 1.1}, {1, 0.92, 0, 0}};

static void report_wanted(const struct runner *runners, size_t count, const struct wanted *want)
{
    const struct runner *own = &runners[1];
    char what[80];

    for (size_t i = 0; i < count; i++) {
        const char *name = runners[i].committer->name;
        double target = i == 0                        ? want->contiguous
                        : strcmp(name, "LMDB") == 0   ? want->lmdb
                        : strcmp(name, "SQLite") == 0 ? want->sqlite
                                                      : 0;

        if (target == 0)
            continue;
        (void)snprintf(what, sizeof(what), "commit of %u / %s", want->pages, name);
        report(what, faster(own, &runners[i]), "x", AT_LEAST, target);
    }
    (void)snprintf(what, sizeof(what), "commit of %u: p99.9 / median", want->pages);
    report(what, percentile(own, 999) / percentile(own, 500), "x", AT_MOST, 10);
}

/* ---- The part ------------------------------------------------------------------------------- */

static void open_runner(struct runner *runner, const struct place *place, enum pattern pattern,
                        const struct committer *committer, unsigned rounds)
{
    memset(runner, 0, sizeof(*runner));
    runner->committer = committer;
    runner->chooser.pattern = pattern;
    runner->chooser.pages = place->pages;
    runner->chooser.random = 1 + (uint64_t)pattern;
    runner->chooser.used_in = must_alloc(place->pages * sizeof(uint32_t));
    runner->ns = must_alloc((size_t)rounds * COMMITS_MAX * sizeof(double));
    runner->round_ns = must_alloc(rounds * sizeof(double));
    runner->store = committer->open(place, place->pages);
}

static void close_runner(struct runner *runner)
{
    runner->committer->close(runner->store);
    free(runner->chooser.used_in);
    free(runner->ns);
    free(runner->round_ns);
}

static void run_size(struct runner *runners, size_t count, enum pattern pattern,
                     const struct size *size, unsigned rounds)
{
    for (size_t i = 0; i < count; i++) {
        runners[i].count = 0;
        runners[i].rounds = 0;
        runners[i].bytes = 0;
    }
    for (unsigned round = 0; round < rounds; round++)
        for (size_t i = 0; i < count; i++)
            run(&runners[(round + i) % count], size);
    for (size_t i = 0; i < count; i++) {
        qsort(runners[i].ns, runners[i].count, sizeof(double), compare);
        print_line(pattern, size, &runners[i], &runners[0]);
    }
}

/* How often each page is rewritten before commits of one size are measured. */
static unsigned rewrites(const struct place *place, bool first)
{
    unsigned times = place->wear != 0 ? place->wear : place->quick ? 1 : REWRITES;

    if (first)
        return times;
    return place->pages > MANY_PAGES ? 0 : place->quick ? 1 : 2;
}

static void run_pattern(const struct place *place, enum pattern pattern, unsigned rounds)
{
    static struct committer others[CONTESTANTS_MAX];
    bool many = place->pages > MANY_PAGES;
    struct runner runners[CONTESTANTS_MAX];
    size_t count = 0;

    open_runner(&runners[count++], place, pattern, &contiguous_committer, rounds);
    open_runner(&runners[count++], place, pattern, &page_file_committer, rounds);
    if (pattern == UNIFORM && !many)
        open_runner(&runners[count++], place, pattern, &mixed_page_file_committer, rounds);
    for (size_t i = 0; other_stores[i] != NULL && !many; i++) {
        others[i] = (struct committer){other_stores[i]->name, other_stores[i]->open,
                                       other_stores[i]->commit, other_stores[i]->close};
        open_runner(&runners[count++], place, pattern, &others[i], rounds);
    }
    for (size_t i = 0; i < SIZES; i++) {
        if (sizes[i].pages > place->pages / 2)
            continue;
        for (size_t k = 0; k < count; k++)
            prepare(&runners[k], sizes[i].pages, rewrites(place, i == 0));
        print_head();
        run_size(runners, count, pattern, &sizes[i], rounds);
        if (pattern == UNIFORM)
            report_wanted(runners, count, &wanted[i]);
    }
    for (size_t i = 0; i < count; i++)
        close_runner(&runners[i]);
}

void bench_commits(const struct place *place)
{
    unsigned rounds = place->rounds != 0 ? place->rounds : place->quick ? 2 : 12;

    (void)printf("\nCommits of several pages of %llu, each of which was rewritten before\n",
                 (unsigned long long)place->pages);
    for (int pattern = 0; pattern < (place->pages > MANY_PAGES ? 1 : PATTERNS); pattern++)
        run_pattern(place, (enum pattern)pattern, rounds);
}
