/* SPDX-License-Identifier: MIT */
#include "cached.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "log.h"

/* Places where nodes are noted; a power of two. */
#define PLACES 8192
/* Several nodes are noted in one place: each commit of such a node drops its cache, from then on. */
#define SEVERAL UINT64_MAX

struct job {
    struct job *next;
    fuse_ino_t node;
    struct answer answer;
};

struct cached {
    _Atomic uint64_t places[PLACES]; /* 0: none, a node, or SEVERAL */
    struct fs *fs;
    pthread_t thread;
    pthread_mutex_t mutex; /* for everything below */
    pthread_cond_t work;   /* a job, or the end */
    bool running;          /* there is a thread, and it is not to end */
    struct job *first, *last;
};

struct cached *cached_new(void)
{
    struct cached *cached = calloc(1, sizeof(*cached));

    if (cached != NULL) {
        pthread_mutex_init(&cached->mutex, NULL);
        pthread_cond_init(&cached->work, NULL);
    }
    return cached;
}

void cached_free(struct cached *cached)
{
    if (cached == NULL) {
        return;
    }
    pthread_cond_destroy(&cached->work);
    pthread_mutex_destroy(&cached->mutex);
    free(cached);
}

static _Atomic uint64_t *place_of(struct cached *cached, fuse_ino_t node)
{
    return &cached->places[node * UINT64_C(0x9E3779B97F4A7C15) >> 51];
}

/*
 * Noting comes before reading content, and looking for the note after committing it: so either the
 * note is seen, or what was read is what was committed.
 */
void cached_note(struct cached *cached, fuse_ino_t node)
{
    _Atomic uint64_t *place = place_of(cached, node);
    uint64_t there = 0;

    if (!atomic_compare_exchange_strong(place, &there, node) && there != node) {
        atomic_store(place, SEVERAL);
    }
}

/* Whether a node is noted; it is not, afterwards, where that can be. */
static bool take_note(struct cached *cached, fuse_ino_t node)
{
    uint64_t there = node;

    return atomic_compare_exchange_strong(place_of(cached, node), &there, 0) || there == SEVERAL;
}

void answer_now(const struct answer *answer)
{
    if (answer->kind == ANSWER_NONE) {
        return;
    }
    if (answer->error != 0 || answer->kind == ANSWER_DONE) {
        fuse_reply_err(answer->req, answer->error);
    } else if (answer->kind == ANSWER_WRITTEN) {
        fuse_reply_write(answer->req, answer->size);
    } else {
        fuse_reply_attr(answer->req, &answer->st, answer->timeout);
    }
}

/* Hands an answer over; false if that cannot be done. */
static bool hand_over(struct cached *cached, fuse_ino_t node, const struct answer *answer)
{
    struct job *job = malloc(sizeof(*job));
    bool running;

    if (job == NULL) {
        return false;
    }
    *job = (struct job){NULL, node, *answer};
    pthread_mutex_lock(&cached->mutex);
    running = cached->running;
    if (running) {
        *(cached->first != NULL ? &cached->last->next : &cached->first) = job;
        cached->last = job;
        pthread_cond_signal(&cached->work);
    }
    pthread_mutex_unlock(&cached->mutex);
    if (!running) {
        free(job);
    }
    return running;
}

void cached_answer(struct fs *fs, fuse_ino_t node, const struct answer *answer)
{
    if (!take_note(fs->cached, node)) {
        answer_now(answer);
    } else if (!hand_over(fs->cached, node, answer)) {
        cached_note(fs->cached, node); /* the next commit tries again */
        answer_now(answer);
    }
}

void cached_drop(struct fs *fs, fuse_ino_t node)
{
    const struct answer none = {.kind = ANSWER_NONE};

    cached_answer(fs, node, &none);
}

static void *run(void *argument)
{
    struct cached *cached = argument;

    pthread_mutex_lock(&cached->mutex);
    while (cached->running || cached->first != NULL) {
        struct job *job = cached->first;

        if (job == NULL) {
            pthread_cond_wait(&cached->work, &cached->mutex);
            continue;
        }
        cached->first = job->next;
        pthread_mutex_unlock(&cached->mutex);
        /* Fails only where there is nothing to drop: the kernel does not know the node any more. */
        (void)fuse_lowlevel_notify_inval_inode(cached->fs->session, job->node, 0, 0);
        answer_now(&job->answer);
        free(job);
        pthread_mutex_lock(&cached->mutex);
    }
    pthread_mutex_unlock(&cached->mutex);
    return NULL;
}

bool cached_start(struct fs *fs)
{
    struct cached *cached = fs->cached;

    cached->fs = fs;
    cached->running = true;
    if (pthread_create(&cached->thread, NULL, run, cached) != 0) {
        cached->running = false;
        log_line(LOG_ERR, "no thread to drop from the kernel's cache what a commit changes");
    }
    return cached->running;
}

void cached_stop(struct cached *cached)
{
    bool running;

    pthread_mutex_lock(&cached->mutex);
    running = cached->running;
    cached->running = false;
    pthread_cond_signal(&cached->work);
    pthread_mutex_unlock(&cached->mutex);
    if (running) {
        pthread_join(cached->thread, NULL);
    }
}
