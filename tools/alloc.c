/* SPDX-License-Identifier: MIT */
/* mappedpages alloc: allocates pages, all or none, and tells their ids. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "json.h"
#include "output.h"
#include "pages.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const struct option options[] = {
    {"protected", no_argument, NULL, 'p'},  {"count", required_argument, NULL, 'c'},
    {"zero", no_argument, NULL, 'z'},       {"json", no_argument, NULL, 'j'},
    {"wait", required_argument, NULL, 'w'}, {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
};

struct request {
    const char *path;
    bool protected;
    bool named;     /* the caller chose the ids */
    unsigned flags; /* for regular pages: 0 or MPG_ZERO */
    bool json;
    size_t count;
    uint64_t *ids; /* `count` of them: what was asked for, or what was given */
};

/* The ids that were named, in one commit. */
static int alloc_named(mpg_pager *pager, const struct request *request)
{
    mpg_txn *txn;
    int status = mpg_txn_begin(&txn, pager);

    if (status != 0) {
        return status;
    }
    for (size_t i = 0; status == 0 && i < request->count; i++) {
        uint64_t id = request->ids[i];

        status = request->protected ? mpg_txn_alloc_protected_at(txn, (mpg_protected_id){id})
                                    : mpg_txn_alloc_at(txn, (mpg_page_id){id}, request->flags);
    }
    if (status == 0) {
        status = mpg_txn_commit(txn, 0);
    }
    if (status != 0) {
        mpg_txn_abort(txn);
    }
    return status;
}

static void print_ids(const struct request *request)
{
    struct json json;

    if (!request->json) {
        for (size_t i = 0; i < request->count; i++) {
            /* clang-tidy forgets that without ids there is no count. */
            uint64_t id = request->ids[i]; /* NOLINT(clang-analyzer-core.NullDereference) */

            printf("%" PRIu64 "\n", id);
        }
        return;
    }
    json_begin(&json, stdout);
    json_open(&json, request->protected ? "protected" : "regular", '[');
    for (size_t i = 0; i < request->count; i++) {
        json_number(&json, NULL, request->ids[i]);
    }
    json_close(&json, ']');
    json_end(&json);
}

/*
 * Whether the format can hold so many at all: asked before there is memory for their ids. Returns
 * 0, or an error, with its details in *info.
 */
static int check_room(mpg_error_info *info, const mpg_pager *pager, const struct request *request)
{
    struct mpg_stat st = {.size = sizeof st};
    uint64_t most;

    if (mpg_stat(&st, pager) != 0) {
        return mpg_last_error(info);
    }
    most = request->protected ? st.max_protected : st.max_pages;
    if (request->count <= most) {
        return 0;
    }
    *info = (mpg_error_info){
        .code = request->protected ? MPG_E_DIRECTORY_FULL : MPG_E_FILE_FULL,
        .page = MPG_NO_PAGE,
    };
    snprintf(info->message, sizeof info->message,
             "%zu pages are more than the %" PRIu64 " that the format has room for: %s",
             request->count, most, mpg_strerror(info->code));
    return info->code;
}

static int fail_memory(mpg_error_info *info, size_t count)
{
    *info = (mpg_error_info){.code = MPG_E_NO_MEMORY, .page = MPG_NO_PAGE};
    snprintf(info->message, sizeof info->message,
             "not enough memory for the ids of %zu pages; ask for fewer at a time", count);
    return info->code;
}

/*
 * As many as were asked for, wherever there is room. Returns 0 or an error, with its details in
 * *info.
 */
static int alloc_counted(mpg_pager *pager, mpg_error_info *info, struct request *request)
{
    int status = check_room(info, pager, request);

    if (status != 0) {
        return status;
    }
    request->ids = calloc(request->count, sizeof *request->ids);
    if (request->ids == NULL) {
        return fail_memory(info, request->count);
    }
    status = request->protected
                 ? alloc_protected_pages(pager, request->ids, request->count)
                 : alloc_regular_pages(pager, request->ids, request->count, request->flags);
    return status == 0 ? 0 : mpg_last_error(info);
}

/* Allocates into request->ids. Returns 0 or an error, with its details in *info. */
static int alloc_from(mpg_pager *pager, mpg_error_info *info, struct request *request)
{
    if (!request->named) {
        return alloc_counted(pager, info, request);
    }
    return alloc_named(pager, request) == 0 ? 0 : mpg_last_error(info);
}

/* Opens the file, allocates, closes it. Returns an exit status. */
static int alloc_pages(struct request *request)
{
    mpg_error_info info;
    mpg_pager *pager;
    int status;

    if (open_writing(&pager, request->path, request->json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    status = STATUS_FINE;
    if (alloc_from(pager, &info, request) != 0) {
        status = report_error(request->path, &info, request->json);
    }
    return close_file(pager, request->path, status);
}

/* Nobody learned which pages these are, so nobody could use or free them. */
static void take_back(const struct request *request)
{
    mpg_pager *pager;

    if (open_writing(&pager, request->path, false) != STATUS_FINE) {
        complain(request->path, "the pages stay allocated");
        return;
    }
    if (free_pages(pager, request->ids, request->count, request->protected) != 0) {
        fail_and_close(pager, request->path, false);
        complain(request->path, "the pages stay allocated");
    } else if (close_file(pager, request->path, STATUS_FINE) == STATUS_FINE) {
        complain(request->path, "the pages were freed again");
    }
}

/* Returns an exit status. */
static int serve(struct request *request)
{
    int status;

    /* Ended between the commit and the last line printed, it would leave pages nobody knows of. */
    hold_signals();
    signal(SIGPIPE, SIG_IGN);
    status = alloc_pages(request);
    if (status == STATUS_FINE) {
        /* The file is closed by now: what reads the ids may be a command that writes to it. */
        print_ids(request);
        status = finish_output(STATUS_FINE);
        if (status != STATUS_FINE) {
            take_back(request);
        }
    }
    return status;
}

/* No more than there can be memory for the ids of. */
static size_t parse_count(const char *text)
{
    return (size_t)parse_number_within(&command_alloc, "count", text, 1,
                                       PTRDIFF_MAX / sizeof(uint64_t));
}

static int run(int argc, char **argv)
{
    struct request request = {0};
    int option;
    int status;

    while ((option = next_option(&command_alloc, argc, argv)) != -1) {
        switch (option) {
        case 'p':
            request.protected = true;
            break;
        case 'c':
            request.count = parse_count(optarg);
            break;
        case 'z':
            request.flags = MPG_ZERO;
            break;
        case 'j':
            request.json = true;
            break;
        }
    }
    expect_arguments(&command_alloc, argc, argv, 1, INT_MAX);
    request.path = argv[optind++];
    request.named = optind < argc;
    if (request.named && request.count != 0) {
        usage_error(&command_alloc, "--count and ids exclude each other");
    }
    if (request.named) {
        request.ids = parse_ids(&request.count, &command_alloc, argv, argc);
    } else if (request.count == 0) {
        request.count = 1;
    }
    status = serve(&request);
    free(request.ids);
    return status;
}

const struct command command_alloc = {
    .name = "alloc",
    .summary = "Allocates pages and prints their ids",
    .usage = "[-p] [-z] [-j] [-w SECONDS] [-c COUNT] FILE [ID...]",
    .help =
        "Allocates one page, COUNT pages, or the pages of the given ids, growing the file as\n"
        "needed: all of them, in one commit, or none. Prints an id a line. A regular page holds\n"
        "what was there before unless --zero is given; a protected page holds zeros. Ids\n"
        "may be written 3-900,1000.\n\n"
        "  -p, --protected    protected pages instead of regular ones\n"
        "  -c, --count COUNT  this many, with the lowest free ids (default 1)\n"
        "  -z, --zero         regular pages hold zeros, as protected ones always do\n"
        "  -j, --json         as a JSON object\n"
        "  -w, --wait SECONDS wait that long for a file that is busy\n"
        "      --local-lock   also where a lock does not keep other writers out (sshfs, ...)\n"
        "  -h, --help         this help\n",
    .options = options,
    .run = run,
};
