/* SPDX-License-Identifier: MIT */
/* mappedpages info: the facts of a page file. */

#include "arguments.h"
#include "command.h"
#include "describe.h"
#include "file.h"
#include "output.h"

#include <stdio.h>

static const struct option options[] = {
    {"all", no_argument, NULL, 'a'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int run(int argc, char **argv)
{
    struct mpg_stat st = {.size = sizeof st};
    struct patience patience = {0};
    const mpg_pager *pager;
    const char *path;
    bool json = false;
    bool all = false;
    int option;
    int status;

    while ((option = next_option(&command_info, argc, argv)) != -1) {
        json |= option == 'j';
        all |= option == 'a';
    }
    expect_arguments(&command_info, argc, argv, 1, 1);
    path = argv[optind];
    if (open_reading(&pager, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    do {
        status = mpg_stat(&st, pager);
    } while (moved_on(&patience, pager, status));
    if (status != 0) {
        return fail_and_close(pager, path, json);
    }
    if (json) {
        describe_json(stdout, path, &st);
    } else {
        describe_file(stdout, &st, all);
    }
    return close_file(pager, path, finish_output(STATUS_FINE));
}

const struct command command_info = {
    .name = "info",
    .summary = "Shows the format, sizes and counts of a page file",
    .usage = "[-a] [-j] FILE",
    .help = "Works also while the file is mounted or being written.\n\n"
            "  -a, --all   also the limits of the format, what is empty, and heights of trees\n"
            "  -j, --json  as a JSON object, which has all of it\n"
            "  -h, --help  this help\n",
    .options = options,
    .run = run,
};
