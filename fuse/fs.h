/* SPDX-License-Identifier: MIT */
/* One mounted page file: what every request needs. */
#ifndef FS_H
#define FS_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "map.h"
#include "mappedpages.h"
#include "node.h"

struct options;

struct fs {
    const struct options *options;
    const mpg_pager *pager; /* the open file */
    mpg_pager *writable;    /* the same, or NULL on a read-only mount */
    bool follows;           /* read-only beside a writer: see follow.h */
    size_t page_size;       /* bytes */
    uint64_t max_pages;     /* most pages the format can hold */
    uint64_t max_protected; /* most protected pages */
    char *path;             /* absolute path of the file; owned */
    int location;           /* its descriptor, the pager's own, for statvfs and stat */
    uid_t uid;              /* owner of everything */
    gid_t gid;
    mode_t mode;               /* permission bits of files */
    mode_t directory_mode;     /* and of directories */
    struct timespec time;      /* mtime of what was not changed in this mount */
    double timeout;            /* seconds for which the kernel may keep names and attributes */
    bool no_open;              /* the kernel does without open and opendir requests */
    bool no_opendir;           /* the kernel does without opendir requests */
    atomic_bool greeted;       /* the first answer was given, the one to INIT: see device.h */
    atomic_bool warned_unseen; /* it was logged that a client cannot be seen in /proc */
    struct fuse_session *session;
    void (*serving)(void *context); /* called once, when the kernel is being answered */
    void *serving_context;
    struct nodes *nodes;
    struct attributes *attributes;
    struct scratch *scratch;
    struct last *last;   /* NULL on a read-only mount */
    struct batch *batch; /* likewise */
    struct snapshots *snapshots;
    pthread_mutex_t handles_mutex;
    struct handle *handles;  /* all that are open */
    struct map openers;      /* those that may be truncated yet, by node and thread; same lock */
    struct ahead *ahead;     /* NULL if nothing is pushed ahead */
    struct ticker *follower; /* NULL: not started, or ended */
    struct ticker *timer;    /* NULL: everything is durable at once */
    atomic_bool unsynced;    /* something was allocated or freed since the last timed sync */
    struct budget *staged;   /* memory for what handles stage, */
    uint64_t stage_limit;    /* … and how much that is, in bytes */
    struct cached *cached;   /* protected pages that the kernel caches */
    struct workers *workers; /* for what may wait, if requests may come through io_uring; or NULL */
};

static inline struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* Whether a page of that id, and kind, is there. Returns 0, ENOENT or another errno. */
int fs_page_exists(const struct fs *fs, enum node_kind kind, uint64_t id);

/* Frees a page of either kind: MPG_E_ code. */
int fs_free_page(struct fs *fs, enum node_kind kind, uint64_t id);

/*
 * A buffer of this thread, at least `length` bytes, valid until the next call; NULL without memory.
 */
void *fs_buffer(size_t length);

#endif
