/* SPDX-License-Identifier: MIT */
#include "os/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors 0, 1 and 2. */
#define STANDARD 3

/*
 * Occupies the standard descriptors that are closed; returns how many. Who uses one meanwhile gets
 * EBADF, as before: that is what O_PATH is for, and the root directory is always there.
 */
static unsigned occupy_standard(int held[STANDARD])
{
    unsigned count = 0;

    while (count < STANDARD) {
        int fd = open("/", O_PATH | O_CLOEXEC);

        if (fd >= STANDARD)
            (void)close(fd);
        if (fd < 0 || fd >= STANDARD)
            break;
        held[count++] = fd;
    }
    return count;
}

static void leave_standard(const int held[STANDARD], unsigned count)
{
    while (count > 0)
        (void)close(held[--count]);
}

int mpgi_open_descriptor(const char *path, int flags, mode_t mode)
{
    int held[STANDARD];
    unsigned count = occupy_standard(held);
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
    int saved = errno;

    /* Another thread may have closed one of them since. */
    if (fd >= 0 && fd < STANDARD) {
        int low = fd;

        fd = fcntl(low, F_DUPFD_CLOEXEC, STANDARD);
        saved = errno;
        (void)close(low);
    }
    leave_standard(held, count);
    errno = saved;
    return fd;
}

/* Not by fstat: who asks for times makes the next write more expensive (see mpgi_file_length). */
static bool is_same(int a, int b)
{
    struct statx one, other;

    return statx(a, "", AT_EMPTY_PATH, STATX_INO, &one) == 0 &&
           statx(b, "", AT_EMPTY_PATH, STATX_INO, &other) == 0 && one.stx_ino == other.stx_ino &&
           one.stx_dev_major == other.stx_dev_major && one.stx_dev_minor == other.stx_dev_minor;
}

int mpgi_open_same(const char *path, int fd)
{
    int again = mpgi_open_descriptor(path, O_RDONLY | O_NONBLOCK, 0);

    if (again < 0 || is_same(again, fd))
        return again;
    (void)close(again);
    return -1;
}
