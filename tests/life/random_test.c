/* SPDX-License-Identifier: MIT */
/*
 * Damages files at random, in runs of 1 to 64 sectors: zeros, garbage, content that lies shifted,
 * two runs that changed places, and sectors as they were some commits ago. Each time the file is
 * opened, checked, rescued and repaired, and the repair taken back; whatever is shown is held
 * against what was written. Prints the share saved by kind of damage.
 *
 * MPG_DAMAGES is how many damages there are in all; MPG_DAMAGE_SEED says which.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "life/damage.h"

#define SECTOR 512u

static const struct specimen_kind kinds[] = {
    {"random-1-1024", MPG_FORMAT_1, 1024, 120, 1, 40, 50, true},
    {"random-1-4096", MPG_FORMAT_1, 4096, 150, 1, 30, 170, true},
    {"random-1-65536", MPG_FORMAT_1, 65536, 12, 1, 6, 3, true},
    {"random-0.2-1024", MPG_FORMAT_0_2, 1024, 80, 1, 40, 2, true},
    {"random-0.2-4096", MPG_FORMAT_0_2, 4096, 60, 1, 40, 2, true},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static bool failed;

enum manner { ZEROS, GARBAGE, SHIFTED, SWAPPED, STALE, MANNERS };

static const char *const names[MANNERS] = {"zeros", "garbage", "shifted", "swapped", "stale"};

/* ---- one damage ---- */

struct run {
    uint64_t at;
    size_t length;
    unsigned char *before; /* owned */
};

static void *room(size_t size)
{
    void *made = malloc(size + 1);

    if (made == NULL)
        damage_die("malloc");
    return made;
}

/*
 * A run somewhere, in three of four cases at the beginning of the file, where its metadata is. As
 * long as there may be: short ones as often as long ones.
 */
static struct run choose_run(const struct specimen *specimen, int fd, size_t length)
{
    uint64_t sectors = specimen->pages * specimen->kind->page_size / SECTOR;
    uint64_t reach = damage_random() % 4 != 0 ? 256 : sectors;
    struct run run;

    reach = reach < sectors ? reach : sectors;
    run.length = length != 0
                     ? length
                     : (1 + damage_random() % (UINT64_C(1) << damage_random() % 7)) * SECTOR;
    run.at = damage_random() % reach * SECTOR;
    if (run.at + run.length > sectors * SECTOR)
        run.at = sectors * SECTOR - run.length;
    run.before = room(run.length);
    if (pread(fd, run.before, run.length, (off_t)run.at) != (ssize_t)run.length)
        damage_die("pread");
    return run;
}

static void put(int fd, const struct run *run, const unsigned char *bytes)
{
    if (pwrite(fd, bytes, run->length, (off_t)run->at) != (ssize_t)run->length)
        damage_die("pwrite");
}

static void put_garbage(int fd, const struct run *run, enum manner manner)
{
    unsigned char *bytes = room(run->length);

    memset(bytes, 0, run->length);
    for (size_t i = 0; i < run->length && manner == GARBAGE; i++)
        bytes[i] = (unsigned char)damage_random();
    put(fd, run, bytes);
    free(bytes);
}

/* What stands some bytes, or some sectors, further on, as if a part had been lost. */
static void put_shifted(int fd, const struct run *run)
{
    size_t by = damage_random() % 2 == 0 ? SECTOR : 1 + damage_random() % 511;
    unsigned char *bytes = room(run->length);

    memset(bytes, 0, run->length);
    if (pread(fd, bytes, run->length, (off_t)(run->at + by)) < 0)
        damage_die("pread");
    put(fd, run, bytes);
    free(bytes);
}

/* What stood there before the file was opened for the last time. */
static void put_stale(const struct specimen *specimen, int fd, const struct run *run)
{
    unsigned char *bytes = room(run->length);
    int older = open(specimen->older, O_RDONLY | O_CLOEXEC);

    memset(bytes, 0, run->length);
    if (older < 0 || pread(older, bytes, run->length, (off_t)run->at) < 0)
        damage_die(specimen->older);
    (void)close(older);
    put(fd, run, bytes);
    free(bytes);
}

/*
 * Whether nothing says that what stands there is older: both roots of format 1; in format 0.2 any
 * directory block, which has no number of the commit that wrote it.
 */
static bool hides_its_age(const struct specimen *specimen, const struct destroyed *destroyed)
{
    uint64_t middle = UINT64_C(2) * specimen->kind->page_size;

    return specimen->kind->format == MPG_FORMAT_0_2 ||
           (destroyed->first < middle && destroyed->end > middle);
}

static void damage_once(const struct specimen *specimen, enum manner manner, struct tally *tally,
                        uint64_t number)
{
    int fd = open(specimen->path, O_RDWR | O_CLOEXEC);
    struct run runs[2] = {{0}};
    struct destroyed destroyed[2];
    size_t count = manner == SWAPPED ? 2 : 1;
    char what[120];

    if (fd < 0)
        damage_die(specimen->path);
    runs[0] = choose_run(specimen, fd, 0);
    if (manner == SWAPPED)
        runs[1] = choose_run(specimen, fd, runs[0].length);
    if (manner == ZEROS || manner == GARBAGE)
        put_garbage(fd, &runs[0], manner);
    else if (manner == SHIFTED)
        put_shifted(fd, &runs[0]);
    else if (manner == STALE)
        put_stale(specimen, fd, &runs[0]);
    if (manner == SWAPPED) {
        put(fd, &runs[0], runs[1].before);
        put(fd, &runs[1], runs[0].before);
    }
    for (size_t i = 0; i < count; i++)
        destroyed[i] = (struct destroyed){runs[i].at, runs[i].at + runs[i].length};
    (void)snprintf(what, sizeof(what),
                   "number %" PRIu64 ": %zu sectors %s at byte %" PRIu64 " and %" PRIu64, number,
                   runs[0].length / SECTOR, names[manner], runs[0].at, runs[count - 1].at);
    tally->may_be_older = manner == STALE && hides_its_age(specimen, &destroyed[0]);
    damage_try(specimen, destroyed, count, tally, what);
    /* The first one last: they may overlap, and were read in that order. */
    for (size_t i = count; i-- > 0;) {
        put(fd, &runs[i], runs[i].before);
        free(runs[i].before);
    }
    (void)close(fd);
}

/* Copies of two directory blocks of format 0.2 in each other's place: once met at random. */
static void swap_blocks(const char *directory)
{
    struct specimen specimen;
    struct tally tally = {.counts_lost = true};
    struct run runs[2] = {{8192, 3072, NULL}, {3072, 3072, NULL}};
    struct destroyed destroyed[2] = {{8192, 8192 + 3072}, {3072, 2 * 3072}};
    int fd;

    damage_make(&specimen, &kinds[3], directory);
    fd = open(specimen.path, O_RDWR | O_CLOEXEC);
    for (unsigned i = 0; i < 2; i++) {
        runs[i].before = room(runs[i].length);
        if (fd < 0 ||
            pread(fd, runs[i].before, runs[i].length, (off_t)runs[i].at) != (ssize_t)runs[i].length)
            damage_die("pread");
    }
    put(fd, &runs[0], runs[1].before);
    put(fd, &runs[1], runs[0].before);
    damage_try(&specimen, destroyed, 2, &tally, "blocks in each other's place");
    (void)close(fd);
    free(runs[0].before);
    free(runs[1].before);
    damage_free(&specimen);
}

/* ---- the table ---- */

static void print_share(uint64_t part, uint64_t whole)
{
    if (whole == 0)
        printf(" - |");
    else
        printf(" %.3f %% |", 100.0 * (double)part / (double)whole);
}

/*
 * What was not destroyed is saved, unless every place that named it was; stale sectors may show
 * older contents. Where parts of the file changed places or are of another time, one content in so
 * many may have a guessed id, which is told.
 */
#define ONE_IN 500
#define REGULAR_ONE_IN 1000

static void must_be_all_named(const struct specimen_kind *kind, enum manner manner,
                              const struct tally *t)
{
    uint64_t missed = t->protected_there - t->protected_right;
    uint64_t allowed = t->nameless + (manner == STALE ? t->protected_older + t->passed : 0);
    bool moved = manner == SHIFTED || manner == SWAPPED || manner == STALE;

    allowed += moved ? t->protected_there / ONE_IN : 0;
    if (missed <= allowed &&
        t->regular_there - t->regular_right <= t->regular_there / REGULAR_ONE_IN)
        return;
    fprintf(stderr,
            "%s, %s: %" PRIu64 " protected pages missed, %" PRIu64 " of these without a name, and "
            "%" PRIu64 " of %" PRIu64 " regular pages saved\n",
            kind->name, names[manner], missed, t->nameless, t->regular_right, t->regular_there);
    failed = true;
}

static void run_kind(const struct specimen_kind *kind, const char *directory, uint64_t damages)
{
    struct tally tallies[MANNERS] = {{0}};
    struct specimen specimen;

    damage_make(&specimen, kind, directory);
    for (unsigned i = 0; i < MANNERS; i++)
        tallies[i].counts_lost = true;
    for (uint64_t i = 0; i < damages; i++) {
        enum manner manner = (enum manner)(i % MANNERS);

        damage_once(&specimen, manner, &tallies[manner], i);
    }
    for (unsigned i = 0; i < MANNERS; i++) {
        const struct tally *t = &tallies[i];

        printf("| %s | %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |", kind->name,
               names[i], t->trials, t->opened, t->rescued, t->repaired);
        print_share(t->protected_right, t->protected_there);
        printf(" %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |", t->nameless, t->orphans,
               t->lost, t->passed);
        print_share(t->regular_right, t->regular_there);
        print_share(t->repaired_right, t->repaired_there);
        putchar('\n');
        must_be_all_named(kind, (enum manner)i, t);
    }
    damage_free(&specimen);
}

int main(int argc, char **argv)
{
    const char *how_many = getenv("MPG_DAMAGES"), *seed = getenv("MPG_DAMAGE_SEED");
    uint64_t damages = how_many != NULL ? strtoull(how_many, NULL, 10) : 300;
    char directory[] = "/dev/shm/mpg-random-XXXXXX";
    char fallback[] = "/tmp/mpg-random-XXXXXX";
    const char *made = mkdtemp(directory);

    if (made == NULL)
        made = mkdtemp(fallback);
    if (made == NULL)
        damage_die("mkdtemp");
    damage_seed((seed != NULL ? strtoull(seed, NULL, 10) : 2026) * 2 + 1);
    printf(
        "| file | damage | trials | opened | rescued | repaired | protected pages saved | nothing "
        "names them | under another id | lost | older, not told | regular pages saved | protected "
        "pages right after "
        "a repair "
        "|\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    swap_blocks(made);
    for (size_t i = 0; i < KINDS; i++) {
        if (argc < 2 || strstr(kinds[i].name, argv[1]) != NULL)
            run_kind(&kinds[i], made, damages / KINDS);
    }
    (void)rmdir(made);
    return failed;
}
