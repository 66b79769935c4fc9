/* SPDX-License-Identifier: MIT */
/*
 * Protected pages in the kernel's page cache. Reading and writing go past it, but splice(2),
 * sendfile(2) and private maps do not: they show what a page held when they first asked for it. So
 * what they are told is committed content only; it is noted which pages they asked for; and after a
 * commit the cache of such a page is dropped before the client hears of that commit.
 *
 * Dropping waits for reads in flight to be answered, so a thread of its own does it. No thread that
 * serves requests waits for it: it is handed the answer that is due, and gives that afterwards.
 */
#ifndef CACHED_H
#define CACHED_H

#include <sys/stat.h>

#include "fs.h"

struct cached;

struct cached *cached_new(void);
void cached_free(struct cached *cached);

/* The kernel is about to be given content of a node that it caches. Before reading that. */
void cached_note(struct cached *cached, fuse_ino_t node);

/* What is to be answered to a request. */
struct answer {
    fuse_req_t req;
    int error; /* 0, or an errno */
    enum { ANSWER_DONE, ANSWER_WRITTEN, ANSWER_ATTRIBUTES, ANSWER_NONE } kind;
    size_t size;    /* bytes that were written */
    struct stat st; /* attributes, */
    double timeout; /* and the seconds for which they hold */
};

/* Answers it now. */
void answer_now(const struct answer *answer);
/* Answers it when the kernel has dropped what it cached of the node before the last commit. */
void cached_answer(struct fs *fs, fuse_ino_t node, const struct answer *answer);

/* Drops what the kernel cached of the node, some time soon. */
void cached_drop(struct fs *fs, fuse_ino_t node);

/*
 * Begins and ends dropping. False, logged: there is no thread for it, and splice(2) would show what
 * is out of date. Requests must still be served while cached_stop waits.
 */
bool cached_start(struct fs *fs);
void cached_stop(struct cached *cached);

#endif
