/* SPDX-License-Identifier: MIT */
/* System calls below a pager that are counted. */
#ifndef BENCH_COUNTING_IO_H
#define BENCH_COUNTING_IO_H

#include <stdint.h>

#include "os/io.h"

struct counts {
    uint64_t reads, writes, syncs;
};

/* A table whose context is a struct counts. For pagers used by one thread. */
extern const struct io counting_io;

#endif
