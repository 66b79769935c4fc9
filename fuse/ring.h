/* SPDX-License-Identifier: MIT */
/*
 * Requests through io_uring. libfuse has a thread for each processor then, which answers what comes
 * from there, one after the other. So requests that wait for the disk are done by other threads
 * (workers.h), or a processor's commits would not share their syncs, and all else would wait for
 * them.
 */
#ifndef RING_H
#define RING_H

#include "fs.h"

/* Has those of a session's operations that may wait for the disk done by fs->workers. */
void ring_wrap(struct fuse_lowlevel_ops *operations);

#endif
