/* SPDX-License-Identifier: MIT */
/*
 * Destroys each page of a file in turn, each sector of its metadata, and bytes of what it begins
 * with; then opens, checks and rescues it. Nothing wrong may be said to be right, and nothing be
 * lost that was not destroyed itself.
 *
 * MPG_DAMAGE=all tries every page, sector and byte, where by default some are left out; the table
 * is printed in any case.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "life/damage.h"

#define SECTOR 512u
/* Free pages are all alike: so many of a file are destroyed. */
#define MOST_FREE 300

static const struct specimen_kind kinds[] = {
    {"1-1024-height-0", MPG_FORMAT_1, 1024, 10, 1, 30, 1, true},
    {"1-1024-height-1", MPG_FORMAT_1, 1024, 30, 2, 20, 100, true},
    {"1-1024-height-2", MPG_FORMAT_1, 1024, 60, 11, 40, 2000, true},
    {"1-1024-crashed", MPG_FORMAT_1, 1024, 60, 1, 40, 50, false},
    {"1-4096-height-0", MPG_FORMAT_1, 4096, 30, 2, 15, 3, true},
    {"1-4096-height-1", MPG_FORMAT_1, 4096, 30, 8, 15, 700, true},
    {"1-4096-height-2", MPG_FORMAT_1, 4096, 12, 1000, 8, 200000, true},
    {"1-4096-crashed", MPG_FORMAT_1, 4096, 60, 3, 30, 340, false},
    {"1-65536-height-0", MPG_FORMAT_1, 65536, 6, 1, 4, 3, true},
    {"1-65536-height-1", MPG_FORMAT_1, 65536, 6, 25, 4, 3000, true},
    {"1-65536-height-2", MPG_FORMAT_1, 65536, 6, 2200, 4, 450000, true},
    {"1-65536-crashed", MPG_FORMAT_1, 65536, 6, 25, 4, 3000, false},
    {"0.2-1024", MPG_FORMAT_0_2, 1024, 40, 2, 20, 4, true},
    {"0.2-1024-crashed", MPG_FORMAT_0_2, 1024, 80, 1, 40, 2, false},
    {"0.2-4096", MPG_FORMAT_0_2, 4096, 30, 7, 20, 4, true},
    {"0.2-65536", MPG_FORMAT_0_2, 65536, 6, 900, 4, 8, true},
};

static bool all;
/* ---- one damage ---- */

enum manner { ZEROS, GARBAGE, FLIP, MANNERS };

static void make_damage(unsigned char *data, size_t length, enum manner manner)
{
    if (manner == ZEROS)
        memset(data, 0, length);
    for (size_t i = 0; i < length && manner == GARBAGE; i++)
        data[i] = (unsigned char)damage_random();
    if (manner == FLIP)
        data[0] ^= (unsigned char)(1 + damage_random() % 255);
}

static void try_at(const struct specimen *specimen, uint64_t at, size_t length, enum manner manner,
                   struct tally *tally)
{
    static const char *const names[MANNERS] = {"zeros", "garbage", "a byte"};
    unsigned char *before = malloc(length), *after = malloc(length);
    struct destroyed destroyed = {at, at + length};
    int fd = open(specimen->path, O_RDWR | O_CLOEXEC);
    char what[100];

    if (before == NULL || after == NULL || fd < 0 ||
        pread(fd, before, length, (off_t)at) != (ssize_t)length)
        damage_die(specimen->path);
    memcpy(after, before, length);
    make_damage(after, length, manner);
    if (memcmp(after, before, length) != 0) {
        if (pwrite(fd, after, length, (off_t)at) != (ssize_t)length)
            damage_die("pwrite");
        (void)snprintf(what, sizeof(what), "%s at byte %" PRIu64 " (page %" PRIu64 ")",
                       names[manner], at, at / specimen->kind->page_size);
        damage_try(specimen, &destroyed, 1, tally, what);
        if (pwrite(fd, before, length, (off_t)at) != (ssize_t)length)
            damage_die("pwrite");
    }
    (void)close(fd);
    free(before);
    free(after);
}

/* ---- all of one kind ---- */

static bool is_metadata(const struct specimen *specimen, uint64_t page)
{
    return specimen->uses[page] == MPG_USE_METADATA;
}

/* One of so many, and always those that say most. */
static bool is_chosen(uint64_t number, uint64_t one_in)
{
    return all || number % one_in == 0;
}

static void destroy_pages(const struct specimen *specimen, struct tally *tally, bool metadata)
{
    uint32_t page_size = specimen->kind->page_size;
    uint64_t number = 0, step = specimen->pages / MOST_FREE + 1;

    for (uint64_t page = 0; page < specimen->pages; page++) {
        if (is_metadata(specimen, page) != metadata ||
            (specimen->uses[page] == MPG_USE_FREE && page % step != 0))
            continue;
        if (!is_chosen(number++, metadata ? 1 : 29))
            continue;
        try_at(specimen, page * page_size, page_size, ZEROS, tally);
        if (all || metadata)
            try_at(specimen, page * page_size, page_size, GARBAGE, tally);
    }
}

static void zero_sectors(const struct specimen *specimen, struct tally *tally)
{
    uint32_t page_size = specimen->kind->page_size;
    uint64_t number = 0;

    for (uint64_t page = 0; page < specimen->pages; page++) {
        if (!is_metadata(specimen, page))
            continue;
        for (uint32_t at = 0; at < page_size; at += SECTOR) {
            if (is_chosen(number++, 5))
                try_at(specimen, page * page_size + at, SECTOR, ZEROS, tally);
        }
    }
}

static void flip_bytes(const struct specimen *specimen, struct tally *tally)
{
    uint32_t page_size = specimen->kind->page_size;
    uint32_t size = page_size < 4096 || specimen->kind->format == MPG_FORMAT_0_2 ? page_size : 4096;
    uint64_t number = 0;

    for (uint64_t page = 0; page < 3; page++) {
        for (uint32_t at = 0; at < size; at++) {
            /* Behind the first 4096 there are zeros, and the checksum. */
            if (is_chosen(number++, at < 160 ? 13 : 499) &&
                (at < 4096 || at >= size - 4 || at % 31 == 0))
                try_at(specimen, page * page_size + at, 1, FLIP, tally);
        }
    }
}

/* As where somebody has written over the beginning of a disk. */
static void destroy_head(const struct specimen *specimen, struct tally *tally)
{
    for (enum manner manner = ZEROS; manner <= GARBAGE; manner++)
        try_at(specimen, 0, 3 * (size_t)specimen->kind->page_size, manner, tally);
}

/* ---- the table ---- */

static void print_share(uint64_t part, uint64_t whole)
{
    if (whole == 0)
        printf(" - |");
    else if (part == whole)
        printf(" 100 %% |");
    else
        printf(" %.3f %% |", 100.0 * (double)part / (double)whole);
}

static void print_row(const char *file, const char *what, const struct tally *t)
{
    printf("| %s | %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |", file, what,
           t->trials, t->opened, t->found, t->rescued);
    print_share(t->protected_right, t->protected_there);
    printf(" %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |", t->nameless, t->orphans,
           t->protected_older);
    print_share(t->regular_right, t->regular_there);
    printf(" %" PRIu64 " | %" PRIu64 " |", t->adopted, t->repaired);
    print_share(t->repaired_right, t->repaired_there);
    putchar('\n');
    fflush(stdout);
}

/*
 * Without pages 0 to 2, or after a crash, all is saved that something else names; but of a crashed
 * file of format 0.2 as many again: which of two copies of a block is the newer one is known only
 * of whole ones.
 */
static void must_be_named(const struct specimen_kind *kind, const char *what, const struct tally *t)
{
    uint64_t guessed = kind->closed || kind->format == MPG_FORMAT_1 ? 0 : t->nameless;

    if (t->protected_right + t->nameless + guessed >= t->protected_there &&
        t->regular_right == t->regular_there)
        return;
    fprintf(stderr, "%s, %s: not everything was saved whose name was not destroyed\n", kind->name,
            what);
    exit(1);
}

/*
 * In a file that was closed all metadata is there twice: what one damage costs is what stood there.
 */
static void must_be_all(const struct specimen_kind *kind, const char *what, const struct tally *t)
{
    must_be_named(kind, what, t);
    if (!kind->closed || (t->protected_right == t->protected_there && t->rescued == t->trials &&
                          t->repaired == t->trials && t->repaired_right == t->repaired_there))
        return;
    fprintf(stderr, "%s, %s: not everything was saved that was not destroyed\n", kind->name, what);
    exit(1);
}

static void run_kind(const struct specimen_kind *kind, const char *directory)
{
    struct specimen specimen;
    struct tally pages = {0}, metadata = {0}, sectors = {0}, bytes = {0}, head = {0};

    damage_make(&specimen, kind, directory);
    destroy_pages(&specimen, &metadata, true);
    print_row(kind->name, "metadata page", &metadata);
    must_be_all(kind, "metadata page", &metadata);
    destroy_head(&specimen, &head);
    print_row(kind->name, "pages 0 to 2", &head);
    must_be_named(kind, "pages 0 to 2", &head);
    zero_sectors(&specimen, &sectors);
    print_row(kind->name, "sector of metadata", &sectors);
    must_be_all(kind, "sector of metadata", &sectors);
    flip_bytes(&specimen, &bytes);
    print_row(kind->name, "byte of pages 0 to 2", &bytes);
    must_be_all(kind, "byte of pages 0 to 2", &bytes);
    destroy_pages(&specimen, &pages, false);
    print_row(kind->name, "any other page", &pages);
    must_be_all(kind, "any other page", &pages);
    damage_free(&specimen);
}

int main(int argc, char **argv)
{
    const char *how = getenv("MPG_DAMAGE");
    char directory[] = "/dev/shm/mpg-damage-XXXXXX";
    char fallback[] = "/tmp/mpg-damage-XXXXXX";
    const char *made = mkdtemp(directory);

    if (made == NULL)
        made = mkdtemp(fallback);
    if (made == NULL)
        damage_die("mkdtemp");
    all = how != NULL && strcmp(how, "all") == 0;
    printf("| file | destroyed | trials | opened | fault told | rescued | protected pages saved | "
           "nothing names them | under another id | older, told | regular pages saved | more "
           "adopted | repaired in place | protected pages right there "
           "|\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (argc < 2 || strstr(kinds[i].name, argv[1]) != NULL)
            run_kind(&kinds[i], made);
    }
    (void)rmdir(made);
    return 0;
}
