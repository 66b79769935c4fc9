/* SPDX-License-Identifier: MIT */
/* System calls below a pager that are counted, and whose writes are remembered. */
#ifndef BENCH_COUNTING_IO_H
#define BENCH_COUNTING_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/io.h"

struct written {
    uint64_t offset;
    size_t length;
};

struct counts {
    uint64_t reads, writes, syncs;
    bool remember; /* whether writes are put into `written` */
    struct written *written;
    size_t written_count, written_capacity;
};

/* A table whose context is a struct counts. For pagers used by one thread. */
extern const struct io counting_io;

#endif
