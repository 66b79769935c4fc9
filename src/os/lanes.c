/* SPDX-License-Identifier: MIT */
#include "os/lanes.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "os/io.h"

#define NOT_ASKED_FOR 0
#define NONE (-1)

void mpgi_lanes_begin(struct file *file)
{
    /*
     * What another machine may change is dropped from the cache at times, through one descriptor.
     */
    if (file->io->again != NULL && !file->sharing.others)
        file->lanes = calloc(1, sizeof(*file->lanes));
}

void mpgi_lanes_end(struct file *file)
{
    struct lanes *lanes = file->lanes;

    for (unsigned i = 0; lanes != NULL && i < LANES - 1; i++) {
        int fd = atomic_load_explicit(&lanes->fds[i], memory_order_acquire);

        if (fd != NOT_ASKED_FOR && fd != NONE)
            (void)file->io->close(file->context, fd);
    }
    free(lanes);
    file->lanes = NULL;
}

/* Relaxed: all that hangs on it is how fast it goes. A program of one thread opens nothing more. */
static bool several_read(struct lanes *lanes)
{
    uintptr_t self = (uintptr_t)pthread_self(); /* never 0 */
    uintptr_t first = atomic_load_explicit(&lanes->first, memory_order_relaxed);

    if (first == self)
        return atomic_load_explicit(&lanes->several, memory_order_relaxed);
    if (first == 0)
        atomic_store_explicit(&lanes->first, self, memory_order_relaxed);
    else if (!atomic_load_explicit(&lanes->several, memory_order_relaxed))
        atomic_store_explicit(&lanes->several, true, memory_order_relaxed);
    return first != 0;
}

/* Who comes first opens it; the others do not wait. It is not tried twice. */
static int open_lane(const struct file *file, atomic_int *lane)
{
    int expected = NOT_ASKED_FOR;
    int fd;

    if (!atomic_compare_exchange_strong_explicit(lane, &expected, NONE, memory_order_acq_rel,
                                                 memory_order_acquire))
        return expected;
    fd = file->io->again(file->context, file->fd);
    /* Released, and acquired by who reads by it: it was opened before. */
    if (fd > 0)
        atomic_store_explicit(lane, fd, memory_order_release);
    return fd;
}

int mpgi_lanes_fd(const struct file *file)
{
    struct lanes *lanes = file->lanes;
    unsigned lane;
    int processor, fd;

    if (lanes == NULL || !several_read(lanes))
        return file->fd;
    processor = sched_getcpu();
    lane = processor > 0 ? (unsigned)processor % LANES : 0;
    if (lane == 0)
        return file->fd;
    fd = atomic_load_explicit(&lanes->fds[lane - 1], memory_order_acquire);
    if (fd == NOT_ASKED_FOR)
        fd = open_lane(file, &lanes->fds[lane - 1]);
    return fd > 0 ? fd : file->fd;
}
