/* SPDX-License-Identifier: MIT */
/*
 * More descriptors to read by.
 *
 * The system counts who is at work on an open file, in one place for each time it was opened:
 * threads that read by the same descriptor hold each other up there, and two read 1.3 times as much
 * as one. So a file that several threads read is opened a few times more, when they first do, and
 * who reads takes the descriptor of the processor he runs on. Where that cannot be had, all read by
 * the file's own.
 */
#ifndef MPGI_LANES_H
#define MPGI_LANES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Ways to read, the file's own descriptor among them. */
#define LANES 4

struct file;

struct lanes {
    atomic_uintptr_t first;    /* the thread that read first; 0: nobody has */
    atomic_bool several;       /* another one has read since */
    atomic_int fds[LANES - 1]; /* a descriptor, owned; 0: not asked for yet; -1: there is none */
};

/* For a file that was just opened. Cannot fail: without lanes there is one descriptor. */
void mpgi_lanes_begin(struct file *file);
/* The descriptor to read by. */
int mpgi_lanes_fd(const struct file *file);
void mpgi_lanes_end(struct file *file);

#endif
