/* SPDX-License-Identifier: MIT */
#include "os/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/rules.h"
#include "mappedpages.h"

/* How often another temporary name is tried where one is taken. */
#define MOST_NAMES 100

/* How often, and how many nanoseconds apart, what was open until now is tried to be removed. */
#define UNLINK_TRIES 100
#define UNLINK_PAUSE 10000000

#define MARK "mappedpages new\n"
#define MARK_SIZE (sizeof(MARK) - 1)

static int fail(const struct file *file, const char *operation)
{
    return mpgi_fail_errno(errno, operation, MPG_NO_PAGE, file->path);
}

static int fail_exists(const char *path)
{
    return mpgi_fail_errno(EEXIST, "create", MPG_NO_PAGE, path);
}

enum new_way mpgi_new_file_first_way(void)
{
    return RULE_HOLDS(15) ? NEW_NAMELESS : NEW_IN_PLACE;
}

/* ---- beginning ---- */

/* How long the part of a path is that names the directory, with its last slash. */
static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

/* Whether there is anything by that name, before much is written in vain. */
static bool is_taken(const struct io *io, void *context, const char *path)
{
    int fd = io->open(context, path, O_PATH | O_NOFOLLOW, 0);

    if (fd < 0)
        return false;
    (void)io->close(context, fd);
    return true;
}

static int begin_nameless(struct file *file, const struct io *io, void *context, const char *path)
{
    size_t length = directory_length(path);
    char *directory = length > 0 ? strndup(path, length) : strdup(".");
    int result;

    if (directory == NULL)
        return mpgi_fail_memory("create");
    result = mpgi_file_open_as(file, io, context, path, directory, O_RDWR | O_TMPFILE);
    free(directory);
    return result != 0 ? NEW_NOT_HERE : 0;
}

static uint64_t any_number(void)
{
    struct timespec now;
    uint64_t number;

    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) == (ssize_t)sizeof(number))
        return number;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec << 20 ^ (uint64_t)getpid();
}

/* A name in the directory of `path`, to be freed. */
static char *temporary_name(const char *path)
{
    char *name = NULL;

    if (asprintf(&name, "%.*s.mappedpages-%016" PRIx64, (int)directory_length(path), path,
                 any_number()) < 0)
        return NULL;
    return name;
}

static bool is_unsupported(int error)
{
    switch (error) {
    case EINVAL:
    case ENOSYS:
    case EOPNOTSUPP:
    case EPERM:
    case EMLINK:
    case EXDEV:
        return true;
    default:
        return false;
    }
}

static int begin_temporary(struct file *file, const struct io *io, void *context, const char *path)
{
    mpg_error_info error;
    int result = MPG_E_EXISTS;

    for (int i = 0; i < MOST_NAMES && result == MPG_E_EXISTS; i++) {
        char *name = temporary_name(path);

        if (name == NULL)
            return mpgi_fail_memory("create");
        result = mpgi_file_open_as(file, io, context, path, name,
                                   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW);
        if (result == 0)
            file->temporary = name;
        else
            free(name);
    }
    if (result == 0)
        return 0;
    (void)mpg_last_error(&error);
    return is_unsupported(error.system_errno) ? NEW_NOT_HERE : result;
}

static int begin_in_place(struct file *file, const struct io *io, void *context, const char *path)
{
    int result = mpgi_file_open_as(file, io, context, path, path, O_RDWR | O_CREAT | O_EXCL);

    if (result == 0)
        file->in_place = true;
    return result;
}

static int begin_as(struct file *file, const struct io *io, void *context, const char *path,
                    enum new_way way)
{
    int result;

    if (way == NEW_NAMELESS)
        result = begin_nameless(file, io, context, path);
    else if (way == NEW_TEMPORARY)
        result = begin_temporary(file, io, context, path);
    else
        result = begin_in_place(file, io, context, path);
    if (result == 0 && io->prepare != NULL)
        io->prepare(context, file->fd);
    return result;
}

int mpgi_new_file_check_name(const struct io *io, void *context, const char *path)
{
    return is_taken(io, context, path) ? fail_exists(path) : 0;
}

int mpgi_new_file_begin(struct file *file, const struct io *io, void *context, const char *path,
                        enum new_way way)
{
    memset(file, 0, sizeof(*file));
    file->fd = -1;
    if (way == NEW_NAMELESS && io->link == NULL)
        return NEW_NOT_HERE;
    if (way == NEW_TEMPORARY && io->rename == NULL)
        return NEW_NOT_HERE;
    if (way != NEW_IN_PLACE && is_taken(io, context, path))
        return fail_exists(path);
    return begin_as(file, io, context, path, way);
}

int mpgi_new_file_begin_successor(struct file *file, const struct io *io, void *context,
                                  const char *path, enum new_way way)
{
    memset(file, 0, sizeof(*file));
    file->fd = -1;
    if (io->replace == NULL || (way == NEW_NAMELESS && io->link == NULL))
        return NEW_NOT_HERE;
    return begin_as(file, io, context, path, way);
}

/* ---- in place ---- */

int mpgi_new_file_mark(struct file *file)
{
    int result;

    file->in_place = true;
    if (!RULE_HOLDS(15))
        return 0;
    result = mpgi_file_write(file, MARK, MARK_SIZE, 0, 0);
    if (result == 0)
        file->bytes = MARK_SIZE;
    return result;
}

bool mpgi_new_file_is_marked(const struct file *file)
{
    char head[MARK_SIZE];

    return file->bytes >= MARK_SIZE && mpgi_file_read(file, head, MARK_SIZE, 0, 0) == 0 &&
           memcmp(head, MARK, MARK_SIZE) == 0;
}

int mpgi_new_file_complete(struct file *file)
{
    return file->in_place && RULE_HOLDS(15) ? mpgi_file_sync(file) : 0;
}

/* ---- the name ---- */

/* A file without a name cannot be renamed. */
static int give_temporary_name(struct file *file)
{
    int given = -1;

    for (int i = 0; i < MOST_NAMES && given != 0; i++) {
        char *name = temporary_name(file->path);

        if (name == NULL)
            return mpgi_fail_memory("create");
        given = file->io->link(file->context, file->fd, name);
        if (given == 0)
            file->temporary = name;
        else
            free(name);
        if (given != 0 && errno != EEXIST)
            return NEW_NOT_HERE;
    }
    return given == 0 ? 0 : fail_exists(file->path);
}

static int take_place(struct file *file, const struct file *old)
{
    int result = file->temporary != NULL ? 0 : give_temporary_name(file);

    if (result != 0)
        return result;
    if (file->io->replace(file->context, file->fd, old->fd, file->temporary, file->path) == 0) {
        free(file->temporary);
        file->temporary = NULL;
        return 0;
    }
    if (errno == EBUSY)
        return mpgi_fail(MPG_E_BUSY, "rename", MPG_NO_PAGE,
                         "%s: it is another file by now than the one that was to be replaced",
                         file->path);
    return fail(file, "rename");
}

/* Gives it its name, its content being durable. EXISTS where there is one by now. */
static int give_name(struct file *file)
{
    int given;

    if (file->in_place)
        return 0;
    if (file->temporary != NULL)
        given = file->io->rename(file->context, file->temporary, file->path);
    else
        given = file->io->link(file->context, file->fd, file->path);
    if (given != 0 && errno == EEXIST)
        return fail_exists(file->path);
    /* Whatever else is wrong with giving a name to a nameless file, there is another way. */
    if (given != 0 && (file->temporary == NULL || is_unsupported(errno)))
        return NEW_NOT_HERE;
    if (given != 0)
        return fail(file, "rename");
    free(file->temporary);
    file->temporary = NULL;
    file->in_place = true;
    return 0;
}

/* Whether a directory cannot be synced here, by whoever asks like this. */
static bool cannot_be_synced(int error)
{
    return is_unsupported(error) || error == EACCES || error == EBADF || error == EROFS;
}

int mpgi_new_file_sync_name(struct file *file)
{
    if (file->io->sync_name(file->context, file->fd, file->path) == 0)
        return 0;
    if (!cannot_be_synced(errno))
        return fail(file, "fsync of its directory");
    file->name_unsure = true;
    return 0;
}

/*
 * Removes what was closed just now. A FUSE filesystem hears of the end of a file's use when the
 * kernel comes to it, which may be after it hears of the removal.
 */
static void unlink_closed(const struct file *file, const char *name)
{
    const struct timespec pause = {.tv_nsec = UNLINK_PAUSE};

    for (unsigned tries = 0; tries < UNLINK_TRIES; tries++) {
        if (file->io->unlink(file->context, name) == 0)
            return;
        if (errno != ENOSYS && errno != EBUSY && errno != EOPNOTSUPP)
            return;
        (void)nanosleep(&pause, NULL);
    }
}

void mpgi_new_file_abandon(struct file *file)
{
    const char *name = file->temporary != NULL ? file->temporary : file->path;

    if (file->temporary == NULL && !file->in_place)
        return;
    /* Where nothing can be renamed, libfuse cannot remove what is open. */
    if (file->io->unlink(file->context, name) == 0 || file->fd < 0)
        return;
    (void)file->io->close(file->context, file->fd);
    file->fd = -1;
    unlink_closed(file, name);
}

static int abandon_failed(struct file *file, int result)
{
    mpg_error_info error;

    if (result == 0)
        return 0;
    (void)mpg_last_error(&error);
    mpgi_new_file_abandon(file);
    return result == NEW_NOT_HERE ? result : mpgi_fail_again(&error);
}

int mpgi_new_file_finish(struct file *file, int result)
{
    if (result == 0)
        result = give_name(file);
    if (result == 0)
        result = mpgi_new_file_sync_name(file);
    return abandon_failed(file, result);
}

int mpgi_new_file_succeed(struct file *file, const struct file *old, int result)
{
    if (result == 0)
        result = take_place(file, old);
    if (result == 0)
        result = mpgi_new_file_sync_name(file);
    return abandon_failed(file, result);
}
