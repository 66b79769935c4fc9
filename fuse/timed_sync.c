/* SPDX-License-Identifier: MIT */
#include "timed_sync.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"

struct timed_sync {
    struct fs *fs;
    unsigned seconds;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t end;
    bool stop;
};

static void sync_now(struct fs *fs)
{
    if (atomic_exchange(&fs->unsynced, false)) {
        int code = mpg_sync(fs->writable);

        if (code != MPG_OK) {
            (void)log_failure(code, "timed sync");
        }
    }
}

static void *run(void *argument)
{
    struct timed_sync *timer = argument;

    pthread_mutex_lock(&timer->mutex);
    while (!timer->stop) {
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += timer->seconds;
        while (!timer->stop &&
               pthread_cond_timedwait(&timer->end, &timer->mutex, &until) != ETIMEDOUT) {
            /* woken for nothing, or to stop */
        }
        pthread_mutex_unlock(&timer->mutex);
        sync_now(timer->fs);
        pthread_mutex_lock(&timer->mutex);
    }
    pthread_mutex_unlock(&timer->mutex);
    return NULL;
}

struct timed_sync *timed_sync_start(struct fs *fs, unsigned seconds)
{
    struct timed_sync *timer = calloc(1, sizeof(*timer));
    pthread_condattr_t monotonic;
    int error;

    if (timer == NULL) {
        log_line(LOG_ERR, "no memory for the commit timer");
        return NULL;
    }
    timer->fs = fs;
    timer->seconds = seconds;
    pthread_mutex_init(&timer->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&timer->end, &monotonic);
    pthread_condattr_destroy(&monotonic);
    error = pthread_create(&timer->thread, NULL, run, timer);
    if (error != 0) {
        log_line(LOG_ERR, "no thread for the commit timer: %s", strerror(error));
        pthread_cond_destroy(&timer->end);
        pthread_mutex_destroy(&timer->mutex);
        free(timer);
        return NULL;
    }
    return timer;
}

void timed_sync_stop(struct timed_sync *timer)
{
    if (timer == NULL) {
        return;
    }
    pthread_mutex_lock(&timer->mutex);
    timer->stop = true;
    pthread_cond_signal(&timer->end);
    pthread_mutex_unlock(&timer->mutex);
    pthread_join(timer->thread, NULL);
    pthread_cond_destroy(&timer->end);
    pthread_mutex_destroy(&timer->mutex);
    free(timer);
}
