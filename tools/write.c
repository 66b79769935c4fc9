/* SPDX-License-Identifier: MIT */
/* mappedpages write: a new content for one page, from standard input. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "json.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {
    {"protected", no_argument, NULL, 'p'},  {"json", no_argument, NULL, 'j'},
    {"wait", required_argument, NULL, 'w'}, {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
};

/* The file's page size, without keeping the file open. Returns an exit status. */
static int find_page_size(size_t *size, const char *path, bool json)
{
    const mpg_pager *pager;

    if (open_reading(&pager, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    *size = mpg_page_size(pager);
    return close_file(pager, path, STATUS_FINE);
}

/* All of standard input, into the beginning of a page of zeros. Returns an exit status. */
static int read_input(void *content, size_t size, bool json)
{
    size_t length = fread(content, 1, size, stdin);

    if (length == size && getc(stdin) != EOF) {
        return report_reason("standard input", json, MPG_E_INVALID,
                             "longer than a page of %zu bytes; nothing was written", size);
    }
    if (ferror(stdin)) {
        return report_reason("standard input", json, MPG_E_IO, "%s; nothing was written",
                             strerror(errno));
    }
    return STATUS_FINE;
}

static int write_regular(mpg_pager *pager, mpg_page_id id, const void *content, size_t size)
{
    int status = mpg_page_write(pager, id, content, 0, size);

    return status != 0 ? status : mpg_page_sync(pager, id);
}

static int write_protected(mpg_pager *pager, mpg_protected_id id, const void *content, size_t size)
{
    mpg_txn *txn;
    int status = mpg_txn_begin(&txn, pager);

    if (status != 0) {
        return status;
    }
    /* Not a writer: it would begin by reading the old content, which may be the damaged one. */
    status = mpg_txn_protected_write(txn, id, content, 0, size);
    if (status == 0) {
        status = mpg_txn_commit(txn, 0);
    }
    if (status != 0) {
        mpg_txn_abort(txn);
    }
    return status;
}

static int tell_written(uint64_t id, bool protected)
{
    struct json json;

    json_begin(&json, stdout);
    json_open(&json, protected ? "protected" : "regular", '[');
    json_number(&json, NULL, id);
    json_close(&json, ']');
    json_end(&json);
    return finish_output(STATUS_FINE);
}

/* Returns an exit status. */
static int write_page(const char *path, uint64_t id, bool protected, const void *content,
                      size_t size, bool json)
{
    mpg_pager *pager;
    int status;

    if (open_writing(&pager, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    if (mpg_page_size(pager) != size) {
        status = report_reason(path, json, MPG_E_CHANGED,
                               "the file was replaced by one with another page size; nothing was "
                               "written");
        return close_file(pager, path, status);
    }
    status = protected ? write_protected(pager, (mpg_protected_id){id}, content, size)
                       : write_regular(pager, (mpg_page_id){id}, content, size);
    if (status != 0) {
        return fail_and_close(pager, path, json);
    }
    return close_file(pager, path, json ? tell_written(id, protected) : STATUS_FINE);
}

static int run(int argc, char **argv)
{
    bool protected = false;
    bool json = false;
    const char *path;
    void *content;
    uint64_t id;
    size_t size;
    int option;
    int status;

    while ((option = next_option(&command_write, argc, argv)) != -1) {
        protected |= option == 'p';
        json |= option == 'j';
    }
    expect_arguments(&command_write, argc, argv, 2, 2);
    path = argv[optind];
    hints_are_for(HINT_WRITE);
    id = parse_number(&command_write, "id", argv[optind + 1]);
    /*
     * The file is not locked while standard input is awaited: what feeds it may be a command that
     * writes to the same file.
     */
    if (find_page_size(&size, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    content = allocate(1, size);
    status = read_input(content, size, json);
    if (status == STATUS_FINE) {
        hold_signals();
        status = write_page(path, id, protected, content, size, json);
    }
    free(content);
    return status;
}

const struct command command_write = {
    .name = "write",
    .summary = "Gives a page a new content, from standard input",
    .usage = "[-p] [-j] [-w SECONDS] FILE ID",
    .help =
        "The input is the whole new content: where it is shorter than the page, zeros follow; if\n"
        "it is longer, nothing is written. The content is durable at the end. A protected page\n"
        "changes by one commit: after a crash it shows the old content or the new one, whole.\n\n"
        "  -p, --protected     ID names a protected page\n"
        "  -j, --json          what was written as a JSON object\n"
        "  -w, --wait SECONDS  wait that long for a file that is busy\n"
        "      --local-lock    also where a lock does not keep other writers out (sshfs, ...)\n"
        "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
