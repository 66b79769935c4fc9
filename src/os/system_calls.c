/* SPDX-License-Identifier: MIT */
/* The operating system's own calls, as io.h wants them. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "os/descriptor.h"
#include "os/io.h"

/* The process ignores SIGXFSZ, or did when it last opened a file: see is_over_limit. */
static atomic_bool ignores_limit;

static void note_signal(void)
{
    struct sigaction action;

    atomic_store(&ignores_limit,
                 sigaction(SIGXFSZ, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
}

static int system_open(void *context, const char *path, int flags, unsigned mode)
{
    (void)context;
    note_signal();
    /* Nothing for a regular file; on a FIFO, which is none, it would wait for the other end. */
    return mpgi_open_descriptor(path, flags | O_NONBLOCK, (mode_t)mode);
}

static int system_close(void *context, int fd)
{
    (void)context;
    return close(fd);
}

/* The path of a descriptor in /proc; where that is not mounted, something else may be there. */
static void path_of_descriptor(char path[32], int fd)
{
    (void)snprintf(path, 32, "/proc/self/fd/%d", fd);
}

static int system_again(void *context, int fd)
{
    char self[32];

    (void)context;
    path_of_descriptor(self, fd);
    return mpgi_open_same(self, fd);
}

static int system_lock_range(void *context, int fd, uint64_t first, uint64_t length,
                             enum io_lock lock)
{
    static const short types[] = {
        [IO_LOCK_SHARED] = F_RDLCK,
        [IO_LOCK_EXCLUSIVE] = F_WRLCK,
        [IO_LOCK_NONE] = F_UNLCK,
    };
    struct flock range = {.l_type = types[lock],
                          .l_whence = SEEK_SET,
                          .l_start = (off_t)first,
                          .l_len = (off_t)length};

    (void)context;
    return fcntl(fd, F_OFD_SETLK, &range);
}

static int system_lock(void *context, int fd, enum io_lock lock)
{
    return system_lock_range(context, fd, 0, LOCK_END, lock);
}

static bool system_find_lock(void *context, int fd, uint64_t first, uint64_t length, uint64_t *at,
                             uint64_t *end)
{
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)first, .l_len = (off_t)length};

    (void)context;
    if (fcntl(fd, F_OFD_GETLK, &range) != 0 || range.l_type == F_UNLCK)
        return false;
    if (at != NULL) {
        *at = (uint64_t)range.l_start;
        *end = range.l_len == 0 ? UINT64_MAX : *at + (uint64_t)range.l_len;
    }
    return true;
}

static void system_sharing(void *context, int fd, struct sharing *sharing)
{
    (void)context;
    mpgi_sharing_of(sharing, fd);
}

static void system_will_need(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    (void)posix_fadvise(fd, (off_t)offset, (off_t)length, POSIX_FADV_WILLNEED);
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
 * Whether the process may have no file of so many bytes. To try it would end the process, and
 * signals are not a library's to prepare for. One that ignores SIGXFSZ is not asked: there the call
 * that follows is EFBIG by itself.
 */
static bool is_over_limit(uint64_t bytes)
{
    struct rlimit limit;

    return !atomic_load_explicit(&ignores_limit, memory_order_relaxed) &&
           getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
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
    if (is_over_limit(offset + 1)) {
        errno = EFBIG;
        return -1;
    }
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

/*
 * What fails here fails again in the sync, or the system remembers it for the sync: only those
 * flags that wait would take the error away.
 */
static void system_start(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    (void)sync_file_range(fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
}

/* A filesystem that cannot do that is no error. */
static int system_write_out(void *context, int fd, uint64_t offset, uint64_t length)
{
    int result = sync_file_range(fd, (off_t)offset, (off_t)length,
                                 SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                     SYNC_FILE_RANGE_WAIT_AFTER);

    (void)context;
    return result == 0 || errno == ENOSYS || errno == EINVAL || errno == ESPIPE ? 0 : -1;
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

/*
 * Only XFS can take away what a copy made by reference shares; elsewhere that is not there to ask.
 */
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

static int system_punch(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
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

static ssize_t system_copy(void *context, int fd, int from, uint64_t offset, size_t length)
{
    off_t in = (off_t)offset, out = (off_t)offset;

    (void)context;
    if (is_over_limit(offset + length))
        return -1;
    return copy_file_range(from, &in, fd, &out, length, 0);
}

static int system_clone(void *context, int fd, int from)
{
    (void)context;
    return ioctl(fd, FICLONE, from);
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
    path_of_descriptor(self, fd);
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

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int system_replace(void *context, int fd, int old, const char *from, const char *to)
{
    struct stat now, st;

    (void)context;
    if (fstat(old, &st) != 0 || lstat(to, &now) != 0)
        return -1;
    if (!is_same(&st, &now)) {
        errno = EBUSY;
        return -1;
    }
    if (fchown(fd, st.st_uid, st.st_gid) != 0 || fchmod(fd, st.st_mode & 07777) != 0)
        return -1;
    return rename(from, to);
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

/* On btrfs, what is written again goes to a new place, unless that was asked for in time. */
static bool get_flags_of_btrfs(int fd, int *flags)
{
    struct statfs st;

    return fstatfs(fd, &st) == 0 && (uint32_t)st.f_type == BTRFS_SUPER_MAGIC &&
           ioctl(fd, FS_IOC_GETFLAGS, flags) == 0;
}

static void system_prepare(void *context, int fd)
{
    int flags;

    (void)context;
    if (!get_flags_of_btrfs(fd, &flags))
        return;
    flags |= FS_NOCOW_FL;
    (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static bool system_moves(void *context, int fd)
{
    int flags;

    (void)context;
    return get_flags_of_btrfs(fd, &flags) && (flags & FS_NOCOW_FL) == 0;
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
    .again = system_again,
    .lock = system_lock,
    .lock_range = system_lock_range,
    .find_lock = system_find_lock,
    .sharing = system_sharing,
    .forget = system_forget,
    .will_need = system_will_need,
    .unfault = system_unfault,
    .size = system_size,
    .length = system_length,
    .pread = system_pread,
    .pwrite = system_pwrite,
    .pwritev = system_pwritev,
    .next_data = system_next_data,
    .start = system_start,
    .write_out = system_write_out,
    .fdatasync = system_fdatasync,
    .room = system_room,
    .allocate = system_allocate,
    .back = system_back,
    .backed = system_backed,
    .punch = system_punch,
    .truncate = system_truncate,
    .copy = system_copy,
    .clone = system_clone,
    .unlink = system_unlink,
    .has_name = system_has_name,
    .link = system_link,
    .rename = system_rename,
    .replace = system_replace,
    .target = system_target,
    .prepare = system_prepare,
    .moves = system_moves,
    .sync_name = system_sync_name,
    .reserve = system_reserve,
    .map = system_map,
    .unmap = system_unmap,
    .populate = system_populate,
};
