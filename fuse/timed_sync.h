/* SPDX-License-Identifier: MIT */
/* -o commit=SECONDS: allocations and frees become durable within that time. */
#ifndef TIMED_SYNC_H
#define TIMED_SYNC_H

#include "ticker.h"

/* Begins, until ticker_stop; NULL, logged, if that fails: then nothing can be promised. */
struct ticker *timed_sync_start(struct fs *fs, unsigned seconds);

#endif
