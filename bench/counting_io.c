/* SPDX-License-Identifier: MIT */
#include "counting_io.h"

static int count_open(void *context, const char *path, int flags, unsigned mode)
{
    return mpgi_io_system.open(context, path, flags, mode);
}

static int count_close(void *context, int fd)
{
    return mpgi_io_system.close(context, fd);
}

static int count_lock(void *context, int fd, enum io_lock lock)
{
    return mpgi_io_system.lock(context, fd, lock);
}

static int count_size(void *context, int fd, uint64_t *bytes)
{
    return mpgi_io_system.size(context, fd, bytes);
}

static ssize_t count_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    struct counts *counts = context;

    counts->reads++;
    return mpgi_io_system.pread(context, fd, data, length, offset);
}

static ssize_t count_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    struct counts *counts = context;

    counts->writes++;
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

static int count_fdatasync(void *context, int fd)
{
    struct counts *counts = context;

    counts->syncs++;
    return mpgi_io_system.fdatasync(context, fd);
}

static int count_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    return mpgi_io_system.allocate(context, fd, offset, length);
}

static int count_truncate(void *context, int fd, uint64_t bytes)
{
    return mpgi_io_system.truncate(context, fd, bytes);
}

static int count_unlink(void *context, const char *path)
{
    return mpgi_io_system.unlink(context, path);
}

static int count_sync_name(void *context, int fd, const char *path)
{
    return mpgi_io_system.sync_name(context, fd, path);
}

static void *count_reserve(void *context, uint64_t offset, size_t length)
{
    return mpgi_io_system.reserve(context, offset, length);
}

static int count_map(void *context, int fd, void *address, size_t length, uint64_t offset,
                     bool writable)
{
    return mpgi_io_system.map(context, fd, address, length, offset, writable);
}

static int count_unmap(void *context, void *address, size_t length)
{
    return mpgi_io_system.unmap(context, address, length);
}

const struct io counting_io = {
    .open = count_open,
    .close = count_close,
    .lock = count_lock,
    .size = count_size,
    .pread = count_pread,
    .pwrite = count_pwrite,
    .fdatasync = count_fdatasync,
    .allocate = count_allocate,
    .truncate = count_truncate,
    .unlink = count_unlink,
    .sync_name = count_sync_name,
    .reserve = count_reserve,
    .map = count_map,
    .unmap = count_unmap,
};
