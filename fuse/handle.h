/* SPDX-License-Identifier: MIT */
/* Open files, and what they write to protected pages. */
#ifndef HANDLE_H
#define HANDLE_H

#include <pthread.h>

#include "fs.h"
#include "stage.h"

struct handle {
    struct handle *next, *previous; /* in the list of the fs, under its lock */
    pthread_mutex_t mutex;          /* for everything below */
    uint64_t node;                  /* what was opened */
    bool writes;                    /* opened for writing */
    bool failed;                    /* the last commit failed, and nothing was written since */
    bool has_room;                  /* the space that a commit needs was seen to be there */
    pid_t writer;                   /* the thread that wrote last */
    struct stage stage;             /* what was written to a protected page */
    char *text;                     /* of /info: owned, as it was when it was opened */
    size_t text_length;
};

/* Makes a handle and counts it with its node; NULL without memory. handle_close ends it. */
struct handle *handle_open(struct fs *fs, uint64_t node, bool writes);
void handle_close(struct fs *fs, struct handle *handle);

/* The handle of a request, or NULL. */
static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
    return fi != NULL ? (struct handle *)(uintptr_t)fi->fh : NULL;
}

/*
 * Stages bytes or zeros for the protected page that the handle is on. `pid` is the thread that
 * asks. Return 0 or an errno.
 */
int handle_stage(struct fs *fs, struct handle *handle, const void *data, uint64_t offset,
                 size_t length, pid_t pid);
int handle_stage_zeros(struct fs *fs, struct handle *handle, uint64_t offset, uint64_t length,
                       pid_t pid);
/* Puts what is staged onto bytes that were read. */
void handle_apply(struct handle *handle, void *data, uint64_t offset, size_t length);

/*
 * A descriptor of the handle was closed by `pid`: commits what was written, but neither a
 * truncation alone nor what a process dying on a signal leaves. Returns 0 or an errno.
 */
int handle_flush(struct fs *fs, struct handle *handle, pid_t pid);
/* fsync: commits all that is staged. */
int handle_sync(struct fs *fs, struct handle *handle);
/* The last descriptor is gone: commits a truncation of opening, drops what failed or was left. */
void handle_release(struct fs *fs, struct handle *handle);

/*
 * Requests have ended: ends the handles that are left. After an unmount nothing is open any more,
 * and what is left are releases that were not served: they are done now. After a signal they may be
 * open, and what they staged is dropped.
 */
void handle_end_all(struct fs *fs, bool unmounted);

#endif
