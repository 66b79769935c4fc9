/* SPDX-License-Identifier: MIT */
/* A thread that does something every so often. */
#ifndef TICKER_H
#define TICKER_H

#include "fs.h"

struct ticker;

/*
 * Calls `tick` every so many seconds, from then on; NULL, logged with what it is for, if that
 * cannot be.
 */
struct ticker *ticker_start(struct fs *fs, unsigned seconds, void (*tick)(struct fs *fs),
                            const char *what);
/* Ends it, after the call that runs. NULL is fine. */
void ticker_stop(struct ticker *ticker);

#endif
