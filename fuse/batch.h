/* SPDX-License-Identifier: MIT */
/*
 * /batch: what is written to it is a tar archive, whose pages are changed as one transaction when
 * it is closed, or synced. Each handle stages an archive of its own, as handles stage what they
 * write to protected pages.
 *
 * What the kernel caches has to be dropped at that, which waits for requests in flight. So a thread
 * of its own does all of it, one batch after the other; it is handed the answer that is due, and
 * gives that afterwards.
 */
#ifndef BATCH_H
#define BATCH_H

#include "cached.h"
#include "fs.h"
#include "handle.h"

struct batch;

struct batch *batch_new(void);
void batch_free(struct batch *batch);

static inline bool batch_is(const struct target *target)
{
    return target->kind == NODE_FIXED && target->id == FIXED_BATCH;
}

/* A handle was opened to write one: its number, and how much it may stage. */
void batch_begin(struct fs *fs, struct handle *handle, const struct client *client);
/*
 * Answers a request that ends a use of the handle, when what is due of it was done: the answer's
 * error is the batch's result.
 */
void batch_settle(struct fs *fs, struct handle *handle, enum occasion occasion,
                  const struct client *client, const struct answer *answer);
/* The release of a handle that was not served before requests ended. */
void batch_end(struct fs *fs, struct handle *handle);
/*
 * What became of the last batch of a thread of a user, or else of the last one: a line, or nothing.
 * *text belongs to the caller. 0, ENOMEM.
 */
int batch_text(char **text, size_t *length, const struct fs *fs, const struct client *client);

/*
 * Begins and ends the thread; false, logged, if there is none. Requests must still be served while
 * it ends.
 */
bool batch_start(struct fs *fs);
void batch_stop(struct batch *batch);

#endif
