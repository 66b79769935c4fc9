/* SPDX-License-Identifier: MIT */
/*
 * mappedpages uuid: what tells a page file from all others. The checksums of a file depend on it,
 * so that another one makes another file: a copy, which takes the name when it is whole.
 */

#include "arguments.h"
#include "command.h"
#include "describe.h"
#include "file.h"
#include "identity.h"
#include "mappedpages_copy.h"
#include "output.h"
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID_SIZE 16

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},       {"quiet", no_argument, NULL, 'q'},
    {"wait", required_argument, NULL, 'w'}, {"local-lock", no_argument, NULL, OPTION_LOCAL_LOCK},
    {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
};

struct change {
    const char *path;
    uint8_t uuid[UUID_SIZE];
    bool json;
    mpg_pager *pager; /* keeps writers out */
    char *real;       /* the file itself, whatever links lead to it */
    char *copy;       /* its copy, beside it */
    struct progress progress;
};

static int print(const char *path, const uint8_t *uuid, bool json)
{
    char text[UUID_TEXT_SIZE];

    format_uuid(text, uuid);
    return identity_print(path, "uuid", text, json);
}

static int show(const char *path, bool json)
{
    struct mpg_stat st;
    int status = identity_read(&st, path, "UUID", json);

    return status == STATUS_FINE ? print(path, st.uuid, json) : status;
}

/* ---- another one ---- */

static int fail(const struct change *change, const char *what)
{
    return report_reason(change->path, change->json, MPG_E_IO, "%s: %s", what, strerror(errno));
}

/* The copy is to pass for the file: its owner, and who may do what with it. */
static int take_over(const struct change *change)
{
    struct stat st;

    if (fstat(mpg_descriptor(change->pager), &st) != 0) {
        return fail(change, "fstat");
    }
    if (chown(change->copy, st.st_uid, st.st_gid) != 0 ||
        chmod(change->copy, st.st_mode & 07777) != 0) {
        return fail(change, "its owner and mode cannot be given to the copy");
    }
    return STATUS_FINE;
}

static int sync_directory(const struct change *change)
{
    char *directory = strdup(change->real);
    int fd = directory != NULL ? open(dirname(directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int status = STATUS_FINE;

    free(directory);
    /* What a directory cannot do is no failure, here as elsewhere. */
    if (fd >= 0 && fsync(fd) != 0 && errno == EIO) {
        status = fail(change, "fsync of the directory");
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

static int replace(struct change *change, bool quiet)
{
    mpg_copy_options how = MPG_COPY_OPTIONS_INIT;
    int made, status;

    how.uuid = change->uuid;
    how.progress = progress_go_on;
    how.context = &change->progress;
    progress_begin(&change->progress, "copy", 0, quiet);
    made = mpg_copy(NULL, change->real, change->copy, &how);
    progress_end(&change->progress);
    if (made == MPG_E_CANCELLED) {
        let_signals_end(); /* nothing is left of the copy */
    }
    if (made != 0) {
        return report_failure(change->path, change->json);
    }
    status = take_over(change);
    if (status == STATUS_FINE && rename(change->copy, change->real) != 0) {
        status = fail(change, "the copy cannot take its place");
    }
    if (status != STATUS_FINE) {
        (void)unlink(change->copy);
        return status;
    }
    return sync_directory(change);
}

static int replace_open(struct change *change, bool quiet)
{
    struct mpg_stat st = {.size = sizeof st};
    struct stat file;

    if (mpg_stat(&st, change->pager) != 0) {
        return report_failure(change->path, change->json);
    }
    if (st.format != MPG_FORMAT_1) {
        return identity_missing(change->path, "UUID", change->json);
    }
    change->real = realpath(change->path, NULL);
    if (change->real == NULL || stat(change->real, &file) != 0) {
        return fail(change, "realpath");
    }
    if (!S_ISREG(file.st_mode)) {
        return report_reason(change->path, change->json, MPG_E_INVALID,
                             "it is no regular file, whose place another one could take");
    }
    if (asprintf(&change->copy, "%s.uuid-%ld", change->real, (long)getpid()) < 0) {
        change->copy = NULL;
        return fail(change, "uuid");
    }
    return replace(change, quiet);
}

static int set(struct change *change, bool quiet)
{
    int status;

    hold_signals();
    if (open_writing(&change->pager, change->path, change->json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    status = replace_open(change, quiet);
    free(change->real);
    free(change->copy);
    status = close_file(change->pager, change->path, status);
    return status == STATUS_FINE && (change->json || !quiet)
               ? print(change->path, change->uuid, change->json)
               : status;
}

/* ---- the command line ---- */

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *found = c != '\0' ? strchr(digits + (c >= 'A' && c <= 'F' ? 16 : 0), c) : NULL;

    return found != NULL ? (int)((found - digits) % 16) : -1;
}

static bool parse_uuid(uint8_t *uuid, const char *text)
{
    bool any = false;

    for (unsigned i = 0; i < UUID_SIZE; i++) {
        int high, low;

        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') {
            return false;
        }
        high = digit(text[0]);
        low = high >= 0 ? digit(text[1]) : -1;
        if (low < 0) {
            return false;
        }
        uuid[i] = (uint8_t)(16 * high + low);
        any |= uuid[i] != 0;
        text += 2;
    }
    return any && *text == '\0';
}

static bool draw_uuid(uint8_t *uuid)
{
    if (getrandom(uuid, UUID_SIZE, 0) != UUID_SIZE) {
        return false;
    }
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* the kind that is random */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return true;
}

static int run(int argc, char **argv)
{
    struct change change = {0};
    bool quiet = false;
    const char *text;
    int option;

    while ((option = next_option(&command_uuid, argc, argv)) != -1) {
        change.json |= option == 'j';
        quiet |= option == 'q';
    }
    expect_arguments(&command_uuid, argc, argv, 1, 2);
    change.path = argv[optind];
    if (argc - optind == 1) {
        return show(change.path, change.json);
    }
    text = argv[optind + 1];
    if (strcmp(text, "new") == 0) {
        if (!draw_uuid(change.uuid)) {
            return report_reason(change.path, change.json, MPG_E_IO,
                                 "the system gave no random numbers");
        }
    } else if (!parse_uuid(change.uuid, text)) {
        usage_error(&command_uuid, "'%s' is neither a UUID nor 'new'", text);
    }
    return set(&change, quiet);
}

const struct command command_uuid = {
    .name = "uuid",
    .summary = "Shows or changes the UUID of a page file",
    .usage = "[-j] [-q] [-w SECONDS] FILE [new|UUID]",
    .help =
        "With 'new' it gets a random one, else the one given. All checksums depend on it, so the\n"
        "file is copied (in no time where the filesystem shares disk space), and the copy takes\n"
        "its name in one step: killed meanwhile, the file is as it was. Owner and mode stay, "
        "other\n"
        "hard links keep the old file. Format 0.2 has no UUID.\n\n"
        "  -j, --json          the UUID as a JSON object\n"
        "  -q, --quiet         no progress bar, and no result\n"
        "  -w, --wait SECONDS  wait that long for a file that is busy\n"
        "      --local-lock    also where a lock does not keep other writers out (sshfs, ...)\n"
        "  -h, --help          this help\n",
    .options = options,
    .run = run,
};
