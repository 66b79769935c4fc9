/* SPDX-License-Identifier: MIT */
/*
 * A read-only mount beside a writer. While nobody writes, a read-only mount keeps writers out, and
 * the kernel may keep everything for ever. Where a writer has the file already, it is followed:
 *
 *   - Whatever is asked is answered from the newest committed state, and begins anew should the
 *     writer overtake it. So the kernel asks each time: names, attributes and listings are not
 *     kept, and read(2) goes past its page cache.
 *   - Maps and splice(2) do not: for them the cache of all files that are open is dropped every
 *     second, by a thread of its own, since dropping waits for reads in flight.
 */
#ifndef FOLLOW_H
#define FOLLOW_H

#include "ticker.h"

/* Moves on to the newest state, where a writer is followed. Before something is asked of it. */
void follow_refresh(const struct fs *fs);
/*
 * Whether to ask again, as the writer overtook the question, which was asked *tries times; after
 * moving on.
 */
bool follow_again(const struct fs *fs, int code, unsigned *tries);

/* Begins dropping, until ticker_stop; NULL, which is logged, if there is no thread for it. */
struct ticker *follow_start(struct fs *fs);

#endif
