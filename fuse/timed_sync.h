/* SPDX-License-Identifier: MIT */
/* -o commit=SECONDS: allocations and frees become durable within that time. */
#ifndef TIMED_SYNC_H
#define TIMED_SYNC_H

#include "fs.h"

struct timed_sync;

/* Begins; NULL, logged, if that fails: then nothing can be promised. */
struct timed_sync *timed_sync_start(struct fs *fs, unsigned seconds);
void timed_sync_stop(struct timed_sync *timer);

#endif
