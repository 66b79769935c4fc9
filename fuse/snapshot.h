/* SPDX-License-Identifier: MIT */
/*
 * Reading parts of pages that the library only gives whole: protected and physical ones. Small
 * pages are just read; of large ones a few are kept, so that reading one bit by bit stays linear.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "fs.h"

struct snapshots *snapshots_new(size_t page_size);
void snapshots_free(struct snapshots *snapshots);

/*
 * Gives a part of a protected page as committed last, or of a physical page: as it is, but where
 * pages are large as it was when its beginning was read. It stands in fs_buffer. Returns an MPG_E_
 * code.
 */
int snapshot_read(struct fs *fs, const struct target *target, unsigned char **data, uint64_t offset,
                  size_t length);

#endif
