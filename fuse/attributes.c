/* SPDX-License-Identifier: MIT */
#include "attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
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

/* Values of what was set or changed in this mount, by plain node. */
enum {
    SET_WHAT,  /* flags below, mode in the low bits, nanoseconds of the mtime in the high half */
    SET_OWNER, /* uid in the high half, gid in the low one */
    SET_TIME,  /* seconds of the mtime */
};
#define SET_MODE (1u << 16)
#define SET_UID (1u << 17)
#define SET_GID (1u << 18)
#define SET_MTIME (1u << 19)
#define SET_TIMES (1u << 20) /* there are values in `times`, too */
#define MODE_BITS 0777u
#define MODE_NOT_KEPT (S_ISUID | S_ISGID | S_ISVTX)

/* Values of times that differ from the mtime, by plain node: only after one was set. */
enum {
    TIMES_ACCESS,      /* seconds */
    TIMES_CHANGE,      /* seconds */
    TIMES_NANOSECONDS, /* of access in the high half, of change in the low one */
};

struct attributes {
    pthread_mutex_t mutex;
    struct map set;
    struct map times;
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
    map_free(&attributes->times);
    pthread_mutex_destroy(&attributes->mutex);
    free(attributes);
}

static struct timespec time_of(uint64_t seconds, uint64_t nanoseconds)
{
    return (struct timespec){(time_t)seconds, (long)nanoseconds};
}

static struct timespec mtime_of(const uint64_t *set)
{
    return time_of(set[SET_TIME], set[SET_WHAT] >> 32);
}

/* Puts what was set onto the attributes that the page file gives. Called with the lock held. */
static void apply(const struct attributes *attributes, uint64_t key, struct stat *st)
{
    const uint64_t *set = map_find(&attributes->set, key);
    const uint64_t *times;

    if (set == NULL) {
        return;
    }
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
        st->st_mtim = st->st_ctim = st->st_atim = mtime_of(set);
    }
    times = (set[SET_WHAT] & SET_TIMES) ? map_find(&attributes->times, key) : NULL;
    if (times != NULL) {
        st->st_atim = time_of(times[TIMES_ACCESS], times[TIMES_NANOSECONDS] >> 32);
        st->st_ctim = time_of(times[TIMES_CHANGE], times[TIMES_NANOSECONDS] & UINT32_MAX);
    }
}

static bool is_directory(const struct target *target)
{
    return target->kind == NODE_FIXED && target->id < FIXED_INFO;
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

/* When the file changed: before it was mounted, but for a writer that is followed. */
static struct timespec time_of_file(const struct fs *fs)
{
    struct stat st;

    return fs->follows && fstatat(fs->location, "", &st, AT_EMPTY_PATH) == 0 ? st.st_mtim
                                                                             : fs->time;
}

/* Of directories, and of files that tell something. */
static void fixed_attributes(const struct fs *fs, const struct target *target, struct stat *st)
{
    if (is_directory(target)) {
        st->st_nlink = target->id == FIXED_ROOT ? 4 + (fs->options->raw != 0) : 2;
        st->st_size = 0;
        st->st_mode = S_IFDIR | fs->directory_mode;
    } else {
        st->st_mode &= batch_is(target) ? ~(mode_t)0022 : ~(mode_t)0222;
        /* What "last" and "batch" tell depends on who asks. */
        st->st_size = info_is(target) ? (off_t)info_length(fs, target) : 0;
    }
}

int attributes_get(struct fs *fs, const struct target *target, struct stat *st)
{
    int error = 0;

    attributes_brief(target, st);
    st->st_uid = fs->uid;
    st->st_gid = fs->gid;
    st->st_mtim = st->st_ctim = st->st_atim = time_of_file(fs);
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
        fixed_attributes(fs, target, st);
        break;
    }
    st->st_blksize = fs->page_size < BLOCK_MAX ? (blksize_t)fs->page_size : (blksize_t)BLOCK_MAX;
    st->st_blocks = (st->st_size + 511) / 512;
    pthread_mutex_lock(&fs->attributes->mutex);
    apply(fs->attributes, node_plain(target->kind, target->id), st);
    pthread_mutex_unlock(&fs->attributes->mutex);
    return error;
}

/* The functions below are called with the lock held, and return 0 or ENOMEM. */

static int set_mtime(struct attributes *attributes, uint64_t key, const struct timespec *time)
{
    uint64_t *set = map_put(&attributes->set, key);

    if (set == NULL) {
        return ENOMEM;
    }
    set[SET_TIME] = (uint64_t)time->tv_sec;
    set[SET_WHAT] = (set[SET_WHAT] & UINT32_MAX) | (uint64_t)time->tv_nsec << 32 | SET_MTIME;
    return 0;
}

/* The times that are not the mtime; they stay what they are then, whatever that becomes. */
static int set_times(struct attributes *attributes, uint64_t key, const struct timespec *access,
                     const struct timespec *change)
{
    uint64_t *times = map_put(&attributes->times, key);
    uint64_t *set = times != NULL ? map_put(&attributes->set, key) : NULL;

    if (set == NULL) {
        map_remove(&attributes->times, key);
        return ENOMEM;
    }
    set[SET_WHAT] |= SET_TIMES;
    times[TIMES_ACCESS] = (uint64_t)access->tv_sec;
    times[TIMES_CHANGE] = (uint64_t)change->tv_sec;
    times[TIMES_NANOSECONDS] = (uint64_t)access->tv_nsec << 32 | (uint64_t)change->tv_nsec;
    return 0;
}

static int set_mode_and_owner(struct attributes *attributes, uint64_t key, const struct stat *st,
                              int to_set)
{
    uint64_t *set = map_put(&attributes->set, key);

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
    return 0;
}

#define SETS_OWNER (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)
#define SETS_ACCESS (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)
#define SETS_MODIFICATION (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)

/* Sets what is asked for; `was` are the attributes as they are. */
static int set(struct attributes *attributes, uint64_t key, const struct stat *was,
               const struct stat *st, int to_set)
{
    struct timespec access = was->st_atim, modification = was->st_mtim, now;
    int error;

    clock_gettime(CLOCK_REALTIME, &now);
    if (to_set & SETS_ACCESS) {
        access = to_set & FUSE_SET_ATTR_ATIME_NOW ? now : st->st_atim;
    }
    if (to_set & SETS_MODIFICATION) {
        modification = to_set & FUSE_SET_ATTR_MTIME_NOW ? now : st->st_mtim;
    }
    error = set_times(attributes, key, &access, &now);
    if (error == 0 && (to_set & (FUSE_SET_ATTR_MODE | SETS_OWNER))) {
        error = set_mode_and_owner(attributes, key, st, to_set);
    }
    if (error == 0 && (to_set & SETS_MODIFICATION)) {
        error = set_mtime(attributes, key, &modification);
    }
    return error;
}

int attributes_set(struct fs *fs, const struct target *target, const struct stat *st, int to_set)
{
    const uint64_t key = node_plain(target->kind, target->id);
    struct stat was;
    int error;

    if ((to_set & (FUSE_SET_ATTR_MODE | SETS_OWNER | SETS_ACCESS | SETS_MODIFICATION)) == 0) {
        return 0;
    }
    if (target->kind == NODE_RAW || (target->kind == NODE_FIXED && target->id >= FIXED_RAW)) {
        return EPERM;
    }
    if ((to_set & FUSE_SET_ATTR_MODE) && (st->st_mode & MODE_NOT_KEPT)) {
        return EPERM;
    }
    if (target->kind == NODE_SCRATCH) {
        return scratch_set(fs->scratch, target->id, st, to_set);
    }
    error = attributes_get(fs, target, &was);
    if (error != 0) {
        return error;
    }
    pthread_mutex_lock(&fs->attributes->mutex);
    error = set(fs->attributes, key, &was, st, to_set);
    pthread_mutex_unlock(&fs->attributes->mutex);
    return error;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

void attributes_written(struct fs *fs, enum node_kind kind, uint64_t id,
                        const struct timespec *written)
{
    struct attributes *attributes = fs->attributes;
    const uint64_t key = node_plain(kind, id);
    struct stat was = {0};
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&attributes->mutex);
    if (map_find(&attributes->times, key) == NULL) {
        /* Without memory the time stays what it was; here and below. */
        (void)set_mtime(attributes, key, &now);
    } else {
        apply(attributes, key, &was);
        if (written == NULL || is_before(&was.st_ctim, written)) {
            (void)set_mtime(attributes, key, &now);
            (void)set_times(attributes, key, &was.st_atim, &now);
        }
    }
    pthread_mutex_unlock(&attributes->mutex);
}

void attributes_touch(struct fs *fs, enum node_kind kind, uint64_t id)
{
    attributes_written(fs, kind, id, NULL);
}

int attributes_create(struct fs *fs, enum node_kind kind, uint64_t id, const struct stat *st)
{
    struct attributes *attributes = fs->attributes;
    const uint64_t key = node_plain(kind, id);
    struct timespec now;
    int error;

    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&attributes->mutex);
    error = set_mode_and_owner(attributes, key, st, FUSE_SET_ATTR_MODE | SETS_OWNER);
    if (error == 0) {
        error = set_mtime(attributes, key, &now);
    }
    pthread_mutex_unlock(&attributes->mutex);
    return error;
}

void attributes_give(struct fs *fs, enum node_kind kind, uint64_t id, const struct stat *st)
{
    struct attributes *attributes = fs->attributes;
    const uint64_t key = node_plain(kind, id);
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&attributes->mutex);
    (void)set_mode_and_owner(attributes, key, st, FUSE_SET_ATTR_MODE | SETS_OWNER);
    (void)set_mtime(attributes, key, &st->st_mtim);
    (void)set_times(attributes, key, &st->st_atim, &now);
    pthread_mutex_unlock(&attributes->mutex);
}

void attributes_drop(struct fs *fs, enum node_kind kind, uint64_t id)
{
    const uint64_t key = node_plain(kind, id);

    pthread_mutex_lock(&fs->attributes->mutex);
    map_remove(&fs->attributes->set, key);
    map_remove(&fs->attributes->times, key);
    pthread_mutex_unlock(&fs->attributes->mutex);
}
