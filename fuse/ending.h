/* SPDX-License-Identifier: MIT */
/* How processes end: by themselves, or killed. */
#ifndef ENDING_H
#define ENDING_H

#include <stdbool.h>
#include <sys/types.h>

/* What stands for signals that are not known by number. */
#define ENDING_UNSEEN (-1)      /* it cannot be told whether there was one */
#define ENDING_SOME_SIGNAL 1000 /* there was one */

/* The signal that the process of a thread is dying on. 0: it lives, or ends by itself. */
int ending_signal(pid_t thread);

/*
 * A descriptor (pidfd) by which ending_signal_after tells of the process of a thread even after it
 * is gone, where the kernel can do that; or -1. To be closed.
 */
int ending_watch(pid_t thread);
/* The same as ending_signal, for a process that ends or has ended. -1 is no descriptor. */
int ending_signal_after(int pidfd);

/*
 * Why it cannot be told here which processes are killed, or NULL: then it can. `others`: also those
 * of other users count.
 */
const char *ending_why_unseen(bool others);

#endif
