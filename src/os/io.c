/* SPDX-License-Identifier: MIT */
#include "os/io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "mappedpages.h"

/* ---- the operating system's calls ---- */

static int system_open(void *context, const char *path, int flags, unsigned mode)
{
    (void)context;
    /* Nothing for a regular file; on a FIFO, which is none, it would wait for the other end. */
    return open(path, flags | O_CLOEXEC | O_NONBLOCK, (mode_t)mode);
}

static int system_close(void *context, int fd)
{
    (void)context;
    return close(fd);
}

static int system_lock(void *context, int fd, enum io_lock lock)
{
    struct flock whole = {
        .l_type = lock == IO_LOCK_EXCLUSIVE ? F_WRLCK : F_RDLCK,
        .l_whence = SEEK_SET,
    };

    (void)context;
    return fcntl(fd, F_OFD_SETLK, &whole);
}

static int system_size(void *context, int fd, uint64_t *bytes)
{
    struct stat st;

    (void)context;
    if (fstat(fd, &st) != 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    *bytes = (uint64_t)st.st_size;
    return 0;
}

static ssize_t system_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    (void)context;
    return pread(fd, data, length, (off_t)offset);
}

static ssize_t system_pwrite(void *context, int fd, const void *data, size_t length,
                             uint64_t offset)
{
    (void)context;
    return pwrite(fd, data, length, (off_t)offset);
}

static bool system_is_hole(void *context, int fd, uint64_t offset, size_t length)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

    (void)context;
    return data < 0 ? errno == ENXIO : (uint64_t)data >= offset + length;
}

static int system_fdatasync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd);
}

static int system_room(void *context, int fd, uint64_t *bytes)
{
    struct statfs st;

    (void)context;
    if (fstatfs(fd, &st) != 0 || st.f_blocks == 0) /* some do not count */
        return -1;
    if (__builtin_mul_overflow((uint64_t)st.f_bfree, (uint64_t)st.f_bsize, bytes))
        *bytes = UINT64_MAX;
    return 0;
}

static int system_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    return fallocate(fd, 0, (off_t)offset, (off_t)length);
}

static int system_truncate(void *context, int fd, uint64_t bytes)
{
    (void)context;
    return ftruncate(fd, (off_t)bytes);
}

static int system_unlink(void *context, const char *path)
{
    (void)context;
    return unlink(path);
}

static bool system_has_name(void *context, int fd)
{
    struct stat st;

    (void)context;
    return fstat(fd, &st) != 0 || st.st_nlink > 0;
}

static int system_sync_directory(void *context, const char *path)
{
    char *copy = strdup(path);
    int fd, result, saved;

    (void)context;
    if (copy == NULL)
        return -1;
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd < 0)
        return -1;
    result = fsync(fd);
    saved = errno;
    (void)close(fd);
    errno = saved;
    return result;
}

static void *system_reserve(void *context, size_t length)
{
    void *address =
        mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)context;
    return address == MAP_FAILED ? NULL : address;
}

static int system_map(void *context, int fd, void *address, size_t length, uint64_t offset,
                      bool writable)
{
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *mapped = mmap(address, length, protection, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);

    (void)context;
    return mapped == MAP_FAILED ? -1 : 0;
}

static int system_unmap(void *context, void *address, size_t length)
{
    (void)context;
    return munmap(address, length);
}

const struct io mpgi_io_system = {
    .open = system_open,
    .close = system_close,
    .lock = system_lock,
    .size = system_size,
    .pread = system_pread,
    .pwrite = system_pwrite,
    .is_hole = system_is_hole,
    .fdatasync = system_fdatasync,
    .room = system_room,
    .allocate = system_allocate,
    .truncate = system_truncate,
    .unlink = system_unlink,
    .has_name = system_has_name,
    .sync_directory = system_sync_directory,
    .reserve = system_reserve,
    .map = system_map,
    .unmap = system_unmap,
};

/* ---- whole operations on an open file ---- */

static int fail(const struct file *file, const char *operation, uint64_t page)
{
    return mpgi_fail_errno(errno, operation, page, file->path);
}

int mpgi_file_open(struct file *file, const struct io *io, void *context, const char *path,
                   enum file_mode mode)
{
    static const int flags[] = {
        [FILE_READ] = O_RDONLY,
        [FILE_WRITE] = O_RDWR,
        [FILE_MAKE] = O_RDWR | O_CREAT | O_EXCL,
        [FILE_MAKE_IF_MISSING] = O_RDWR | O_CREAT,
    };
    bool read_only = mode == FILE_READ;
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
        file->fd = io->open(context, path, flags[mode], 0666);
    } while (file->fd < 0 && errno == EINTR);
    if (file->fd < 0 && !read_only && errno == EACCES)
        result =
            mpgi_fail(MPG_E_READ_ONLY, "open", MPG_NO_PAGE, "%s: no permission to write it", path);
    else if (file->fd < 0)
        result = fail(file, "open", MPG_NO_PAGE);
    else
        result = mpgi_file_reload_size(file);
    if (result != 0 && file->fd >= 0 && mode == FILE_MAKE)
        (void)io->unlink(context, path); /* it was not there before */
    if (result != 0)
        (void)mpgi_file_close(file);
    return result;
}

int mpgi_file_close(struct file *file)
{
    int result = 0;

    if (file->fd >= 0 && file->io->close(file->context, file->fd) != 0 && errno != EINTR)
        result = fail(file, "close", MPG_NO_PAGE);
    file->fd = -1;
    free(file->path);
    file->path = NULL;
    return result;
}

int mpgi_file_lock(struct file *file, enum io_lock lock)
{
    while (file->io->lock(file->context, file->fd, lock) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EACCES)
            return mpgi_fail(MPG_E_BUSY, "lock", MPG_NO_PAGE,
                             "%s: busy: it is open or mounted elsewhere", file->path);
        return fail(file, "lock", MPG_NO_PAGE);
    }
    return 0;
}

int mpgi_file_read(const struct file *file, void *data, size_t length, uint64_t offset,
                   uint64_t page)
{
    unsigned char *at = data;

    while (length > 0) {
        ssize_t got = file->io->pread(file->context, file->fd, at, length, offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(file, "pread", page);
        if (got == 0)
            return mpgi_fail(MPG_E_TRUNCATED, "pread", page,
                             "%s: the file ends at byte %llu, inside what its metadata counts",
                             file->path, (unsigned long long)offset);
        at += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return 0;
}

int mpgi_file_write(struct file *file, const void *data, size_t length, uint64_t offset,
                    uint64_t page)
{
    const unsigned char *at = data;

    while (length > 0) {
        ssize_t put = file->io->pwrite(file->context, file->fd, at, length, offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = EIO;
        if (put <= 0)
            return fail(file, "pwrite", page);
        at += put;
        offset += (uint64_t)put;
        length -= (size_t)put;
        /* Never true where rule 9 holds; and `bytes` is not the committing thread's to look at. */
        if (!RULE_HOLDS(9) && offset > file->bytes)
            file->bytes = offset;
    }
    return 0;
}

int mpgi_file_sync(struct file *file)
{
    /* Never repeated, not even after EINTR: rule 6. */
    if (file->io->fdatasync(file->context, file->fd) != 0)
        return fail(file, "fdatasync", MPG_NO_PAGE);
    return 0;
}

bool mpgi_file_is_hole(const struct file *file, uint64_t offset, size_t length)
{
    return file->io->is_hole != NULL && file->io->is_hole(file->context, file->fd, offset, length);
}

/* Gives back what a failed attempt to grow the file has taken. */
static int shrink_back(struct file *file, uint64_t bytes, int result)
{
    mpg_error_info error;

    (void)mpg_last_error(&error);
    file->bytes = bytes;
    if (file->io->truncate(file->context, file->fd, bytes) != 0)
        (void)mpgi_file_reload_size(file); /* what it has taken it keeps */
    (void)mpgi_fail_again(&error);
    return result;
}

static int extend_with_hole(struct file *file, uint64_t bytes)
{
    while (file->io->truncate(file->context, file->fd, bytes) != 0)
        if (errno != EINTR)
            return fail(file, "ftruncate", MPG_NO_PAGE);
    return 0;
}

/* For filesystems that cannot reserve space: takes it by writing zeros. */
static int extend_with_zeros(struct file *file, uint64_t bytes)
{
    static const unsigned char zeros[1 << 16];
    uint64_t before = file->bytes;
    int result = 0;

    for (uint64_t at = before; at < bytes && result == 0; at += sizeof(zeros))
        result = mpgi_file_write(file, zeros, (size_t)min_u64(sizeof(zeros), bytes - at), at,
                                 MPG_NO_PAGE);
    return result == 0 ? 0 : shrink_back(file, before, result);
}

static int extend_with_space(struct file *file, uint64_t bytes)
{
    uint64_t more = bytes - file->bytes;
    uint64_t room;
    int result;

    /* A disk that is too small should not be filled first to find that out. */
    if (file->io->room != NULL && file->io->room(file->context, file->fd, &room) == 0 &&
        more > room) {
        errno = ENOSPC;
        return fail(file, "fallocate", MPG_NO_PAGE);
    }
    do {
        result = file->io->allocate(file->context, file->fd, file->bytes, more);
    } while (result != 0 && errno == EINTR);
    if (result == 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == ENOSYS)
        return extend_with_zeros(file, bytes);
    return shrink_back(file, file->bytes, fail(file, "fallocate", MPG_NO_PAGE));
}

int mpgi_file_grow(struct file *file, uint64_t bytes)
{
    int result;

    if (bytes <= file->bytes)
        return 0;
    if (bytes > INT64_MAX)
        return mpgi_fail(MPG_E_FILE_FULL, "grow", MPG_NO_PAGE,
                         "%s: %llu bytes are more than any file can have", file->path,
                         (unsigned long long)bytes);
    result = file->sparse ? extend_with_hole(file, bytes) : extend_with_space(file, bytes);
    if (result == 0)
        file->bytes = bytes;
    return result;
}

int mpgi_file_length(const struct file *file, uint64_t *bytes)
{
    if (file->io->size(file->context, file->fd, bytes) != 0)
        return fail(file, errno == EINVAL ? "not a regular file" : "fstat", MPG_NO_PAGE);
    return 0;
}

int mpgi_file_reload_size(struct file *file)
{
    return mpgi_file_length(file, &file->bytes);
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
    int result = mpgi_file_length(file, &bytes);

    if (result != 0 || bytes == file->bytes)
        return result;
    (void)snprintf(how, sizeof(how), "it has %llu bytes, not %llu", (unsigned long long)bytes,
                   (unsigned long long)file->bytes);
    return mpgi_file_fail_changed(file, how);
}

int mpgi_file_shows(bool *same, const struct file *file, const void *data, size_t length,
                    uint64_t offset, uint64_t page)
{
    const unsigned char *expected = data;
    unsigned char found[4096];

    *same = true;
    for (size_t at = 0; at < length && *same; at += sizeof(found)) {
        size_t piece = (size_t)min_u64(sizeof(found), length - at);
        int result = mpgi_file_read(file, found, piece, offset + at, page);

        if (result != 0)
            return result;
        *same = memcmp(expected + at, found, piece) == 0;
    }
    return 0;
}
