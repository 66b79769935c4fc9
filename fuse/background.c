/* SPDX-License-Identifier: MIT */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptors.h"
#include "log.h"

/* Waits for a byte from the child, or its end, and ends with the status that this means. */
static _Noreturn void wait_for(pid_t child, int fd)
{
    ssize_t length;
    char byte;
    int status;

    do {
        length = read(fd, &byte, 1);
    } while (length < 0 && errno == EINTR);
    if (length == 1) {
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            _exit(32);
        }
    }
    if (!WIFEXITED(status)) {
        log_line(LOG_ERR, "ended by signal %d before it was mounted", WTERMSIG(status));
        _exit(32);
    }
    _exit(WEXITSTATUS(status));
}

#define MOST_KEPT 4

/* What belongs to whoever started the program: a lock would stay locked, a pipe open. */
static void close_inherited(const int *kept, size_t count, int own)
{
    int all[MOST_KEPT + 1] = {own};

    memcpy(all + 1, kept, count * sizeof(*kept));
    descriptors_close_others(all, count + 1);
}

int background_begin(const int *kept, size_t count)
{
    int ends[2];
    pid_t child;

    if (count > MOST_KEPT) {
        return -1;
    }

    if (pipe2(ends, O_CLOEXEC) != 0) {
        log_line(LOG_ERR, "pipe: %s", strerror(errno));
        return -1;
    }
    child = fork();
    if (child < 0) {
        log_line(LOG_ERR, "fork: %s", strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    if (child > 0) {
        close(ends[1]);
        wait_for(child, ends[0]);
    }
    close_inherited(kept, count, ends[1]);
    return ends[1];
}

void background_enter(int fd)
{
    int null;

    (void)setsid();
    if (chdir("/") != 0) {
        log_line(LOG_WARNING, "chdir: %s", strerror(errno));
    }
    log_to_syslog();
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO) {
            close(null);
        }
    }
    while (write(fd, "", 1) < 0 && errno == EINTR) {
        /* again */
    }
    close(fd);
}
