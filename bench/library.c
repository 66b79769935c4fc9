/* SPDX-License-Identifier: MIT */
/*
 * The library's benchmark: how fast it is compared with what the disk and the memory can do.
 *
 *     bench/library [-q] [DIRECTORY [PART…]]
 *
 * -q takes few rounds. The parts are durable, threads, bulk, memory and large; without any, all.
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
    {"memory", bench_memory},   {"large", bench_large},
};

static bool is_wanted(const char *name, char *const *wanted, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(wanted[i], name) == 0)
            return true;
    return count == 0;
}

int main(int argc, char **argv)
{
    struct place place = {NULL, false};
    char directory[4096];
    int at = 1;

    if (argc == 3 && strcmp(argv[1], LARGE_CHILD) == 0)
        return large_child(argv[2]);
    if (at < argc && strcmp(argv[at], "-q") == 0) {
        place.quick = true;
        at++;
    }
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
