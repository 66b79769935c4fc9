/* SPDX-License-Identifier: MIT */
/* mappedpagesfs: mounts a page file as a directory. */
#include "background.h"
#include "fs_open.h"
#include "log.h"
#include "options.h"
#include "ready.h"
#include "session.h"

enum status { STATUS_OK = 0, STATUS_USAGE = 1, STATUS_MOUNT_FAILURE = 32 };

static enum status serve(const struct options *options, struct fuse_args *args, int background)
{
    struct fs fs;
    bool good;

    /* First, so that a mount that cannot be leaves the file as it was, unrecovered. */
    if (!session_check_mountpoint(options)) {
        return STATUS_MOUNT_FAILURE;
    }
    session_block_signals();
    if (!fs_open(&fs, options) || !session_mount(&fs, args)) {
        (void)fs_close(&fs);
        return STATUS_MOUNT_FAILURE;
    }
    if (background >= 0) {
        background_enter(background);
    }
    ready_tell((int)options->ready_fd);
    good = session_serve(&fs);
    ready_stopping();
    session_end(&fs);
    good &= fs_close(&fs);
    return good ? STATUS_OK : STATUS_MOUNT_FAILURE;
}

int main(int argc, char **argv)
{
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    enum status status = STATUS_USAGE;
    struct options options;
    int background = -1;

    switch (options_parse(&options, &args)) {
    case OPTIONS_DONE:
        status = STATUS_OK;
        break;
    case OPTIONS_RUN:
        if (!options.foreground && (background = background_begin()) < 0) {
            status = STATUS_MOUNT_FAILURE;
        } else {
            status = serve(&options, &args, background);
        }
        break;
    case OPTIONS_USAGE:
        break;
    }
    options_free(&options);
    fuse_opt_free_args(&args);
    return (int)status;
}
