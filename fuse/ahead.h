/* SPDX-License-Identifier: MIT */
/*
 * Pushing ahead: when regular pages are read in the order of their ids, those that follow are put
 * into the kernel's cache before they are asked for. A thread of its own does that; a request never
 * does, for the kernel may wait for a request to be answered before it takes what is pushed.
 *
 * The thread is there, too, for what else has to put something into that cache (ahead_hand_over).
 *
 * What is pushed may not be older than what the kernel has. So a page that is open for writing is
 * not pushed (a mapping keeps it open); and who wants to change one that is just being pushed (open
 * it for writing, truncate it by name) waits for that to end: the request is put aside, and
 * finished by the pushing thread. No thread that serves requests ever waits for the pushing one.
 */
#ifndef AHEAD_H
#define AHEAD_H

#include <sys/stat.h>

#include "fs.h"

struct ahead;

/*
 * A request that changes content without a handle: an open, or a change of the attributes that
 * `to_set` names. `finish` does and answers it; it is given a copy of its own.
 */
struct deferred {
    struct deferred *next;
    void (*finish)(struct deferred *deferred);
    fuse_req_t req;
    fuse_ino_t node;
    struct fuse_file_info fi;
    struct stat st;
    int to_set;
    bool counted; /* as a writer of the node, meanwhile: the concern of ahead.c */
};

/* Begins the thread of a mounted fs; NULL if there is none: then nothing is pushed. */
struct ahead *ahead_start(struct fs *fs);
/* Ends it. Requests must still be served while this waits. */
void ahead_stop(struct ahead *ahead);
void ahead_free(struct ahead *ahead);

/* A read of a node came from the kernel. (An open says nothing: cached pages are opened, too.) */
void ahead_was_read(struct fs *fs, fuse_ino_t node);
/* Finishes a request that changes a page, now or when pushing that page has ended. */
void ahead_change(struct fs *fs, const struct deferred *change);
/*
 * Finishes a request in the pushing thread, which may put things into the kernel's cache while it
 * is at it. false if there is no such thread (any more), and then nothing is done.
 */
bool ahead_hand_over(struct fs *fs, const struct deferred *change);

/*
 * For who drops pages from the kernel's cache, has counted itself as a writer of them
 * (nodes_opened), and serves no requests. When it returns, nothing is being pushed that was read
 * before the call, and no request that was handed over is left, nor will another be until
 * ahead_let_go. For dropping a page that is dirty waits for it to be written, and the kernel does
 * not write while it waits for the answer to a truncation, which must not wait in turn for that
 * page.
 */
void ahead_hold(struct fs *fs);
void ahead_let_go(struct fs *fs);

#endif
