/* SPDX-License-Identifier: MIT */
#include "timed_sync.h"

#include "log.h"

static void sync_now(struct fs *fs)
{
    if (atomic_exchange(&fs->unsynced, false)) {
        int code = mpg_sync(fs->writable);

        if (code != MPG_OK) {
            (void)log_failure(code, "timed sync");
        }
    }
}

struct ticker *timed_sync_start(struct fs *fs, unsigned seconds)
{
    return ticker_start(fs, seconds, sync_now, "the commit timer");
}
