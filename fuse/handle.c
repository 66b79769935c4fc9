/* SPDX-License-Identifier: MIT */
#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "attributes.h"
#include "log.h"
#include "process.h"

struct handle *handle_open(struct fs *fs, uint64_t node, bool writes)
{
    struct handle *handle = calloc(1, sizeof(*handle));

    if (handle == NULL || nodes_opened(fs->nodes, node, writes) != 0) {
        free(handle);
        return NULL;
    }
    pthread_mutex_init(&handle->mutex, NULL);
    handle->node = node;
    handle->writes = writes;
    pthread_mutex_lock(&fs->handles_mutex);
    handle->next = fs->handles;
    if (handle->next != NULL) {
        handle->next->previous = handle;
    }
    fs->handles = handle;
    pthread_mutex_unlock(&fs->handles_mutex);
    return handle;
}

void handle_close(struct fs *fs, struct handle *handle)
{
    pthread_mutex_lock(&fs->handles_mutex);
    if (handle->next != NULL) {
        handle->next->previous = handle->previous;
    }
    *(handle->previous != NULL ? &handle->previous->next : &fs->handles) = handle->next;
    pthread_mutex_unlock(&fs->handles_mutex);
    nodes_closed(fs->nodes, handle->node, handle->writes);
    stage_clear(&handle->stage);
    free(handle->text);
    pthread_mutex_destroy(&handle->mutex);
    free(handle);
}

/*
 * Whether a commit will find room: shells ignore errors of close, so this is asked at the first
 * write. A file whose disk space is all reserved needs no more of it.
 */
static bool has_room(const struct fs *fs)
{
    struct statvfs host;
    struct stat file;

    if (fstatat(fs->location, "", &file, AT_EMPTY_PATH) != 0 ||
        fstatvfs(fs->location, &host) != 0 || file.st_blocks * 512 >= file.st_size) {
        return true; /* what cannot be asked is left to the commit */
    }
    return host.f_bavail * host.f_frsize >= 2 * fs->page_size;
}

/* Checks for room once, and notes who writes. Called with the handle's lock held. */
static int begin_staging(const struct fs *fs, struct handle *handle, pid_t pid)
{
    if (!handle->has_room && !has_room(fs)) {
        return ENOSPC;
    }
    handle->has_room = true;
    handle->failed = false;
    handle->writer = pid;
    return 0;
}

int handle_stage(struct fs *fs, struct handle *handle, const void *data, uint64_t offset,
                 size_t length, pid_t pid)
{
    int error;

    pthread_mutex_lock(&handle->mutex);
    error = begin_staging(fs, handle, pid);
    if (error == 0) {
        error = stage_write(&handle->stage, data, offset, length);
    }
    pthread_mutex_unlock(&handle->mutex);
    return error;
}

int handle_stage_zeros(struct fs *fs, struct handle *handle, uint64_t offset, uint64_t length,
                       pid_t pid)
{
    int error;

    pthread_mutex_lock(&handle->mutex);
    error = begin_staging(fs, handle, pid);
    if (error == 0) {
        error = stage_zero(&handle->stage, offset, length);
    }
    pthread_mutex_unlock(&handle->mutex);
    return error;
}

void handle_apply(struct handle *handle, void *data, uint64_t offset, size_t length)
{
    pthread_mutex_lock(&handle->mutex);
    stage_apply(&handle->stage, data, offset, length);
    pthread_mutex_unlock(&handle->mutex);
}

/* Why staged bytes may have to be committed. */
enum occasion { OCCASION_CLOSE, OCCASION_SYNC, OCCASION_END };

/* Whether they have to, now. Called with the handle's lock held and something staged. */
static bool is_due(struct handle *handle, enum occasion occasion, pid_t pid)
{
    switch (occasion) {
    case OCCASION_CLOSE:
        if (process_is_killed(pid)) {
            if (process_may_be_same(pid, handle->writer)) {
                stage_clear(&handle->stage);
            }
            return false;
        }
        return handle->stage.written;
    case OCCASION_SYNC:
        return true;
    case OCCASION_END:
        break;
    }
    return !handle->stage.written && !handle->failed;
}

/* Commits what is staged for a page that is held. Called with the handle's lock held. */
static int commit(struct fs *fs, struct handle *handle, const struct target *target)
{
    int code = stage_commit(&handle->stage, fs->writable, (mpg_protected_id){target->id});

    handle->failed = code != MPG_OK;
    if (code != MPG_OK) {
        return code == MPG_E_NOT_ALLOCATED ? ESTALE : log_failure(code, "commit");
    }
    attributes_touch(fs, target->kind, target->id);
    return 0;
}

/*
 * Commits what is staged if it is due. Locks are taken in the order of all requests: page, handle.
 */
static int settle(struct fs *fs, struct handle *handle, enum occasion occasion, pid_t pid)
{
    struct target target;
    int missing = nodes_enter(fs->nodes, handle->node, &target);
    int error = 0;

    pthread_mutex_lock(&handle->mutex);
    if (!stage_is_empty(&handle->stage) && is_due(handle, occasion, pid)) {
        if (missing == 0 && target.kind == NODE_PROTECTED) {
            error = commit(fs, handle, &target);
        } else {
            stage_clear(&handle->stage); /* the page it was meant for is gone */
            error = ESTALE;
        }
    }
    pthread_mutex_unlock(&handle->mutex);
    if (missing == 0) {
        nodes_leave(fs->nodes, &target);
    }
    return error;
}

int handle_flush(struct fs *fs, struct handle *handle, pid_t pid)
{
    return settle(fs, handle, OCCASION_CLOSE, pid);
}

int handle_sync(struct fs *fs, struct handle *handle)
{
    return settle(fs, handle, OCCASION_SYNC, 0);
}

void handle_release(struct fs *fs, struct handle *handle)
{
    int error = settle(fs, handle, OCCASION_END, 0);

    if (error != 0 && error != ESTALE) {
        log_line(LOG_ERR, "a truncation was lost: its commit failed");
    }
}

void handle_end_all(struct fs *fs, bool unmounted)
{
    size_t dropped = 0;

    while (fs->handles != NULL) {
        struct handle *handle = fs->handles;

        if (unmounted) {
            handle_release(fs, handle);
        }
        dropped += !stage_is_empty(&handle->stage);
        handle_close(fs, handle);
    }
    if (dropped > 0) {
        log_line(LOG_WARNING, "%zu open file%s had writes that were not committed", dropped,
                 dropped == 1 ? "" : "s");
    }
}
