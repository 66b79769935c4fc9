/* SPDX-License-Identifier: MIT */
#include "fuzz/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/harness.h"

/* Address space that may be asked for: the library wants some more than the file has. */
#define RESERVATION (2 * FUZZ_DISK_CAPACITY)

/* More calls than any honest work on an image of this size takes. */
#define CALLS_MAX 2000000u

static unsigned char *map_shared(int fd)
{
    void *address = mmap(NULL, RESERVATION, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    must(address != MAP_FAILED);
    return address;
}

void fuzz_disk_init(struct fuzz_disk *disk)
{
    int fd = memfd_create("page file", MFD_CLOEXEC);

    must(fd >= 0 && ftruncate(fd, RESERVATION) == 0);
    memset(disk, 0, sizeof(*disk));
    disk->bytes = map_shared(fd);
    disk->mapped = map_shared(fd);
    must(close(fd) == 0);
}

void fuzz_disk_load(struct fuzz_disk *disk, const unsigned char *bytes, size_t size)
{
    must(!disk->open && size <= FUZZ_DISK_CAPACITY);
    if (size > 0)
        memcpy(disk->bytes, bytes, size);
    if (disk->size > size)
        memset(disk->bytes + size, 0, disk->size - size);
    disk->size = size;
    disk->calls = 0;
    fuzz_disk_unguard_all(disk);
}

static bool range_of(uint64_t page, uint32_t page_size, uint64_t *first, uint64_t *end)
{
    if (page >= FUZZ_DISK_CAPACITY / page_size)
        return false;
    *first = page * page_size / FUZZ_GUARD_UNIT;
    *end = *first + page_size / FUZZ_GUARD_UNIT;
    return true;
}

void fuzz_disk_guard(struct fuzz_disk *disk, uint64_t page, uint32_t page_size, bool guarded)
{
    uint64_t first, end;

    if (range_of(page, page_size, &first, &end))
        memset(disk->guarded + first, guarded, end - first);
}

bool fuzz_disk_is_guarded(const struct fuzz_disk *disk, uint64_t page, uint32_t page_size)
{
    uint64_t first, end;

    return range_of(page, page_size, &first, &end) && disk->guarded[first];
}

void fuzz_disk_unguard_all(struct fuzz_disk *disk)
{
    memset(disk->guarded, 0, sizeof(disk->guarded));
}

/* ---- The table ------------------------------------------------------------------------------ */

static int fail(int error)
{
    errno = error;
    return -1;
}

static struct fuzz_disk *enter(void *context)
{
    struct fuzz_disk *disk = context;

    must(++disk->calls < CALLS_MAX);
    return disk;
}

static int disk_open(void *context, const char *path, int flags, unsigned mode)
{
    struct fuzz_disk *disk = enter(context);

    (void)path;
    (void)mode;
    must(!disk->open);
    if ((flags & O_EXCL) != 0 && disk->size > 0)
        return fail(EEXIST);
    disk->open = true;
    disk->writable = (flags & O_ACCMODE) != O_RDONLY;
    return 0;
}

static int disk_close(void *context, int fd)
{
    struct fuzz_disk *disk = enter(context);

    must(fd == 0 && disk->open);
    disk->open = false;
    return 0;
}

static int disk_lock(void *context, int fd, enum io_lock lock)
{
    (void)enter(context);
    (void)lock;
    must(fd == 0);
    return 0;
}

static int disk_size(void *context, int fd, uint64_t *bytes)
{
    const struct fuzz_disk *disk = enter(context);

    must(fd == 0 && disk->open);
    *bytes = disk->size;
    return 0;
}

static ssize_t disk_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    const struct fuzz_disk *disk = enter(context);

    must(fd == 0 && disk->open);
    if (offset >= disk->size)
        return 0;
    if (length > disk->size - offset)
        length = (size_t)(disk->size - offset);
    memcpy(data, disk->bytes + offset, length);
    return (ssize_t)length;
}

static bool has_room(uint64_t offset, uint64_t length)
{
    return offset <= FUZZ_DISK_CAPACITY && length <= FUZZ_DISK_CAPACITY - offset;
}

static ssize_t disk_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    struct fuzz_disk *disk = enter(context);

    must(fd == 0 && disk->open && disk->writable);
    if (!has_room(offset, length))
        return fail(ENOSPC);
    for (uint64_t at = offset / FUZZ_GUARD_UNIT; at * FUZZ_GUARD_UNIT < offset + length; at++)
        must(!disk->guarded[at]);
    memcpy(disk->bytes + offset, data, length);
    if (offset + length > disk->size)
        disk->size = offset + length;
    return (ssize_t)length;
}

static int disk_fdatasync(void *context, int fd)
{
    (void)enter(context);
    must(fd == 0);
    return 0;
}

static int disk_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    struct fuzz_disk *disk = enter(context);

    must(fd == 0 && disk->open && disk->writable);
    if (!has_room(offset, length))
        return fail(ENOSPC);
    if (offset + length > disk->size)
        disk->size = offset + length;
    return 0;
}

static int disk_truncate(void *context, int fd, uint64_t bytes)
{
    struct fuzz_disk *disk = enter(context);

    must(fd == 0 && disk->open && disk->writable);
    if (!has_room(bytes, 0))
        return fail(ENOSPC);
    if (bytes < disk->size)
        memset(disk->bytes + bytes, 0, disk->size - bytes);
    disk->size = bytes;
    return 0;
}

static int disk_unlink(void *context, const char *path)
{
    (void)path;
    return disk_truncate(context, 0, 0);
}

static int disk_sync_name(void *context, int fd, const char *path)
{
    (void)enter(context);
    (void)fd;
    (void)path;
    return 0;
}

static void *disk_reserve(void *context, uint64_t offset, size_t length)
{
    const struct fuzz_disk *disk = enter(context);

    if (offset <= RESERVATION && length <= RESERVATION - offset)
        return disk->mapped + offset;
    errno = ENOMEM;
    return NULL;
}

static int disk_map(void *context, int fd, void *address, size_t length, uint64_t offset,
                    bool writable)
{
    const struct fuzz_disk *disk = enter(context);

    must(fd == 0 && disk->open && (!writable || disk->writable));
    must((unsigned char *)address == disk->mapped + offset && offset + length <= RESERVATION);
    return 0;
}

static int disk_unmap(void *context, void *address, size_t length)
{
    const struct fuzz_disk *disk = enter(context);

    must((unsigned char *)address >= disk->mapped && length <= RESERVATION);
    return 0;
}

const struct io fuzz_disk_io = {
    .open = disk_open,
    .close = disk_close,
    .lock = disk_lock,
    .size = disk_size,
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .fdatasync = disk_fdatasync,
    .allocate = disk_allocate,
    .truncate = disk_truncate,
    .unlink = disk_unlink,
    .sync_name = disk_sync_name,
    .reserve = disk_reserve,
    .map = disk_map,
    .unmap = disk_unmap,
};
