/* SPDX-License-Identifier: MIT */
/* mappedpages read: the content of one page, to standard output. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option options[] = {
    {"protected", no_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int read_page(void *content, const mpg_pager *pager, uint64_t id, bool protected)
{
    struct patience patience = {0};
    int status;

    do {
        status = protected
                     ? mpg_protected_read(content, pager, (mpg_protected_id){id})
                     : mpg_page_read(content, pager, (mpg_page_id){id}, 0, mpg_page_size(pager));
    } while (moved_on(&patience, pager, status));
    return status;
}

static int run(int argc, char **argv)
{
    const mpg_pager *pager;
    bool protected = false;
    const char *path;
    void *content;
    uint64_t id;
    int status;

    while (next_option(&command_read, argc, argv) != -1) {
        protected = true;
    }
    expect_arguments(&command_read, argc, argv, 2, 2);
    path = argv[optind];
    id = parse_number(&command_read, "id", argv[optind + 1]);
    if (open_reading(&pager, path, false) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    content = allocate(1, mpg_page_size(pager));
    if (read_page(content, pager, id, protected) != 0) {
        status = report_failure(path, false);
    } else {
        status = write_output(content, mpg_page_size(pager), STATUS_FINE);
    }
    free(content);
    return close_file(pager, path, status);
}

const struct command command_read = {
    .name = "read",
    .summary = "Writes the content of a page to standard output",
    .usage = "[-p] FILE ID",
    .help =
        "Works also while the file is mounted or being written. Of a protected page it shows the\n"
        "last committed content.\n\n"
        "  -p, --protected  ID names a protected page\n"
        "  -h, --help       this help\n",
    .options = options,
    .run = run,
};
