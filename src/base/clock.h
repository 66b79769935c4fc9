/* SPDX-License-Identifier: MIT */
/* How late it is, by a clock that nobody sets. */
#ifndef MPGI_CLOCK_H
#define MPGI_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NANOSECONDS UINT64_C(1000000000)

/* Nanoseconds since some moment of the past. */
static inline uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NANOSECONDS + (uint64_t)time.tv_nsec;
}

/* Sleeps for so long, or less. */
static inline void pause_for(uint64_t nanoseconds)
{
    struct timespec time = {(time_t)(nanoseconds / NANOSECONDS), (long)(nanoseconds % NANOSECONDS)};

    (void)nanosleep(&time, NULL);
}

#endif
