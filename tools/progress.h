/* SPDX-License-Identifier: MIT */
/* How far a long command has come: a bar on a terminal, nothing elsewhere. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* one word, shown before the bar */
    uint64_t total;   /* units; 0 if it is not known */
    uint64_t begun;   /* when, in milliseconds of a clock that does not jump */
    uint64_t shown;   /* when it was last drawn */
    bool active;      /* it is drawn at all */
    bool drawn;
};

/* Begins. `quiet`: nothing is drawn. `what` stays the caller's. */
void progress_begin(struct progress *progress, const char *what, uint64_t total, bool quiet);
/*
 * So much is done. Draws now and then; something that takes less than half a second draws nothing.
 */
void progress_update(struct progress *progress, uint64_t done);
/*
 * So much of so much is done, as long calls of the library tell it; `context` is the struct
 * progress. False: a signal asks this process to end.
 */
bool progress_go_on(void *context, uint64_t done, uint64_t total);
/* Takes the bar away. */
void progress_end(struct progress *progress);

#endif
