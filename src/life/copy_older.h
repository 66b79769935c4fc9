/* SPDX-License-Identifier: MIT */
/*
 * An older copy, in whose place a newer one is to come; and which file is an older copy of which.
 *
 * A copy's UUID tells whose copy it is: half of it is a random number, the other half follows from
 * that and the UUID of the file. Who wants to know whether the one is a copy of the other works it
 * out once more. Format 0.2 has no UUIDs: there the contents have to tell.
 */
#ifndef MPGI_COPY_OLDER_H
#define MPGI_COPY_OLDER_H

#include <stdint.h>

#include "pager/pager.h"

#define COPY_UUID_SIZE 16

/* Draws a UUID for a copy of the file with the UUID `of`. */
int mpgi_copy_uuid_draw(uint8_t *uuid, const uint8_t *of, const char *path);

/*
 * Where what is to be replaced is: *real, to be freed, where the path is a symbolic link; else that
 * stays as it is. INVALID where it is no regular file, or is `source`.
 */
int mpgi_copy_older_find(char **real, const char *path, const char *source);
/*
 * Opens what has the name, for writing, so that nobody else does; nothing is written to it but what
 * opening does. *older stays as it is where there is nothing. INVALID where it is not of the format
 * and the page size; EXISTS where, unless `any`, it does not pass for an older copy of `source`. To
 * be freed, also after a failure, unless it is NULL.
 */
int mpgi_copy_older_open(mpg_pager **older, const char *path, const mpg_pager *source,
                         const struct format_ops *ops, bool any);
/* Makes a file a clone of it, where the host filesystem does that: *cloned. Else it is empty. */
int mpgi_copy_older_clone(bool *cloned, const mpg_pager *older, struct file *file);

#endif
