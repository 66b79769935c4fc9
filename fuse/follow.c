/* SPDX-License-Identifier: MIT */
#include "follow.h"

#include <stdlib.h>

#include "handle.h"
#include "log.h"

/* Seconds after which maps show what is committed. */
#define DELAY 1
/* A question that is overtaken so often is given up. */
#define TRIES_MAX 1000

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

struct ticker *follow_start(struct fs *fs)
{
    return ticker_start(fs, DELAY, drop, "following the writer");
}
