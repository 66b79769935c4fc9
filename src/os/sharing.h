/* SPDX-License-Identifier: MIT */
/*
 * Floor 1: who else can come to a file, as far as the filesystem that it lies on tells: whether a
 * lock reaches them, and whether what this system has cached of the file is what they see.
 *
 * It is asked of the descriptor, not of a name: by the number of its mount, which
 * /proc/self/mountinfo lists with type and options.
 */
#ifndef MPGI_SHARING_H
#define MPGI_SHARING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The name of a filesystem's type that is kept, at most. */
#define TYPE_NAME_SIZE 40

struct statx;

struct sharing {
    bool others;        /* another machine, or another path, may change what is cached here */
    bool lock_is_local; /* a lock binds only those who come by this path */
    bool is_meeting;    /* … and the filesystem is made for others to come, or nothing tells */
    bool unknown;       /* nothing tells, and the worst is assumed */
    char type[TYPE_NAME_SIZE]; /* "fuse.sshfs", …; "" where it is not known */
};

/* Finds out. Cannot fail: what cannot be found out is `unknown`. */
void mpgi_sharing_of(struct sharing *sharing, int fd);

/* ---- Its parts, for tests ---- */

/* A line of mountinfo, taken apart; the texts are as written there, with escapes. */
struct mount_line {
    uint64_t id;
    unsigned major, minor;
    const char *type;    /* ended by zero, as the next two */
    const char *source;  /* may be empty */
    const char *options; /* of the filesystem: "rw,…" */
};

/* Takes a line without its end apart, in place. False: it is none. */
bool mpgi_mount_line(struct mount_line *line, char *text);
/*
 * Finds the line of the mount that a file lies on in a list of mounts, which it cuts up: by the
 * mount's number, or where the system does not tell that (before Linux 5.8), by the device. False:
 * it is not there.
 */
bool mpgi_find_mount(struct mount_line *line, char *text, const struct statx *st);
/* What type, source and options say of locks. */
bool mpgi_lock_is_local(const struct mount_line *line);
/* Whether others are to be expected where the lock is local. */
bool mpgi_is_meeting(const struct mount_line *line);

#endif
