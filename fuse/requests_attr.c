/* SPDX-License-Identifier: MIT */
/* Attributes, truncation by name, and the size of it all. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "ahead.h"
#include "cached.h"
#include "follow.h"
#include "log.h"
#include "requests.h"

void request_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct target target;
    struct stat st;
    int error = nodes_resolve(fs->nodes, node, &target);

    (void)fi;
    follow_refresh(fs);
    if (error == 0) {
        error = attributes_get(fs, &target, &st);
        error = error == ENOENT ? ESTALE : error;
    }
    if (error != 0) {
        fuse_reply_err(req, error);
    } else {
        fuse_reply_attr(req, &st, attribute_timeout(fs, &target, node));
    }
}

/*
 * A thread is in truncate(2): opening with O_TRUNC looks the same here, but for the system call
 * that it is. Where that is not to be seen (as ordinary user under some security modules) it is
 * taken for opening, if the thread has just opened the page.
 */
static bool is_in_truncate(pid_t thread)
{
    const struct timespec moment = {0, 50 * 1000};
    long call = -1;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%ld/syscall", (long)thread);
    for (int tries = 0; tries < 10; tries++) {
        FILE *stream = thread > 0 ? fopen(path, "re") : NULL;
        int count = stream != NULL ? fscanf(stream, "%ld", &call) : 1;

        if (stream != NULL) {
            fclose(stream);
        }
        if (count == 1) {
            break;
        }
        nanosleep(&moment, NULL); /* it is just on its way to sleep */
    }
    /* The other two are those of 32-bit programs. */
    return call == SYS_truncate || call == 92 || call == 193;
}

/* Truncates; without a handle that may be a part of opening a protected page. */
static int truncate_target(struct fs *fs, const struct target *target, fuse_ino_t node,
                           struct handle *handle, const struct client *client, uint64_t size)
{
    int error;

    if (size == 0 && target->kind == NODE_PROTECTED && handle == NULL &&
        handle_truncate_opened(fs, node, target->id, client, is_in_truncate, &error)) {
        return error;
    }
    return content_truncate(fs, target, handle, client, size);
}

static int set(struct fs *fs, const struct target *target, fuse_ino_t node, const struct stat *st,
               int to_set, struct handle *handle, const struct client *client)
{
    int error = 0;

    if (fs->writable == NULL) {
        return EROFS;
    }
    if (to_set & FUSE_SET_ATTR_SIZE) {
        error = truncate_target(fs, target, node, handle, client, (uint64_t)st->st_size);
    }
    return error != 0 ? error : attributes_set(fs, target, st, to_set);
}

/* Puts zeros into what the kernel has cached of a page, from an offset on; false if that failed. */
static bool push_zeros(struct fs *fs, fuse_ino_t node, size_t offset)
{
    static unsigned char zeros[128 << 10];

    while (offset < fs->page_size) {
        const size_t left = fs->page_size - offset;
        struct fuse_bufvec content = FUSE_BUFVEC_INIT(left < sizeof(zeros) ? left : sizeof(zeros));
        int error;

        content.buf[0].mem = zeros;
        error = fuse_lowlevel_notify_store(fs->session, node, (off_t)offset, &content, 0);
        if (error != 0) {
            return error == -ENOENT;
        }
        offset += content.buf[0].size;
    }
    return true;
}

/* Answers to a truncation of a protected page without a handle. */
static void answer_truncated(struct fs *fs, fuse_ino_t node, const struct answer *answer)
{
    if (node_kind_of(node) != NODE_SCRATCH) {
        cached_answer(fs, node, answer); /* that was a commit */
        return;
    }
    /*
     * It may have been mapped and written as a scratch file. Dropping that waits for it to be
     * written, which the kernel does not do before it has its answer.
     */
    answer_now(answer);
    cached_drop(fs, node);
}

static void finish_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
                           struct fuse_file_info *fi, bool may_push)
{
    struct fs *fs = fs_of(req);
    const struct client client = client_of(req, fi);
    struct answer answer = {.req = req, .kind = ANSWER_ATTRIBUTES};
    struct target target;

    answer.error = nodes_enter(fs->nodes, node, &target);
    if (answer.error == 0) {
        answer.error = set(fs, &target, node, st, to_set, handle_of(fi), &client);
        if (answer.error == 0) {
            answer.error = attributes_get(fs, &target, &answer.st);
        }
        nodes_leave(fs->nodes, &target);
    }
    if (answer.error != 0) {
        answer_now(&answer);
        return;
    }
    answer.timeout = attribute_timeout(fs, &target, node);
    if ((to_set & FUSE_SET_ATTR_SIZE) && target.kind == NODE_PAGE &&
        !(may_push && push_zeros(fs, node, (size_t)st->st_size))) {
        /*
         * The kernel drops what it has cached behind the new end only if it sees the file shrink.
         * So it is told what was asked for, and that this holds for no time: whoever looks next
         * gets the size of the page again. But who has it mapped gets SIGBUS until then.
         */
        answer.st.st_size = st->st_size;
        answer.timeout = 0;
    }
    if ((to_set & FUSE_SET_ATTR_SIZE) && target.kind == NODE_PROTECTED && fi == NULL) {
        answer_truncated(fs, node, &answer);
    } else {
        answer_now(&answer);
    }
}

static void finish_deferred_setattr(struct deferred *change)
{
    finish_setattr(change->req, change->node, &change->st, change->to_set, &change->fi, true);
}

void request_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
                     struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct target target;

    if ((to_set & FUSE_SET_ATTR_SIZE) && nodes_resolve(fs->nodes, node, &target) == 0 &&
        target.kind == NODE_PAGE) {
        /*
         * The size does not change, so the kernel keeps what it has cached, and has to be given the
         * zeros. No thread that serves requests may do that.
         */
        struct deferred truncation = {.finish = finish_deferred_setattr,
                                      .req = req,
                                      .node = node,
                                      .st = *st,
                                      .to_set = to_set};

        if (fi != NULL) {
            truncation.fi = *fi;
        }
        if (ahead_hand_over(fs, &truncation)) {
            return;
        }
    }
    finish_setattr(req, node, st, to_set, fi, false);
}

/* Pages by which the host filesystem lets the file grow. */
static uint64_t growth(const struct fs *fs, const struct mpg_stat *st)
{
    uint64_t limit = st->max_pages > st->total_pages ? st->max_pages - st->total_pages : 0;
    struct statvfs host;
    uint64_t pages;

    if (fs->writable == NULL || fstatvfs(fs->location, &host) != 0) {
        return 0;
    }
    pages = host.f_frsize >= fs->page_size
                ? (uint64_t)host.f_bavail * (host.f_frsize / fs->page_size)
                : (uint64_t)host.f_bavail / (fs->page_size / host.f_frsize);
    return pages < limit ? pages : limit;
}

void request_statfs(fuse_req_t req, fuse_ino_t node)
{
    struct fs *fs = fs_of(req);
    struct mpg_stat st = {.size = sizeof(st)};
    struct statvfs result = {0};
    unsigned tries = 0;
    uint64_t more;
    int code;

    (void)node;
    follow_refresh(fs);
    do {
        code = mpg_stat(&st, fs->pager);
    } while (follow_again(fs, code, &tries));
    if (code != MPG_OK) {
        fuse_reply_err(req, log_failure(code, "statfs"));
        return;
    }
    more = growth(fs, &st);
    result.f_bsize = fs->page_size;
    result.f_frsize = fs->page_size;
    result.f_blocks = st.total_pages + more;
    result.f_bfree = result.f_bavail = st.free_pages + more;
    result.f_files = st.regular_pages + st.protected_pages + result.f_bfree;
    result.f_ffree = result.f_favail = result.f_bfree;
    result.f_namemax = NAME_MAX;
    fuse_reply_statfs(req, &result);
}
