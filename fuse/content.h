/* SPDX-License-Identifier: MIT */
/*
 * The content of files, whatever they are. Callers hold the node's target (nodes_enter). Functions
 * return 0 or an errno.
 */
#ifndef CONTENT_H
#define CONTENT_H

#include "fs.h"
#include "handle.h"

/*
 * Reads up to *length bytes, which are then at *data, valid until this thread's next read. `handle`
 * may be NULL.
 */
int content_read(struct fs *fs, const struct target *target, struct handle *handle,
                 const unsigned char **data, uint64_t offset, size_t *length);

/*
 * Writes *length bytes, or as many as fit. Without a handle a protected page is committed at once.
 */
int content_write(struct fs *fs, const struct target *target, struct handle *handle,
                  const struct client *client, const void *data, uint64_t offset, size_t *length);

/*
 * Zeroes a range that lies in the page. Without a handle a protected page is committed at once.
 */
int content_zero(struct fs *fs, const struct target *target, struct handle *handle,
                 const struct client *client, uint64_t offset, uint64_t length);

/* Zeroes everything from `size` on; EFBIG beyond the page. */
int content_truncate(struct fs *fs, const struct target *target, struct handle *handle,
                     const struct client *client, uint64_t size);

#endif
