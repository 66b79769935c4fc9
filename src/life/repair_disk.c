/* SPDX-License-Identifier: MIT */
#include "life/repair_disk.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

int mpgi_repair_disk_init(struct repair_disk *disk, const struct file *under)
{
    disk->under = under;
    disk->bytes = under->bytes;
    disk->written = mpgi_sheet_new();
    return disk->written != NULL ? 0 : mpgi_fail_memory("repair");
}

void mpgi_repair_disk_free(struct repair_disk *disk)
{
    mpgi_sheet_free(disk->written);
    disk->written = NULL;
}

int mpgi_repair_disk_forget(struct repair_disk *disk)
{
    mpgi_repair_disk_free(disk);
    return mpgi_repair_disk_init(disk, disk->under);
}

/* ---- what is there ---- */

static bool is_held(const struct repair_disk *disk, uint64_t number)
{
    return mpgi_sheet_next(disk->written, number) == number;
}

void mpgi_repair_disk_under(const struct repair_disk *disk, unsigned char *bytes, uint64_t number)
{
    const struct file *under = disk->under;
    uint64_t at = number * SHEET_CHUNK;
    size_t length = at < under->bytes ? (size_t)min_u64(SHEET_CHUNK, under->bytes - at) : 0;

    memset(bytes, 0, SHEET_CHUNK);
    if (length > 0 && !mpgi_file_is_hole(under, at, length))
        (void)mpgi_file_read_sectors(under, bytes, length, at, MPG_NO_PAGE);
}

/* ---- reading and writing ---- */

/* How many of the bytes from `at` on, `length` or fewer, lie in its chunk. */
static size_t in_chunk(uint64_t at, size_t length)
{
    return (size_t)min_u64(length, SHEET_CHUNK - at % SHEET_CHUNK);
}

/* Reads what is not held, from the file: up to the next chunk that is. */
static ssize_t read_under(const struct repair_disk *disk, unsigned char *data, size_t length,
                          uint64_t at)
{
    const struct file *under = disk->under;
    uint64_t next = mpgi_sheet_next(disk->written, at / SHEET_CHUNK);

    if (next != UINT64_MAX)
        length = (size_t)min_u64(length, next * SHEET_CHUNK - at);
    if (at >= under->bytes) {
        memset(data, 0, length);
        return (ssize_t)length;
    }
    length = (size_t)min_u64(length, under->bytes - at);
    return under->io->pread(under->context, under->fd, data, length, at);
}

static ssize_t disk_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    const struct repair_disk *disk = context;
    uint64_t number = offset / SHEET_CHUNK;

    (void)fd;
    if (offset >= disk->bytes)
        return 0;
    length = (size_t)min_u64(length, disk->bytes - offset);
    if (!is_held(disk, number))
        return read_under(disk, data, length, offset);
    length = in_chunk(offset, length);
    memcpy(data, mpgi_sheet_chunk(disk->written, number) + offset % SHEET_CHUNK, length);
    return (ssize_t)length;
}

static ssize_t disk_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    struct repair_disk *disk = context;
    uint64_t number = offset / SHEET_CHUNK;
    bool held = is_held(disk, number);
    unsigned char *chunk = mpgi_sheet_edit(disk->written, number);

    (void)fd;
    if (chunk == NULL) {
        errno = ENOMEM;
        return -1;
    }
    if (!held)
        mpgi_repair_disk_under(disk, chunk, number);
    length = in_chunk(offset, length);
    memcpy(chunk + offset % SHEET_CHUNK, data, length);
    disk->bytes = max_u64(disk->bytes, offset + length);
    return (ssize_t)length;
}

/* Where something may stand that was written, or in the file. */
static uint64_t disk_next_data(void *context, int fd, uint64_t offset, uint64_t *end)
{
    const struct repair_disk *disk = context;
    uint64_t number = mpgi_sheet_next(disk->written, offset / SHEET_CHUNK);
    uint64_t under_end = UINT64_MAX;
    uint64_t under = offset < disk->under->bytes
                         ? mpgi_file_next_data(disk->under, offset, &under_end)
                         : UINT64_MAX;
    uint64_t held = number == UINT64_MAX ? UINT64_MAX : max_u64(number * SHEET_CHUNK, offset);
    bool is_under = under < held;

    (void)fd;
    if (end != NULL && is_under)
        *end = under_end;
    else if (end != NULL)
        *end = number == UINT64_MAX ? UINT64_MAX : (number + 1) * SHEET_CHUNK;
    return is_under ? under : held;
}

/* ---- the rest ---- */

static int disk_open(void *context, const char *path, int flags, unsigned mode)
{
    const struct repair_disk *disk = context;

    (void)path;
    (void)flags;
    (void)mode;
    return disk->under->fd;
}

static int disk_close(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

/* Who repairs has the lock. */
static int disk_lock(void *context, int fd, enum io_lock lock)
{
    (void)context;
    (void)fd;
    (void)lock;
    return 0;
}

static int disk_size(void *context, int fd, uint64_t *bytes)
{
    const struct repair_disk *disk = context;

    (void)fd;
    *bytes = disk->bytes;
    return 0;
}

static int disk_sync(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

static int disk_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    struct repair_disk *disk = context;

    (void)fd;
    disk->bytes = max_u64(disk->bytes, offset + length);
    return 0;
}

static int disk_back(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    (void)fd;
    (void)offset;
    (void)length;
    return 0;
}

/* A repair makes no file shorter; what would is told that it cannot be. */
static int disk_truncate(void *context, int fd, uint64_t bytes)
{
    struct repair_disk *disk = context;

    (void)fd;
    if (bytes < disk->under->bytes) {
        errno = EPERM;
        return -1;
    }
    disk->bytes = bytes;
    return 0;
}

static int disk_unlink(void *context, const char *path)
{
    (void)context;
    (void)path;
    errno = EPERM;
    return -1;
}

static int disk_sync_name(void *context, int fd, const char *path)
{
    (void)context;
    (void)fd;
    (void)path;
    return 0;
}

static void *disk_reserve(void *context, uint64_t offset, size_t length)
{
    (void)context;
    (void)offset;
    (void)length;
    errno = ENOTSUP;
    return NULL;
}

static int disk_map(void *context, int fd, void *address, size_t length, uint64_t offset,
                    bool writable)
{
    (void)context;
    (void)fd;
    (void)address;
    (void)length;
    (void)offset;
    (void)writable;
    errno = ENOTSUP;
    return -1;
}

static int disk_unmap(void *context, void *address, size_t length)
{
    (void)context;
    (void)address;
    (void)length;
    return 0;
}

const struct io mpgi_repair_io = {
    .open = disk_open,
    .close = disk_close,
    .lock = disk_lock,
    .size = disk_size,
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .next_data = disk_next_data,
    .fdatasync = disk_sync,
    .allocate = disk_allocate,
    .back = disk_back,
    .truncate = disk_truncate,
    .unlink = disk_unlink,
    .sync_name = disk_sync_name,
    .reserve = disk_reserve,
    .map = disk_map,
    .unmap = disk_unmap,
};
