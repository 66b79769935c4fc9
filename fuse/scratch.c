/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "map.h"
#include "name.h"
#include "scratch_table.h"

/* What a file costs of the limit besides its content: itself, its name, its part of the tables. */
#define OVERHEAD 512u
/* Bytes that a growing file is given beyond what it needs now, at most. */
#define SLACK_MAX (64u << 10)
/* Files that are named, each, when the mount takes them with it. */
#define NAMED_MAX 50

struct scratch {
    pthread_mutex_t mutex; /* for everything */
    struct scratch_table table;
    uint64_t next_serial;
    struct map taken; /* bytes of memory by user id + 1 */
    uint64_t used;    /* bytes of memory */
    uint64_t limit;
    uid_t master; /* the user whose mount it is */
};

struct scratch *scratch_new(uint64_t limit, uid_t master)
{
    struct scratch *scratch = calloc(1, sizeof(*scratch));

    if (scratch != NULL && scratch_table_init(&scratch->table) != 0) {
        free(scratch);
        return NULL;
    }
    if (scratch != NULL) {
        pthread_mutex_init(&scratch->mutex, NULL);
        scratch->limit = limit;
        scratch->master = master;
        scratch->next_serial = 1;
    }
    return scratch;
}

/* Says which files of a directory are lost, up to a number of them in all. */
static void log_lost(const struct scratch *scratch, enum fixed_node directory, size_t *logged)
{
    const struct scratch_file *file = scratch_behind(&scratch->table, directory, 0);

    for (; file != NULL && *logged < NAMED_MAX;
         file = scratch_behind(&scratch->table, directory, file->place)) {
        char shown[NAME_SHOWN_SIZE];

        name_show(shown, file->name);
        log_line(LOG_WARNING, "lost with the mount: scratch file %s/%s, %" PRIu64 " bytes",
                 directory == FIXED_PAGES ? "pages" : "protected", shown, file->size);
        (*logged)++;
    }
}

void scratch_free(struct scratch *scratch)
{
    size_t left, logged = 0;

    if (scratch == NULL) {
        return;
    }
    left = scratch->table.named;
    if (left > 0) {
        log_line(LOG_WARNING, "%zu scratch file%s gone with the mount", left,
                 left == 1 ? " is" : "s are");
        log_lost(scratch, FIXED_PAGES, &logged);
        log_lost(scratch, FIXED_PROTECTED, &logged);
    }
    if (left > logged) {
        log_line(LOG_WARNING, "lost with the mount: %zu more", left - logged);
    }
    scratch_table_free(&scratch->table);
    map_free(&scratch->taken);
    pthread_mutex_destroy(&scratch->mutex);
    free(scratch);
}

/* All below are called with the lock held. */

/* Counts memory as a user's; ENOSPC if that is too much. */
static int take(struct scratch *scratch, uid_t payer, uint64_t bytes)
{
    const bool guest = payer != 0 && payer != scratch->master;
    uint64_t *taken = map_put(&scratch->taken, (uint64_t)payer + 1);
    uint64_t left = scratch->limit - scratch->used;

    if (taken == NULL || bytes > left || (guest && taken[0] + bytes > left - bytes)) {
        if (taken != NULL && taken[0] == 0) {
            map_remove(&scratch->taken, (uint64_t)payer + 1);
        }
        return ENOSPC;
    }
    taken[0] += bytes;
    scratch->used += bytes;
    return 0;
}

static void give_back(struct scratch *scratch, uid_t payer, uint64_t bytes)
{
    uint64_t *taken = map_find(&scratch->taken, (uint64_t)payer + 1);

    scratch->used -= bytes;
    if (taken != NULL) {
        taken[0] -= bytes;
        if (taken[0] == 0) {
            map_remove(&scratch->taken, (uint64_t)payer + 1);
        }
    }
}

static void delete_file(struct scratch *scratch, struct scratch_file *file)
{
    give_back(scratch, file->payer, OVERHEAD + file->capacity);
    scratch_delete(&scratch->table, file);
}

static void drop_name(struct scratch *scratch, struct scratch_file *file)
{
    scratch_take_name(&scratch->table, file);
    if (file->references == 0) {
        delete_file(scratch, file);
    }
}

/* Gives the data room for `size` bytes, zero where new. */
static int reserve(struct scratch *scratch, struct scratch_file *file, uint64_t size)
{
    uint64_t wanted = size + (size / 4 < SLACK_MAX ? size / 4 : SLACK_MAX);
    unsigned char *data;

    if (size <= file->capacity) {
        return 0;
    }
    if (take(scratch, file->payer, wanted - file->capacity) != 0) {
        wanted = size;
        if (take(scratch, file->payer, wanted - file->capacity) != 0) {
            return ENOSPC;
        }
    }
    data = realloc(file->data, wanted);
    if (data == NULL) {
        give_back(scratch, file->payer, wanted - file->capacity);
        return ENOSPC;
    }
    memset(data + file->capacity, 0, wanted - file->capacity);
    file->data = data;
    file->capacity = wanted;
    return 0;
}

/* Cuts a file, and gives back what memory that sets free. */
static void cut(struct scratch *scratch, struct scratch_file *file, uint64_t size)
{
    unsigned char *data = NULL;

    if (size > 0) {
        data = realloc(file->data, size);
        if (data == NULL) {
            memset(file->data + size, 0, file->size - size);
            file->size = size;
            return;
        }
    } else {
        free(file->data);
    }
    give_back(scratch, file->payer, file->capacity - size);
    file->data = data;
    file->size = file->capacity = size;
}

static void touch(struct scratch_file *file)
{
    clock_gettime(CLOCK_REALTIME, &file->mtime);
    file->ctime = file->mtime;
}

/* The public functions. */

static void lock(struct scratch *scratch)
{
    pthread_mutex_lock(&scratch->mutex);
}

static int unlock(struct scratch *scratch, int error)
{
    pthread_mutex_unlock(&scratch->mutex);
    return error;
}

/* A file without a name; NULL without memory. */
static struct scratch_file *make_file(struct scratch *scratch, const struct stat *st, uid_t payer)
{
    struct scratch_file *file = calloc(1, sizeof(*file));

    if (file == NULL) {
        return NULL;
    }
    file->serial = scratch->next_serial;
    file->references = 1;
    file->payer = payer;
    file->mode = st->st_mode & 0777;
    file->uid = st->st_uid;
    file->gid = st->st_gid;
    touch(file);
    file->atime = file->mtime;
    if (scratch_add(&scratch->table, file) != 0) {
        free(file);
        return NULL;
    }
    scratch->next_serial++;
    return file;
}

int scratch_create(struct scratch *scratch, enum fixed_node directory, const char *name,
                   const struct stat *st, uint64_t *serial)
{
    const uid_t payer = st->st_uid;
    struct scratch_file *file;

    lock(scratch);
    if (scratch_by_name(&scratch->table, directory, name) != NULL) {
        return unlock(scratch, EEXIST);
    }
    if (take(scratch, payer, OVERHEAD) != 0) {
        return unlock(scratch, ENOSPC);
    }
    file = make_file(scratch, st, payer);
    if (file == NULL) {
        give_back(scratch, payer, OVERHEAD);
        return unlock(scratch, ENOSPC);
    }
    if (scratch_give_name(&scratch->table, file, directory, name) != 0) {
        delete_file(scratch, file);
        return unlock(scratch, ENOSPC);
    }
    *serial = file->serial;
    return unlock(scratch, 0);
}

static int find(struct scratch *scratch, enum fixed_node directory, const char *name,
                uint64_t *serial, unsigned references)
{
    struct scratch_file *file;

    lock(scratch);
    file = scratch_by_name(&scratch->table, directory, name);
    if (file != NULL) {
        file->references += references;
        *serial = file->serial;
    }
    return unlock(scratch, file != NULL ? 0 : ENOENT);
}

int scratch_lookup(struct scratch *scratch, enum fixed_node directory, const char *name,
                   uint64_t *serial)
{
    return find(scratch, directory, name, serial, 1);
}

int scratch_find(struct scratch *scratch, enum fixed_node directory, const char *name,
                 uint64_t *serial)
{
    return find(scratch, directory, name, serial, 0);
}

void scratch_reference(struct scratch *scratch, uint64_t serial)
{
    struct scratch_file *file;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL) {
        file->references++;
    }
    (void)unlock(scratch, 0);
}

void scratch_forget(struct scratch *scratch, uint64_t serial, uint64_t references)
{
    struct scratch_file *file;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL) {
        file->references -= references < file->references ? references : file->references;
        if (file->references == 0 && file->directory == 0) {
            delete_file(scratch, file);
        }
    }
    (void)unlock(scratch, 0);
}

int scratch_unlink(struct scratch *scratch, enum fixed_node directory, const char *name)
{
    struct scratch_file *file;

    lock(scratch);
    file = scratch_by_name(&scratch->table, directory, name);
    if (file != NULL) {
        drop_name(scratch, file);
    }
    return unlock(scratch, file != NULL ? 0 : ENOENT);
}

int scratch_rename(struct scratch *scratch, uint64_t serial, enum fixed_node directory,
                   const char *name)
{
    struct scratch_file *file, *other;
    int error = ENOENT;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    other = scratch_by_name(&scratch->table, directory, name);
    if (file != NULL && other == file) {
        error = 0;
    } else if (file != NULL) {
        error = scratch_give_name(&scratch->table, file, directory, name);
        if (error == 0 && other != NULL) {
            drop_name(scratch, other);
        }
    }
    return unlock(scratch, error);
}

int scratch_attributes(struct scratch *scratch, uint64_t serial, struct stat *st)
{
    const struct scratch_file *file;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL) {
        st->st_mode = S_IFREG | file->mode;
        st->st_uid = file->uid;
        st->st_gid = file->gid;
        st->st_size = (off_t)file->size;
        st->st_blocks = (blkcnt_t)((file->size + 511) / 512);
        st->st_blksize = 4096;
        st->st_nlink = file->directory != 0;
        st->st_atim = file->atime;
        st->st_mtim = file->mtime;
        st->st_ctim = file->ctime;
    }
    return unlock(scratch, file != NULL ? 0 : ESTALE);
}

static void set(struct scratch_file *file, const struct stat *st, int to_set)
{
    clock_gettime(CLOCK_REALTIME, &file->ctime);
    if (to_set & FUSE_SET_ATTR_MODE) {
        file->mode = st->st_mode & 0777;
    }
    if (to_set & FUSE_SET_ATTR_UID) {
        file->uid = st->st_uid;
    }
    if (to_set & FUSE_SET_ATTR_GID) {
        file->gid = st->st_gid;
    }
    if (to_set & FUSE_SET_ATTR_ATIME_NOW) {
        file->atime = file->ctime;
    } else if (to_set & FUSE_SET_ATTR_ATIME) {
        file->atime = st->st_atim;
    }
    if (to_set & FUSE_SET_ATTR_MTIME_NOW) {
        file->mtime = file->ctime;
    } else if (to_set & FUSE_SET_ATTR_MTIME) {
        file->mtime = st->st_mtim;
    }
}

int scratch_set(struct scratch *scratch, uint64_t serial, const struct stat *st, int to_set)
{
    struct scratch_file *file;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL) {
        set(file, st, to_set);
    }
    return unlock(scratch, file != NULL ? 0 : ESTALE);
}

int scratch_truncate(struct scratch *scratch, uint64_t serial, uint64_t size)
{
    struct scratch_file *file;
    int error = ESTALE;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL && size < file->size) {
        cut(scratch, file, size);
        error = 0;
    } else if (file != NULL) {
        error = reserve(scratch, file, size);
        file->size = error == 0 ? size : file->size;
    }
    if (error == 0) {
        touch(file);
    }
    return unlock(scratch, error);
}

int scratch_read(struct scratch *scratch, uint64_t serial, void *data, uint64_t offset,
                 size_t *length)
{
    const struct scratch_file *file;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL) {
        uint64_t there = offset < file->size ? file->size - offset : 0;

        if (*length > there) {
            *length = there;
        }
        if (*length > 0) {
            memcpy(data, file->data + offset, *length);
        }
    }
    return unlock(scratch, file != NULL ? 0 : ESTALE);
}

int scratch_write(struct scratch *scratch, uint64_t serial, const void *data, uint64_t offset,
                  size_t length)
{
    struct scratch_file *file;
    int error = ESTALE;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL) {
        error = reserve(scratch, file, offset + length);
        if (error == 0 && length > 0) {
            memcpy(file->data + offset, data, length);
            if (offset + length > file->size) {
                file->size = offset + length;
            }
            touch(file);
        }
    }
    return unlock(scratch, error);
}

int scratch_zero(struct scratch *scratch, uint64_t serial, uint64_t offset, uint64_t length,
                 bool grow)
{
    struct scratch_file *file;
    int error = ESTALE;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL) {
        uint64_t end = offset + length;

        error = grow ? reserve(scratch, file, end) : 0;
        if (error == 0) {
            if (grow && end > file->size) {
                file->size = end;
            }
            if (offset < file->size) {
                memset(file->data + offset, 0, (end < file->size ? end : file->size) - offset);
            }
            touch(file);
        }
    }
    return unlock(scratch, error);
}

int scratch_next(struct scratch *scratch, enum fixed_node directory, uint64_t *place,
                 uint64_t *serial, char *name)
{
    const struct scratch_file *file;

    lock(scratch);
    file = scratch_behind(&scratch->table, directory, *place);
    if (file != NULL) {
        *place = file->place;
        *serial = file->serial;
        memcpy(name, file->name, strlen(file->name) + 1);
    }
    return unlock(scratch, file != NULL ? 0 : ENOENT);
}

int scratch_copy(struct scratch *scratch, uint64_t serial, void *data, size_t padded)
{
    const struct scratch_file *file;
    int error = ESTALE;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL) {
        error = file->size > padded ? EFBIG : 0;
        if (error == 0) {
            memset(data, 0, padded);
            if (file->size > 0) {
                memcpy(data, file->data, file->size);
            }
        }
    }
    return unlock(scratch, error);
}

void scratch_remove(struct scratch *scratch, uint64_t serial)
{
    struct scratch_file *file;

    lock(scratch);
    file = scratch_by_serial(&scratch->table, serial);
    if (file != NULL) {
        delete_file(scratch, file);
    }
    (void)unlock(scratch, 0);
}
