/* SPDX-License-Identifier: MIT */
/* Opening the page file for a mount, and closing it. */
#ifndef FS_OPEN_H
#define FS_OPEN_H

#include "fs.h"

/*
 * Opens, locks and recovers the file that the options name, and fills in *fs. Logs what is wrong.
 */
bool fs_open(struct fs *fs, const struct options *options);
/* Makes everything durable and closes the file; false, logged, if that failed. */
bool fs_close(struct fs *fs);

#endif
