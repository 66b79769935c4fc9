/* SPDX-License-Identifier: MIT */
/* How libfuse reads from and writes to /dev/fuse. */
#ifndef DEVICE_H
#define DEVICE_H

#include "fs.h"

/*
 * Has the session, which is mounted, answer by one piece where libfuse has several short ones.
 * Without memory it goes on as libfuse does it.
 */
void device_gather(struct fuse_session *session);

#endif
