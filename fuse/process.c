/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Flags in /proc/PID/stat, as in the kernel's <linux/sched.h>. */
#define PF_EXITING 0x00000004ul
#define PF_SIGNALED 0x00000400ul

bool process_is_killed(pid_t thread)
{
    char path[64], line[512];
    unsigned long flags;
    const char *rest;
    ssize_t length;
    int fd;

    if (thread <= 0) {
        return false;
    }
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)thread);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    length = read(fd, line, sizeof(line) - 1);
    (void)close(fd);
    line[length > 0 ? length : 0] = '\0';
    /* The name, in parentheses, may hold anything. Behind it: state, five numbers, flags. */
    rest = strrchr(line, ')');
    if (rest == NULL || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) != 1) {
        return false;
    }
    return (flags & PF_EXITING) && (flags & PF_SIGNALED);
}

/* The process of a thread, or 0 if there is no such thread. */
static pid_t process_of(pid_t thread)
{
    char path[64], line[256];
    long process = 0;
    FILE *stream;

    snprintf(path, sizeof(path), "/proc/%ld/status", (long)thread);
    stream = fopen(path, "re");
    if (stream == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), stream) != NULL && sscanf(line, "Tgid: %ld", &process) != 1) {
        /* not this line */
    }
    fclose(stream);
    return (pid_t)process;
}

bool process_may_be_same(pid_t thread, pid_t other)
{
    pid_t process;

    if (thread == other) {
        return true;
    }
    process = process_of(other);
    return process == 0 || process == process_of(thread);
}
