/* SPDX-License-Identifier: MIT */
/* mappedpages trim: gives the disk space of free pages back to the filesystem. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "json.h"
#include "output.h"
#include "progress.h"
#include "size.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/* Into so many parts the file is divided, for the progress. */
#define STEPS 64

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},       {"quiet", no_argument, NULL, 'q'},
    {"wait", required_argument, NULL, 'w'}, {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
};

/* Bytes of disk that the file takes; 0 where that cannot be asked. */
static uint64_t disk_bytes(const mpg_pager *pager)
{
    struct stat st;

    return fstat(mpg_descriptor(pager), &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* Returns 0 or the error. */
static int trim(uint64_t *pages, mpg_pager *pager, bool quiet)
{
    struct mpg_stat st = {.size = sizeof st};
    struct progress progress;
    int status = mpg_stat(&st, pager);
    uint64_t step = st.total_pages / STEPS + 1;

    *pages = 0;
    progress_begin(&progress, "trim", st.total_pages, quiet);
    for (uint64_t at = 0; at < st.total_pages && status == 0; at += step) {
        uint64_t now = 0;

        status = mpg_trim(&now, pager, at, step, 0);
        *pages += now;
        progress_update(&progress, at);
    }
    progress_end(&progress);
    return status;
}

static void print_result(const char *path, bool json, uint64_t pages, uint64_t before,
                         uint64_t after)
{
    uint64_t given = before > after ? before - after : 0;

    if (json) {
        struct json out;

        json_begin(&out, stdout);
        json_string(&out, "file", path);
        json_number(&out, "free_pages", pages);
        json_number(&out, "bytes_given_back", given);
        json_number(&out, "disk_bytes", after);
        json_end(&out);
        return;
    }
    printf("%" PRIu64 " bytes given back (%" PRIu64 " free page%s)\n", given, pages, plural(pages));
}

static int run(int argc, char **argv)
{
    bool json = false;
    bool quiet = false;
    uint64_t before;
    uint64_t pages;
    mpg_pager *pager;
    const char *path;
    int option;
    int status;

    while ((option = next_option(&command_trim, argc, argv)) != -1) {
        json |= option == 'j';
        quiet |= option == 'q';
    }
    expect_arguments(&command_trim, argc, argv, 1, 1);
    path = argv[optind];
    status = open_writing(&pager, path, json);
    if (status != STATUS_FINE) {
        return status;
    }
    before = disk_bytes(pager);
    if (trim(&pages, pager, quiet || json) != 0) {
        return fail_and_close(pager, path, json);
    }
    if (mpg_sync(pager) != 0) {
        return fail_and_close(pager, path, json);
    }
    if (!quiet || json) {
        print_result(path, json, pages, before, disk_bytes(pager));
    }
    return close_file(pager, path, finish_output(STATUS_FINE));
}

const struct command command_trim = {
    .name = "trim",
    .summary = "Gives the disk space of free pages back",
    .usage = "[-jq] [-w SECONDS] FILE",
    .help =
        "Makes holes in the file where its pages are free, so that it takes less space on its "
        "disk\n"
        "(as du shows; its length stays). A page that is handed out later gets space again first.\n"
        "Interrupted, what was given back stays so, and nothing is lost.\n\n"
        "  -j, --json          the result as a JSON object\n"
        "  -q, --quiet         no progress, no result\n"
        "  -w, --wait SECONDS  wait that long for a file that is busy\n"
        "      --local-lock    also where a lock does not keep other writers out (sshfs, ...)\n"
        "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
