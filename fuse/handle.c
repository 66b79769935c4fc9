/* SPDX-License-Identifier: MIT */
#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "attributes.h"
#include "ending.h"
#include "log.h"

static uint64_t opener_key(uint64_t node, pid_t thread)
{
    uint64_t key = node ^ (uint64_t)thread * UINT64_C(0x9e3779b97f4a7c15);

    return key != 0 ? key : 1;
}

struct handle *handle_open(struct fs *fs, uint64_t node, bool writes, pid_t opener)
{
    struct handle *handle = calloc(1, sizeof(*handle));

    if (handle == NULL || nodes_opened(fs->nodes, node, writes) != 0) {
        free(handle);
        return NULL;
    }
    pthread_mutex_init(&handle->mutex, NULL);
    handle->node = node;
    handle->writes = writes;
    handle->opener = opener;
    handle->writer = -1;
    handle->lost.thread = -1;
    handle->stage = (struct stage){.page_size = fs->page_size, .budget = fs->staged};
    pthread_mutex_lock(&fs->handles_mutex);
    if (node_kind_of(node) != NODE_PAGE) {
        uint64_t *opened = map_put(&fs->openers, opener_key(node, opener));

        if (opened != NULL) { /* without memory a truncation is committed at once */
            opened[0] = (uintptr_t)handle;
        }
    }
    handle->next = fs->handles;
    if (handle->next != NULL) {
        handle->next->previous = handle;
    }
    fs->handles = handle;
    pthread_mutex_unlock(&fs->handles_mutex);
    return handle;
}

#define SUBJECT_SIZE 64

/* What a message is about. */
static const char *subject(char text[SUBJECT_SIZE], const struct handle *handle)
{
    snprintf(text, SUBJECT_SIZE, "%s %" PRIu64, handle->batch != 0 ? "batch" : "protected page",
             handle->batch != 0 ? handle->batch : handle->page);
    return text;
}

/* Logs that what is staged was dropped, or a part of it. Called before it is. */
static void log_drop(const struct handle *handle, const struct client *writer, const char *reason)
{
    char name[CLIENT_NAME_SIZE], about[SUBJECT_SIZE];

    log_line(LOG_WARNING, "%s: what %s wrote was dropped: %s", subject(about, handle),
             client_name(name, writer->thread), reason);
}

/* Drops all that is staged. Called with the handle's lock held, or by its last user. */
static void drop_all(struct handle *handle, const char *reason)
{
    if (!stage_is_empty(&handle->stage)) {
        log_drop(handle, stage_writer(&handle->stage), reason);
        stage_clear(&handle->stage);
    }
}

void handle_close(struct fs *fs, struct handle *handle)
{
    const uint64_t *opened;

    drop_all(handle, "it was not opened after all");
    pthread_mutex_lock(&fs->handles_mutex);
    if (handle->next != NULL) {
        handle->next->previous = handle->previous;
    }
    *(handle->previous != NULL ? &handle->previous->next : &fs->handles) = handle->next;
    opened = map_find(&fs->openers, opener_key(handle->node, handle->opener));
    if (opened != NULL && opened[0] == (uintptr_t)handle) {
        map_remove(&fs->openers, opener_key(handle->node, handle->opener));
    }
    pthread_mutex_unlock(&fs->handles_mutex);
    nodes_closed(fs->nodes, handle->node, handle->writes);
    if (handle->writer >= 0) {
        (void)close(handle->writer);
    }
    free(handle->text);
    pthread_mutex_destroy(&handle->mutex);
    free(handle);
}

/*
 * Whether a file with so many bytes of holes has disk space behind what is in use, and in format 1
 * behind as many free pages as next contents need: a trim leaves it so.
 */
static bool holes_are_free(const struct fs *fs, uint64_t holes)
{
    struct mpg_stat st = {.size = sizeof(st)};
    uint64_t kept;

    if (mpg_stat(&st, fs->pager) != MPG_OK) {
        return false;
    }
    kept = st.format == MPG_FORMAT_1 ? st.protected_pages : 0;
    return st.free_pages >= kept && holes <= (st.free_pages - kept) * fs->page_size;
}

/*
 * Whether a commit will find room: shells ignore errors of close, so this is asked at the first
 * write. A file whose disk space is all reserved needs no more of it.
 *
 * fstat would cost a third of the commit: since Linux 6.13, who has asked for the time of change
 * gets a new one with the next write, and the sync has the inode to write as well.
 */
static bool has_room(const struct fs *fs)
{
    struct statvfs host;
    struct statx file;

    if (statx(fs->location, "", AT_EMPTY_PATH, STATX_SIZE | STATX_BLOCKS, &file) != 0 ||
        file.stx_blocks * 512 >= file.stx_size || fstatvfs(fs->location, &host) != 0) {
        return true; /* what cannot be asked is left to the commit */
    }
    return host.f_bavail * host.f_frsize >= 2 * fs->page_size ||
           holes_are_free(fs, file.stx_size - file.stx_blocks * 512);
}

/*
 * Checks for room once, and notes what is staged for whom. What can never be committed is refused
 * now, for shells ignore errors of close. Called with the handle's lock held.
 */
static int begin_staging(const struct fs *fs, struct handle *handle, uint64_t page,
                         const struct client *client)
{
    const char *why = log_why_final();
    char about[SUBJECT_SIZE];

    handle->page = page;
    if (why != NULL) {
        log_limited(LOG_ERR, "%s: nothing is taken any more: %s", subject(about, handle), why);
        return EIO;
    }
    if (!handle->has_room && !has_room(fs)) {
        return ENOSPC;
    }
    handle->has_room = true;
    handle->failed = false;
    clock_gettime(CLOCK_REALTIME, &handle->written);
    if (handle->closed && handle->writer < 0) {
        /* Maybe no close of it is to come that would tell whether it was killed. */
        handle->writer = ending_watch(client->thread);
    }
    return 0;
}

/* Whether the stage is for so many bytes; a page's is, for who writes to one has looked. */
static bool reaches(const struct handle *handle, uint64_t offset, uint64_t length)
{
    return offset <= handle->stage.page_size && length <= handle->stage.page_size - offset;
}

/* A batch with a write missing is none. Called with the handle's lock held. */
static int note_spoilt(struct handle *handle, int error)
{
    if (error != 0 && handle->batch != 0) {
        handle->spoilt = error;
    }
    return error;
}

int handle_stage(struct fs *fs, struct handle *handle, uint64_t page, const struct client *client,
                 const void *data, uint64_t offset, size_t length)
{
    int error;

    pthread_mutex_lock(&handle->mutex);
    error = begin_staging(fs, handle, page, client);
    if (error == 0) {
        offset = offset == HANDLE_END ? stage_end(&handle->stage) : offset;
        error = reaches(handle, offset, length)
                    ? stage_write(&handle->stage, client, data, offset, length)
                    : ENOSPC;
    }
    error = note_spoilt(handle, error);
    pthread_mutex_unlock(&handle->mutex);
    return error;
}

int handle_stage_zeros(struct fs *fs, struct handle *handle, uint64_t page,
                       const struct client *client, uint64_t offset, uint64_t length)
{
    int error;

    pthread_mutex_lock(&handle->mutex);
    error = begin_staging(fs, handle, page, client);
    if (error == 0) {
        error = reaches(handle, offset, length) ? stage_zero(&handle->stage, client, offset, length)
                                                : ENOSPC;
    }
    error = note_spoilt(handle, error);
    pthread_mutex_unlock(&handle->mutex);
    return error;
}

void handle_cut(struct handle *handle, uint64_t size, uint64_t *end)
{
    pthread_mutex_lock(&handle->mutex);
    stage_cut(&handle->stage, size);
    *end = stage_end(&handle->stage);
    if (size == 0) {
        handle->spoilt = 0; /* it begins again */
    }
    pthread_mutex_unlock(&handle->mutex);
}

bool handle_truncate_opened(struct fs *fs, uint64_t node, uint64_t page,
                            const struct client *client, bool (*is_in_truncate)(pid_t), int *error)
{
    const pid_t thread = client->thread;
    struct handle *handle;
    const uint64_t *found;
    bool fresh = false;

    /* The lock keeps the handle there, should it be that of another thread after all. */
    pthread_mutex_lock(&fs->handles_mutex);
    found = map_find(&fs->openers, opener_key(node, thread));
    handle = found != NULL ? (struct handle *)(uintptr_t)found[0] : NULL;
    if (handle != NULL && handle->node == node && handle->opener == thread) {
        pthread_mutex_lock(&handle->mutex);
        fresh = handle->written.tv_sec == 0 && !is_in_truncate(thread);
        if (fresh) {
            *error = begin_staging(fs, handle, page, client);
            if (*error == 0) {
                stage_truncate(&handle->stage, client);
            }
        }
        pthread_mutex_unlock(&handle->mutex);
    }
    pthread_mutex_unlock(&fs->handles_mutex);
    return fresh;
}

bool handle_may_commit(struct handle *handle)
{
    bool may = true;

    if (pthread_mutex_trylock(&handle->mutex) == 0) {
        may = !stage_is_empty(&handle->stage);
        pthread_mutex_unlock(&handle->mutex);
    }
    return may;
}

void handle_apply(struct handle *handle, void *data, uint64_t offset, size_t length)
{
    pthread_mutex_lock(&handle->mutex);
    stage_apply(&handle->stage, data, offset, length);
    pthread_mutex_unlock(&handle->mutex);
}

/* Drops what a client staged that is dying on a signal. Called with the handle's lock held. */
static void drop_killed(struct handle *handle, const struct client *client, int signal)
{
    char reason[96] = "it was killed by a signal";
    struct client other;

    if (!stage_drop(&handle->stage, client, &other)) {
        return;
    }
    if (signal != ENDING_SOME_SIGNAL) {
        snprintf(reason, sizeof(reason), "it was killed by signal %d", signal);
    }
    log_drop(handle, client, reason);
    if (other.thread >= 0) {
        log_drop(handle, &other, "a process that had written over it was killed");
        handle->lost = other;
    }
    if (handle->batch != 0) {
        stage_clear(&handle->stage); /* what others wrote of it is no archive */
    }
}

/* Says once that a client cannot be seen in /proc. */
static void warn_unseen(struct fs *fs, const struct handle *handle, const struct client *client)
{
    char name[CLIENT_NAME_SIZE], about[SUBJECT_SIZE];

    if (!atomic_exchange(&fs->warned_unseen, true)) {
        log_line(LOG_WARNING,
                 "%s: whether %s was killed cannot be told: what such "
                 "processes write is committed in either case",
                 subject(about, handle), client_name(name, client->thread));
    }
}

/*
 * A descriptor was closed: whether what is staged is to be committed now. Called with the handle's
 * lock held.
 */
static bool is_due_at_close(struct fs *fs, struct handle *handle, const struct client *client)
{
    const bool wrote = stage_has_of(&handle->stage, client);
    int signal;

    if (!wrote && handle->stage.count > 0) {
        return handle->untold;
    }
    signal = ending_signal(client->thread);
    if (signal > 0) {
        drop_killed(handle, client, signal);
        return false;
    }
    if (signal == ENDING_UNSEEN) {
        warn_unseen(fs, handle, client);
    }
    return wrote;
}

/* The signal that ended somebody who staged something; 0 if it is not known to have been one. */
static int ended_by(const struct handle *handle, const struct client *writer)
{
    int signal = ending_signal(writer->thread);

    if (signal == ENDING_UNSEEN) {
        signal = ending_signal_after(handle->writer);
    }
    return signal > 0 ? signal : 0;
}

/* The last use is gone: whether what is left is to be committed. */
static bool is_due_at_end(struct handle *handle)
{
    const struct stage *stage = &handle->stage;
    struct client writer = {0, -1, 0};

    for (size_t i = 0; i < stage->count;) {
        const struct client *next = &stage->extents[i].writer;
        int signal = memcmp(next, &writer, sizeof(writer)) != 0 ? ended_by(handle, next) : 0;

        writer = *next;
        if (signal > 0) {
            drop_killed(handle, &writer, signal);
            i = 0;
        } else {
            i++;
        }
    }
    if (stage->truncated && stage->count == 0) {
        int signal = ended_by(handle, &stage->truncated_by);

        if (signal > 0) {
            drop_killed(handle, &stage->truncated_by, signal);
        }
    }
    return !stage_is_empty(stage);
}

/*
 * Commits what is staged for a page that is held, or (writer) what one client did. Called with the
 * handle's lock held.
 */
static int commit(struct fs *fs, struct handle *handle, const struct target *target,
                  const struct client *writer)
{
    int code = stage_commit(&handle->stage, fs->writable, (mpg_protected_id){target->id},
                            handle->untold ? NULL : writer);

    handle->failed = code != MPG_OK;
    handle->untold = handle->failed && writer != NULL;
    if (code != MPG_OK) {
        return code == MPG_E_NOT_ALLOCATED ? ESTALE : log_failure(code, "commit");
    }
    attributes_written(fs, target->kind, target->id, &handle->written);
    return 0;
}

/* For what is not the doing of a client that matters. */
static const struct client nobody = {0, 0, 0};

/* Whether they have to, now. Called with the handle's lock held and something staged. */
static bool is_due(struct fs *fs, struct handle *handle, enum occasion occasion,
                   const struct client *client)
{
    switch (occasion) {
    case OCCASION_CLOSE:
        return is_due_at_close(fs, handle, client);
    case OCCASION_END:
        return !handle->failed && is_due_at_end(handle);
    case OCCASION_SYNC:
        break;
    }
    return true;
}

/*
 * Whether a client is to be told now that what it staged was lost, if that was so before this
 * request. Who syncs is told for all.
 */
static bool told_of_loss(struct handle *handle, enum occasion occasion, const struct client *client,
                         bool lost)
{
    if (!lost || (occasion == OCCASION_CLOSE && !client_may_be_same(&handle->lost, client))) {
        return false;
    }
    handle->lost.thread = -1;
    return true;
}

/*
 * Commits what is staged if it is due. Locks are taken in the order of all requests: page, handle.
 */
static int settle(struct fs *fs, struct handle *handle, enum occasion occasion,
                  const struct client *client, bool *committed)
{
    struct target target;
    int missing = nodes_enter(fs->nodes, handle->node, &target);
    int error = 0;
    bool lost;

    *committed = false;
    pthread_mutex_lock(&handle->mutex);
    lost = handle->lost.thread >= 0;
    if (!stage_is_empty(&handle->stage) && is_due(fs, handle, occasion, client)) {
        if (missing == 0 && target.kind == NODE_PROTECTED) {
            error = commit(fs, handle, &target, occasion == OCCASION_CLOSE ? client : NULL);
            *committed = error == 0;
        } else {
            error = ESTALE;
        }
        if (error == ESTALE) {
            drop_all(handle, "the page was deleted or replaced");
        }
    }
    if (error == 0 && told_of_loss(handle, occasion, client, lost)) {
        error = EIO;
    }
    handle->closed |= occasion == OCCASION_CLOSE;
    handle->untold &= !stage_is_empty(&handle->stage);
    pthread_mutex_unlock(&handle->mutex);
    if (missing == 0) {
        nodes_leave(fs->nodes, &target);
    }
    return error;
}

enum handle_taken handle_take(struct fs *fs, struct handle *handle, enum occasion occasion,
                              const struct client *client, struct stage *stage)
{
    enum handle_taken taken = HANDLE_NOTHING;

    pthread_mutex_lock(&handle->mutex);
    if (!stage_is_empty(&handle->stage)) {
        if (is_due(fs, handle, occasion, client)) {
            *stage = handle->stage;
            handle->stage = (struct stage){.page_size = stage->page_size, .budget = stage->budget};
            taken = HANDLE_TAKEN;
        } else if (stage_is_empty(&handle->stage)) {
            taken = HANDLE_DROPPED;
        }
    }
    handle->closed |= occasion == OCCASION_CLOSE;
    pthread_mutex_unlock(&handle->mutex);
    return taken;
}

int handle_flush(struct fs *fs, struct handle *handle, const struct client *client, bool *committed)
{
    return settle(fs, handle, OCCASION_CLOSE, client, committed);
}

int handle_sync(struct fs *fs, struct handle *handle, bool *committed)
{
    return settle(fs, handle, OCCASION_SYNC, &nobody, committed);
}

void handle_release(struct fs *fs, struct handle *handle, bool *committed)
{
    (void)settle(fs, handle, OCCASION_END, &nobody, committed);
    drop_all(handle, "its commit failed");
}

/*
 * Whether all that is staged is of one process, which wrote it after its last close and is gone:
 * its release is on its way.
 */
static bool is_left_behind(const struct handle *handle)
{
    const struct stage *stage = &handle->stage;
    const struct client *writer = stage_writer(stage);
    struct pollfd ended = {.fd = handle->writer, .events = POLLIN};

    if (handle->writer < 0 || stage->truncated || poll(&ended, 1, 0) != 1) {
        return false;
    }
    for (size_t i = 0; i < stage->count; i++) {
        if (memcmp(&stage->extents[i].writer, writer, sizeof(*writer)) != 0) {
            return false;
        }
    }
    return true;
}

void handle_end_all(struct fs *fs, bool unmounted,
                    void (*end_batch)(struct fs *fs, struct handle *handle))
{
    bool committed;

    while (fs->handles != NULL) {
        struct handle *handle = fs->handles;

        if (unmounted && handle->batch != 0) {
            end_batch(fs, handle);
        } else if (unmounted || (handle->batch == 0 && is_left_behind(handle))) {
            handle_release(fs, handle, &committed);
        }
        drop_all(handle, "the mount ended before it was closed");
        handle_close(fs, handle);
    }
}
