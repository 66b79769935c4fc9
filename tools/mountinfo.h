/* SPDX-License-Identifier: MIT */
/* What is mounted, as a process sees it: proc(5), mountinfo. Shared with the driver. */
#ifndef MOUNTINFO_H
#define MOUNTINFO_H

#include <stdbool.h>

/* One mount. The strings are as the kernel has them, unescaped, and last for the visit. */
struct mount_entry {
    const char *point;   /* the directory */
    const char *type;    /* for instance fuse.mappedpagesfs */
    const char *source;  /* what was mounted */
    const char *options; /* of the filesystem */
    unsigned
        device;     /* the minor number of the filesystem's device, if the major one is 0; else 0 */
    bool read_only; /* the filesystem itself is, whatever this mount of it allows */
};

/*
 * Calls `visit` for each mount in the file named, in the order in which they were made, until it
 * returns false. Returns false if the file cannot be read.
 */
bool mountinfo_visit(const char *mountinfo,
                     bool (*visit)(void *context, const struct mount_entry *entry), void *context);

/* The type under which page files are mounted. */
#define MOUNTINFO_TYPE "fuse.mappedpagesfs"

#endif
