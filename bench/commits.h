/* SPDX-License-Identifier: MIT */
/* Who takes part in the comparison of commits, and what the commits are. */
#ifndef BENCH_COMMITS_H
#define BENCH_COMMITS_H

#include "library.h"

/* Pages of the largest commit. */
#define MOST_IN_A_COMMIT 512u

/* Somebody who makes pages durable, several at once. */
struct committer {
    const char *name;
    void *(*open)(const struct place *place, uint64_t pages);
    /* Gives pages a new content, which is durable on return. All ids differ. */
    void (*commit)(void *store, const uint64_t *ids, unsigned count);
    void (*close)(void *store);
};

/*
 * The floor: as many pages in one piece, one write and one sync. What the ids are is nothing to it.
 */
extern const struct committer contiguous_committer;
/* Protected pages; and with regular ones between them, three to seven. */
extern const struct committer page_file_committer;
extern const struct committer mixed_page_file_committer;

#endif
