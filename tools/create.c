/* SPDX-License-Identifier: MIT */
/* mappedpages create: makes a new page file. */

#include "arguments.h"
#include "command.h"
#include "describe.h"
#include "file.h"
#include "output.h"

#include <string.h>

static const struct option options[] = {
    {"page-size", required_argument, NULL, 's'},
    {"format", required_argument, NULL, 'f'},
    {"pages", required_argument, NULL, 'n'},
    {"label", required_argument, NULL, 'l'},
    {"json", no_argument, NULL, 'j'},
    {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static uint32_t parse_page_size(const char *text)
{
    uint64_t size = parse_size(&command_create, "page size", text);

    if (size < MPG_PAGE_SIZE_MIN || size > MPG_PAGE_SIZE_MAX || (size & (size - 1)) != 0) {
        usage_error(&command_create, "page size '%s' is not a power of two from 1K to 1G", text);
    }
    return (uint32_t)size;
}

static int parse_format(const char *text)
{
    if (strcmp(text, "1") == 0) {
        return MPG_FORMAT_1;
    }
    if (strcmp(text, "0.2") == 0) {
        return MPG_FORMAT_0_2;
    }
    usage_error(&command_create, "format '%s' is neither 1 nor 0.2", text);
}

/* Three are the file's own, and one is there to be used. */
static uint64_t parse_pages(const char *text)
{
    return parse_number_within(&command_create, "number of pages", text, 4, UINT64_MAX);
}

static const char *parse_label(const char *text)
{
    if (strlen(text) > MPG_LABEL_MAX) {
        usage_error(&command_create, "the label is longer than %d bytes", MPG_LABEL_MAX);
    }
    return text;
}

/* What was made. Returns an exit status. */
static int tell(const mpg_pager *pager, const char *path, bool json)
{
    struct mpg_stat st = {.size = sizeof(st)};

    if (mpg_stat(&st, pager) != 0) {
        return report_failure(path, json);
    }
    if (st.name_unsure) {
        complain(path, "made, but its directory cannot be synced: after a loss of power the name "
                       "may be gone");
    }
    if (st.lock_unsure && (open_flags() & MPG_LOCAL_LOCK) == 0) {
        complain(path, "here a lock may not keep out who comes to the file by another path; what "
                       "somebody else changes is noticed before each commit");
    }
    if (json) {
        describe_json(stdout, path, &st);
    }
    return finish_output(STATUS_FINE);
}

static int run(int argc, char **argv)
{
    mpg_options file = MPG_OPTIONS_INIT;
    const char *path;
    mpg_pager *pager;
    bool json = false;
    int option;

    while ((option = next_option(&command_create, argc, argv)) != -1) {
        switch (option) {
        case 's':
            file.page_size = parse_page_size(optarg);
            break;
        case 'f':
            file.format = parse_format(optarg);
            break;
        case 'n':
            file.initial_pages = parse_pages(optarg);
            break;
        case 'l':
            file.label = parse_label(optarg);
            break;
        case 'j':
            json = true;
            break;
        }
    }
    expect_arguments(&command_create, argc, argv, 1, 1);
    if (file.label != NULL && file.format == MPG_FORMAT_0_2) {
        usage_error(&command_create, "format 0.2 has no room for a label");
    }
    path = argv[optind];
    hints_are_for(HINT_CREATE);
    file.flags = open_flags();
    hold_signals();
    if (mpg_create(&pager, path, &file) != 0) {
        return report_failure(path, json);
    }
    return close_file(pager, path, tell(pager, path, json));
}

const struct command command_create = {
    .name = "create",
    .summary = "Makes a new page file",
    .usage = "[-s SIZE] [-f 1|0.2] [-n PAGES] [-l TEXT] [-j] FILE",
    .help =
        "FILE must not exist yet.\n\n"
        "  -s, --page-size SIZE  bytes in a page: a power of two from 1K to 1G (default 4K)\n"
        "  -f, --format FORMAT   1 (default), or 0.2 for the crate `mappedpages`\n"
        "  -n, --pages PAGES     pages the file has at first, at least 4 (default 4)\n"
        "  -l, --label TEXT      a name kept in the file, at most 64 bytes (format 1)\n"
        "  -j, --json            tell what was made as a JSON object, as 'info --json' does\n"
        "      --local-lock      also where a lock does not keep other writers out (sshfs, ...)\n"
        "  -h, --help            this help\n",
    .options = options,
    .run = run,
};
