/* SPDX-License-Identifier: MIT */
/* Attributes, truncation by name, and the size of it all. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>

#include "ahead.h"
#include "cached.h"
#include "log.h"
#include "requests.h"

void request_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct target target;
    struct stat st;
    int error = nodes_resolve(fs->nodes, node, &target);

    (void)fi;
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

static int set(struct fs *fs, const struct target *target, const struct stat *st, int to_set,
               struct handle *handle, const struct client *client)
{
    int error = 0;

    if (fs->writable == NULL) {
        return EROFS;
    }
    if (to_set & FUSE_SET_ATTR_SIZE) {
        error = content_truncate(fs, target, handle, client, (uint64_t)st->st_size);
    }
    return error != 0 ? error : attributes_set(fs, target, st, to_set);
}

static void finish_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
                           struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    const struct client client = client_of(req, fi);
    struct answer answer = {.req = req, .kind = ANSWER_ATTRIBUTES};
    struct target target;

    answer.error = nodes_enter(fs->nodes, node, &target);
    if (answer.error == 0) {
        answer.error = set(fs, &target, st, to_set, handle_of(fi), &client);
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
    if ((to_set & FUSE_SET_ATTR_SIZE) && target.kind == NODE_PAGE) {
        /*
         * The kernel drops what it has cached behind the new end only if it sees the file shrink.
         * So it is told what it asked for, and that this holds for no time: whoever looks next gets
         * the size of the page again.
         */
        answer.st.st_size = st->st_size;
        answer.timeout = 0;
    }
    if ((to_set & FUSE_SET_ATTR_SIZE) && target.kind == NODE_PROTECTED && fi == NULL) {
        cached_answer(fs, node, &answer); /* that was a commit */
    } else {
        answer_now(&answer);
    }
}

static void finish_deferred_setattr(struct deferred *change)
{
    finish_setattr(change->req, change->node, &change->st, change->to_set, NULL);
}

void request_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
                     struct fuse_file_info *fi)
{
    if ((to_set & FUSE_SET_ATTR_SIZE) && fi == NULL) {
        struct deferred truncation = {.finish = finish_deferred_setattr,
                                      .req = req,
                                      .node = node,
                                      .st = *st,
                                      .to_set = to_set};

        ahead_change(fs_of(req), &truncation);
    } else {
        finish_setattr(req, node, st, to_set, fi);
    }
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
    int code = mpg_stat(&st, fs->pager);
    struct statvfs result = {0};
    uint64_t more;

    (void)node;
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
