/* SPDX-License-Identifier: MIT */
/* Who holds the lock of a page file that is busy, and waiting for them. Shared with the driver. */
#ifndef HOLDER_H
#define HOLDER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum holder_kind {
    HOLDER_UNKNOWN, /* nobody whom this process may see */
    HOLDER_MOUNT,   /* it is mounted */
    HOLDER_DRIVER,  /* a driver whose mount is not to be seen here: as a rule, it is ending */
    HOLDER_PROCESS, /* any other process that has it open */
};

struct holder {
    enum holder_kind kind;
    long pid;             /* of the process that has the lock; 0: not to be seen */
    char name[32];        /* what that process calls itself */
    char point[PATH_MAX]; /* HOLDER_MOUNT: the directory */
};

/* Describes it as what follows "busy: ", in `size` bytes, without control characters. */
void holder_describe(char *text, size_t size, const struct holder *holder);

/* Waiting for a file that is busy. Begins as {.seconds = …}. */
struct busy {
    int64_t seconds;      /* for anybody; BUSY_ENDING: 2 for a driver that is ending, else none */
    int64_t since;        /* when it was busy first, in nanoseconds; 0: not yet */
    struct holder holder; /* filled in when busy_again returns false */
};
#define BUSY_ENDING (-1)

/*
 * The file was found busy. Sleeps for a moment and returns true if it is worth another try. Else
 * fills in the holder.
 */
bool busy_again(struct busy *busy, const char *path);

#endif
