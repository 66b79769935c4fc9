/* SPDX-License-Identifier: MIT */
/* The text of /info and /info.json. */
#ifndef INFO_H
#define INFO_H

#include "fs.h"
#include "node.h"

/* Whether it is one of the two. */
bool info_is(const struct target *target);
/*
 * What `mappedpages info` prints, with --json for the one of that name, as it is now; freed with
 * free(). Returns 0 or an errno.
 */
int info_text(char **text, size_t *length, const struct fs *fs, const struct target *target);
/* Its length now; 0 if that cannot be told. */
size_t info_length(const struct fs *fs, const struct target *target);

#endif
