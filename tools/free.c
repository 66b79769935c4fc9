/* SPDX-License-Identifier: MIT */
/* mappedpages free: frees pages, all or none. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "json.h"
#include "output.h"
#include "pages.h"

#include <limits.h>
#include <stdlib.h>

static const struct option options[] = {
    {"protected", no_argument, NULL, 'p'},  {"json", no_argument, NULL, 'j'},
    {"wait", required_argument, NULL, 'w'}, {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
};

/* What was freed. Returns an exit status. */
static int print_ids(const uint64_t *ids, size_t count, bool protected)
{
    struct json json;

    json_begin(&json, stdout);
    json_open(&json, protected ? "protected" : "regular", '[');
    for (size_t i = 0; i < count; i++) {
        json_number(&json, NULL, ids[i]);
    }
    json_close(&json, ']');
    json_end(&json);
    return finish_output(STATUS_FINE);
}

static int run(int argc, char **argv)
{
    bool protected = false;
    bool as_json = false;
    const char *path;
    mpg_pager *pager;
    uint64_t *ids;
    size_t count;
    int option;
    int status;

    while ((option = next_option(&command_free, argc, argv)) != -1) {
        protected |= option == 'p';
        as_json |= option == 'j';
    }
    expect_arguments(&command_free, argc, argv, 2, INT_MAX);
    path = argv[optind++];
    ids = parse_ids(&count, &command_free, argv, argc);
    hold_signals();
    status = open_writing(&pager, path, as_json);
    if (status == STATUS_FINE) {
        status = free_pages(pager, ids, count, protected) != 0
                     ? fail_and_close(pager, path, as_json)
                     : close_file(pager, path, STATUS_FINE);
    }
    if (status == STATUS_FINE && as_json) {
        status = print_ids(ids, count, protected);
    }
    free(ids);
    return status;
}

const struct command command_free = {
    .name = "free",
    .summary = "Frees pages",
    .usage = "[-p] [-j] [-w SECONDS] FILE ID...",
    .help = "Frees all of the given pages, in one commit, or none of them. Ids may be written\n"
            "3-900,1000.\n\n"
            "  -p, --protected     the ids name protected pages\n"
            "  -j, --json          tell which as a JSON object\n"
            "  -w, --wait SECONDS  wait that long for a file that is busy\n"
            "      --local-lock    also where a lock does not keep other writers out (sshfs, ...)\n"
            "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
