/* SPDX-License-Identifier: MIT */
/* mappedpages copy: a copy of a page file, also while it is written. */

#include "arguments.h"
#include "command.h"
#include "describe.h"
#include "file.h"
#include "json.h"
#include "live.h"
#include "mappedpages_copy.h"
#include "output.h"
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTION_SAME_UUID 257
#define OPTION_COMPACT 259
#define OPTION_FORCE 260

static const struct option options[] = {
    {"format", required_argument, NULL, 'f'},
    {"same-uuid", no_argument, NULL, OPTION_SAME_UUID},
    {"json", no_argument, NULL, 'j'},
    {"quiet", no_argument, NULL, 'q'},
    {"compact", no_argument, NULL, OPTION_COMPACT},
    {"update", no_argument, NULL, 'u'},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"wait", required_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct copy {
    const char *from;
    const char *to;
    bool json;
    bool update;
    struct progress progress;
};

static int report(const struct copy *copy, const struct busy *busy)
{
    const char *about = failed_path(copy->to, copy->from);
    mpg_error_info info;
    int status;

    mpg_last_error(&info);
    if (info.code == MPG_E_BUSY) {
        describe_busy(&info, busy);
    }
    status = report_error(about, &info, copy->json);
    if (copy->update && info.code == MPG_E_EXISTS) {
        complain(copy->to, "'mappedpages copy --update --force' replaces it all the same");
    }
    return status;
}

static void print_result(const struct copy *copy, const mpg_copy_result *result)
{
    struct json json;

    if (!copy->json) {
        return;
    }
    json_begin(&json, stdout);
    json_string(&json, "from", copy->from);
    json_string(&json, "to", copy->to);
    json_number(&json, "regular_pages", result->regular_pages);
    json_number(&json, "protected_pages", result->protected_pages);
    json_number(&json, "generation", result->generation);
    json_number(&json, "bytes_read", result->bytes);
    json_number(&json, "bytes_written", result->written);
    json_number(&json, "passes", result->passes);
    json_number(&json, "held_us", result->held / 1000);
    json_boolean(&json, "cloned", result->cloned);
    json_boolean(&json, "updated", result->updated);
    json_end(&json);
}

/* Returns an exit status. */
static int make(struct copy *copy, mpg_copy_options *how, bool quiet)
{
    struct busy busy = begin_waiting();
    mpg_copy_result result;
    int made;

    how->progress = progress_go_on;
    how->context = &copy->progress;
    hold_signals();
    progress_begin(&copy->progress, "copy", 0, quiet);
    do { /* an older copy may be busy, FILE may not */
        made = mpg_copy(&result, copy->from, copy->to, how);
    } while (wait_while_busy(&busy, made, copy->to));
    progress_end(&copy->progress);
    if (made == MPG_E_CANCELLED) {
        let_signals_end(); /* nothing is left of the copy */
    }
    if (made != 0) {
        return report(copy, &busy);
    }
    print_result(copy, &result);
    return finish_output(STATUS_FINE);
}

/* ---- to a pipe ---- */

static int fail_temporary(const char *path)
{
    complain(path, "%s", strerror(errno));
    return STATUS_FAILED;
}

static int send(int fd, const char *path)
{
    size_t size = (size_t)1 << 20;
    char *buffer = allocate(1, size);
    ssize_t length;
    int status = STATUS_FINE;

    while (status == STATUS_FINE && (length = read(fd, buffer, size)) != 0) {
        if (length < 0) {
            status = fail_temporary(path);
        } else {
            status = write_output(buffer, (size_t)length, STATUS_FINE);
        }
    }
    free(buffer);
    return status;
}

/*
 * Makes the copy in a directory of its own, which nobody else can enter; then it has no name any
 * more.
 */
static int make_and_send(struct copy *copy, mpg_copy_options *how, bool quiet)
{
    char *directory = make_private_directory(), *path = NULL;
    int status = STATUS_FAILED, fd = -1;

    if (directory == NULL || asprintf(&path, "%s/copy", directory) < 0) {
        status = fail_temporary(directory != NULL ? directory : "temporary directory");
        free(directory);
        return status;
    }
    copy->to = path;
    if (make(copy, how, quiet) == STATUS_FINE) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        (void)unlink(path);
    }
    (void)rmdir(directory);
    if (fd >= 0) {
        stop_holding_signals(); /* who reads may keep it waiting for ever */
        status = send(fd, path);
        (void)close(fd);
    }
    free(path);
    free(directory);
    return status;
}

static int parse_format(const char *text)
{
    if (strcmp(text, "1") == 0) {
        return MPG_FORMAT_1;
    }
    if (strcmp(text, "0.2") == 0) {
        return MPG_FORMAT_0_2;
    }
    usage_error(&command_copy, "format '%s' is neither 1 nor 0.2", text);
}

/* What does not go with a copy that is written to standard output. */
static void refuse_output(const struct copy *copy)
{
    if (copy->update) {
        usage_error(&command_copy, "there is no older copy in a pipe for --update");
    }
    if (copy->json) {
        usage_error(&command_copy, "--json and the copy itself cannot both go to standard output");
    }
    if (isatty(STDOUT_FILENO)) {
        usage_error(&command_copy, "a page file is not for a terminal; put '> COPY' behind it");
    }
}

static int run(int argc, char **argv)
{
    mpg_copy_options how = MPG_COPY_OPTIONS_INIT;
    struct copy copy = {0};
    bool quiet = false;
    int option;

    while ((option = next_option(&command_copy, argc, argv)) != -1) {
        switch (option) {
        case 'f':
            how.format = parse_format(optarg);
            break;
        case OPTION_SAME_UUID:
            how.flags |= MPG_COPY_SAME_UUID;
            break;
        case OPTION_COMPACT:
            how.flags |= MPG_COPY_COMPACT;
            break;
        case 'u':
            how.flags |= MPG_COPY_UPDATE;
            copy.update = true;
            break;
        case OPTION_FORCE:
            how.flags |= MPG_COPY_FORCE;
            break;
        case 'j':
            copy.json = true;
            break;
        case 'q':
            quiet = true;
            break;
        }
    }
    expect_arguments(&command_copy, argc, argv, 2, 2);
    expect_name(&command_copy, "the copy", argv[optind + 1]);
    copy.from = argv[optind];
    copy.to = argv[optind + 1];
    if ((how.flags & MPG_COPY_FORCE) != 0 && (how.flags & MPG_COPY_UPDATE) == 0) {
        usage_error(&command_copy, "--force says nothing without --update");
    }
    if (strcmp(copy.to, "-") != 0) {
        return make(&copy, &how, quiet);
    }
    refuse_output(&copy);
    return make_and_send(&copy, &how, quiet);
}

const struct command command_copy = {
    .name = "copy",
    .summary = "Copies a page file, also while it is written or mounted",
    .usage = "[-f 1|0.2] [--compact] [--same-uuid] [--update [--force]] [-jq] "
             "[-w SECONDS] FILE COPY|-",
    .help =
        "COPY, which must not exist yet, shows one committed state of FILE: all ids, and all "
        "contents,\n"
        "of protected pages as they were committed together, of regular pages at least what "
        "was synced\n"
        "when the copying began. A writer may go on meanwhile. COPY appears under its name "
        "when it is\n"
        "whole and durable. With - it is written to standard output.\n\n"
        "  -f, --format FORMAT  1 or 0.2: what the copy is to be (default: as FILE)\n"
        "      --compact        no longer than it need be, as after compact\n"
        "  -u, --update         COPY may be an older copy of FILE: another one takes its place in "
        "one step;\n"
        "                       where the filesystem can clone files only what differs is "
        "written\n"
        "      --force          with --update: whatever page file COPY is\n"
        "      --same-uuid      the copy is to pass for FILE itself (format 1; default: a new "
        "UUID)\n"
        "  -j, --json           says what was copied, and how, as a JSON object\n"
        "  -q, --quiet          no progress bar\n"
        "  -w, --wait SECONDS   with --update: wait that long for a COPY that is busy\n"
        "  -h, --help           this help\n",
    .options = options,
    .run = run,
};
