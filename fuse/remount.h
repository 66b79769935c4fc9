/* SPDX-License-Identifier: MIT */
/* mount -o remount: changes what the kernel allows on a mount that is there. */
#ifndef REMOUNT_H
#define REMOUNT_H

#include <stdbool.h>

#include "fs.h"

/* Whether the command line asks for that, instead of a mount. */
bool remount_wanted(const struct fuse_args *args);

/* What it came to. */
enum remount_result { REMOUNT_DONE, REMOUNT_USAGE, REMOUNT_FAILED };

/* Does it, and says what it could not do. */
enum remount_result remount_run(const struct fuse_args *args);

#endif
