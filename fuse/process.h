/* SPDX-License-Identifier: MIT */
/* Who makes requests, and what /proc tells of them. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Who makes a request. */
struct client {
    /*
     * The table of descriptors that it works with, as the kernel names it: threads share one,
     * processes seldom do. 0: the kernel did not say.
     */
    uint64_t files;
    pid_t thread; /* 0: none, or one that cannot be seen from this PID namespace */
    uid_t user;
};

/* What process_signal gives besides numbers of signals. */
#define PROCESS_UNSEEN (-1)      /* it cannot be told */
#define PROCESS_SOME_SIGNAL 1000 /* it is some signal */

/*
 * The signal that the process of a thread is dying on. 0: it lives, or ends by itself.
 */
int process_signal(pid_t thread);

/* Whether two requests come from one process, or may have. */
bool process_may_be_same(const struct client *a, const struct client *b);

/*
 * A descriptor (pidfd) by which process_ended tells of the process of a thread even after it is
 * gone, where the kernel can do that; or -1. To be closed.
 */
int process_open(pid_t thread);
/* The same as process_signal, for a process that ends or has ended. -1 is no descriptor. */
int process_ended(int pidfd);

/* What a message calls the process of a thread, for instance "process 17 (cp)". */
#define PROCESS_NAME_SIZE 64
const char *process_name(char name[static PROCESS_NAME_SIZE], pid_t thread);

/*
 * Why it cannot be told here which processes are killed, or NULL: then it can. `others`: also those
 * of other users count.
 */
const char *process_why_unseen(bool others);

#endif
