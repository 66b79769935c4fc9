/* SPDX-License-Identifier: MIT */
#include "support/locked_disk.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void locked_disk_lock(void)
{
    (void)pthread_mutex_lock(&lock);
}

void locked_disk_unlock(void)
{
    (void)pthread_mutex_unlock(&lock);
}

/*
 * CALL(type, name, arguments…) - the result of that call, with the lock held. errno is the thread's
 * own.
 */
#define CALL(type, name, ...)                                                                      \
    type result;                                                                                   \
                                                                                                   \
    locked_disk_lock();                                                                            \
    result = memory_disk_io.name(__VA_ARGS__);                                                     \
    locked_disk_unlock();                                                                          \
    return result

static int locked_open(void *context, const char *path, int flags, unsigned mode)
{
    CALL(int, open, context, path, flags, mode);
}

static int locked_close(void *context, int fd)
{
    CALL(int, close, context, fd);
}

static int locked_lock(void *context, int fd, enum io_lock kind)
{
    CALL(int, lock, context, fd, kind);
}

static int locked_size(void *context, int fd, uint64_t *bytes)
{
    CALL(int, size, context, fd, bytes);
}

static ssize_t locked_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    CALL(ssize_t, pread, context, fd, data, length, offset);
}

static ssize_t locked_pwrite(void *context, int fd, const void *data, size_t length,
                             uint64_t offset)
{
    CALL(ssize_t, pwrite, context, fd, data, length, offset);
}

static ssize_t locked_pwritev(void *context, int fd, const struct iovec *pieces, int count,
                              uint64_t offset)
{
    CALL(ssize_t, pwritev, context, fd, pieces, count, offset);
}

static int locked_fdatasync(void *context, int fd)
{
    CALL(int, fdatasync, context, fd);
}

static int locked_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    CALL(int, allocate, context, fd, offset, length);
}

static int locked_punch(void *context, int fd, uint64_t offset, uint64_t length)
{
    CALL(int, punch, context, fd, offset, length);
}

static int locked_truncate(void *context, int fd, uint64_t bytes)
{
    CALL(int, truncate, context, fd, bytes);
}

static int locked_unlink(void *context, const char *path)
{
    CALL(int, unlink, context, path);
}

static int locked_link(void *context, int fd, const char *path)
{
    CALL(int, link, context, fd, path);
}

static int locked_rename(void *context, const char *from, const char *to)
{
    CALL(int, rename, context, from, to);
}

static int locked_sync_name(void *context, int fd, const char *path)
{
    CALL(int, sync_name, context, fd, path);
}

static void *locked_reserve(void *context, uint64_t offset, size_t length)
{
    CALL(void *, reserve, context, offset, length);
}

static int locked_map(void *context, int fd, void *address, size_t length, uint64_t offset,
                      bool writable)
{
    CALL(int, map, context, fd, address, length, offset, writable);
}

static int locked_unmap(void *context, void *address, size_t length)
{
    CALL(int, unmap, context, address, length);
}

const struct io locked_disk_io = {
    .open = locked_open,
    .close = locked_close,
    .lock = locked_lock,
    .size = locked_size,
    .pread = locked_pread,
    .pwrite = locked_pwrite,
    .pwritev = locked_pwritev,
    .fdatasync = locked_fdatasync,
    .allocate = locked_allocate,
    .punch = locked_punch,
    .truncate = locked_truncate,
    .unlink = locked_unlink,
    .link = locked_link,
    .rename = locked_rename,
    .sync_name = locked_sync_name,
    .reserve = locked_reserve,
    .map = locked_map,
    .unmap = locked_unmap,
};
