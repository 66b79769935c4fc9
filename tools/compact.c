/* SPDX-License-Identifier: MIT */
/* mappedpages compact: makes a page file shorter. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "json.h"
#include "mappedpages_compact.h"
#include "output.h"
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define OPTION_RENUMBER 257

static const struct option options[] = {
    {"renumber", no_argument, NULL, OPTION_RENUMBER},
    {"json", no_argument, NULL, 'j'},
    {"quiet", no_argument, NULL, 'q'},
    {"wait", required_argument, NULL, 'w'},
    {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct compaction {
    struct progress progress;
    bool json;
    bool quiet;
    bool failed;     /* standard output took no more */
    bool told;       /* pages were printed by now */
    bool flushed;    /* … all of them, to where they outlive this process */
    uint64_t pages;  /* of the file whose regular pages have the new numbers */
    uint64_t before; /* of the file as it is */
};

/* Old and new number of a regular page, before the commit that changes them. */
static bool print_moved(void *context, mpg_page_id from, mpg_page_id to, uint64_t pages)
{
    struct compaction *compaction = context;

    if (!compaction->told) {
        printf("{\"pages_before\":%" PRIu64 ",\"pages_after\":%" PRIu64 ",\"moved\":[\n",
               compaction->before, pages);
    }
    printf("%s[%" PRIu64 ",%" PRIu64 "]", compaction->told ? ",\n" : "", from.value, to.value);
    compaction->told = true;
    compaction->failed |= ferror(stdout) != 0;
    return !compaction->failed && !asked_to_end();
}

/* The list is complete before the first content moves, and so before the commit. */
static void end_list(struct compaction *compaction)
{
    if (!compaction->told || compaction->flushed) {
        return;
    }
    printf("\n]}\n");
    compaction->flushed = true;
    compaction->failed |= fflush(stdout) != 0;
    (void)fdatasync(STDOUT_FILENO); /* where it is no file, nobody can ask for more */
}

static bool show(void *context, uint64_t done, uint64_t total)
{
    struct compaction *compaction = context;

    end_list(compaction);
    return progress_go_on(&compaction->progress, done, total) && !compaction->failed;
}

static void print_result(const struct compaction *compaction, const char *path,
                         const mpg_compact_result *result, uint32_t page_size)
{
    uint64_t bytes = (result->pages_before - result->pages_after) * page_size;

    if (compaction->json) {
        struct json out;

        json_begin(&out, stdout);
        json_string(&out, "file", path);
        json_number(&out, "pages_before", result->pages_before);
        json_number(&out, "pages_after", result->pages_after);
        json_number(&out, "moved_protected", result->moved_protected);
        json_number(&out, "moved_regular", result->moved_regular);
        json_number(&out, "bytes_given_back", bytes);
        json_end(&out);
    } else if (!compaction->quiet) {
        fprintf(compaction->told ? stderr : stdout,
                "%" PRIu64 " bytes given back (%" PRIu64 " pages, %" PRIu64 " before)\n", bytes,
                result->pages_after, result->pages_before);
    }
}

static int compact(mpg_pager *pager, const char *path, mpg_compact_options *how,
                   struct compaction *compaction)
{
    struct mpg_stat st = {.size = sizeof st};
    mpg_compact_result result = {0};
    int made = mpg_stat(&st, pager);

    compaction->before = st.total_pages;
    how->moved = print_moved;
    how->progress = show;
    how->context = compaction;
    hold_signals();
    progress_begin(&compaction->progress, "compact", 0, compaction->quiet || compaction->json);
    if (made == 0) {
        made = mpg_compact(&result, pager, how);
    }
    progress_end(&compaction->progress);
    if (compaction->failed) {
        (void)mpg_close(pager);
        return finish_output(STATUS_FAILED);
    }
    if (made == MPG_E_CANCELLED) {
        (void)mpg_close(pager);
        let_signals_end(); /* what was committed stays, and the file is whole */
        return STATUS_FAILED;
    }
    if (made != 0) {
        return fail_and_close(pager, path, compaction->json);
    }
    if ((how->flags & MPG_COMPACT_RENUMBER) != 0 && !compaction->told) {
        printf("{\"pages_before\":%" PRIu64 ",\"pages_after\":%" PRIu64 ",\"moved\":[]}\n",
               result.pages_before, result.pages_after);
        compaction->told = true;
    }
    print_result(compaction, path, &result, st.page_size);
    return close_file(pager, path, finish_output(STATUS_FINE));
}

static int run(int argc, char **argv)
{
    mpg_compact_options how = MPG_COMPACT_OPTIONS_INIT;
    struct compaction compaction = {0};
    mpg_pager *pager;
    const char *path;
    int option;
    int status;

    while ((option = next_option(&command_compact, argc, argv)) != -1) {
        compaction.json |= option == 'j';
        compaction.quiet |= option == 'q';
        if (option == OPTION_RENUMBER) {
            how.flags |= MPG_COMPACT_RENUMBER;
        }
    }
    expect_arguments(&command_compact, argc, argv, 1, 1);
    path = argv[optind];
    status = open_writing(&pager, path, compaction.json);
    if (status != STATUS_FINE) {
        return status;
    }
    return compact(pager, path, &how, &compaction);
}

const struct command command_compact = {
    .name = "compact",
    .summary = "Makes a page file shorter",
    .usage = "[--renumber] [-jq] [-w SECONDS] FILE",
    .help =
        "Moves contents of protected pages and metadata to the front and gives the tail of the\n"
        "file back. Regular pages stay, for their number is their name; so the file ends behind\n"
        "the last of them at the earliest. Interrupted or killed at any moment, nothing is "
        "lost.\n\n"
        "      --renumber      moves regular pages as well; prints, before it counts, old and new\n"
        "                      numbers as a JSON object: they are the new ones if and only if the\n"
        "                      file then has no more than \"pages_after\" pages\n"
        "  -j, --json          the result as a JSON object, on a line of its own\n"
        "  -q, --quiet         no progress, no result\n"
        "  -w, --wait SECONDS  wait that long for a file that is busy\n"
        "      --local-lock    also where a lock does not keep other writers out (sshfs, ...)\n"
        "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
