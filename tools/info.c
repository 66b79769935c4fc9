/* SPDX-License-Identifier: MIT */
/* mappedpages info: the facts of a page file. */

#include "arguments.h"
#include "command.h"
#include "describe.h"
#include "file.h"
#include "output.h"
#include "watch.h"

#include <stdio.h>

#define OPTION_WATCH 259
#define MOST_SECONDS 86400

static const struct option options[] = {
    {"all", no_argument, NULL, 'a'},
    {"json", no_argument, NULL, 'j'},
    {"watch", optional_argument, NULL, OPTION_WATCH},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* How long to wait from line to line. */
static unsigned parse_seconds(const char *text)
{
    return text == NULL ? 1
                        : (unsigned)parse_number_within(&command_info, "number of seconds", text, 1,
                                                        MOST_SECONDS);
}

static int look(struct mpg_stat *st, struct patience *patience, const mpg_pager *pager)
{
    int status;

    do {
        status = mpg_stat(st, pager);
    } while (moved_on(patience, pager, status));
    return status;
}

static int run(int argc, char **argv)
{
    struct mpg_stat st = {.size = sizeof st};
    struct patience patience = {0};
    const mpg_pager *pager;
    const char *path;
    bool json = false;
    bool all = false;
    unsigned seconds = 0;
    int option;

    while ((option = next_option(&command_info, argc, argv)) != -1) {
        json |= option == 'j';
        all |= option == 'a';
        if (option == OPTION_WATCH) {
            seconds = parse_seconds(optarg);
        }
    }
    expect_arguments(&command_info, argc, argv, 1, 1);
    path = argv[optind];
    if (open_reading(&pager, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    if (look(&st, &patience, pager) != 0) {
        return fail_and_close(pager, path, json);
    }
    if (seconds > 0) {
        return watch_file(pager, path, seconds, json);
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
    .usage = "[-a] [-j] [--watch[=SECONDS]] FILE",
    .help = "Works also while the file is mounted or being written.\n\n"
            "  -a, --all   also the limits of the format, what is empty, and heights of trees\n"
            "  -j, --json  as a JSON object, which has all of it\n"
            "      --watch[=SECONDS]\n"
            "              a line every second, or so many: what a writer does to the file, until\n"
            "              Ctrl-C, or until the file is removed; with --json an object a line\n"
            "  -h, --help  this help\n",
    .options = options,
    .run = run,
};
