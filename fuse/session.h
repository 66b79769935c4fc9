/* SPDX-License-Identifier: MIT */
/* The connection with the kernel, from mounting to unmounting. */
#ifndef SESSION_H
#define SESSION_H

#include "fs.h"

/* Whether the mount point is a directory; logs what is wrong. */
bool session_check_mountpoint(const struct options *options);
/* Mounts. `args` holds the options for libfuse. False, logged, if that fails. */
bool session_mount(struct fs *fs, struct fuse_args *args);
/*
 * Serves until the mount is unmounted or a signal asks to end. The signals must be blocked in all
 * threads (session_block_signals). False, logged, if the connection failed.
 */
bool session_serve(struct fs *fs);
/* Unmounts if need be, and ends the session. */
void session_end(struct fs *fs);

/* Blocks the signals that ask to end, for this thread and those that it makes. */
void session_block_signals(void);

#endif
