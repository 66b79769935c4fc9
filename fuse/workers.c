/* SPDX-License-Identifier: MIT */
#include "workers.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

struct worker {
    struct workers *workers;
    struct worker *next;  /* of all */
    struct worker *below; /* of those at rest */
    pthread_t thread;
    pthread_cond_t called;
    bool rests;
    int processor; /* where it went to rest */
};

struct workers {
    pthread_mutex_t mutex;
    pthread_cond_t done; /* `open` became 0 */
    struct worker *all;
    struct worker *resting;     /* the last that went to rest is the first */
    struct work *first, **last; /* what nobody does yet */
    unsigned count, most;
    unsigned open; /* what is not done yet */
    bool ending;
};

struct workers *workers_new(unsigned most)
{
    struct workers *workers = calloc(1, sizeof(*workers));

    if (workers != NULL) {
        pthread_mutex_init(&workers->mutex, NULL);
        pthread_cond_init(&workers->done, NULL);
        workers->most = most;
        workers->last = &workers->first;
    }
    return workers;
}

/*
 * Waits for something to do, and takes it; NULL: there will be nothing any more. Called with the
 * lock held.
 */
static struct work *take(struct worker *worker)
{
    struct workers *workers = worker->workers;
    struct work *work;

    while (workers->first == NULL && !workers->ending) {
        worker->rests = true;
        worker->processor = sched_getcpu();
        worker->below = workers->resting;
        workers->resting = worker;
        while (worker->rests && !workers->ending) {
            pthread_cond_wait(&worker->called, &workers->mutex);
        }
    }
    work = workers->first;
    if (work != NULL) {
        workers->first = work->next;
        if (workers->first == NULL) {
            workers->last = &workers->first;
        }
    }
    return work;
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    struct workers *workers = worker->workers;
    struct work *work;

    pthread_mutex_lock(&workers->mutex);
    while ((work = take(worker)) != NULL) {
        pthread_mutex_unlock(&workers->mutex);
        work->run(work);
        pthread_mutex_lock(&workers->mutex);
        if (--workers->open == 0) {
            pthread_cond_broadcast(&workers->done);
        }
    }
    pthread_mutex_unlock(&workers->mutex);
    return NULL;
}

/* Makes one more thread if there may be one. Called with the lock held. */
static void add(struct workers *workers)
{
    struct worker *worker = workers->count < workers->most ? calloc(1, sizeof(*worker)) : NULL;
    sigset_t all, before;
    int error;

    if (worker == NULL) {
        return;
    }
    worker->workers = workers;
    pthread_cond_init(&worker->called, NULL);
    sigfillset(&all); /* signals are for others */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        pthread_cond_destroy(&worker->called);
        free(worker);
        return;
    }
    worker->next = workers->all;
    workers->all = worker;
    workers->count++;
}

bool workers_start(struct workers *workers)
{
    bool started;

    pthread_mutex_lock(&workers->mutex);
    if (workers->count == 0) {
        add(workers);
    }
    started = workers->count > 0;
    pthread_mutex_unlock(&workers->mutex);
    return started;
}

/*
 * Wakes one that rests, one of this processor first. Called with the lock held; false: none rests.
 */
static bool call(struct workers *workers)
{
    const int here = sched_getcpu();
    struct worker **place = &workers->resting;
    struct worker *worker;

    while (*place != NULL && (*place)->processor != here) {
        place = &(*place)->below;
    }
    if (*place == NULL) {
        place = &workers->resting;
    }
    worker = *place;
    if (worker != NULL) {
        *place = worker->below;
        worker->rests = false;
        pthread_cond_signal(&worker->called);
    }
    return worker != NULL;
}

bool workers_do(struct workers *workers, struct work *work)
{
    bool taken;

    work->next = NULL;
    pthread_mutex_lock(&workers->mutex);
    if (!workers->ending && !call(workers)) {
        add(workers);
    }
    taken = !workers->ending && workers->count > 0;
    if (taken) {
        *workers->last = work;
        workers->last = &work->next;
        workers->open++;
    }
    pthread_mutex_unlock(&workers->mutex);
    return taken;
}

void workers_wait(struct workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    while (workers->open > 0) {
        pthread_cond_wait(&workers->done, &workers->mutex);
    }
    pthread_mutex_unlock(&workers->mutex);
}

void workers_end(struct workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    workers->ending = true;
    for (struct worker *worker = workers->all; worker != NULL; worker = worker->next) {
        pthread_cond_signal(&worker->called);
    }
    pthread_mutex_unlock(&workers->mutex);
    while (workers->all != NULL) {
        struct worker *worker = workers->all;

        workers->all = worker->next;
        pthread_join(worker->thread, NULL);
        pthread_cond_destroy(&worker->called);
        free(worker);
    }
}

void workers_free(struct workers *workers)
{
    if (workers == NULL) {
        return;
    }
    workers_end(workers);
    pthread_cond_destroy(&workers->done);
    pthread_mutex_destroy(&workers->mutex);
    free(workers);
}
