/* SPDX-License-Identifier: MIT */
/* The disk in memory for programs of several threads: one call at a time. */
#ifndef LOCKED_DISK_H
#define LOCKED_DISK_H

#include "support/memory_disk.h"

/* As memory_disk_io, whose contexts are its contexts. */
extern const struct io locked_disk_io;

/* For who looks at the disk himself meanwhile. */
void locked_disk_lock(void);
void locked_disk_unlock(void);

#endif
