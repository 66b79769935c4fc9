/* SPDX-License-Identifier: MIT */
/* Who makes requests. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct client {
    /*
     * The table of descriptors that it works with, as the kernel names it: threads share one,
     * processes seldom do. 0: the kernel did not say.
     */
    uint64_t files;
    pid_t thread; /* 0: none, or one that cannot be seen from this PID namespace */
    uid_t user;
};

/* Whether two requests come from one process, or may have. */
bool client_may_be_same(const struct client *a, const struct client *b);

/* What a message calls the process of a thread, for instance "process 17 (cp)". */
#define CLIENT_NAME_SIZE 64
const char *client_name(char name[static CLIENT_NAME_SIZE], pid_t thread);

#endif
