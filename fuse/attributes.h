/* SPDX-License-Identifier: MIT */
/*
 * Attributes. Owner, mode and times are those of the page file, until a tool sets them or content
 * changes: that is kept in memory as long as the mount lives. What is not kept (setuid, setgid and
 * sticky bits) is refused.
 */
#ifndef ATTRIBUTES_H
#define ATTRIBUTES_H

#include <sys/stat.h>

#include "fs.h"

struct attributes *attributes_new(void);
void attributes_free(struct attributes *attributes);

/*
 * The attributes of what a node stands for. Returns 0, ENOENT if there is no such page, or another
 * errno.
 */
int attributes_get(struct fs *fs, const struct target *target, struct stat *st);
/* Just the inode number and the type. */
void attributes_brief(const struct target *target, struct stat *st);

/*
 * Sets mode, owner and times as named by FUSE_SET_ATTR_… in to_set: exactly, or not at all. Returns
 * 0, EPERM or ENOMEM.
 */
int attributes_set(struct fs *fs, const struct target *target, const struct stat *st, int to_set);
/* The content changed now. */
void attributes_touch(struct fs *fs, enum node_kind kind, uint64_t id);
/*
 * Content that was written at *written became the page's now: the same, unless a time was set
 * meanwhile. NULL: in any case.
 */
void attributes_written(struct fs *fs, enum node_kind kind, uint64_t id,
                        const struct timespec *written);
/* The page was just created: with the permission bits of st_mode, st_uid and st_gid. 0, ENOMEM. */
int attributes_create(struct fs *fs, enum node_kind kind, uint64_t id, const struct stat *st);
/* Gives a page the attributes of the file that became its content. */
void attributes_give(struct fs *fs, enum node_kind kind, uint64_t id, const struct stat *st);
/* The page is gone. */
void attributes_drop(struct fs *fs, enum node_kind kind, uint64_t id);

#endif
