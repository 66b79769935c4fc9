/* SPDX-License-Identifier: MIT */
/* The requests of the kernel, each answered exactly once. */
#ifndef REQUESTS_H
#define REQUESTS_H

#include "attributes.h"
#include "content.h"
#include "fs.h"
#include "handle.h"

/* What a directory holds: pages of this kind. NODE_FIXED: it is not a directory of pages. */
enum node_kind directory_kind(fuse_ino_t directory);

/*
 * Whether the file can hold a page of that number at all: 0 or an errno, logged with what was to be
 * done, for instance "created".
 */
int check_number(const struct fs *fs, enum node_kind kind, uint64_t id, const char *done);

/* Whether a scratch file may have that name: 0, or EPERM, logged with the reason. */
int check_scratch_name(const struct fs *fs, enum fixed_node directory, const char *name);

/*
 * Fills in what the kernel is told of a file: the node, its attributes and how long they hold.
 * Returns 0 or an errno.
 */
int entry_fill(struct fs *fs, const struct target *target, fuse_ino_t node,
               struct fuse_entry_param *entry);
/*
 * Seconds for which the attributes of a file hold. Not at all for a protected page that is open for
 * writing: its time of change will be that of a commit, which the kernel does not see.
 */
double attribute_timeout(const struct fs *fs, const struct target *target, fuse_ino_t node);

/* requests_name.c */
void request_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void request_forget(fuse_req_t req, fuse_ino_t node, uint64_t references);
void request_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void request_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                    struct fuse_file_info *fi);
void request_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void request_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void request_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void request_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void request_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void request_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name);

/* requests_rename.c */
void request_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                    const char *new_name, unsigned flags);

/* requests_list.c */
void request_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void request_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                     struct fuse_file_info *fi);
void request_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                         struct fuse_file_info *fi);

/* requests_file.c */
void request_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void request_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                  struct fuse_file_info *fi);
void request_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t offset,
                   struct fuse_file_info *fi);
void request_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void request_fsync(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi);
void request_fsyncdir(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi);
void request_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length,
                       struct fuse_file_info *fi);
void request_copy_file_range(fuse_req_t req, fuse_ino_t from_node, off_t from,
                             struct fuse_file_info *from_fi, fuse_ino_t to_node, off_t to,
                             struct fuse_file_info *to_fi, size_t length, int flags);
void request_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
/* Sets up *fi for a node whose target is held; 0 or an errno. */
int open_target(struct fs *fs, fuse_ino_t node, const struct target *target,
                struct fuse_file_info *fi, const struct client *client);

/* requests_attr.c */
void request_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void request_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
                     struct fuse_file_info *fi);
void request_statfs(fuse_req_t req, fuse_ino_t node);

/* requests_trim.c */
void request_ioctl(fuse_req_t req, fuse_ino_t node, unsigned command, void *argument,
                   struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
                   size_t out_size);

#endif
