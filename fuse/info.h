/* SPDX-License-Identifier: MIT */
/* The text of /info. */
#ifndef INFO_H
#define INFO_H

#include "fs.h"

/* What `mappedpages info` prints, as it is now; freed with free(). Returns 0 or an errno. */
int info_text(char **text, size_t *length, const struct fs *fs);
/* Its length now; 0 if that cannot be told. */
size_t info_length(const struct fs *fs);

#endif
