/* SPDX-License-Identifier: MIT */
/* The text of /info. */
#ifndef INFO_H
#define INFO_H

#include "fs.h"

/* What `mappedpages info` prints, as it is now; freed with free(). NULL if that fails. */
char *info_text(const struct fs *fs, size_t *length);
/* Its length now. */
size_t info_length(const struct fs *fs);

#endif
