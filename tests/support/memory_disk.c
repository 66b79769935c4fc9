/* SPDX-License-Identifier: MIT */
#include "support/memory_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/poison.h"
#include "support/harness.h"

/* Slack for callers that reserve whole huge pages. */
#define RESERVATION_SLACK (4u << 20)

const char *const disk_call_names[CALL_COUNT] = {
    "open",      "close",     "lock",    "size",     "pread",  "pwrite",
    "fdatasync", "allocate",  "punch",   "truncate", "unlink", "link",
    "rename",    "sync_name", "reserve", "map",      "unmap",
};

/* ---- The log -------------------------------------------------------------------------------- */

void event_log_add(struct event_log *log, enum event_kind kind, uint64_t offset, size_t length,
                   const void *data)
{
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? 2 * log->capacity : 64;
        log->events = must_realloc(log->events, log->capacity * sizeof(log->events[0]));
    }
    log->events[log->count++] = (struct event){kind, offset, length, log->bytes_used};
    if (!data)
        return;
    if (log->bytes_used + length > log->bytes_capacity) {
        log->bytes_capacity = 2 * (log->bytes_used + length);
        log->bytes = must_realloc(log->bytes, log->bytes_capacity);
    }
    memcpy(log->bytes + log->bytes_used, data, length);
    log->bytes_used += length;
}

void event_log_append(struct event_log *log, const struct event_log *other, size_t first)
{
    for (size_t i = first; i < other->count; i++) {
        const struct event *event = &other->events[i];

        event_log_add(log, event->kind, event->offset, event->length,
                      event->kind == EVENT_WRITE ? other->bytes + event->data : NULL);
    }
}

void event_log_clear(struct event_log *log)
{
    log->count = 0;
    log->bytes_used = 0;
}

void event_log_free(struct event_log *log)
{
    free(log->events);
    free(log->bytes);
    memset(log, 0, sizeof(*log));
}

/* ---- Events onto bytes ---------------------------------------------------------------------- */

static void resize(unsigned char *bytes, uint64_t *size, uint64_t to)
{
    if (to < *size)
        memset(bytes + to, 0, *size - to);
    *size = to;
}

static void put_bytes(unsigned char *bytes, uint64_t *size, size_t capacity, uint64_t offset,
                      const void *data, size_t length)
{
    must(offset + length <= capacity);
    memcpy(bytes + offset, data, length);
    if (offset + length > *size)
        *size = offset + length;
}

void event_apply(const struct event_log *log, const struct event *event, unsigned char *bytes,
                 uint64_t *size, size_t capacity)
{
    switch (event->kind) {
    case EVENT_WRITE:
        put_bytes(bytes, size, capacity, event->offset, log->bytes + event->data, event->length);
        break;
    case EVENT_ALLOCATE:
        if (event->offset + event->length > *size)
            *size = event->offset + event->length;
        break;
    case EVENT_TRUNCATE:
        resize(bytes, size, event->offset);
        break;
    case EVENT_SYNC:
    case EVENT_SYNC_FAILED:
        break;
    }
}

size_t event_sectors(const struct event *event)
{
    if (event->kind != EVENT_WRITE)
        return 1;
    return (size_t)((event->offset + event->length - 1) / SECTOR_SIZE -
                    event->offset / SECTOR_SIZE + 1);
}

void event_apply_sector(const struct event_log *log, const struct event *event, size_t sector,
                        unsigned char *bytes, uint64_t *size, size_t capacity)
{
    uint64_t begin, end;

    if (event->kind != EVENT_WRITE) {
        event_apply(log, event, bytes, size, capacity);
        return;
    }
    begin = (event->offset / SECTOR_SIZE + sector) * SECTOR_SIZE;
    end = begin + SECTOR_SIZE;
    if (begin < event->offset)
        begin = event->offset;
    if (end > event->offset + event->length)
        end = event->offset + event->length;
    put_bytes(bytes, size, capacity, begin, log->bytes + event->data + (begin - event->offset),
              (size_t)(end - begin));
}

/* ---- The disk ------------------------------------------------------------------------------- */

unsigned char *bytes_new(size_t length)
{
    void *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    must(bytes != MAP_FAILED);
    return bytes;
}

void bytes_free(unsigned char *bytes, size_t length)
{
    munmap(bytes, length);
}

/*
 * The library marks addresses of its map as untouchable while their pages are nobody's; the disk
 * must be able to read and write them all the same.
 */
static void map_twice(struct memory_disk *disk)
{
    int fd = memfd_create("memory disk", MFD_CLOEXEC);
    void *views[2];

    must(fd >= 0 && ftruncate(fd, (off_t)disk->reservation) == 0);
    for (int i = 0; i < 2; i++) {
        views[i] = mmap(NULL, disk->reservation, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                        fd, 0);
        must(views[i] != MAP_FAILED);
        MARK_TOUCHABLE(views[i], disk->reservation); /* whatever was at this address before */
    }
    close(fd);
    disk->cache = views[0];
    disk->mapped = views[1];
}

void memory_disk_init(struct memory_disk *disk, size_t capacity)
{
    memset(disk, 0, sizeof(*disk));
    disk->capacity = capacity;
    disk->reservation = capacity + RESERVATION_SLACK;
    map_twice(disk);
    disk->shadow = bytes_new(disk->reservation);
}

void memory_disk_destroy(struct memory_disk *disk)
{
    bytes_free(disk->cache, disk->reservation);
    bytes_free(disk->mapped, disk->reservation);
    bytes_free(disk->shadow, disk->reservation);
    free(disk->touched);
    memset(disk, 0, sizeof(*disk));
}

void memory_disk_record(struct memory_disk *disk, struct event_log *log)
{
    disk->log = log;
    disk->watching = log != NULL;
    if (!log)
        return;
    memcpy(disk->shadow, disk->cache, disk->size);
    if (disk->shadow_size > disk->size)
        memset(disk->shadow + disk->size, 0, disk->shadow_size - disk->size);
    disk->shadow_size = disk->size;
}

void memory_disk_log_mapped(struct memory_disk *disk)
{
    if (!disk->watching)
        return;
    if (disk->shadow_size < disk->size)
        disk->shadow_size = disk->size;
    for (uint64_t at = 0; at < disk->size; at += SECTOR_SIZE) {
        size_t length = SECTOR_SIZE;

        if (memcmp(disk->cache + at, disk->shadow + at, length) == 0)
            continue;
        while (at + length < disk->size && length < 8 * SECTOR_SIZE &&
               memcmp(disk->cache + at + length, disk->shadow + at + length, SECTOR_SIZE) != 0)
            length += SECTOR_SIZE;
        event_log_add(disk->log, EVENT_WRITE, at, length, disk->cache + at);
        memory_disk_touch(disk, at, length);
        memcpy(disk->shadow + at, disk->cache + at, length);
        at += length - SECTOR_SIZE;
    }
}

void memory_disk_touch(struct memory_disk *disk, uint64_t offset, size_t length)
{
    if (disk->touched_count == disk->touched_capacity) {
        disk->touched_capacity = disk->touched_capacity ? 2 * disk->touched_capacity : 64;
        disk->touched =
            must_realloc(disk->touched, disk->touched_capacity * sizeof(disk->touched[0]));
    }
    disk->touched[disk->touched_count++] = (struct touched){offset, length};
}

void memory_disk_restore(struct memory_disk *disk, const unsigned char *bytes, uint64_t size)
{
    for (size_t i = 0; i < disk->touched_count; i++) {
        const struct touched *touched = &disk->touched[i];

        memcpy(disk->cache + touched->offset, bytes + touched->offset, touched->length);
    }
    disk->touched_count = 0;
    disk->size = size;
    disk->exists = true;
}

bool memory_disk_is_idle(const struct memory_disk *disk)
{
    for (int fd = 0; fd < DISK_DESCRIPTORS; fd++)
        if (disk->descriptors[fd].open)
            return false;
    return disk->mappings == 0;
}

/* Counts a call and asks whether it shall fail; -1 with errno set if so. */
static int enter(struct memory_disk *disk, enum disk_call call, size_t *length)
{
    size_t ignored = 0;
    int error;

    disk->calls[call]++;
    if (!disk->fault)
        return 0;
    error = disk->fault(disk->fault_context, call, length ? length : &ignored);
    if (!error)
        return 0;
    errno = error;
    return -1;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* Tells the log, or the list of touched ranges, about a change of the cache. */
static void changed(struct memory_disk *disk, enum event_kind kind, uint64_t offset, size_t length)
{
    if (disk->log) {
        event_log_add(disk->log, kind, offset, length,
                      kind == EVENT_WRITE ? disk->cache + offset : NULL);
        if (kind == EVENT_WRITE)
            memcpy(disk->shadow + offset, disk->cache + offset, length);
        if (disk->shadow_size < disk->size)
            disk->shadow_size = disk->size;
    }
    if (kind == EVENT_WRITE)
        memory_disk_touch(disk, offset, length);
}

static int take_descriptor(struct memory_disk *disk, int flags)
{
    for (int fd = 0; fd < DISK_DESCRIPTORS; fd++) {
        if (disk->descriptors[fd].open)
            continue;
        disk->descriptors[fd].open = true;
        disk->descriptors[fd].writable = (flags & O_ACCMODE) != O_RDONLY;
        disk->descriptors[fd].lock = 0;
        return fd;
    }
    return fail(EMFILE);
}

/* A file without its name. The disk has one file: there can be no other. */
static int open_hidden(struct memory_disk *disk, int flags)
{
    bool nameless = (flags & O_TMPFILE) == O_TMPFILE;

    if (nameless && disk->no_nameless)
        return fail(EOPNOTSUPP);
    must(!disk->exists && !disk->hidden);
    disk->hidden = true;
    disk->size = 0;
    return take_descriptor(disk, flags);
}

/* It is gone with its last descriptor, or with its other name. */
static void forget_hidden(struct memory_disk *disk)
{
    disk->hidden = false;
    memory_disk_touch(disk, 0, (size_t)disk->size);
    resize(disk->cache, &disk->size, 0);
}

static int disk_open(void *context, const char *path, int flags, unsigned mode)
{
    struct memory_disk *disk = context;

    bool hidden = (flags & O_TMPFILE) == O_TMPFILE || strstr(path, ".mappedpages-") != NULL;

    (void)mode;
    if (enter(disk, CALL_OPEN, NULL) < 0)
        return -1;
    if (hidden)
        return open_hidden(disk, flags);
    if (!disk->exists && !(flags & O_CREAT))
        return fail(ENOENT);
    if (disk->exists && (flags & O_CREAT) && (flags & O_EXCL))
        return fail(EEXIST);
    if (!disk->exists) {
        disk->exists = true;
        disk->size = 0;
    }
    return take_descriptor(disk, flags);
}

static int disk_close(void *context, int fd)
{
    struct memory_disk *disk = context;
    int failed = enter(disk, CALL_CLOSE, NULL);

    /* As Linux does it: the descriptor is gone even where close reports an error. */
    must(fd >= 0 && fd < DISK_DESCRIPTORS && disk->descriptors[fd].open);
    disk->descriptors[fd].open = false;
    disk->descriptors[fd].lock = 0;
    if (disk->hidden)
        forget_hidden(disk);
    return failed;
}

static int disk_lock(void *context, int fd, enum io_lock lock)
{
    struct memory_disk *disk = context;
    int wanted = lock == IO_LOCK_EXCLUSIVE ? 2 : lock == IO_LOCK_SHARED ? 1 : 0;

    if (enter(disk, CALL_LOCK, NULL) < 0)
        return -1;
    for (int other = 0; other < DISK_DESCRIPTORS; other++)
        if (other != fd && disk->descriptors[other].open &&
            disk->descriptors[other].lock + wanted > 2)
            return fail(EAGAIN);
    disk->descriptors[fd].lock = wanted;
    return 0;
}

static int disk_size(void *context, int fd, uint64_t *bytes)
{
    struct memory_disk *disk = context;

    if (enter(disk, CALL_SIZE, NULL) < 0)
        return -1;
    must(disk->descriptors[fd].open);
    *bytes = disk->size;
    return 0;
}

/* Whether a range has bytes that cannot be read. */
static bool is_bad(const struct memory_disk *disk, uint64_t offset, size_t length)
{
    return disk->bad_length > 0 && offset < disk->bad_at + disk->bad_length &&
           disk->bad_at < offset + length;
}

static ssize_t disk_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    struct memory_disk *disk = context;

    if (enter(disk, CALL_PREAD, &length) < 0)
        return -1;
    must(disk->descriptors[fd].open);
    if (offset >= disk->size)
        return 0;
    if (length > disk->size - offset)
        length = (size_t)(disk->size - offset);
    if (is_bad(disk, offset, length))
        return fail(EIO);
    memcpy(data, disk->cache + offset, length);
    return (ssize_t)length;
}

static ssize_t disk_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    struct memory_disk *disk = context;

    if (enter(disk, CALL_PWRITE, &length) < 0)
        return -1;
    must(disk->descriptors[fd].open);
    if (!disk->descriptors[fd].writable)
        return fail(EBADF);
    if (offset > disk->capacity || length > disk->capacity - offset)
        return fail(ENOSPC);
    memory_disk_log_mapped(disk);
    if (is_bad(disk, offset, length))
        disk->bad_length = 0;
    put_bytes(disk->cache, &disk->size, disk->capacity, offset, data, length);
    changed(disk, EVENT_WRITE, offset, length);
    return (ssize_t)length;
}

/* The pieces one after the other, until one is cut short or fails. */
static ssize_t disk_pwritev(void *context, int fd, const struct iovec *pieces, int count,
                            uint64_t offset)
{
    ssize_t total = 0;

    for (int i = 0; i < count; i++) {
        ssize_t written = disk_pwrite(context, fd, pieces[i].iov_base, pieces[i].iov_len,
                                      offset + (uint64_t)total);

        if (written < 0)
            return total > 0 ? total : written;
        total += written;
        if ((size_t)written < pieces[i].iov_len)
            break;
    }
    return total;
}

static int disk_fdatasync(void *context, int fd)
{
    struct memory_disk *disk = context;
    int failed;

    memory_disk_log_mapped(disk);
    failed = enter(disk, CALL_FDATASYNC, NULL);
    must(disk->descriptors[fd].open);
    if (disk->log)
        event_log_add(disk->log, failed ? EVENT_SYNC_FAILED : EVENT_SYNC, 0, 0, NULL);
    return failed;
}

static int disk_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    struct memory_disk *disk = context;

    if (enter(disk, CALL_ALLOCATE, NULL) < 0)
        return -1;
    must(disk->descriptors[fd].open && disk->descriptors[fd].writable);
    if (offset > disk->capacity || length > disk->capacity - offset)
        return fail(ENOSPC);
    if (offset + length > disk->size)
        disk->size = offset + length;
    changed(disk, EVENT_ALLOCATE, offset, (size_t)length);
    return 0;
}

static int disk_truncate(void *context, int fd, uint64_t bytes)
{
    struct memory_disk *disk = context;

    if (enter(disk, CALL_TRUNCATE, NULL) < 0)
        return -1;
    must(disk->descriptors[fd].open && disk->descriptors[fd].writable);
    if (bytes > disk->capacity)
        return fail(ENOSPC);
    if (bytes < disk->size) {
        memory_disk_log_mapped(disk);
        memory_disk_touch(disk, bytes, (size_t)(disk->size - bytes));
        if (disk->watching)
            memset(disk->shadow + bytes, 0, (size_t)(disk->size - bytes));
    }
    resize(disk->cache, &disk->size, bytes);
    changed(disk, EVENT_TRUNCATE, bytes, 0);
    return 0;
}

/* On the disk a hole is zeros, written like any others. */
static int disk_punch(void *context, int fd, uint64_t offset, uint64_t length)
{
    struct memory_disk *disk = context;
    size_t known;

    if (enter(disk, CALL_PUNCH, NULL) < 0)
        return -1;
    must(disk->descriptors[fd].open && disk->descriptors[fd].writable);
    if (offset >= disk->size)
        return 0;
    known = (size_t)(length < disk->size - offset ? length : disk->size - offset);
    memory_disk_log_mapped(disk);
    memory_disk_touch(disk, offset, known);
    memset(disk->cache + offset, 0, known);
    changed(disk, EVENT_WRITE, offset, known);
    return 0;
}

static int disk_unlink(void *context, const char *path)
{
    struct memory_disk *disk = context;

    if (enter(disk, CALL_UNLINK, NULL) < 0)
        return -1;
    if (strstr(path, ".mappedpages-") != NULL)
        return disk->hidden ? 0 : fail(ENOENT);
    if (!disk->exists)
        return fail(ENOENT);
    disk->exists = false;
    disk->name_durable = false;
    memory_disk_touch(disk, 0, (size_t)disk->size);
    resize(disk->cache, &disk->size, 0);
    return 0;
}

static int give_name(struct memory_disk *disk, bool can)
{
    if (!can)
        return fail(EOPNOTSUPP);
    if (disk->exists)
        return fail(EEXIST);
    must(disk->hidden);
    disk->hidden = false;
    disk->exists = true;
    return 0;
}

static int disk_link(void *context, int fd, const char *path)
{
    struct memory_disk *disk = context;

    (void)path;
    if (enter(disk, CALL_LINK, NULL) < 0)
        return -1;
    must(disk->descriptors[fd].open);
    return give_name(disk, !disk->no_nameless);
}

static int disk_rename(void *context, const char *from, const char *to)
{
    struct memory_disk *disk = context;

    (void)from;
    (void)to;
    return enter(disk, CALL_RENAME, NULL) < 0 ? -1 : give_name(disk, !disk->no_rename);
}

static int disk_sync_name(void *context, int fd, const char *path)
{
    struct memory_disk *disk = context;

    (void)fd;
    (void)path;
    if (enter(disk, CALL_SYNC_NAME, NULL) < 0)
        return -1;
    disk->name_durable = disk->exists;
    return 0;
}

static void *disk_reserve(void *context, uint64_t offset, size_t length)
{
    struct memory_disk *disk = context;

    if (enter(disk, CALL_RESERVE, NULL) < 0)
        return NULL;
    if (offset > disk->reservation || length > disk->reservation - offset) {
        errno = ENOMEM;
        return NULL;
    }
    disk->mappings++;
    return disk->mapped + offset;
}

static int disk_map(void *context, int fd, void *address, size_t length, uint64_t offset,
                    bool writable)
{
    struct memory_disk *disk = context;

    if (enter(disk, CALL_MAP, NULL) < 0)
        return -1;
    must(disk->descriptors[fd].open && (!writable || disk->descriptors[fd].writable));
    must((unsigned char *)address == disk->mapped + offset);
    must(offset + length <= disk->reservation);
    return 0;
}

static int disk_unmap(void *context, void *address, size_t length)
{
    struct memory_disk *disk = context;
    int failed = enter(disk, CALL_UNMAP, NULL);

    must(disk->mappings > 0 && (unsigned char *)address >= disk->mapped);
    if (--disk->mappings == 0)
        MARK_TOUCHABLE(disk->mapped, disk->reservation); /* as real unmapping does */
    (void)length;
    return failed;
}

const struct io memory_disk_io = {
    .open = disk_open,
    .close = disk_close,
    .lock = disk_lock,
    .size = disk_size,
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .pwritev = disk_pwritev,
    .fdatasync = disk_fdatasync,
    .allocate = disk_allocate,
    .punch = disk_punch,
    .truncate = disk_truncate,
    .unlink = disk_unlink,
    .link = disk_link,
    .rename = disk_rename,
    .sync_name = disk_sync_name,
    .reserve = disk_reserve,
    .map = disk_map,
    .unmap = disk_unmap,
};
