/* SPDX-License-Identifier: MIT */
/* The connection with the kernel, from mounting to unmounting. */
#ifndef SESSION_H
#define SESSION_H

#include "fs.h"

/*
 * Whether the mount point is a directory, or, as /dev/fd/N, a descriptor through which somebody
 * else has mounted already; logs what is wrong.
 */
bool session_check_mountpoint(const struct options *options);
/* That descriptor, or -1. */
int session_descriptor(const struct options *options);
/*
 * Mounts, and starts what a mount with these options must have. `args` holds the options for
 * libfuse. False, logged, if that fails.
 */
bool session_mount(struct fs *fs, struct fuse_args *args);
/*
 * Serves until the mount is unmounted or a signal asks to end. The signals must be blocked in all
 * threads (session_block_signals). Calls fs->serving, from any thread, once the kernel is answered.
 * False, logged, if the connection failed.
 */
bool session_serve(struct fs *fs);
/* Unmounts if need be, and ends the session. */
void session_end(struct fs *fs);

/*
 * Blocks the signals that ask to end, for this thread and those that it makes. Those that are
 * ignored, as whoever started the program wished, ask nothing.
 */
void session_block_signals(void);

#endif
