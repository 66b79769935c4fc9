/* SPDX-License-Identifier: MIT */
/*
 * Threads that do what is handed to them, several things at a time. They are made as they are
 * needed. The one that went to rest last, on the processor of who hands over if there is one, is
 * the next to be called: it wakes fastest.
 */
#ifndef WORKERS_H
#define WORKERS_H

#include <stdbool.h>

struct workers;

/* Something to do. Belongs to `run` from when it is called on. */
struct work {
    void (*run)(struct work *work);
    struct work *next; /* the concern of workers.c */
};

/*
 * Up to `most` threads, none of which runs yet; NULL without memory. With one, things are done in
 * order.
 */
struct workers *workers_new(unsigned most);
/* Makes the first thread now; false if there is none to be had. */
bool workers_start(struct workers *workers);
/* Hands something over; false if it cannot be done by a thread: then nothing happened. */
bool workers_do(struct workers *workers, struct work *work);
/* Waits until all that was handed over is done. */
void workers_wait(struct workers *workers);
/* Does what was handed over, and ends the threads; nothing is taken any more. */
void workers_end(struct workers *workers);
/* Ends them. NULL is fine. */
void workers_free(struct workers *workers);

#endif
