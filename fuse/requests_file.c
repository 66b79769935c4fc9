/* SPDX-License-Identifier: MIT */
/* Open files. */
#include <errno.h>
#include <fcntl.h>

#include "ahead.h"
#include "batch.h"
#include "cached.h"
#include "info.h"
#include "last.h"
#include "log.h"
#include "near.h"
#include "options.h"
#include "requests.h"
#include "scratch.h"

static bool opens_for_writing(const struct fuse_file_info *fi)
{
    return (fi->flags & O_ACCMODE) != O_RDONLY;
}

/* What a file that tells something says to who opens it now. Returns 0 or an errno. */
static int make_text(struct fs *fs, struct handle *handle, const struct target *target,
                     const struct client *client)
{
    if (batch_is(target)) {
        if (handle->writes) {
            batch_begin(fs, handle, client);
        }
        return batch_text(&handle->text, &handle->text_length, fs, client);
    }
    if (info_is(target)) {
        return info_text(&handle->text, &handle->text_length, fs, target);
    }
    return last_text(&handle->text, &handle->text_length, fs->last,
                     target->id == FIXED_LAST_PAGE ? NODE_PAGE : NODE_PROTECTED, client->thread,
                     client->user);
}

int open_target(struct fs *fs, fuse_ino_t node, const struct target *target,
                struct fuse_file_info *fi, const struct client *client)
{
    const bool writes = opens_for_writing(fi);
    struct handle *handle;
    int error = 0;

    if (writes && (target->kind == NODE_RAW || target->kind == NODE_FIXED) && !batch_is(target)) {
        return EACCES;
    }
    handle = handle_open(fs, node, writes, client->thread);
    if (handle == NULL) {
        return ENOMEM;
    }
    handle->cached = target->kind == NODE_SCRATCH;
    handle->syncs = (fi->flags & O_DSYNC) != 0 && !batch_is(target);
    fi->fh = (uintptr_t)handle;
    /*
     * Regular pages are the kernel's to cache. A node that was something else before (a file
     * renamed over the page) is not kept from one open to the next. Protected pages show what is
     * committed.
     */
    fi->keep_cache = target->kind == NODE_PAGE && node_kind_of(node) == NODE_PAGE && !fs->follows;
    fi->direct_io = (target->kind != NODE_PAGE && target->kind != NODE_SCRATCH) || fs->follows;
    /* Closing means something only to who wrote to a protected page, or may come to. */
    fi->noflush = !writes || (target->kind == NODE_PAGE && node_kind_of(node) == NODE_PAGE);
    if (target->kind == NODE_FIXED) {
        error = make_text(fs, handle, target, client);
    }
    if (error != 0) {
        handle_close(fs, handle);
    }
    return error;
}

static void finish_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    const struct client client = client_of(req, NULL);
    struct target target;
    int error = nodes_enter(fs->nodes, node, &target);

    if (error == 0) {
        error = open_target(fs, node, &target, fi, &client);
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

    near_client(req);
    if (fs->no_open) {
        fuse_reply_err(req, ENOSYS); /* the kernel then does without open requests at all */
    } else if (opens_for_writing(fi)) {
        struct deferred open = {
            .finish = finish_deferred_open, .req = req, .node = node, .fi = *fi};

        ahead_change(fs, &open);
    } else {
        finish_open(req, node, fi);
    }
}

/*
 * Whether it is the kernel's page cache that asks about a protected page. Only direct I/O names the
 * table of descriptors that it works with.
 */
static bool is_cached(const struct target *target, const struct fuse_file_info *fi)
{
    return target->kind == NODE_PROTECTED && fi != NULL && fi->lock_owner == 0;
}

void request_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                  struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct handle *handle = handle_of(fi);
    struct target target;
    const unsigned char *data = NULL;
    int error = nodes_enter(fs->nodes, node, &target);

    if (error == 0) {
        if (is_cached(&target, fi)) {
            /*
             * All see what is cached; so it is what is committed, whatever this handle staged. Only
             * one from before the page was renamed has no other way to see that.
             */
            cached_note(fs->cached, node);
            handle = handle != NULL && handle->cached ? handle : NULL;
        }
        error = content_read(fs, &target, handle, &data, (uint64_t)offset, &size);
        nodes_leave(fs->nodes, &target);
    }
    if (error != 0) {
        fuse_reply_err(req, error);
        return;
    }
    fuse_reply_buf(req, (const char *)data, size);
    ahead_was_read(fs, node);
}

/* Answers a request that may have committed a protected page. */
static void answer_commit(struct fs *fs, fuse_ino_t node, const struct answer *answer,
                          bool committed)
{
    if (committed) {
        cached_answer(fs, node, answer);
    } else {
        answer_now(answer);
    }
}

void request_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    const struct client client = client_of(req, fi);
    struct handle *handle = handle_of(fi);
    struct answer answer = {.req = req, .kind = ANSWER_WRITTEN};
    const int flags = fi != NULL ? fi->flags : 0;
    struct target target;
    bool through_cache = false, committed = false;

    answer.error = nodes_enter(fs->nodes, node, &target);
    if (answer.error == 0) {
        through_cache = is_cached(&target, fi);
        if ((flags & O_APPEND) && batch_is(&target)) {
            answer.error = content_write(fs, &target, handle, &client, data, HANDLE_END, &size);
        } else if ((flags & O_APPEND) && target.kind != NODE_SCRATCH) {
            /* Behind the end of a page there is no room, wherever the kernel thinks the end is. */
            answer.error = EFBIG;
        } else {
            answer.error =
                content_write(fs, &target, handle, &client, data, (uint64_t)offset, &size);
        }
        nodes_leave(fs->nodes, &target);
        if (answer.error == 0 && (flags & O_DSYNC) && target.kind == NODE_PROTECTED) {
            /* For regular pages the kernel sends a sync of its own; for direct I/O it does not. */
            answer.error = handle_sync(fs, handle, &committed);
        }
    }
    answer.size = size;
    if (through_cache) {
        /*
         * A file that was renamed over the page, and is written on. What is staged is in the cache
         * now, where it is not to be seen; but the kernel holds on to it until it has its answer,
         * also where that was a commit.
         */
        answer_now(&answer);
        cached_note(fs->cached, node);
        cached_drop(fs, node);
    } else {
        answer_commit(fs, node, &answer, committed);
    }
}

void request_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct handle *handle = handle_of(fi);
    const struct client client = client_of(req, fi);
    struct answer answer = {.req = req};
    bool committed = false;

    if (fs->no_open) {
        fuse_reply_err(req, ENOSYS);
        return;
    }
    if (handle != NULL && handle->batch != 0) {
        batch_settle(fs, handle, OCCASION_CLOSE, &client, &answer);
        return;
    }
    if (handle != NULL) {
        answer.error = handle_flush(fs, handle, &client, &committed);
    }
    answer_commit(fs, node, &answer, committed);
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
    struct answer answer = {.req = req};
    struct target target;
    bool committed = false;

    (void)data_only;
    if (handle != NULL && handle->batch != 0) {
        const struct client client = client_of(req, fi);

        batch_settle(fs, handle, OCCASION_SYNC, &client, &answer);
        return;
    }
    answer.error = nodes_resolve(fs->nodes, node, &target);
    if (answer.error == 0 && handle != NULL) {
        answer.error = handle_sync(fs, handle, &committed);
    }
    if (answer.error == 0 && (target.kind == NODE_PAGE || fs->options->commit > 0)) {
        answer.error = sync_all(fs);
    }
    answer_commit(fs, node, &answer, committed);
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

static int allocate(struct fs *fs, const struct target *target, struct handle *handle,
                    const struct client *client, int mode, uint64_t offset, uint64_t length)
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
    if (batch_is(target)) {
        return EOPNOTSUPP; /* which tools that copy holes take well */
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
    return zeroes ? content_zero(fs, target, handle, client, offset, length) : 0;
}

void request_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length,
                       struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    const struct client client = client_of(req, NULL);
    struct target target;
    int error = nodes_enter(fs->nodes, node, &target);

    if (error == 0) {
        error =
            allocate(fs, &target, handle_of(fi), &client, mode, (uint64_t)offset, (uint64_t)length);
        nodes_leave(fs->nodes, &target);
    }
    fuse_reply_err(req, error);
}

/* What is copied in one piece. */
#define COPY_PIECE ((size_t)1 << 20)

/*
 * Copies a piece, as the handles on both sides see it. *length is what there was to copy, and then
 * what was copied.
 */
static int copy_piece(struct fs *fs, fuse_ino_t from_node, uint64_t from,
                      struct handle *from_handle, fuse_ino_t to_node, uint64_t to,
                      struct handle *to_handle, const struct client *client, size_t *length)
{
    const unsigned char *data = NULL;
    struct target target;
    int error = nodes_enter(fs->nodes, from_node, &target);

    if (error == 0) {
        error = content_read(fs, &target, from_handle, &data, from, length);
        nodes_leave(fs->nodes, &target);
    }
    if (error != 0 || *length == 0) {
        return error;
    }
    error = nodes_enter(fs->nodes, to_node, &target);
    if (error == 0) {
        error = content_write(fs, &target, to_handle, client, data, to, length);
        nodes_leave(fs->nodes, &target);
    }
    return error;
}

/*
 * Without this the kernel would copy by way of its cache, which does not show what a handle staged.
 */
void request_copy_file_range(fuse_req_t req, fuse_ino_t from_node, off_t from,
                             struct fuse_file_info *from_fi, fuse_ino_t to_node, off_t to,
                             struct fuse_file_info *to_fi, size_t length, int flags)
{
    struct fs *fs = fs_of(req);
    struct handle *to_handle = handle_of(to_fi);
    const struct client client = client_of(req, NULL);
    struct answer answer = {.req = req, .kind = ANSWER_WRITTEN};
    bool committed = false;

    (void)flags;
    while (answer.error == 0 && answer.size < length) {
        size_t piece = length - answer.size < COPY_PIECE ? length - answer.size : COPY_PIECE;

        answer.error = copy_piece(fs, from_node, (uint64_t)from + answer.size, handle_of(from_fi),
                                  to_node, (uint64_t)to + answer.size, to_handle, &client, &piece);
        if (answer.error == 0 && piece == 0) {
            break;
        }
        answer.size += answer.error == 0 ? piece : 0;
    }
    if (answer.size > 0) {
        answer.error = 0;
        if (to_handle->syncs) {
            answer.error = handle_sync(fs, to_handle, &committed);
        }
    }
    answer_commit(fs, to_node, &answer, committed);
}

void request_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct handle *handle = handle_of(fi);
    const struct answer answer = {.req = req};
    bool committed = false;

    if (handle != NULL && handle->batch != 0) {
        const struct client client = client_of(req, fi);

        batch_settle(fs, handle, OCCASION_END, &client, &answer);
        handle_close(fs, handle);
        return;
    }
    if (handle != NULL) {
        handle_release(fs, handle, &committed);
        handle_close(fs, handle);
    }
    answer_commit(fs, node, &answer, committed);
}
