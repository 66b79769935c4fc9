/* SPDX-License-Identifier: MIT */
#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_FREE (STDERR_FILENO + 1)
/* Tried one by one where the kernel cannot close a range; more are hardly ever open. */
#define MOST_TRIED 65536

bool descriptors_reserve(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* The wrong way round, so that nothing seems to work that did nothing. */
        int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

        if (fcntl(fd, F_GETFD) >= 0) {
            continue;
        }
        /* The lowest that is free, which is this one. */
        if (open("/dev/null", flags) != fd && open("/", O_PATH) != fd) {
            return false;
        }
    }
    return true;
}

static void close_range_of(unsigned first, unsigned last)
{
    long most;

    if (first > last) {
        return;
    }
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, last, 0U) == 0) {
        return;
    }
#endif
    most = sysconf(_SC_OPEN_MAX);
    if (most < 0 || most > MOST_TRIED) {
        most = MOST_TRIED;
    }
    for (unsigned fd = first; fd <= last && fd < (unsigned)most; fd++) {
        (void)close((int)fd);
    }
}

void descriptors_close_others(const int *kept, size_t count)
{
    unsigned from = FIRST_FREE;

    for (;;) {
        unsigned next = UINT_MAX; /* the lowest that is kept, from `from` on */

        for (size_t i = 0; i < count; i++) {
            if (kept[i] >= 0 && (unsigned)kept[i] >= from && (unsigned)kept[i] < next) {
                next = (unsigned)kept[i];
            }
        }
        if (next == UINT_MAX) {
            close_range_of(from, INT_MAX);
            return;
        }
        if (next > from) {
            close_range_of(from, next - 1);
        }
        from = next + 1;
    }
}
