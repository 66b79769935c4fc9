/* SPDX-License-Identifier: MIT */
#include "attributes.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"
#include "map.h"
#include "options.h"
#include "scratch.h"

/* Bytes that tools are told to read and write at a time, at most. */
#define BLOCK_MAX (1u << 20)

/*
 * Inode numbers as people see them. Regular pages have their own number, from NODE_FIRST_PAGE on
 * and below NODE_ID_LIMIT; everything else has its place above.
 */
#define INODE_PROTECTED (UINT64_C(1) << 48)
#define INODE_RAW (UINT64_C(1) << 49)
#define INODE_SCRATCH (UINT64_C(1) << 50)
#define INODE_FIXED (UINT64_C(1) << 51)

/* Values of what was set or changed in this mount. */
enum { SET_WHAT, SET_OWNER, SET_TIME };
/* SET_WHAT: these flags, and the mode in the low bits. SET_OWNER: uid in the high half, gid low. */
#define SET_MODE (1u << 16)
#define SET_UID (1u << 17)
#define SET_GID (1u << 18)
#define SET_MTIME (1u << 19)
#define MODE_BITS 0777u

struct attributes {
    pthread_mutex_t mutex;
    struct map set; /* by plain node */
};

struct attributes *attributes_new(void)
{
    struct attributes *attributes = calloc(1, sizeof(*attributes));

    if (attributes != NULL) {
        pthread_mutex_init(&attributes->mutex, NULL);
    }
    return attributes;
}

void attributes_free(struct attributes *attributes)
{
    if (attributes == NULL) {
        return;
    }
    map_free(&attributes->set);
    pthread_mutex_destroy(&attributes->mutex);
    free(attributes);
}

static uint64_t pack_time(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

static struct timespec unpack_time(uint64_t packed)
{
    int64_t nanoseconds = (int64_t)packed;
    struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};

    if (time.tv_nsec < 0) {
        time.tv_sec--;
        time.tv_nsec += 1000000000;
    }
    return time;
}

/* Puts what was set onto the attributes that the page file gives. */
static void apply_set(struct attributes *attributes, const struct target *target, struct stat *st)
{
    const uint64_t *set;

    pthread_mutex_lock(&attributes->mutex);
    set = map_find(&attributes->set, node_plain(target->kind, target->id));
    if (set != NULL) {
        if (set[SET_WHAT] & SET_MODE) {
            st->st_mode = (st->st_mode & S_IFMT) | (set[SET_WHAT] & MODE_BITS);
        }
        if (set[SET_WHAT] & SET_UID) {
            st->st_uid = (uid_t)(set[SET_OWNER] >> 32);
        }
        if (set[SET_WHAT] & SET_GID) {
            st->st_gid = (gid_t)(set[SET_OWNER] & UINT32_MAX);
        }
        if (set[SET_WHAT] & SET_MTIME) {
            st->st_mtim = unpack_time(set[SET_TIME]);
        }
    }
    pthread_mutex_unlock(&attributes->mutex);
}

static bool is_directory(const struct target *target)
{
    return target->kind == NODE_FIXED && target->id != FIXED_INFO;
}

void attributes_brief(const struct target *target, struct stat *st)
{
    static const uint64_t first_inode[] = {
        [NODE_FIXED] = INODE_FIXED,         [NODE_PAGE] = 0,
        [NODE_PROTECTED] = INODE_PROTECTED, [NODE_RAW] = INODE_RAW,
        [NODE_SCRATCH] = INODE_SCRATCH,
    };

    memset(st, 0, sizeof(*st));
    st->st_ino = first_inode[target->kind] + target->id;
    if (target->kind == NODE_FIXED && target->id == FIXED_ROOT) {
        st->st_ino = FIXED_ROOT;
    }
    st->st_mode = is_directory(target) ? S_IFDIR : S_IFREG;
}

int attributes_get(struct fs *fs, const struct target *target, struct stat *st)
{
    int error = 0;

    attributes_brief(target, st);
    st->st_uid = fs->uid;
    st->st_gid = fs->gid;
    st->st_mtim = fs->time;
    st->st_nlink = 1;
    st->st_size = (off_t)fs->page_size;
    st->st_mode |= fs->mode & (fs->writable != NULL ? 0666 : 0444);
    switch (target->kind) {
    case NODE_PAGE:
    case NODE_PROTECTED:
        /* Two links: editors then write in place instead of replacing the file. */
        st->st_nlink = 2;
        error = fs_page_exists(fs, target->kind, target->id);
        break;
    case NODE_RAW:
        st->st_mode &= ~(mode_t)0222;
        error = fs_page_exists(fs, target->kind, target->id);
        break;
    case NODE_SCRATCH:
        return scratch_attributes(fs->scratch, target->id, st);
    case NODE_FIXED:
        if (target->id == FIXED_INFO) {
            st->st_mode &= ~(mode_t)0222;
            st->st_size = (off_t)info_length(fs);
            break;
        }
        st->st_nlink = target->id == FIXED_ROOT ? 4 + (fs->options->raw != 0) : 2;
        st->st_size = 0;
        st->st_mode = S_IFDIR | fs->directory_mode;
        break;
    }
    st->st_blksize = fs->page_size < BLOCK_MAX ? (blksize_t)fs->page_size : (blksize_t)BLOCK_MAX;
    st->st_blocks = (st->st_size + 511) / 512;
    apply_set(fs->attributes, target, st);
    st->st_ctim = st->st_mtim;
    st->st_atim = st->st_mtim;
    return error;
}

/* Records what was set. Called with the lock held. */
static int record(struct attributes *attributes, uint64_t key, const struct stat *st, int to_set)
{
    uint64_t *set = map_put(&attributes->set, key);
    struct timespec time = st->st_mtim;

    if (set == NULL) {
        return ENOMEM;
    }
    if (to_set & FUSE_SET_ATTR_MODE) {
        set[SET_WHAT] =
            (set[SET_WHAT] & ~(uint64_t)MODE_BITS) | SET_MODE | (st->st_mode & MODE_BITS);
    }
    if (to_set & FUSE_SET_ATTR_UID) {
        set[SET_OWNER] = (set[SET_OWNER] & UINT32_MAX) | (uint64_t)st->st_uid << 32;
        set[SET_WHAT] |= SET_UID;
    }
    if (to_set & FUSE_SET_ATTR_GID) {
        set[SET_OWNER] = (set[SET_OWNER] & ~(uint64_t)UINT32_MAX) | st->st_gid;
        set[SET_WHAT] |= SET_GID;
    }
    if (to_set & FUSE_SET_ATTR_MTIME_NOW) {
        clock_gettime(CLOCK_REALTIME, &time);
    }
    if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
        set[SET_TIME] = pack_time(&time);
        set[SET_WHAT] |= SET_MTIME;
    }
    return 0;
}

#define RECORDED                                                                                   \
    (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_MTIME |            \
     FUSE_SET_ATTR_MTIME_NOW)

int attributes_set(struct fs *fs, const struct target *target, const struct stat *st, int to_set)
{
    int error;

    if (target->kind == NODE_RAW || (target->kind == NODE_FIXED && target->id >= FIXED_RAW)) {
        return EPERM;
    }
    if ((to_set & RECORDED) == 0) {
        return 0; /* an access time, for instance */
    }
    if (target->kind == NODE_SCRATCH) {
        return scratch_set(fs->scratch, target->id, st, to_set);
    }
    pthread_mutex_lock(&fs->attributes->mutex);
    error = record(fs->attributes, node_plain(target->kind, target->id), st, to_set);
    pthread_mutex_unlock(&fs->attributes->mutex);
    return error;
}

void attributes_touch(struct fs *fs, enum node_kind kind, uint64_t id)
{
    struct stat now = {0};

    pthread_mutex_lock(&fs->attributes->mutex);
    /* Without memory the time stays what it was. */
    (void)record(fs->attributes, node_plain(kind, id), &now, FUSE_SET_ATTR_MTIME_NOW);
    pthread_mutex_unlock(&fs->attributes->mutex);
}

void attributes_give(struct fs *fs, enum node_kind kind, uint64_t id, const struct stat *st)
{
    pthread_mutex_lock(&fs->attributes->mutex);
    (void)record(fs->attributes, node_plain(kind, id), st,
                 FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_MTIME);
    pthread_mutex_unlock(&fs->attributes->mutex);
}

void attributes_drop(struct fs *fs, enum node_kind kind, uint64_t id)
{
    pthread_mutex_lock(&fs->attributes->mutex);
    map_remove(&fs->attributes->set, node_plain(kind, id));
    pthread_mutex_unlock(&fs->attributes->mutex);
}
