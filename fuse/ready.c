/* SPDX-License-Identifier: MIT */
#include "ready.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

/* The protocol of sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names. */
static void notify(const char *message)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length;
    int fd;

    if (name == NULL || (name[0] != '/' && name[0] != '@')) {
        return;
    }
    length = strlen(name);
    if (length >= sizeof(address.sun_path)) {
        log_line(LOG_WARNING, "NOTIFY_SOCKET is too long");
        return;
    }
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') {
        address.sun_path[0] = '\0'; /* an abstract name */
    }
    length += offsetof(struct sockaddr_un, sun_path);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, message, strlen(message), MSG_NOSIGNAL,
                         (const struct sockaddr *)&address, (socklen_t)length) < 0) {
        log_line(LOG_WARNING, "the service manager was not told: %s", strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

int ready_take(int ready_fd)
{
    int own = ready_fd < 0 ? -1 : fcntl(ready_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (own >= 0 && ready_fd > STDERR_FILENO) {
        close(ready_fd);
    }
    return own;
}

void ready_tell(int ready_fd)
{
    static const char line[] = "READY=1\n";
    char message[64];

    if (ready_fd >= 0) {
        if (write(ready_fd, line, sizeof(line) - 1) < 0) {
            log_line(LOG_WARNING, "ready_fd: %s", strerror(errno));
        }
        close(ready_fd);
    }
    snprintf(message, sizeof(message), "READY=1\nMAINPID=%ld\n", (long)getpid());
    notify(message);
}

void ready_stopping(void)
{
    notify("STOPPING=1\n");
}
