/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "requests.h"
#include "threads.h"
#include "workers.h"

/* A request with its arguments, as far as it has them. */
struct call {
    struct work work;
    void (*answer)(struct call *call);
    fuse_req_t req;
    fuse_ino_t node, other_node;
    struct fuse_file_info fi, other_fi;
    bool has_fi;
    struct stat st;
    mode_t mode;
    dev_t device;
    int number; /* what else there is: flags, what is to be set */
    off_t offset, other_offset;
    size_t length; /* of a range */
    char *name;    /* points into `bytes`, as does what follows */
    char *other_name;
    size_t size;  /* bytes of content */
    char bytes[]; /* what the request points to, for that is gone when this thread takes the next */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t leaving;

/*
 * A thread of libfuse ends, and its queue with it: only after all that came from there is answered.
 */
static void leave(void *argument)
{
    struct fs *fs = argument;

    workers_wait(fs->workers);
    threads_stop(fs);
}

static void make_key(void)
{
    (void)pthread_key_create(&leaving, leave);
}

/*
 * Called in each thread that libfuse serves from. It would cancel them at the end, in whatever they
 * are doing; it wakes them, too, and that is enough.
 */
static void enter(fuse_req_t req)
{
    pthread_once(&once, make_key);
    if (pthread_getspecific(leaving) == NULL) {
        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        (void)pthread_setspecific(leaving, fs_of(req));
    }
}

static void run(struct work *work)
{
    struct call *call = (struct call *)work; /* its first member */

    call->answer(call);
    free(call);
}

/* A call with room for `size` bytes; NULL without memory, after answering that. */
static struct call *new_call(fuse_req_t req, void (*answer)(struct call *call), size_t size)
{
    struct call *call = calloc(1, sizeof(*call) + size);

    enter(req);
    if (call == NULL) {
        fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    call->work.run = run;
    call->answer = answer;
    call->req = req;
    return call;
}

/* A call about one name, or two. */
static struct call *new_named(fuse_req_t req, void (*answer)(struct call *call), const char *name,
                              const char *other_name)
{
    const size_t length = strlen(name) + 1;
    const size_t other_length = other_name != NULL ? strlen(other_name) + 1 : 0;
    struct call *call = new_call(req, answer, length + other_length);

    if (call != NULL) {
        call->name = memcpy(call->bytes, name, length);
    }
    if (call != NULL && other_name != NULL) {
        call->other_name = memcpy(call->bytes + length, other_name, other_length);
    }
    return call;
}

/* A call about an open file; its content may be NULL. */
static struct call *new_opened(fuse_req_t req, void (*answer)(struct call *call), fuse_ino_t node,
                               const struct fuse_file_info *fi, const void *content, size_t size)
{
    struct call *call = new_call(req, answer, size);

    if (call == NULL) {
        return NULL;
    }
    call->node = node;
    call->has_fi = fi != NULL;
    if (fi != NULL) {
        call->fi = *fi;
    }
    if (size > 0) {
        call->size = size;
        memcpy(call->bytes, content, size);
    }
    return call;
}

static struct fuse_file_info *fi_of(struct call *call)
{
    return call->has_fi ? &call->fi : NULL;
}

/* Has a worker do it, or does it. */
static void hand_over(struct call *call)
{
    if (call != NULL && !workers_do(fs_of(call->req)->workers, &call->work)) {
        run(&call->work);
    }
}

/* ---- requests that wait for the disk ---- */

static void answer_mknod(struct call *call)
{
    request_mknod(call->req, call->node, call->name, call->mode, call->device);
}

static void take_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                       dev_t device)
{
    struct call *call = new_named(req, answer_mknod, name, NULL);

    if (call != NULL) {
        call->node = parent;
        call->mode = mode;
        call->device = device;
    }
    hand_over(call);
}

static void answer_create(struct call *call)
{
    request_create(call->req, call->node, call->name, call->mode, &call->fi);
}

static void take_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                        struct fuse_file_info *fi)
{
    struct call *call = new_named(req, answer_create, name, NULL);

    if (call != NULL) {
        call->node = parent;
        call->mode = mode;
        call->fi = *fi;
    }
    hand_over(call);
}

static void answer_unlink(struct call *call)
{
    request_unlink(call->req, call->node, call->name);
}

static void take_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct call *call = new_named(req, answer_unlink, name, NULL);

    if (call != NULL) {
        call->node = parent;
    }
    hand_over(call);
}

static void answer_rename(struct call *call)
{
    request_rename(call->req, call->node, call->name, call->other_node, call->other_name,
                   (unsigned)call->number);
}

static void take_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                        const char *new_name, unsigned flags)
{
    struct call *call = new_named(req, answer_rename, name, new_name);

    if (call != NULL) {
        call->node = parent;
        call->other_node = new_parent;
        call->number = (int)flags;
    }
    hand_over(call);
}

static void answer_setattr(struct call *call)
{
    request_setattr(call->req, call->node, &call->st, call->number, fi_of(call));
}

static void take_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
                         struct fuse_file_info *fi)
{
    struct call *call;

    if (!(to_set & FUSE_SET_ATTR_SIZE)) {
        enter(req);
        request_setattr(req, node, st, to_set, fi);
        return;
    }
    call = new_opened(req, answer_setattr, node, fi, NULL, 0);
    if (call != NULL) {
        call->st = *st;
        call->number = to_set;
    }
    hand_over(call);
}

static void answer_write(struct call *call)
{
    request_write(call->req, call->node, call->bytes, call->size, call->offset, fi_of(call));
}

static void take_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    struct call *call;

    if (fi == NULL || !(fi->flags & O_DSYNC)) {
        enter(req);
        request_write(req, node, data, size, offset, fi);
        return;
    }
    call = new_opened(req, answer_write, node, fi, data, size);
    if (call != NULL) {
        call->offset = offset;
    }
    hand_over(call);
}

/* Whether closing may have something to commit. */
static bool may_commit(const struct fuse_file_info *fi)
{
    struct handle *handle = fi != NULL ? handle_of(fi) : NULL;

    return handle != NULL && handle_may_commit(handle);
}

static void answer_flush(struct call *call)
{
    request_flush(call->req, call->node, fi_of(call));
}

static void take_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    if (may_commit(fi)) {
        hand_over(new_opened(req, answer_flush, node, fi, NULL, 0));
    } else {
        enter(req);
        request_flush(req, node, fi);
    }
}

static void answer_release(struct call *call)
{
    request_release(call->req, call->node, fi_of(call));
}

static void take_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    if (may_commit(fi)) {
        hand_over(new_opened(req, answer_release, node, fi, NULL, 0));
    } else {
        enter(req);
        request_release(req, node, fi);
    }
}

static void answer_fsync(struct call *call)
{
    request_fsync(call->req, call->node, call->number, fi_of(call));
}

static void take_fsync(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi)
{
    struct call *call = new_opened(req, answer_fsync, node, fi, NULL, 0);

    if (call != NULL) {
        call->number = data_only;
    }
    hand_over(call);
}

static void answer_fsyncdir(struct call *call)
{
    request_fsyncdir(call->req, call->node, call->number, fi_of(call));
}

static void take_fsyncdir(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi)
{
    struct call *call = new_opened(req, answer_fsyncdir, node, fi, NULL, 0);

    if (call != NULL) {
        call->number = data_only;
    }
    hand_over(call);
}

static void answer_fallocate(struct call *call)
{
    request_fallocate(call->req, call->node, call->number, call->offset, (off_t)call->length,
                      fi_of(call));
}

static void take_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length,
                           struct fuse_file_info *fi)
{
    struct call *call = new_opened(req, answer_fallocate, node, fi, NULL, 0);

    if (call != NULL) {
        call->number = mode;
        call->offset = offset;
        call->length = (size_t)length;
    }
    hand_over(call);
}

static void answer_copy(struct call *call)
{
    request_copy_file_range(call->req, call->node, call->offset, &call->fi, call->other_node,
                            call->other_offset, &call->other_fi, call->length, call->number);
}

static void take_copy(fuse_req_t req, fuse_ino_t from_node, off_t from,
                      struct fuse_file_info *from_fi, fuse_ino_t to_node, off_t to,
                      struct fuse_file_info *to_fi, size_t length, int flags)
{
    struct call *call = new_opened(req, answer_copy, from_node, from_fi, NULL, 0);

    if (call != NULL) {
        call->offset = from;
        call->other_node = to_node;
        call->other_offset = to;
        call->other_fi = *to_fi;
        call->length = length;
        call->number = flags;
    }
    hand_over(call);
}

/* ---- and those that do not, or seldom ---- */

/* The same as the request, in a thread that was entered. */
#define TAKE(name, parameters, arguments)                                                          \
    static void take_##name parameters                                                             \
    {                                                                                              \
        enter(req);                                                                                \
        request_##name arguments;                                                                  \
    }

TAKE(lookup, (fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
TAKE(forget, (fuse_req_t req, fuse_ino_t node, uint64_t references), (req, node, references))
TAKE(forget_multi, (fuse_req_t req, size_t count, struct fuse_forget_data *forgets),
     (req, count, forgets))
TAKE(getattr, (fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi), (req, node, fi))
TAKE(open, (fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi), (req, node, fi))
TAKE(read, (fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi),
     (req, node, size, offset, fi))
TAKE(opendir, (fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi), (req, node, fi))
TAKE(readdir,
     (fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi),
     (req, node, size, offset, fi))
TAKE(readdirplus,
     (fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi),
     (req, node, size, offset, fi))
TAKE(statfs, (fuse_req_t req, fuse_ino_t node), (req, node))
TAKE(ioctl,
     (fuse_req_t req, fuse_ino_t node, unsigned command, void *argument, struct fuse_file_info *fi,
      unsigned flags, const void *in, size_t in_size, size_t out_size),
     (req, node, command, argument, fi, flags, in, in_size, out_size))

void ring_wrap(struct fuse_lowlevel_ops *operations)
{
    operations->lookup = take_lookup;
    operations->forget = take_forget;
    operations->forget_multi = take_forget_multi;
    operations->getattr = take_getattr;
    operations->setattr = take_setattr;
    operations->mknod = take_mknod;
    operations->unlink = take_unlink;
    operations->rename = take_rename;
    operations->open = take_open;
    operations->read = take_read;
    operations->write = take_write;
    operations->flush = take_flush;
    operations->release = take_release;
    operations->fsync = take_fsync;
    operations->opendir = take_opendir;
    operations->readdir = take_readdir;
    operations->readdirplus = take_readdirplus;
    operations->fsyncdir = take_fsyncdir;
    operations->statfs = take_statfs;
    operations->create = take_create;
    operations->fallocate = take_fallocate;
    operations->ioctl = take_ioctl;
    operations->copy_file_range = take_copy;
}
