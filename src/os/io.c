/* SPDX-License-Identifier: MIT */
/* Whole operations on an open file, with errors of the library's. */
#include "os/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "mappedpages.h"
#include "os/lanes.h"

static int fail(const struct file *file, const char *operation, uint64_t page)
{
    return mpgi_fail_errno(errno, operation, page, file->path);
}

/* Stacks of threads lie at least this far apart. */
#define STACK_STEP 65536u
/* What a disk loses at once, at least. */
#define SECTOR 512u

/* A number that is mostly the same for a thread, and mostly another one for another thread. */
static unsigned thread_number(void)
{
    char here;
    uint64_t place = (uintptr_t)&here / STACK_STEP;

    return (unsigned)(place * UINT64_C(0x9E3779B97F4A7C15) >> 40);
}

static void count_read(const struct file *file, ssize_t bytes)
{
    struct read_count *count;

    if (file->counts == NULL)
        return;
    count = &file->counts->read[thread_number() % READ_COUNTS];
    count_up(&count->reads, 1);
    count_up(&count->bytes, (uint64_t)bytes);
}

static void count_write(const struct file *file, ssize_t bytes)
{
    if (file->counts == NULL)
        return;
    count_up(&file->counts->writes, 1);
    count_up(&file->counts->bytes_written, (uint64_t)bytes);
}

bool mpgi_interrupted(unsigned *times)
{
    return errno == EINTR && ++*times < MOST_INTERRUPTIONS;
}

/* A device, pipe or socket. */
static int fail_irregular(const char *path)
{
    return mpgi_fail(MPG_E_IO, "open", MPG_NO_PAGE, "%s: not a regular file", path);
}

static int fail_open(const struct file *file, int flags)
{
    if (errno == ENXIO)
        return fail_irregular(file->path);
    if (file->read_only || errno != EACCES)
        return fail(file, "open", MPG_NO_PAGE);
    return mpgi_fail(MPG_E_READ_ONLY, "open", MPG_NO_PAGE, "%s: no permission to %s", file->path,
                     (flags & O_CREAT) != 0 ? "make it in its directory" : "write it");
}

/* As mpgi_file_length; an error where it is no file. */
static int length_of_file(const struct file *file, uint64_t *bytes)
{
    if (file->io->size(file->context, file->fd, bytes) == 0)
        return 0;
    return errno == EINVAL ? fail_irregular(file->path) : fail(file, "fstat", MPG_NO_PAGE);
}

int mpgi_file_open_as(struct file *file, const struct io *io, void *context, const char *path,
                      const char *opened, int flags)
{
    bool read_only = (flags & O_ACCMODE) == O_RDONLY;
    unsigned interrupted = 0;
    int result;

    memset(file, 0, sizeof(*file));
    file->io = io;
    file->context = context;
    file->fd = -1;
    file->read_only = read_only;
    file->path = strdup(path);
    if (file->path == NULL)
        return mpgi_fail_memory("open");
    do {
        file->fd = io->open(context, opened, flags, 0666);
    } while (file->fd < 0 && mpgi_interrupted(&interrupted));
    if (file->fd < 0)
        result = fail_open(file, flags);
    else
        result = length_of_file(file, &file->bytes);
    if (result == 0 && io->sharing != NULL)
        io->sharing(context, file->fd, &file->sharing);
    if (result == 0)
        mpgi_lanes_begin(file);
    if (result != 0 && file->fd >= 0 && (flags & O_EXCL) != 0)
        (void)io->unlink(context, opened); /* it was not there before */
    if (result != 0)
        (void)mpgi_file_close(file);
    return result;
}

int mpgi_file_open(struct file *file, const struct io *io, void *context, const char *path,
                   bool read_only)
{
    return mpgi_file_open_as(file, io, context, path, path, read_only ? O_RDONLY : O_RDWR);
}

/*
 * Where others keep the lock, too, closing gives it back some time later, and who opens the file
 * next would find it busy. What was written through the map comes before it; nobody was told that
 * it is durable.
 */
static void give_lock_back(struct file *file)
{
    if (!file->holds_lock || !file->sharing.others)
        return;
    if (!file->read_only && !file->changed)
        (void)file->io->fdatasync(file->context, file->fd);
    (void)file->io->lock(file->context, file->fd, IO_LOCK_NONE);
    file->holds_lock = false;
}

int mpgi_file_close(struct file *file)
{
    int result = 0;

    give_lock_back(file);
    mpgi_lanes_end(file);
    if (file->fd >= 0 && file->io->close(file->context, file->fd) != 0 && errno != EINTR)
        result = fail(file, "close", MPG_NO_PAGE);
    file->fd = -1;
    free(file->path);
    file->path = NULL;
    free(file->temporary);
    file->temporary = NULL;
    mpgi_id_map_clear(&file->backed);
    mpgi_id_map_clear(&file->alone);
    return result;
}

int mpgi_file_lock(struct file *file, enum io_lock lock)
{
    unsigned interrupted = 0;

    file->holds_lock = false;
    while (file->io->lock(file->context, file->fd, lock) != 0) {
        if (mpgi_interrupted(&interrupted))
            continue;
        if (errno == EAGAIN || errno == EACCES)
            return mpgi_fail(MPG_E_BUSY, "lock", MPG_NO_PAGE,
                             "%s: busy: it is open or mounted elsewhere", file->path);
        return fail(file, "lock", MPG_NO_PAGE);
    }
    file->holds_lock = lock != IO_LOCK_NONE;
    return 0;
}

static int read_by(const struct file *file, int fd, void *data, size_t length, uint64_t offset,
                   uint64_t page)
{
    unsigned char *at = data;
    unsigned interrupted = 0;

    if (file->ask)
        mpgi_file_forget(file, offset, length);
    while (length > 0) {
        ssize_t got = file->io->pread(file->context, fd, at, length, offset);

        if (got < 0 && mpgi_interrupted(&interrupted))
            continue;
        if (got < 0)
            return fail(file, "pread", page);
        if (got == 0)
            return mpgi_fail(MPG_E_TRUNCATED, "pread", page,
                             "%s: the file ends at byte %llu, inside what its metadata counts",
                             file->path, (unsigned long long)offset);
        interrupted = 0;
        count_read(file, got);
        at += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return 0;
}

int mpgi_file_read(const struct file *file, void *data, size_t length, uint64_t offset,
                   uint64_t page)
{
    return read_by(file, mpgi_lanes_fd(file), data, length, offset, page);
}

bool mpgi_file_read_sectors(const struct file *file, void *data, size_t length, uint64_t offset,
                            uint64_t page)
{
    unsigned char *bytes = data;
    bool whole = true;

    if (mpgi_file_read(file, data, length, offset, page) == 0)
        return true;
    for (size_t done = 0; done < length; done += SECTOR) {
        size_t piece = (size_t)min_u64(SECTOR, length - done);

        if (mpgi_file_read(file, bytes + done, piece, offset + done, page) == 0)
            continue;
        memset(bytes + done, 0, piece);
        whole = false;
    }
    return whole;
}

void mpgi_file_will_need(const struct file *file, uint64_t offset, uint64_t length)
{
    if (file->io->will_need != NULL)
        file->io->will_need(file->context, file->fd, offset, length);
}

int mpgi_file_write(struct file *file, const void *data, size_t length, uint64_t offset,
                    uint64_t page)
{
    const unsigned char *at = data;
    unsigned interrupted = 0;

    while (length > 0) {
        ssize_t put = file->io->pwrite(file->context, file->fd, at, length, offset);

        if (put < 0 && mpgi_interrupted(&interrupted))
            continue;
        if (put == 0)
            errno = EIO;
        if (put <= 0)
            return fail(file, "pwrite", page);
        interrupted = 0;
        count_write(file, put);
        at += put;
        offset += (uint64_t)put;
        length -= (size_t)put;
        /* Never true where rule 9 holds; and `bytes` is not the committing thread's to look at. */
        if (!RULE_HOLDS(9) && offset > file->bytes)
            file->bytes = offset;
    }
    return 0;
}

/* One call's worth: what a system call of the same name would have written, or -1. */
static ssize_t write_some(const struct file *file, const struct iovec *pieces, int count,
                          uint64_t offset)
{
    if (file->io->pwritev != NULL && count > 1)
        return file->io->pwritev(file->context, file->fd, pieces, count, offset);
    return file->io->pwrite(file->context, file->fd, pieces[0].iov_base, pieces[0].iov_len, offset);
}

int mpgi_file_write_gathered(struct file *file, struct iovec *pieces, int count, uint64_t offset,
                             uint64_t page)
{
    while (count > 0) {
        ssize_t put = write_some(file, pieces, count, offset);
        size_t left;

        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = EIO;
        if (put <= 0)
            return fail(file, "pwrite", page);
        count_write(file, put);
        offset += (uint64_t)put;
        for (left = (size_t)put; count > 0 && left >= pieces->iov_len; count--, pieces++)
            left -= pieces->iov_len;
        if (count > 0) {
            pieces->iov_base = (unsigned char *)pieces->iov_base + left;
            pieces->iov_len -= left;
        }
        if (!RULE_HOLDS(9) && offset > file->bytes)
            file->bytes = offset;
    }
    return 0;
}

void mpgi_file_start(const struct file *file, uint64_t offset, uint64_t length)
{
    if (file->io->start != NULL)
        file->io->start(file->context, file->fd, offset, length);
}

int mpgi_file_write_out(const struct file *file, uint64_t offset, uint64_t length)
{
    if (file->io->write_out == NULL ||
        file->io->write_out(file->context, file->fd, offset, length) == 0)
        return 0;
    return fail(file, "sync_file_range", MPG_NO_PAGE);
}

size_t mpgi_file_copy(struct file *to, const struct file *from, size_t length, uint64_t offset)
{
    size_t done = 0;
    ssize_t got = 1;

    /* What this system has cached of it need not be what is there. */
    if (to->io->copy == NULL || from->sharing.others)
        return 0;
    while (done < length && got > 0) {
        got = to->io->copy(to->context, to->fd, from->fd, offset + done, length - done);
        done += got > 0 ? (size_t)got : 0;
    }
    if (to->counts != NULL && done > 0) {
        count_up(&to->counts->writes, 1);
        count_up(&to->counts->bytes_written, done);
    }
    return done;
}

int mpgi_file_sync(struct file *file)
{
    uint64_t begun = file->counts != NULL ? now() : 0;

    if (file->unseen)
        return 0;
    /* Never repeated, not even after EINTR: rule 6. */
    if (file->io->fdatasync(file->context, file->fd) != 0)
        return fail(file, "fdatasync", MPG_NO_PAGE);
    if (file->counts != NULL) {
        count_up(&file->counts->syncs, 1);
        count_up(&file->counts->sync_time, now() - begun);
    }
    return 0;
}

uint64_t mpgi_file_next_data(const struct file *file, uint64_t offset, uint64_t *end)
{
    if (file->io->next_data != NULL)
        return file->io->next_data(file->context, file->fd, offset, end);
    if (end != NULL)
        *end = UINT64_MAX;
    return offset;
}

bool mpgi_file_is_hole(const struct file *file, uint64_t offset, size_t length)
{
    return file->io->next_data != NULL &&
           mpgi_file_next_data(file, offset, NULL) >= offset + length;
}

#define CRC_PIECE ((size_t)1 << 16)

int mpgi_file_crc(const struct file *file, uint32_t *crc, uint64_t length, uint64_t offset,
                  uint64_t page)
{
    uint64_t end = offset + length;
    size_t piece = (size_t)min_u64(length, CRC_PIECE);
    unsigned char *data = malloc(piece);
    int result = 0;

    if (data == NULL)
        return mpgi_fail_memory("read");
    for (*crc = 0; offset < end && result == 0; offset += piece) {
        uint64_t begin = length <= CRC_PIECE ? offset : mpgi_file_next_data(file, offset, NULL);

        /* What lies beyond the end of the file is no hole: reading it is an error. */
        begin = begin >= end ? end - min_u64(end - offset, CRC_PIECE) : begin;
        *crc = mpgi_crc_extend_zeros(*crc, begin - offset);
        offset = begin;
        piece = (size_t)min_u64(end - offset, CRC_PIECE);
        result = mpgi_file_read(file, data, piece, offset, page);
        if (result == 0)
            *crc = crc_extend(*crc, data, piece);
    }
    free(data);
    return result;
}

/*
 * Not by fstat if it can be helped: since Linux 6.13 a file whose times were looked at gets a new
 * time with the next write, and its inode is then one more block that the sync has to write.
 */
int mpgi_file_length(const struct file *file, uint64_t *bytes)
{
    if (file->sharing.others || file->io->length == NULL)
        return length_of_file(file, bytes);
    return file->io->length(file->context, file->fd, bytes) == 0 ? 0
                                                                 : fail(file, "lseek", MPG_NO_PAGE);
}

/* As mpgi_file_length, of a file that nobody on another machine has. */
static int local_length(const struct file *file, uint64_t *bytes)
{
    if (file->io->length == NULL)
        return mpgi_file_length(file, bytes);
    return file->io->length(file->context, file->fd, bytes) == 0 ? 0
                                                                 : fail(file, "lseek", MPG_NO_PAGE);
}

int mpgi_file_length_now(const struct file *file, uint64_t *bytes)
{
    if (!file->sharing.others)
        return local_length(file, bytes);
    if (file->io->forget != NULL)
        file->io->forget(file->context, file->fd, 0, 0);
    return mpgi_file_length(file, bytes);
}

int mpgi_file_reload_size(struct file *file)
{
    return mpgi_file_length_now(file, &file->bytes);
}

/* Larger than the pieces in which a system caches a file, of which it drops whole ones only. */
#define FORGOTTEN ((uint64_t)2 << 20)

void mpgi_file_forget(const struct file *file, uint64_t offset, uint64_t length)
{
    uint64_t begin = offset / FORGOTTEN * FORGOTTEN;
    uint64_t end = round_up(offset + length, FORGOTTEN);

    if (!file->sharing.others || file->io->forget == NULL || length == 0)
        return;
    /* What is mapped is not dropped. */
    if (file->unfault != NULL)
        file->unfault(file, file->map, begin, end - begin);
    file->io->forget(file->context, file->fd, begin, end - begin);
}

int mpgi_file_fail_changed(struct file *file, const char *how)
{
    file->changed = true;
    return mpgi_fail(MPG_E_CHANGED, "look again", MPG_NO_PAGE,
                     "%s: somebody else has changed it while it was open (%s): nothing more is "
                     "written to it; close it, see what it holds, and open it again",
                     file->path, how);
}

int mpgi_file_check_length(struct file *file)
{
    char how[80];
    uint64_t bytes;
    /* Where a lock reaches everybody, each page written does not ask anew. */
    int result = file->sharing.lock_is_local ? mpgi_file_length_now(file, &bytes)
                                             : mpgi_file_length(file, &bytes);

    if (result != 0 || bytes == file->bytes)
        return result;
    (void)snprintf(how, sizeof(how), "it has %llu bytes, not %llu", (unsigned long long)bytes,
                   (unsigned long long)file->bytes);
    return mpgi_file_fail_changed(file, how);
}

/*
 * Rule 12 looks by the descriptor that is written by, whatever else there is to read by: the
 * program may have closed that, or put another file in its place, and then it is the other file
 * that must be left alone.
 */
int mpgi_file_shows(bool *same, const struct file *file, const void *data, size_t length,
                    uint64_t offset, uint64_t page)
{
    const unsigned char *expected = data;
    unsigned char found[4096];

    *same = true;
    mpgi_file_forget(file, offset, length);
    for (size_t at = 0; at < length && *same; at += sizeof(found)) {
        size_t piece = (size_t)min_u64(sizeof(found), length - at);
        int result = read_by(file, file->fd, found, piece, offset + at, page);

        if (result != 0)
            return result;
        *same = memcmp(expected + at, found, piece) == 0;
    }
    return 0;
}

int mpgi_file_shows_written(bool *same, const struct file *file, const void *written,
                            const void *before, size_t length, uint64_t offset, uint64_t page)
{
    const unsigned char *new = written, *old = before;
    unsigned char found[64];
    size_t at = 0;
    int result;

    mpgi_file_forget(file, offset, length);
    result = length <= sizeof(found) ? read_by(file, file->fd, found, length, offset, page) : -1;
    if (result != 0)
        return result;
    while (at < length && found[at] == new[at])
        at++;
    *same = memcmp(found + at, old + at, length - at) == 0;
    return 0;
}
