/* SPDX-License-Identifier: MIT */
/* mappedpagesfs: mounts a page file as a directory. */
#include <errno.h>
#include <fuse_log.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "background.h"
#include "descriptors.h"
#include "fs_open.h"
#include "log.h"
#include "options.h"
#include "ready.h"
#include "remount.h"
#include "session.h"

enum status { STATUS_OK = 0, STATUS_USAGE = 1, STATUS_MOUNT_FAILURE = 32 };

/* Whom to tell when the mount serves. */
struct starter {
    int background; /* the descriptor for background_enter; -1: in the foreground */
    int ready_fd;   /* for ready_tell */
};

static void tell(void *context)
{
    const struct starter *starter = context;

    if (starter->background >= 0) {
        background_enter(starter->background);
    }
    ready_tell(starter->ready_fd);
}

static enum status serve(const struct options *options, struct fuse_args *args,
                         struct starter *starter)
{
    struct fs fs;
    bool good;

    session_block_signals();
    if (!fs_open(&fs, options) || !session_mount(&fs, args)) {
        session_end(&fs);
        (void)fs_close(&fs);
        return STATUS_MOUNT_FAILURE;
    }
    fs.serving = tell;
    fs.serving_context = starter;
    good = session_serve(&fs);
    ready_stopping();
    session_end(&fs);
    good &= fs_close(&fs);
    return good ? STATUS_OK : STATUS_MOUNT_FAILURE;
}

static enum status start(const struct options *options, struct fuse_args *args)
{
    struct starter starter = {-1, ready_take((int)options->ready_fd)};

    /* First, so that a mount that cannot be leaves the file as it was, unrecovered. */
    if (!session_check_mountpoint(options)) {
        return STATUS_MOUNT_FAILURE;
    }
    if (!options->foreground) {
        const int kept[] = {starter.ready_fd, session_descriptor(options)};

        starter.background = background_begin(kept, sizeof(kept) / sizeof(kept[0]));
        if (starter.background < 0) {
            return STATUS_MOUNT_FAILURE;
        }
    }
    return serve(options, args, &starter);
}

static enum status remount(const struct fuse_args *args)
{
    switch (remount_run(args)) {
    case REMOUNT_DONE:
        return STATUS_OK;
    case REMOUNT_USAGE:
        return STATUS_USAGE;
    case REMOUNT_FAILED:
        break;
    }
    return STATUS_MOUNT_FAILURE;
}

/* What libfuse has to say: its levels are those of syslog, and a line break ends what it says. */
__attribute__((format(printf, 2, 0))) static void
log_of_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
{
    char *text;
    size_t length;

    if (vasprintf(&text, format, arguments) < 0) {
        return;
    }
    length = strlen(text);
    if (length > 0 && text[length - 1] == '\n') {
        text[length - 1] = '\0';
    }
    log_line((int)level, "%s", text);
    free(text);
}

int main(int argc, char **argv)
{
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    enum status status = STATUS_USAGE;
    struct options options;

    fuse_set_log_func(log_of_libfuse);
    if (!descriptors_reserve()) {
        log_line(LOG_ERR, "/dev/null: %s", strerror(errno));
        return STATUS_MOUNT_FAILURE;
    }
    /* A log beyond the limit for files is no reason to die. */
    signal(SIGXFSZ, SIG_IGN);
    if (remount_wanted(&args)) {
        return (int)remount(&args);
    }
    switch (options_parse(&options, &args)) {
    case OPTIONS_DONE:
        status = STATUS_OK;
        break;
    case OPTIONS_RUN:
        status = start(&options, &args);
        break;
    case OPTIONS_USAGE:
        break;
    }
    options_free(&options);
    fuse_opt_free_args(&args);
    return (int)status;
}
