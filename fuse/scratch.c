/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* What a file costs of the limit besides its content. */
#define OVERHEAD 512u

struct scratch_file {
    struct scratch_file *next; /* in ascending order of serial numbers */
    uint64_t serial;
    uint64_t references;       /* the kernel's */
    enum fixed_node directory; /* where its name is, or 0: it has none */
    char name[NAME_MAX + 1];
    unsigned char *data; /* owned */
    uint64_t size;       /* bytes of content */
    uint64_t capacity;   /* bytes data has room for; those beyond size are zero */
    mode_t mode;         /* permission bits */
    uid_t uid;
    gid_t gid;
    struct timespec mtime;
};

struct scratch {
    pthread_mutex_t mutex;      /* for everything */
    struct scratch_file *files; /* owned */
    struct scratch_file *last;  /* the end of the list */
    uint64_t next_serial;
    uint64_t used; /* bytes of memory */
    uint64_t limit;
};

struct scratch *scratch_new(uint64_t limit)
{
    struct scratch *scratch = calloc(1, sizeof(*scratch));

    if (scratch != NULL) {
        pthread_mutex_init(&scratch->mutex, NULL);
        scratch->limit = limit;
        scratch->next_serial = 1;
    }
    return scratch;
}

void scratch_free(struct scratch *scratch)
{
    size_t left = 0;

    if (scratch == NULL) {
        return;
    }
    while (scratch->files != NULL) {
        struct scratch_file *file = scratch->files;

        left += file->directory != 0;
        scratch->files = file->next;
        free(file->data);
        free(file);
    }
    if (left > 0) {
        log_line(LOG_WARNING, "%zu scratch file%s gone with the mount", left,
                 left == 1 ? " is" : "s are");
    }
    pthread_mutex_destroy(&scratch->mutex);
    free(scratch);
}

/* All below are called with the lock held. */

static struct scratch_file *by_serial(const struct scratch *scratch, uint64_t serial)
{
    struct scratch_file *file = scratch->files;

    while (file != NULL && file->serial != serial) {
        file = file->next;
    }
    return file;
}

static struct scratch_file *by_name(const struct scratch *scratch, enum fixed_node directory,
                                    const char *name)
{
    struct scratch_file *file = scratch->files;

    while (file != NULL && (file->directory != directory || strcmp(file->name, name) != 0)) {
        file = file->next;
    }
    return file;
}

static void delete_file(struct scratch *scratch, const struct scratch_file *file)
{
    struct scratch_file **link = &scratch->files;
    struct scratch_file *before = NULL;
    struct scratch_file *gone;

    while (*link != file) {
        before = *link;
        link = &before->next;
    }
    gone = *link;
    *link = gone->next;
    if (scratch->last == gone) {
        scratch->last = before;
    }
    scratch->used -= OVERHEAD + gone->capacity;
    free(gone->data);
    free(gone);
}

static void drop_name(struct scratch *scratch, struct scratch_file *file)
{
    file->directory = 0;
    if (file->references == 0) {
        delete_file(scratch, file);
    }
}

/* Gives the data room for `size` bytes, zero where new. */
static int reserve(struct scratch *scratch, struct scratch_file *file, uint64_t size)
{
    uint64_t wanted = size + size / 4;
    unsigned char *data;

    if (size <= file->capacity) {
        return 0;
    }
    if (size - file->capacity > scratch->limit - scratch->used) {
        return ENOSPC;
    }
    if (wanted - file->capacity > scratch->limit - scratch->used) {
        wanted = size;
    }
    data = realloc(file->data, wanted);
    if (data == NULL) {
        return ENOSPC;
    }
    memset(data + file->capacity, 0, wanted - file->capacity);
    scratch->used += wanted - file->capacity;
    file->data = data;
    file->capacity = wanted;
    return 0;
}

static void touch(struct scratch_file *file)
{
    clock_gettime(CLOCK_REALTIME, &file->mtime);
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

int scratch_create(struct scratch *scratch, enum fixed_node directory, const char *name,
                   const struct stat *st, uint64_t *serial)
{
    struct scratch_file *file;

    if (strlen(name) > NAME_MAX) {
        return ENAMETOOLONG;
    }
    lock(scratch);
    if (by_name(scratch, directory, name) != NULL) {
        return unlock(scratch, EEXIST);
    }
    if (scratch->limit - scratch->used < OVERHEAD || (file = calloc(1, sizeof(*file))) == NULL) {
        return unlock(scratch, ENOSPC);
    }
    file->serial = scratch->next_serial++;
    file->references = 1;
    file->directory = directory;
    memcpy(file->name, name, strlen(name) + 1);
    file->mode = st->st_mode & 0777;
    file->uid = st->st_uid;
    file->gid = st->st_gid;
    touch(file);
    *(scratch->last != NULL ? &scratch->last->next : &scratch->files) = file;
    scratch->last = file;
    scratch->used += OVERHEAD;
    *serial = file->serial;
    return unlock(scratch, 0);
}

static int find(struct scratch *scratch, enum fixed_node directory, const char *name,
                uint64_t *serial, unsigned references)
{
    struct scratch_file *file;

    lock(scratch);
    file = by_name(scratch, directory, name);
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
    file = by_serial(scratch, serial);
    if (file != NULL) {
        file->references++;
    }
    (void)unlock(scratch, 0);
}

void scratch_forget(struct scratch *scratch, uint64_t serial, uint64_t references)
{
    struct scratch_file *file;

    lock(scratch);
    file = by_serial(scratch, serial);
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
    file = by_name(scratch, directory, name);
    if (file != NULL) {
        drop_name(scratch, file);
    }
    return unlock(scratch, file != NULL ? 0 : ENOENT);
}

int scratch_rename(struct scratch *scratch, uint64_t serial, enum fixed_node directory,
                   const char *name)
{
    struct scratch_file *file, *other;

    if (strlen(name) > NAME_MAX) {
        return ENAMETOOLONG;
    }
    lock(scratch);
    file = by_serial(scratch, serial);
    other = by_name(scratch, directory, name);
    if (file != NULL && other != file) {
        if (other != NULL) {
            drop_name(scratch, other);
        }
        file->directory = directory;
        memcpy(file->name, name, strlen(name) + 1);
    }
    return unlock(scratch, file != NULL ? 0 : ENOENT);
}

int scratch_attributes(struct scratch *scratch, uint64_t serial, struct stat *st)
{
    const struct scratch_file *file;

    lock(scratch);
    file = by_serial(scratch, serial);
    if (file != NULL) {
        st->st_mode = S_IFREG | file->mode;
        st->st_uid = file->uid;
        st->st_gid = file->gid;
        st->st_size = (off_t)file->size;
        st->st_blocks = (blkcnt_t)((file->size + 511) / 512);
        st->st_blksize = 4096;
        st->st_nlink = file->directory != 0;
        st->st_mtim = st->st_ctim = st->st_atim = file->mtime;
    }
    return unlock(scratch, file != NULL ? 0 : ESTALE);
}

int scratch_set(struct scratch *scratch, uint64_t serial, const struct stat *st, int to_set)
{
    struct scratch_file *file;

    lock(scratch);
    file = by_serial(scratch, serial);
    if (file != NULL) {
        if (to_set & FUSE_SET_ATTR_MODE) {
            file->mode = st->st_mode & 0777;
        }
        if (to_set & FUSE_SET_ATTR_UID) {
            file->uid = st->st_uid;
        }
        if (to_set & FUSE_SET_ATTR_GID) {
            file->gid = st->st_gid;
        }
        if (to_set & FUSE_SET_ATTR_MTIME_NOW) {
            touch(file);
        } else if (to_set & FUSE_SET_ATTR_MTIME) {
            file->mtime = st->st_mtim;
        }
    }
    return unlock(scratch, file != NULL ? 0 : ESTALE);
}

int scratch_truncate(struct scratch *scratch, uint64_t serial, uint64_t size)
{
    struct scratch_file *file;
    int error = ESTALE;

    lock(scratch);
    file = by_serial(scratch, serial);
    if (file != NULL) {
        error = reserve(scratch, file, size);
        if (error == 0) {
            if (size < file->size) {
                memset(file->data + size, 0, file->size - size);
            }
            file->size = size;
            touch(file);
        }
    }
    return unlock(scratch, error);
}

int scratch_read(struct scratch *scratch, uint64_t serial, void *data, uint64_t offset,
                 size_t *length)
{
    const struct scratch_file *file;

    lock(scratch);
    file = by_serial(scratch, serial);
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
    file = by_serial(scratch, serial);
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
    file = by_serial(scratch, serial);
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

int scratch_next(struct scratch *scratch, enum fixed_node directory, uint64_t behind,
                 uint64_t *serial, char *name)
{
    const struct scratch_file *file;

    lock(scratch);
    file = scratch->files;
    while (file != NULL && (file->serial <= behind || file->directory != directory)) {
        file = file->next;
    }
    if (file != NULL) {
        *serial = file->serial;
        memcpy(name, file->name, sizeof(file->name));
    }
    return unlock(scratch, file != NULL ? 0 : ENOENT);
}

int scratch_copy(struct scratch *scratch, uint64_t serial, void *data, size_t padded)
{
    const struct scratch_file *file;
    int error = ESTALE;

    lock(scratch);
    file = by_serial(scratch, serial);
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
    const struct scratch_file *file;

    lock(scratch);
    file = by_serial(scratch, serial);
    if (file != NULL) {
        delete_file(scratch, file);
    }
    (void)unlock(scratch, 0);
}
