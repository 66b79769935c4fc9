/* SPDX-License-Identifier: MIT */
/* Open files, and what they write to protected pages. */
#ifndef HANDLE_H
#define HANDLE_H

#include <pthread.h>

#include "client.h"
#include "fs.h"
#include "stage.h"

struct handle {
    struct handle *next, *previous; /* in the list of the fs, under its lock */
    pthread_mutex_t mutex;          /* for everything below */
    uint64_t node;                  /* what was opened */
    bool writes;                    /* opened for writing */
    pid_t opener;                   /* the thread that opened it */
    bool cached;                    /* opened as a scratch file: its I/O goes through the cache */
    bool syncs;                     /* each write is to be durable: O_SYNC or O_DSYNC */
    bool failed;                    /* the last commit failed, and nothing was written since */
    bool untold;                    /* a commit at a close failed, and nobody may know of it yet */
    bool has_room;                  /* the space that a commit needs was seen to be there */
    bool closed;                    /* a descriptor of it was closed */
    uint64_t batch;                 /* the number of the batch that is written; 0: none is */
    int spoilt;                     /* an errno: a write of that batch failed, so it is not whole */
    int writer;                     /* pidfd of who wrote after a descriptor was closed, or -1 */
    struct client lost;             /* what this one staged was dropped, untold; or thread -1 */
    uint64_t page;                  /* the protected page that something was staged for last */
    struct timespec written;        /* when that was; 0: never */
    struct stage stage;             /* what was written to a protected page */
    char *text;                     /* of /info: owned, as it was when it was opened */
    size_t text_length;
};

/*
 * Makes a handle for `opener` and counts it with its node; NULL without memory. handle_close ends
 * it, and drops what is staged still.
 */
struct handle *handle_open(struct fs *fs, uint64_t node, bool writes, pid_t opener);
void handle_close(struct fs *fs, struct handle *handle);

/* The handle of a request, or NULL. */
static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
    return fi != NULL ? (struct handle *)(uintptr_t)fi->fh : NULL;
}

/* Who makes a request. */
static inline struct client client_of(fuse_req_t req, const struct fuse_file_info *fi)
{
    const struct fuse_ctx *context = fuse_req_ctx(req);

    return (struct client){fi != NULL ? fi->lock_owner : 0, context->pid, context->uid};
}

/*
 * Stages bytes or zeros for protected page `page`, which the handle is on. Return 0 or an errno.
 */
int handle_stage(struct fs *fs, struct handle *handle, uint64_t page, const struct client *client,
                 const void *data, uint64_t offset, size_t length);
int handle_stage_zeros(struct fs *fs, struct handle *handle, uint64_t page,
                       const struct client *client, uint64_t offset, uint64_t length);
/*
 * A page is truncated without a handle. That may be the opening of it by O_TRUNC: then it is staged
 * for the handle that the client has just opened on the node, and *error becomes 0 or an errno.
 * false if there is no such handle, or the thread is in truncate(2), as `is_in_truncate` tells.
 */
bool handle_truncate_opened(struct fs *fs, uint64_t node, uint64_t page,
                            const struct client *client, bool (*is_in_truncate)(pid_t), int *error);
/* Whether something is staged; also if another request of the handle is just being served. */
bool handle_may_commit(struct handle *handle);
/* Puts what is staged onto bytes that were read. */
void handle_apply(struct handle *handle, void *data, uint64_t offset, size_t length);

/* The offset of who writes at the end, wherever that is: for a batch. */
#define HANDLE_END UINT64_MAX

/* Why staged bytes may have to be committed: a close, fsync, the end of the last use. */
enum occasion { OCCASION_CLOSE, OCCASION_SYNC, OCCASION_END };

/*
 * For a batch: takes all that is staged into *stage, which is then the caller's to clear, if it is
 * due. HANDLE_DROPPED: who wrote it was killed, so it is gone.
 */
enum handle_taken { HANDLE_NOTHING, HANDLE_TAKEN, HANDLE_DROPPED };
enum handle_taken handle_take(struct fs *fs, struct handle *handle, enum occasion occasion,
                              const struct client *client, struct stage *stage);
/* For a batch: forgets what is staged from `size` on, and tells where what is left ends. */
void handle_cut(struct handle *handle, uint64_t size, uint64_t *end);

/*
 * These return 0 or an errno, and tell in *committed whether the page has other content now.
 */

/*
 * The client closed a descriptor of the handle: commits what it wrote, but neither a truncation
 * alone nor what a process dying on a signal leaves. (Whether it was the last descriptor the kernel
 * does not say. A shell closes one between opening and writing, and so does a parent that opened
 * the file for a child; zeros would be committed ahead of what is to come.) Others that share the
 * open file are not done, for each of them closes it, too; but if a commit at such a close failed
 * (a child that ends looks at no error), the next one tries again.
 */
int handle_flush(struct fs *fs, struct handle *handle, const struct client *client,
                 bool *committed);
/* fsync: commits all that is staged. */
int handle_sync(struct fs *fs, struct handle *handle, bool *committed);
/*
 * The last use is gone: commits what is staged still, unless its commit failed or who wrote it was
 * killed. (Descriptors are not the only use: maps and io_uring write after the last is closed.)
 */
void handle_release(struct fs *fs, struct handle *handle, bool *committed);

/*
 * Requests have ended: ends the handles that are left. After an unmount nothing is open any more,
 * and what is left are releases that were not served: they are done now. After a signal they may be
 * open, and what they staged is dropped, unless who wrote it is gone. `end_batch` does the release
 * of one that writes a batch.
 */
void handle_end_all(struct fs *fs, bool unmounted,
                    void (*end_batch)(struct fs *fs, struct handle *handle));

#endif
