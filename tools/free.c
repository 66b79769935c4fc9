/* SPDX-License-Identifier: MIT */
/* mappedpages free: frees pages, all or none. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "output.h"
#include "pages.h"

#include <limits.h>
#include <stdlib.h>

static const struct option options[] = {
    {"protected", no_argument, NULL, 'p'},
    {"wait", required_argument, NULL, 'w'},
    {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int run(int argc, char **argv)
{
    bool protected = false;
    const char *path;
    mpg_pager *pager;
    uint64_t *ids;
    size_t count;
    int status;

    while (next_option(&command_free, argc, argv) != -1) {
        protected = true;
    }
    expect_arguments(&command_free, argc, argv, 2, INT_MAX);
    path = argv[optind++];
    ids = parse_ids(&count, &command_free, argv, argc);
    hold_signals();
    status = open_writing(&pager, path, false);
    if (status == STATUS_FINE) {
        status = free_pages(pager, ids, count, protected) != 0
                     ? fail_and_close(pager, path, false)
                     : close_file(pager, path, STATUS_FINE);
    }
    free(ids);
    return status;
}

const struct command command_free = {
    .name = "free",
    .summary = "Frees pages",
    .usage = "[-p] [-w SECONDS] FILE ID...",
    .help = "Frees all of the given pages, in one commit, or none of them. A range of ids is\n"
            "written 3-900.\n\n"
            "  -p, --protected     the ids name protected pages\n"
            "  -w, --wait SECONDS  wait that long for a file that is busy\n"
            "      --local-lock    also where a lock does not keep other writers out (sshfs, ...)\n"
            "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
