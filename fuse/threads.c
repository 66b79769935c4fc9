/* SPDX-License-Identifier: MIT */
#include "threads.h"

#include "ahead.h"
#include "batch.h"
#include "cached.h"
#include "follow.h"

bool threads_start(struct fs *fs)
{
    fs->ahead = ahead_start(fs); /* without it reading is only slower */
    if (fs->writable != NULL && (!cached_start(fs) || !batch_start(fs))) {
        return false;
    }
    if (fs->follows) {
        fs->follower = follow_start(fs);
    }
    return !fs->follows || fs->follower != NULL;
}

void threads_stop(struct fs *fs)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&mutex);
    batch_stop(fs->batch);
    ahead_stop(fs->ahead);
    cached_stop(fs->cached);
    ticker_stop(fs->follower);
    fs->follower = NULL;
    pthread_mutex_unlock(&mutex);
}
