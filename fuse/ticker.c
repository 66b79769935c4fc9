/* SPDX-License-Identifier: MIT */
#include "ticker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"

struct ticker {
    struct fs *fs;
    void (*tick)(struct fs *fs);
    unsigned seconds;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t end;
    bool stop;
};

static struct timespec from_now(unsigned seconds)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += seconds;
    return time;
}

static void *run(void *argument)
{
    struct ticker *ticker = argument;
    struct timespec due = from_now(ticker->seconds);

    pthread_mutex_lock(&ticker->mutex);
    while (!ticker->stop) {
        if (pthread_cond_timedwait(&ticker->end, &ticker->mutex, &due) != ETIMEDOUT) {
            continue; /* woken for nothing, or to stop */
        }
        pthread_mutex_unlock(&ticker->mutex);
        ticker->tick(ticker->fs);
        due = from_now(ticker->seconds);
        pthread_mutex_lock(&ticker->mutex);
    }
    pthread_mutex_unlock(&ticker->mutex);
    return NULL;
}

static void end(struct ticker *ticker)
{
    pthread_cond_destroy(&ticker->end);
    pthread_mutex_destroy(&ticker->mutex);
    free(ticker);
}

struct ticker *ticker_start(struct fs *fs, unsigned seconds, void (*tick)(struct fs *fs),
                            const char *what)
{
    struct ticker *ticker = calloc(1, sizeof(*ticker));
    pthread_condattr_t monotonic;
    int error;

    if (ticker == NULL) {
        log_line(LOG_ERR, "no memory for %s", what);
        return NULL;
    }
    ticker->fs = fs;
    ticker->tick = tick;
    ticker->seconds = seconds;
    pthread_mutex_init(&ticker->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&ticker->end, &monotonic);
    pthread_condattr_destroy(&monotonic);
    error = pthread_create(&ticker->thread, NULL, run, ticker);
    if (error != 0) {
        log_line(LOG_ERR, "no thread for %s: %s", what, strerror(error));
        end(ticker);
        return NULL;
    }
    return ticker;
}

void ticker_stop(struct ticker *ticker)
{
    if (ticker == NULL) {
        return;
    }
    pthread_mutex_lock(&ticker->mutex);
    ticker->stop = true;
    pthread_cond_signal(&ticker->end);
    pthread_mutex_unlock(&ticker->mutex);
    pthread_join(ticker->thread, NULL);
    end(ticker);
}
