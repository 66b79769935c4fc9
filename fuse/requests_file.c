/* SPDX-License-Identifier: MIT */
/* Open files. */
#include <errno.h>
#include <fcntl.h>

#include "ahead.h"
#include "info.h"
#include "log.h"
#include "options.h"
#include "requests.h"
#include "scratch.h"

static bool opens_for_writing(const struct fuse_file_info *fi)
{
    return (fi->flags & O_ACCMODE) != O_RDONLY;
}

int open_target(struct fs *fs, fuse_ino_t node, const struct target *target,
                struct fuse_file_info *fi, pid_t pid)
{
    const bool writes = opens_for_writing(fi);
    struct handle *handle;
    int error = 0;

    if (writes && (target->kind == NODE_RAW || target->kind == NODE_FIXED)) {
        return EACCES;
    }
    handle = handle_open(fs, node, writes);
    if (handle == NULL) {
        return ENOMEM;
    }
    fi->fh = (uintptr_t)handle;
    /*
     * Regular pages are the kernel's to cache. A node that was something else before (a file
     * renamed over the page) is not kept from one open to the next. Protected pages show what is
     * committed.
     */
    fi->keep_cache = target->kind == NODE_PAGE && node_kind_of(node) == NODE_PAGE;
    fi->direct_io = target->kind != NODE_PAGE && target->kind != NODE_SCRATCH;
    /* Closing means something only to who wrote to a protected page, or may come to. */
    fi->noflush = !writes || (target->kind == NODE_PAGE && node_kind_of(node) == NODE_PAGE);
    if (target->kind == NODE_FIXED) {
        error = info_text(&handle->text, &handle->text_length, fs);
    } else if (fi->flags & O_TRUNC) {
        error = content_truncate(fs, target, handle, 0, pid);
        /*
         * A shell opens with O_TRUNC and closes a duplicate before it writes: that flush may not
         * commit zeros ahead of the data.
         */
        handle->stage.written = false;
    }
    if (error != 0) {
        handle_close(fs, handle);
    }
    return error;
}

static void finish_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct target target;
    int error = nodes_enter(fs->nodes, node, &target);

    if (error == 0) {
        error = open_target(fs, node, &target, fi, fuse_req_ctx(req)->pid);
        nodes_leave(fs->nodes, &target);
    }
    if (error != 0) {
        fuse_reply_err(req, error);
    } else if (fuse_reply_open(req, fi) != 0) {
        handle_close(fs, handle_of(fi));
    }
}

static void finish_deferred_open(struct deferred *open)
{
    finish_open(open->req, open->node, &open->fi);
}

void request_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);

    if (fs->no_open) {
        fuse_reply_err(req, ENOSYS); /* the kernel then does without open requests at all */
    } else if (opens_for_writing(fi) || (fi->flags & O_TRUNC)) {
        struct deferred open = {
            .finish = finish_deferred_open, .req = req, .node = node, .fi = *fi};

        ahead_change(fs, &open);
    } else {
        finish_open(req, node, fi);
    }
}

void request_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                  struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct target target;
    const unsigned char *data = NULL;
    int error = nodes_enter(fs->nodes, node, &target);

    if (error == 0) {
        error = content_read(fs, &target, handle_of(fi), &data, (uint64_t)offset, &size);
        nodes_leave(fs->nodes, &target);
    }
    if (error != 0) {
        fuse_reply_err(req, error);
        return;
    }
    fuse_reply_buf(req, (const char *)data, size);
    ahead_was_read(fs, node);
}

void request_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct target target;
    int error = nodes_enter(fs->nodes, node, &target);

    if (error == 0) {
        if ((fi->flags & O_APPEND) && target.kind != NODE_SCRATCH) {
            /* Behind the end of a page there is no room, wherever the kernel thinks the end is. */
            error = EFBIG;
        } else {
            error = content_write(fs, &target, handle_of(fi), data, (uint64_t)offset, &size,
                                  fuse_req_ctx(req)->pid);
        }
        nodes_leave(fs->nodes, &target);
        if (error == 0 && (fi->flags & O_DSYNC) && target.kind == NODE_PROTECTED) {
            /* For regular pages the kernel sends a sync of its own; for direct I/O it does not. */
            error = handle_sync(fs, handle_of(fi));
        }
    }
    if (error != 0) {
        fuse_reply_err(req, error);
    } else {
        fuse_reply_write(req, size);
    }
}

void request_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct handle *handle = handle_of(fi);

    (void)node;
    if (fs->no_open) {
        fuse_reply_err(req, ENOSYS);
        return;
    }
    fuse_reply_err(req, handle != NULL ? handle_flush(fs, handle, fuse_req_ctx(req)->pid) : 0);
}

/* Makes regular content, and what is deferred, durable. */
static int sync_all(struct fs *fs)
{
    int code = fs->writable != NULL ? mpg_sync(fs->writable) : MPG_OK;

    return code == MPG_OK ? 0 : log_failure(code, "sync");
}

void request_fsync(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct handle *handle = handle_of(fi);
    struct target target;
    int error = nodes_resolve(fs->nodes, node, &target);

    (void)data_only;
    if (error == 0 && handle != NULL) {
        error = handle_sync(fs, handle);
    }
    if (error == 0 && (target.kind == NODE_PAGE || fs->options->commit > 0)) {
        error = sync_all(fs);
    }
    fuse_reply_err(req, error);
}

void request_fsyncdir(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);

    (void)node;
    (void)data_only;
    (void)fi;
    /* Names are durable at once, unless that was traded for speed. */
    fuse_reply_err(req, fs->options->commit > 0 ? sync_all(fs) : 0);
}

static int allocate(struct fs *fs, const struct target *target, struct handle *handle, int mode,
                    uint64_t offset, uint64_t length, pid_t pid)
{
    const uint64_t end = offset + length;
    const bool zeroes = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);

    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
        return EOPNOTSUPP;
    }
    if (target->kind == NODE_SCRATCH) {
        const bool grow = !(mode & FALLOC_FL_KEEP_SIZE);

        /* An empty range behind the end grows the file without touching what is there. */
        return zeroes ? scratch_zero(fs->scratch, target->id, offset, length, grow)
                      : scratch_zero(fs->scratch, target->id, end, 0, grow);
    }
    if (target->kind != NODE_PAGE && target->kind != NODE_PROTECTED) {
        return EPERM;
    }
    if (mode & FALLOC_FL_PUNCH_HOLE) {
        if (offset >= fs->page_size) {
            return 0;
        }
        if (length > fs->page_size - offset) {
            length = fs->page_size - offset;
        }
    } else if (end > fs->page_size) {
        return EFBIG;
    }
    /* A page has all its space; so only zeroing has anything to do. */
    return zeroes ? content_zero(fs, target, handle, offset, length, pid) : 0;
}

void request_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length,
                       struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct target target;
    int error = nodes_enter(fs->nodes, node, &target);

    if (error == 0) {
        error = allocate(fs, &target, handle_of(fi), mode, (uint64_t)offset, (uint64_t)length,
                         fuse_req_ctx(req)->pid);
        nodes_leave(fs->nodes, &target);
    }
    fuse_reply_err(req, error);
}

void request_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct handle *handle = handle_of(fi);

    (void)node;
    if (handle != NULL) {
        handle_release(fs, handle);
        handle_close(fs, handle);
    }
    fuse_reply_err(req, 0);
}
