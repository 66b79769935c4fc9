/* SPDX-License-Identifier: MIT */
/* What the larger tests share: conditions of the test itself, random numbers, settings. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A condition without which the test itself makes no sense. */
#define must(condition) ((condition) ? (void)0 : harness_abort(__FILE__, __LINE__, #condition))

__attribute__((noreturn)) static inline void harness_abort(const char *file, int line,
                                                           const char *condition)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    abort();
}

static inline void *must_realloc(void *data, size_t size)
{
    void *larger = realloc(data, size);

    must(larger);
    return larger;
}

/* The next number of a sequence that its seed determines. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* A number from 0 to below - 1. */
static inline uint64_t random_below(uint64_t *state, uint64_t below)
{
    return random_next(state) % below;
}

/* A number from the environment, or what is usual. */
static inline uint64_t setting(const char *name, uint64_t usual)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 0) : usual;
}

#endif
