/* SPDX-License-Identifier: MIT */
/* mappedpages label: the name that a page file keeps. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "identity.h"
#include "output.h"

#include <string.h>

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"wait", required_argument, NULL, 'w'},
    {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int show(const char *path, bool json)
{
    struct mpg_stat st;
    int status = identity_read(&st, path, "label", json);

    return status == STATUS_FINE ? identity_print(path, "label", st.label, json) : status;
}

static int set(const char *path, const char *label, bool json)
{
    mpg_pager *pager;

    hold_signals();
    if (open_writing(&pager, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    if (mpg_set_label(pager, label) != 0) {
        return fail_and_close(pager, path, json);
    }
    return close_file(pager, path, json ? identity_print(path, "label", label, true) : STATUS_FINE);
}

static int run(int argc, char **argv)
{
    const char *path;
    bool json = false;

    while (next_option(&command_label, argc, argv) != -1) {
        json = true;
    }
    expect_arguments(&command_label, argc, argv, 1, 2);
    path = argv[optind];
    if (argc - optind == 1) {
        return show(path, json);
    }
    if (strlen(argv[optind + 1]) > MPG_LABEL_MAX) {
        usage_error(&command_label, "the label is longer than %d bytes", MPG_LABEL_MAX);
    }
    return set(path, argv[optind + 1], json);
}

const struct command command_label = {
    .name = "label",
    .summary = "Shows or changes the label of a page file",
    .usage = "[-j] [-w SECONDS] FILE [TEXT]",
    .help =
        "TEXT has at most 64 bytes; '' takes the label away. It is durable when the command ends;\n"
        "killed meanwhile, the file has the old label or the new one. Format 0.2 has no label.\n\n"
        "  -j, --json          the label as a JSON object\n"
        "  -w, --wait SECONDS  wait that long for a file that is busy\n"
        "      --local-lock    also where a lock does not keep other writers out (sshfs, ...)\n"
        "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
