/* SPDX-License-Identifier: MIT */
/*
 * The table of the mounted filesystems. Standard input has one measurement a line,
 *
 *     ROUND WHAT SUBJECT NANOSECONDS
 *
 * and each row of the table is the median, over the rounds that have both, of how many times faster
 * one subject did something than another. Rows without measurements (a peer that is not installed)
 * are left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#define MOST_ROUNDS 100

struct line {
    unsigned round;
    char what[24], subject[24];
    double ns;
};

static struct line *lines;
static size_t line_count;

static const struct row {
    const char *name;
    const char *what, *subject; /* measured: this work of this subject */
    const char *than, *other;   /* against: this work of that one; NULL: the figure itself */
    enum sense sense;
    double target;
    const char *unit; /* where there is nothing to compare with */
    double divisor;   /* of the figure itself */
} rows[] = {
    {"ls, just mounted / limit", "list", "mount", "list", "limit", AT_LEAST, 0.9, "", 1},
    {"ls, just mounted / fuse2fs", "list", "mount", "list", "fuse2fs", AT_LEAST, 1, "", 1},
    {"ls, just mounted / bindfs", "list", "mount", "list", "bindfs", AT_LEAST, 1, "", 1},
    {"ls, again / limit", "list-again", "mount", "list-again", "limit", AT_LEAST, 0.9, "", 1},
    {"ls, again / fuse2fs", "list-again", "mount", "list-again", "fuse2fs", AT_LEAST, 1, "", 1},
    {"ls, again / bindfs", "list-again", "mount", "list-again", "bindfs", AT_LEAST, 1, "", 1},
    {"ls -l / limit", "list-stat", "mount", "list-stat", "limit", AT_LEAST, 0.9, "", 1},
    {"ls -l / fuse2fs", "list-stat", "mount", "list-stat", "fuse2fs", AT_LEAST, 1, "", 1},
    {"ls -l / bindfs", "list-stat", "mount", "list-stat", "bindfs", AT_LEAST, 1, "", 1},
    {"ls -l, again / ext4", "stat-again", "mount", "stat-again", "ext4", NO_TARGET, 0, "", 1},
    {"open + read + close, writable, cold / limit", "cold", "mount", "cold", "limit", AT_LEAST, 0.9,
     "", 1},
    {"open + read + close, writable, warm / limit", "warm", "mount", "warm", "limit", AT_LEAST, 0.9,
     "", 1},
    {"… warm / bindfs", "warm", "mount", "warm", "bindfs", NO_TARGET, 0, "", 1},
    {"… warm / ext4", "warm", "mount", "warm", "ext4", NO_TARGET, 0, "", 1},
    {"open + read + close, read-only, cold / limit", "cold", "mount-ro", "cold", "limit-ro",
     AT_LEAST, 3, "", 1},
    {"open + read + close, read-only, warm / ext4", "warm", "mount-ro", "warm-ro", "ext4", AT_LEAST,
     0.6, "", 1},
    {"read of an open page, cached / ext4", "page-read", "mount", "page-read", "ext4", AT_LEAST,
     0.95, "", 1},
    {"write of an open page / limit", "page-write", "mount", "page-write", "limit", NO_TARGET, 0,
     "", 1},
    {"write of an open page / ext4", "page-write", "mount", "page-write", "ext4", NO_TARGET, 0, "",
     1},
    {"create, fresh page, durable / floor", "create", "mount", "floor-create", "disk", AT_LEAST,
     0.7, "", 1},
    {"create, recycled page, durable / floor", "recreate", "mount", "floor-create", "disk",
     NO_TARGET, 0, "", 1},
    {"unlink, durable / floor", "unlink", "mount", "floor-unlink", "disk", AT_LEAST, 0.7, "", 1},
    {"protected open + write + close / floor", "commit", "mount", "floor-commit", "disk", AT_LEAST,
     0.6, "", 1},
    {"1 MiB pages, read / limit", "big-read", "mount-big", "big-read", "limit-big", AT_LEAST, 0.8,
     "", 1},
    {"1 MiB pages, write / limit", "big-write", "mount-big", "big-write", "limit-big", AT_LEAST,
     0.8, "", 1},
    {"create, 8 clients / 1 client", "create-8", "mount", "create", "mount", AT_LEAST, 3, "", 1},
    {"protected commit, 8 clients / 1 client", "commit-8", "mount", "commit", "mount", AT_LEAST, 3,
     "", 1},
    {"… the same of the limit", "commit-8", "limit", "commit", "limit", NO_TARGET, 0, "", 1},
    {"memory of the driver after listing 10^6 pages", "memory", "mount", NULL, NULL, AT_MOST, 16,
     "MiB", 1 << 20},
    {"the limit: create", "create", "limit", NULL, NULL, NO_TARGET, 0, "us", 1e3},
    {"the limit: unlink", "unlink", "limit", NULL, NULL, NO_TARGET, 0, "us", 1e3},
    {"the limit: protected open + write + close", "commit", "limit", NULL, NULL, NO_TARGET, 0, "us",
     1e3},
    {"the limit: open + read + close, warm", "warm", "limit", NULL, NULL, NO_TARGET, 0, "us", 1e3},
    {"the floor: pwrite of 4 KiB + fdatasync", "floor-commit", "disk", NULL, NULL, NO_TARGET, 0,
     "us", 1e3},
    {"… one after the other, with no pause", "floor", "disk", NULL, NULL, NO_TARGET, 0, "us", 1e3},
    {"ls, just mounted / before", "list", "mount", "list", "before", NO_TARGET, 0, "", 1},
    {"ls, again / before", "list-again", "mount", "list-again", "before", NO_TARGET, 0, "", 1},
    {"ls -l / before", "list-stat", "mount", "list-stat", "before", NO_TARGET, 0, "", 1},
    {"ls -l, again / before", "stat-again", "mount", "stat-again", "before", NO_TARGET, 0, "", 1},
    {"open + read + close, cold / before", "cold", "mount", "cold", "before", NO_TARGET, 0, "", 1},
    {"open + read + close, warm / before", "warm", "mount", "warm", "before", NO_TARGET, 0, "", 1},
    {"… read-only, cold / before", "cold", "mount-ro", "cold", "before-ro", NO_TARGET, 0, "", 1},
    {"… read-only, warm / before", "warm", "mount-ro", "warm", "before-ro", NO_TARGET, 0, "", 1},
    {"read of an open page / before", "page-read", "mount", "page-read", "before", NO_TARGET, 0, "",
     1},
    {"write of an open page / before", "page-write", "mount", "page-write", "before", NO_TARGET, 0,
     "", 1},
    {"create, fresh page / before", "create", "mount", "create", "before", NO_TARGET, 0, "", 1},
    {"create, recycled page / before", "recreate", "mount", "recreate", "before", NO_TARGET, 0, "",
     1},
    {"unlink / before", "unlink", "mount", "unlink", "before", NO_TARGET, 0, "", 1},
    {"protected open + write + close / before", "commit", "mount", "commit", "before", NO_TARGET, 0,
     "", 1},
    {"create, 8 clients / before", "create-8", "mount", "create-8", "before", NO_TARGET, 0, "", 1},
    {"protected commit, 8 clients / before", "commit-8", "mount", "commit-8", "before", NO_TARGET,
     0, "", 1},
};

static void read_lines(void)
{
    struct line line;
    size_t capacity = 0;

    while (scanf("%u %23s %23s %lf", &line.round, line.what, line.subject, &line.ns) == 4) {
        if (line_count == capacity) {
            capacity = capacity * 2 + 256;
            lines = realloc(lines, capacity * sizeof(*lines));
            if (lines == NULL)
                die_errno("memory");
        }
        lines[line_count++] = line;
    }
}

/* The measurement of a round, or a negative number. */
static double find(unsigned round, const char *what, const char *subject)
{
    for (size_t i = 0; i < line_count; i++)
        if (lines[i].round == round && strcmp(lines[i].what, what) == 0 &&
            strcmp(lines[i].subject, subject) == 0)
            return lines[i].ns;
    return -1;
}

static void print_row(const struct row *row)
{
    double values[MOST_ROUNDS];
    size_t count = 0;

    for (unsigned round = 0; round < MOST_ROUNDS; round++) {
        double one = find(round, row->what, row->subject);
        double other = row->than != NULL ? find(round, row->than, row->other) : 1;

        if (one >= 0 && other >= 0)
            values[count++] = row->than != NULL ? other / one : one / row->divisor;
    }
    if (count > 0)
        report(row->name, median(values, count), row->than != NULL ? "x" : row->unit, row->sense,
               row->target);
}

int main(void)
{
    read_lines();
    report_title("Mounted, 100,000 pages of 4 KiB; ratios are rates, medians over interleaved "
                 "rounds");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        print_row(&rows[i]);
    free(lines);
    return 0;
}
