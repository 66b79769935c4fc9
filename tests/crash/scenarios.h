/* SPDX-License-Identifier: MIT */
/* What the crash explorer watches: pieces of work that reach every kind of commit. */
#ifndef CRASH_SCENARIOS_H
#define CRASH_SCENARIOS_H

#include "crash/explorer.h"

struct scenario {
    const char *name;
    void (*run)(struct actor *actor);
    uint32_t page_size;
    unsigned flags;         /* of the options */
    uint64_t initial_pages; /* 0: as usual */
    size_t capacity;        /* bytes of the disk; 0: 1 MiB */
    int format;             /* the only format it is for, or 0 */
    unsigned fails;         /* which sync after the preparation fails; 0: none */
    bool is_large;          /* each image takes long: only a few of them */
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* A scenario whose work is chosen at random. */
extern const struct scenario random_scenario;

/* What came of it. */
struct outcome {
    struct explorer_counts counts;
    bool failed;
    char why[2048];
};

/* Runs a scenario in a format and explores it. Returns whether everything was right. */
bool scenario_run(struct outcome *outcome, const struct scenario *scenario, int format,
                  const struct explorer_limits *limits, uint64_t seed);

#endif
