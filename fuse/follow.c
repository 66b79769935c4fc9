/* SPDX-License-Identifier: MIT */
#include "follow.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "log.h"

/* Seconds after which maps show what is committed. */
#define DELAY 1
/* A question that is overtaken so often is given up. */
#define TRIES_MAX 1000

struct follow {
    struct fs *fs;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t end;
    bool stop;
};

void follow_refresh(const struct fs *fs)
{
    if (fs->follows) {
        /* If that fails the state from before stays, and is as good as it was. */
        int code = mpg_refresh(fs->pager);

        if (code != MPG_OK && code != MPG_E_STALE) {
            (void)log_failure(code, "following the writer");
        }
    }
}

bool follow_again(const struct fs *fs, int code, unsigned *tries)
{
    if (code != MPG_E_STALE || !fs->follows || ++*tries >= TRIES_MAX) {
        return false;
    }
    follow_refresh(fs);
    return true;
}

/* The nodes of pages that are open: an array to be freed, and how many. */
static uint64_t *open_nodes(struct fs *fs, size_t *count)
{
    uint64_t *nodes;
    size_t room = 0;

    *count = 0;
    pthread_mutex_lock(&fs->handles_mutex);
    for (const struct handle *handle = fs->handles; handle != NULL; handle = handle->next) {
        room++;
    }
    nodes = room > 0 ? calloc(room, sizeof(uint64_t)) : NULL;
    if (nodes != NULL) {
        for (const struct handle *handle = fs->handles; handle != NULL; handle = handle->next) {
            nodes[(*count)++] = handle->node;
        }
    }
    pthread_mutex_unlock(&fs->handles_mutex);
    return nodes;
}

static void drop(struct fs *fs)
{
    size_t count;
    uint64_t *nodes = open_nodes(fs, &count);

    for (size_t i = 0; i < count; i++) {
        (void)fuse_lowlevel_notify_inval_inode(fs->session, nodes[i], 0, 0);
    }
    free(nodes);
}

static void *run(void *argument)
{
    struct follow *follow = argument;

    pthread_mutex_lock(&follow->mutex);
    while (!follow->stop) {
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += DELAY;
        if (pthread_cond_timedwait(&follow->end, &follow->mutex, &until) != ETIMEDOUT) {
            continue;
        }
        pthread_mutex_unlock(&follow->mutex);
        drop(follow->fs);
        pthread_mutex_lock(&follow->mutex);
    }
    pthread_mutex_unlock(&follow->mutex);
    return NULL;
}

static void end(struct follow *follow)
{
    pthread_cond_destroy(&follow->end);
    pthread_mutex_destroy(&follow->mutex);
    free(follow);
}

struct follow *follow_start(struct fs *fs)
{
    struct follow *follow = calloc(1, sizeof(*follow));
    pthread_condattr_t monotonic;

    if (follow == NULL) {
        return NULL;
    }
    follow->fs = fs;
    pthread_mutex_init(&follow->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&follow->end, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&follow->thread, NULL, run, follow) != 0) {
        log_line(LOG_ERR, "no thread to follow the writer");
        end(follow);
        return NULL;
    }
    return follow;
}

void follow_stop(struct follow *follow)
{
    if (follow == NULL) {
        return;
    }
    pthread_mutex_lock(&follow->mutex);
    follow->stop = true;
    pthread_cond_signal(&follow->end);
    pthread_mutex_unlock(&follow->mutex);
    pthread_join(follow->thread, NULL);
    end(follow);
}
