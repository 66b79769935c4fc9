/* SPDX-License-Identifier: MIT */
/*
 * layer -o backing=DIR[,SWITCH…] MOUNT_POINT
 *
 * A filesystem that shows what is in a directory, as one of another machine does: what the kernel
 * has cached of it stays, whatever others write to the directory. Nothing is said of changes, and
 * opening drops nothing. So two of them over one directory are two clients with a cache each.
 *
 *     locks              takes locks on the directory's files, as clients of one cluster do; else
 *                        the kernel keeps them for this mount alone
 *     slow_release       what is closed last lets go of its lock a while later
 *     no_directory_sync  fsync of a directory is EINVAL, as with CIFS and 9P
 *     no_rename          there is no rename, and so nothing that is open can be removed
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* Seconds for which the kernel may go by what it was told of a name or a file. */
#define REMEMBERED 3600
/* How long an end of use takes with slow_release, in nanoseconds. */
#define SLOW (100L * 1000 * 1000)

static struct {
    const char *backing;
    int locks;
    int slow_release;
    int no_directory_sync;
    int no_rename;
    int directory; /* the descriptor of `backing` */
} layer;

/* An open file. */
struct handle {
    int fd;         /* of the file below */
    uint64_t owner; /* who has locked it: closing a copy of a descriptor unlocks for another */
};

static struct handle *handle_of(const struct fuse_file_info *info)
{
    return (struct handle *)(uintptr_t)info->fh; /* NOLINT(performance-no-int-to-ptr) */
}

/* A path of the mount as one below the directory. */
static const char *below(const char *path)
{
    return path[1] == '\0' ? "." : path + 1;
}

static int result_of(long result)
{
    return result < 0 ? -errno : (int)result;
}

static int layer_getattr(const char *path, struct stat *st, struct fuse_file_info *info)
{
    return result_of(info != NULL ? fstat(handle_of(info)->fd, st)
                                  : fstatat(layer.directory, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int open_below(const char *path, int flags, mode_t mode, struct fuse_file_info *info)
{
    struct handle *handle = calloc(1, sizeof(*handle));

    if (handle == NULL)
        return -ENOMEM;
    handle->fd = openat(layer.directory, below(path), flags | O_CLOEXEC, mode);
    if (handle->fd < 0) {
        int error = errno;

        free(handle);
        return -error;
    }
    info->fh = (uintptr_t)handle;
    info->keep_cache = 1;
    return 0;
}

static int layer_open(const char *path, struct fuse_file_info *info)
{
    return open_below(path, info->flags & ~(O_CREAT | O_EXCL), 0, info);
}

static int layer_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    return open_below(path, info->flags | O_CREAT, mode, info);
}

static int layer_release(const char *path, struct fuse_file_info *info)
{
    struct handle *handle = handle_of(info);
    const struct timespec while_away = {0, SLOW};

    (void)path;
    if (layer.slow_release)
        (void)nanosleep(&while_away, NULL);
    (void)close(handle->fd);
    free(handle);
    return 0;
}

static int layer_read(const char *path, char *data, size_t length, off_t offset,
                      struct fuse_file_info *info)
{
    (void)path;
    return result_of(pread(handle_of(info)->fd, data, length, offset));
}

static int layer_write(const char *path, const char *data, size_t length, off_t offset,
                       struct fuse_file_info *info)
{
    (void)path;
    return result_of(pwrite(handle_of(info)->fd, data, length, offset));
}

static int layer_truncate(const char *path, off_t length, struct fuse_file_info *info)
{
    int fd, error;

    if (info != NULL)
        return result_of(ftruncate(handle_of(info)->fd, length));
    fd = openat(layer.directory, below(path), O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    error = result_of(ftruncate(fd, length));
    (void)close(fd);
    return error;
}

static int layer_fallocate(const char *path, int mode, off_t offset, off_t length,
                           struct fuse_file_info *info)
{
    (void)path;
    return result_of(fallocate(handle_of(info)->fd, mode, offset, length));
}

static int layer_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    int fd = handle_of(info)->fd;

    (void)path;
    return result_of(data_only ? fdatasync(fd) : fsync(fd));
}

static int layer_fsyncdir(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)path;
    (void)data_only;
    (void)info;
    return layer.no_directory_sync ? -EINVAL : result_of(fsync(layer.directory));
}

static int layer_lock(const char *path, struct fuse_file_info *info, int command,
                      struct flock *lock)
{
    struct handle *handle = handle_of(info);

    (void)path;
    if (command == F_GETLK)
        return -EOPNOTSUPP;
    if (lock->l_type == F_UNLCK && handle->owner != info->lock_owner)
        return 0;
    lock->l_pid = 0;
    if (fcntl(handle->fd, F_OFD_SETLK, lock) != 0)
        return -errno;
    handle->owner = info->lock_owner;
    return 0;
}

static int layer_unlink(const char *path)
{
    return result_of(unlinkat(layer.directory, below(path), 0));
}

static int layer_rename(const char *from, const char *to, unsigned flags)
{
    return result_of(renameat2(layer.directory, below(from), layer.directory, below(to), flags));
}

static int layer_statfs(const char *path, struct statvfs *st)
{
    (void)path;
    return result_of(fstatvfs(layer.directory, st));
}

static void *layer_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    /* Nor is it taken for a change when others make it longer. */
    connection->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    connection->want |= connection->capable & FUSE_CAP_EXPLICIT_INVAL_DATA;
    config->kernel_cache = 1;
    config->attr_timeout = REMEMBERED;
    config->entry_timeout = REMEMBERED;
    config->negative_timeout = 0;
    return NULL;
}

static struct fuse_operations operations = {
    .init = layer_init,
    .getattr = layer_getattr,
    .open = layer_open,
    .create = layer_create,
    .release = layer_release,
    .read = layer_read,
    .write = layer_write,
    .truncate = layer_truncate,
    .fallocate = layer_fallocate,
    .fsync = layer_fsync,
    .fsyncdir = layer_fsyncdir,
    .lock = layer_lock,
    .unlink = layer_unlink,
    .rename = layer_rename,
    .statfs = layer_statfs,
};

#define SWITCH(name)                                                                               \
    {                                                                                              \
#name, offsetof(__typeof__(layer), name), 1                                                \
    }

int main(int argc, char **argv)
{
    static const struct fuse_opt switches[] = {
        {"backing=%s", offsetof(__typeof__(layer), backing), 0},
        SWITCH(locks),
        SWITCH(slow_release),
        SWITCH(no_directory_sync),
        SWITCH(no_rename),
        FUSE_OPT_END,
    };
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    int result;

    if (fuse_opt_parse(&args, &layer, switches, NULL) != 0 || layer.backing == NULL)
        return 2;
    layer.directory = open(layer.backing, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (layer.directory < 0) {
        perror(layer.backing);
        return 2;
    }
    if (!layer.locks)
        operations.lock = NULL;
    if (layer.no_rename)
        operations.rename = NULL;
    result = fuse_main(args.argc, args.argv, &operations, NULL);
    fuse_opt_free_args(&args);
    return result;
}
