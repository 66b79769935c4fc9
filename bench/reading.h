/* SPDX-License-Identifier: MIT */
/* Threads that do the same thing at the same time, and how long it takes them. */
#ifndef BENCH_READING_H
#define BENCH_READING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "library.h"

struct lane;

struct reading {
    const char *name;
    void (*run)(struct lane *lane, unsigned operations);
    unsigned operations; /* of each thread, in a round */
};

struct team;

/* One of the threads. */
struct lane {
    _Alignas(64) pthread_t thread;
    struct team *team;
    unsigned number, lanes;
    void *context;
    uint64_t random;
    uint64_t begin, end; /* of what it did last */
    uint64_t sum;        /* so that nothing is optimized away */
    void *reader;        /* of LMDB, or NULL */
    unsigned char page[PAGE_SIZE_USED];
};

struct team {
    struct lane *lanes;
    unsigned count;
    pthread_barrier_t begin, end;
    const struct reading *now; /* NULL: it is over */
    unsigned operations;
};

struct figures {
    double ns;   /* a call of one thread takes: median of the rounds */
    double p999; /* … and of calls timed one by one, all but one in a thousand */
};

void team_begin(struct team *team, unsigned count, void *context);
void team_end(struct team *team);
/* `samples`: how many calls are timed one by one; 0 for none. */
void team_measure(struct figures *figures, struct team *team, const struct reading *reading,
                  unsigned rounds, unsigned samples);

/* What it takes to look at the clock twice, which is in each sample. */
double clock_ns(void);

#endif
