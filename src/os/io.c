/* SPDX-License-Identifier: MIT */
#include "os/io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "mappedpages.h"
#include "os/descriptor.h"

/* ---- the operating system's calls ---- */

static int system_open(void *context, const char *path, int flags, unsigned mode)
{
    (void)context;
    /* Nothing for a regular file; on a FIFO, which is none, it would wait for the other end. */
    return mpgi_open_descriptor(path, flags | O_NONBLOCK, (mode_t)mode);
}

static int system_close(void *context, int fd)
{
    (void)context;
    return close(fd);
}

static int system_lock(void *context, int fd, enum io_lock lock)
{
    static const short types[] = {
        [IO_LOCK_SHARED] = F_RDLCK,
        [IO_LOCK_EXCLUSIVE] = F_WRLCK,
        [IO_LOCK_NONE] = F_UNLCK,
    };
    struct flock whole = {.l_type = types[lock], .l_whence = SEEK_SET};

    (void)context;
    return fcntl(fd, F_OFD_SETLK, &whole);
}

static void system_sharing(void *context, int fd, struct sharing *sharing)
{
    (void)context;
    mpgi_sharing_of(sharing, fd);
}

static void system_forget(void *context, int fd, uint64_t offset, uint64_t length)
{
    struct statx st;

    (void)context;
    if (length == 0)
        (void)statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE, &st);
    else
        (void)posix_fadvise(fd, (off_t)offset, (off_t)length, POSIX_FADV_DONTNEED);
}

static void system_unfault(void *context, void *address, size_t length)
{
    (void)context;
    (void)madvise(address, length, MADV_DONTNEED);
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

/*
 * fstat would cost more than twice as much: who has asked for the time of change gets a new one
 * with the next write, however soon that comes.
 */
static int system_length(void *context, int fd, uint64_t *bytes)
{
    off_t end = lseek(fd, 0, SEEK_END);

    (void)context;
    if (end < 0)
        return -1;
    *bytes = (uint64_t)end;
    return 0;
}

static ssize_t system_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    (void)context;
    return pread(fd, data, length, (off_t)offset);
}

/*
 * Whether the process may have no file of so many bytes. To try it would end the process, unless it
 * is prepared for SIGXFSZ; and signals are not a library's to prepare for.
 */
static bool is_over_limit(uint64_t bytes)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           bytes > limit.rlim_cur;
}

static ssize_t system_pwrite(void *context, int fd, const void *data, size_t length,
                             uint64_t offset)
{
    (void)context;
    /* Up to the limit it writes what fits. */
    if (length > 0 && is_over_limit(offset + 1)) {
        errno = EFBIG;
        return -1;
    }
    return pwrite(fd, data, length, (off_t)offset);
}

static ssize_t system_pwritev(void *context, int fd, const struct iovec *pieces, int count,
                              uint64_t offset)
{
    (void)context;
    return pwritev(fd, pieces, count, (off_t)offset);
}

static uint64_t system_next_data(void *context, int fd, uint64_t offset, uint64_t *end)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
    off_t hole = data >= 0 && end != NULL ? lseek(fd, data, SEEK_HOLE) : -1;

    (void)context;
    if (end != NULL)
        *end = hole >= 0 ? (uint64_t)hole : UINT64_MAX;
    if (data < 0)
        return errno == ENXIO ? UINT64_MAX : offset;
    return (uint64_t)data;
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
    if (is_over_limit(offset + length)) {
        errno = EFBIG;
        return -1;
    }
    return fallocate(fd, 0, (off_t)offset, (off_t)length);
}

/* Only XFS can take away what a copy made by reference shares; elsewhere that is not there to ask. */
static int system_back(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    /* The length stays: where somebody has cut the file, it must not become as long as it was. */
    if (fallocate(fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                  (off_t)length) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
        return -1;
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
}

#define MOST_EXTENTS 16

static uint64_t system_backed(void *context, int fd, uint64_t offset, uint64_t length)
{
    union {
        struct fiemap map;
        char room[sizeof(struct fiemap) + MOST_EXTENTS * sizeof(struct fiemap_extent)];
    } asked;
    uint64_t end = offset;

    (void)context;
    memset(&asked, 0, sizeof(asked));
    asked.map.fm_start = offset;
    asked.map.fm_length = length;
    asked.map.fm_extent_count = MOST_EXTENTS;
    if (ioctl(fd, FS_IOC_FIEMAP, &asked.map) != 0)
        return 0;
    for (unsigned i = 0; i < asked.map.fm_mapped_extents; i++) {
        const struct fiemap_extent *extent = &asked.map.fm_extents[i];

        if (extent->fe_logical > end || (extent->fe_flags & FIEMAP_EXTENT_SHARED) != 0)
            break;
        end = extent->fe_logical + extent->fe_length;
    }
    return end - offset;
}

static int system_truncate(void *context, int fd, uint64_t bytes)
{
    uint64_t now;

    if (system_size(context, fd, &now) == 0 && bytes > now && is_over_limit(bytes)) {
        errno = EFBIG;
        return -1;
    }
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

static int system_link(void *context, int fd, const char *path)
{
    char self[32];

    (void)context;
    if (linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno == EEXIST)
        return -1;
    /* That takes a privilege; this takes /proc. */
    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static int system_rename(void *context, const char *from, const char *to)
{
    (void)context;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return -1;
    if (link(from, to) != 0)
        return -1;
    (void)unlink(from);
    return 0;
}

static char *system_target(void *context, const char *path)
{
    const char *slash = strrchr(path, '/');
    int directory = slash != NULL ? (int)(slash - path) + 1 : 0;
    char found[PATH_MAX];
    ssize_t length = readlink(path, found, sizeof(found) - 1);
    char *whole = NULL;

    (void)context;
    if (length <= 0)
        return NULL;
    found[length] = '\0';
    if (found[0] == '/')
        directory = 0;
    return asprintf(&whole, "%.*s%s", directory, path, found) >= 0 ? whole : NULL;
}

/* On btrfs, what is written again goes to a new place, unless this was asked for in time. */
static void system_prepare(void *context, int fd)
{
    struct statfs st;
    int flags;

    (void)context;
    if (fstatfs(fd, &st) != 0 || st.f_type != BTRFS_SUPER_MAGIC ||
        ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
        return;
    flags |= FS_NOCOW_FL;
    (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int system_sync_name(void *context, int fd, const char *path)
{
    char *copy;
    int directory, result, saved;

    (void)context;
    /* With some filesystems that alone makes the name durable, too. */
    if (fsync(fd) != 0)
        return -1;
    copy = strdup(path);
    if (copy == NULL)
        return -1;
    directory = mpgi_open_descriptor(dirname(copy), O_RDONLY | O_DIRECTORY, 0);
    free(copy);
    if (directory < 0)
        return -1;
    result = fsync(directory);
    saved = errno;
    (void)close(directory);
    errno = saved;
    return result;
}

static void *system_reserve(void *context, uint64_t offset, size_t length)
{
    void *address =
        mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)context;
    (void)offset;
    if (address == MAP_FAILED)
        return NULL;
    /* After mlockall(MCL_FUTURE) it would count as locked, and nothing is there yet. */
    (void)munlock(address, length);
    return address;
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

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int system_populate(void *context, void *address, size_t length)
{
    size_t unit = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = (uintptr_t)address % unit;

    (void)context;
    if (madvise((char *)address - before, round_up(before + length, unit), MADV_POPULATE_WRITE) ==
        0)
        return 0;
    /* Before Linux 5.14 nobody can tell. */
    return errno == EFAULT ? -1 : 0;
}

const struct io mpgi_io_system = {
    .open = system_open,
    .close = system_close,
    .lock = system_lock,
    .sharing = system_sharing,
    .forget = system_forget,
    .unfault = system_unfault,
    .size = system_size,
    .length = system_length,
    .pread = system_pread,
    .pwrite = system_pwrite,
    .pwritev = system_pwritev,
    .next_data = system_next_data,
    .fdatasync = system_fdatasync,
    .room = system_room,
    .allocate = system_allocate,
    .back = system_back,
    .backed = system_backed,
    .truncate = system_truncate,
    .unlink = system_unlink,
    .has_name = system_has_name,
    .link = system_link,
    .rename = system_rename,
    .target = system_target,
    .prepare = system_prepare,
    .sync_name = system_sync_name,
    .reserve = system_reserve,
    .map = system_map,
    .unmap = system_unmap,
    .populate = system_populate,
};

/* ---- whole operations on an open file ---- */

static int fail(const struct file *file, const char *operation, uint64_t page)
{
    return mpgi_fail_errno(errno, operation, page, file->path);
}

bool mpgi_interrupted(unsigned *times)
{
    return errno == EINTR && ++*times < MOST_INTERRUPTIONS;
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
    if (file->fd < 0 && !read_only && errno == EACCES)
        result =
            mpgi_fail(MPG_E_READ_ONLY, "open", MPG_NO_PAGE, "%s: no permission to write it", path);
    else if (file->fd < 0)
        result = fail(file, "open", MPG_NO_PAGE);
    else
        result = mpgi_file_reload_size(file);
    if (result == 0 && io->sharing != NULL)
        io->sharing(context, file->fd, &file->sharing);
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
    if (file->fd >= 0 && file->io->close(file->context, file->fd) != 0 && errno != EINTR)
        result = fail(file, "close", MPG_NO_PAGE);
    file->fd = -1;
    free(file->path);
    file->path = NULL;
    free(file->temporary);
    file->temporary = NULL;
    mpgi_id_map_clear(&file->backed);
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

int mpgi_file_read(const struct file *file, void *data, size_t length, uint64_t offset,
                   uint64_t page)
{
    unsigned char *at = data;
    unsigned interrupted = 0;

    if (file->ask)
        mpgi_file_forget(file, offset, length);
    while (length > 0) {
        ssize_t got = file->io->pread(file->context, file->fd, at, length, offset);

        if (got < 0 && mpgi_interrupted(&interrupted))
            continue;
        if (got < 0)
            return fail(file, "pread", page);
        if (got == 0)
            return mpgi_fail(MPG_E_TRUNCATED, "pread", page,
                             "%s: the file ends at byte %llu, inside what its metadata counts",
                             file->path, (unsigned long long)offset);
        interrupted = 0;
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

int mpgi_file_sync(struct file *file)
{
    /* Never repeated, not even after EINTR: rule 6. */
    if (file->io->fdatasync(file->context, file->fd) != 0)
        return fail(file, "fdatasync", MPG_NO_PAGE);
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

int mpgi_file_length(const struct file *file, uint64_t *bytes)
{
    if (file->io->size(file->context, file->fd, bytes) != 0)
        return fail(file, errno == EINVAL ? "not a regular file" : "fstat", MPG_NO_PAGE);
    return 0;
}

int mpgi_file_length_now(const struct file *file, uint64_t *bytes)
{
    if (file->sharing.others && file->io->forget != NULL)
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

/* As mpgi_file_length, of a file that nobody on another machine has. */
static int local_length(const struct file *file, uint64_t *bytes)
{
    if (file->io->length == NULL)
        return mpgi_file_length(file, bytes);
    return file->io->length(file->context, file->fd, bytes) == 0 ? 0
                                                                 : fail(file, "lseek", MPG_NO_PAGE);
}

int mpgi_file_check_length(struct file *file)
{
    char how[80];
    uint64_t bytes;
    /* Where a lock reaches everybody, each page written does not ask anew. */
    int result = file->sharing.lock_is_local ? mpgi_file_length_now(file, &bytes)
                 : file->sharing.others      ? mpgi_file_length(file, &bytes)
                                             : local_length(file, &bytes);

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
    mpgi_file_forget(file, offset, length);
    for (size_t at = 0; at < length && *same; at += sizeof(found)) {
        size_t piece = (size_t)min_u64(sizeof(found), length - at);
        int result = mpgi_file_read(file, found, piece, offset + at, page);

        if (result != 0)
            return result;
        *same = memcmp(expected + at, found, piece) == 0;
    }
    return 0;
}
