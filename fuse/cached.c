/* SPDX-License-Identifier: MIT */
#include "cached.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "log.h"
#include "workers.h"

/* Places where nodes are noted; a power of two. */
#define PLACES 8192
/*
 * Several nodes are noted in one place: each commit of such a node drops its cache, from then on.
 */
#define SEVERAL UINT64_MAX

struct job {
    struct work work;
    struct fs *fs;
    fuse_ino_t node;
    struct answer answer;
};

struct cached {
    _Atomic uint64_t places[PLACES]; /* 0: none, a node, or SEVERAL */
    struct workers *thread;          /* one, that drops */
};

struct cached *cached_new(void)
{
    struct cached *cached = calloc(1, sizeof(*cached));

    if (cached == NULL || (cached->thread = workers_new(1)) == NULL) {
        free(cached);
        return NULL;
    }
    return cached;
}

void cached_free(struct cached *cached)
{
    if (cached != NULL) {
        workers_free(cached->thread);
        free(cached);
    }
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

static void run(struct work *work)
{
    struct job *job = (struct job *)work; /* its first member */

    /* Fails only where there is nothing to drop: the kernel does not know the node any more. */
    (void)fuse_lowlevel_notify_inval_inode(job->fs->session, job->node, 0, 0);
    answer_now(&job->answer);
    free(job);
}

/* Hands an answer over; false if that cannot be done. */
static bool hand_over(struct fs *fs, fuse_ino_t node, const struct answer *answer)
{
    struct job *job = malloc(sizeof(*job));

    if (job == NULL) {
        return false;
    }
    *job = (struct job){{.run = run}, fs, node, *answer};
    if (!workers_do(fs->cached->thread, &job->work)) {
        free(job);
        return false;
    }
    return true;
}

void cached_answer(struct fs *fs, fuse_ino_t node, const struct answer *answer)
{
    if (!take_note(fs->cached, node)) {
        answer_now(answer);
    } else if (!hand_over(fs, node, answer)) {
        cached_note(fs->cached, node); /* the next commit tries again */
        answer_now(answer);
    }
}

void cached_drop(struct fs *fs, fuse_ino_t node)
{
    const struct answer none = {.kind = ANSWER_NONE};

    cached_answer(fs, node, &none);
}

bool cached_start(struct fs *fs)
{
    bool started = workers_start(fs->cached->thread);

    if (!started) {
        log_line(LOG_ERR, "no thread to drop from the kernel's cache what a commit changes");
    }
    return started;
}

void cached_stop(struct cached *cached)
{
    workers_end(cached->thread);
}
