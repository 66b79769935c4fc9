/* SPDX-License-Identifier: MIT */
/* fstrim(8) on the mount: disk space of free pages goes back. The only ioctl that is answered. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "log.h"
#include "requests.h"

/* The page that a byte is in, and how many whole pages so many bytes are. */
static uint64_t pages_of(const struct fs *fs, uint64_t bytes)
{
    return bytes == UINT64_MAX ? UINT64_MAX : bytes / fs->page_size;
}

/* As other filesystems: for root, and here for who the files belong to. */
static bool may_trim(fuse_req_t req, const struct fs *fs)
{
    uid_t uid = fuse_req_ctx(req)->uid;

    return uid == 0 || uid == fs->uid;
}

/* Returns 0 or an errno. */
static int trim(const struct fs *fs, struct fstrim_range *range)
{
    uint64_t least = (range->minlen + fs->page_size - 1) / fs->page_size;
    uint64_t pages = 0;
    int code;

    if (fs->writable == NULL) {
        return EROFS;
    }
    if (range->minlen > UINT64_MAX - fs->page_size) {
        return EINVAL;
    }
    code =
        mpg_trim(&pages, fs->writable, pages_of(fs, range->start), pages_of(fs, range->len), least);
    if (code != MPG_OK) {
        mpg_error_info info;

        mpg_last_error(&info);
        return info.system_errno == EOPNOTSUPP ? EOPNOTSUPP : log_failure(code, "trim");
    }
    range->len = pages * fs->page_size;
    return 0;
}

void request_ioctl(fuse_req_t req, fuse_ino_t node, unsigned command, void *argument,
                   struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
                   size_t out_size)
{
    const struct fs *fs = fs_of(req);
    struct fstrim_range range;
    int error;

    (void)node;
    (void)argument;
    (void)fi;
    (void)flags;
    if (command != FITRIM || in_size < sizeof(range) || out_size < sizeof(range)) {
        fuse_reply_err(req, ENOTTY);
        return;
    }
    memcpy(&range, in, sizeof(range));
    error = may_trim(req, fs) ? trim(fs, &range) : EPERM;
    if (error != 0) {
        fuse_reply_err(req, error);
    } else {
        fuse_reply_ioctl(req, 0, &range, sizeof(range));
    }
}
