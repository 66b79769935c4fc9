/* SPDX-License-Identifier: MIT */
#include "kin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The beginning of a file of /proc/PID, with a terminator; false if there is none. */
static bool read_proc(char *text, size_t size, pid_t pid, const char *name)
{
    char path[64];
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    length = read(fd, text, size - 1);
    (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* The process of a thread, or 0. */
static pid_t process_of(pid_t thread)
{
    char text[1024];
    const char *line;

    if (thread <= 0 || !read_proc(text, sizeof(text), thread, "status")) {
        return 0;
    }
    line = strstr(text, "\nTgid:"); /* a newline in the name, before it, is escaped */
    return line != NULL ? (pid_t)strtol(line + strlen("\nTgid:"), NULL, 10) : 0;
}

bool kin_read(struct kin *kin, pid_t thread)
{
    const long ticks = sysconf(_SC_CLK_TCK);
    const pid_t process = process_of(thread);
    unsigned long long started;
    long parent, session;
    const char *rest;
    char text[1024];

    memset(kin, 0, sizeof(*kin));
    if (process == 0 || ticks <= 0 || !read_proc(text, sizeof(text), process, "stat")) {
        return false;
    }
    /* The name, in parentheses, may hold anything. Behind it: state, parent, group, session … */
    rest = strrchr(text, ')');
    if (rest == NULL ||
        sscanf(rest + 1,
               " %*c %ld %*d %ld %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &parent, &session, &started) != 3) {
        return false;
    }
    *kin = (struct kin){process, (pid_t)parent, (pid_t)session,
                        started / (unsigned long long)ticks * 1000000000u +
                            started % (unsigned long long)ticks * 1000000000u /
                                (unsigned long long)ticks};
    return true;
}
