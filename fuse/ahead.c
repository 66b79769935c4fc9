/* SPDX-License-Identifier: MIT */
#include "ahead.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "node.h"
#include "workers.h"

#define STREAMS 8
/*
 * Pages to keep ahead of a reader, and the largest worth it: the kernel reads ahead within a file.
 */
#define WINDOW 64
#define PAGE_MAX (128u << 10)
/* Reads in order before anything is pushed. */
#define RUN_MIN 4
/* Pages in a row that the kernel does not know, before a job is given up. */
#define UNKNOWN_MAX 4

/* Somebody who reads pages in order. */
struct stream {
    uint64_t last;   /* id read last */
    uint64_t pushed; /* ids below this were pushed, or tried */
    int run;         /* reads in order; negative: so many more to see before the next try */
    uint64_t used;   /* when, by the clock below */
};

struct ahead {
    struct work work; /* what the thread does when it is called */
    struct fs *fs;
    struct workers *thread; /* one, that pushes */
    pthread_mutex_t mutex;  /* for everything below; taken before that of the workers */
    bool called;            /* the thread is yet to begin with what there is */
    bool held;              /* nothing is handed over but what waits in ahead_hold */
    atomic_bool stop;
    uint64_t clock; /* reads seen */
    struct stream streams[STREAMS];
    struct stream *job;        /* the stream to push for, or NULL */
    uint64_t job_from;         /* first id */
    fuse_ino_t pushing;        /* the node being pushed, or 0 */
    struct deferred *deferred; /* requests to finish; owned */
};

/* Has the thread do what there is. Called with the lock held. */
static void call(struct ahead *ahead)
{
    if (!ahead->called) {
        ahead->called = workers_do(ahead->thread, &ahead->work);
    }
}

static void finish(const struct deferred *change)
{
    struct deferred now = *change;

    now.finish(&now);
}

void ahead_change(struct fs *fs, const struct deferred *change)
{
    struct ahead *ahead = fs->ahead;
    struct deferred *later = NULL;
    bool counted;

    if (ahead == NULL) {
        finish(change);
        return;
    }
    /*
     * Counted before looking, as the pushing thread looks for writers after it said what it pushes.
     */
    counted = nodes_opened(fs->nodes, change->node, true) == 0;
    pthread_mutex_lock(&ahead->mutex);
    if (ahead->pushing == change->node && counted && (later = malloc(sizeof(*later))) != NULL) {
        *later = *change;
        later->counted = true;
        later->next = ahead->deferred;
        ahead->deferred = later;
    }
    pthread_mutex_unlock(&ahead->mutex);
    if (later == NULL) {
        finish(change);
        if (counted) {
            nodes_closed(fs->nodes, change->node, true);
        }
    }
}

static bool hand_over(struct fs *fs, const struct deferred *change, bool even_held)
{
    struct ahead *ahead = fs->ahead;
    struct deferred *later = ahead != NULL ? malloc(sizeof(*later)) : NULL;
    bool taken;

    if (later == NULL) {
        return false;
    }
    *later = *change;
    pthread_mutex_lock(&ahead->mutex);
    taken = !ahead->stop && (even_held || !ahead->held);
    if (taken) {
        later->next = ahead->deferred;
        ahead->deferred = later;
        call(ahead);
    }
    pthread_mutex_unlock(&ahead->mutex);
    if (!taken) {
        free(later);
    }
    return taken;
}

bool ahead_hand_over(struct fs *fs, const struct deferred *change)
{
    return hand_over(fs, change, false);
}

static void settled(struct deferred *deferred)
{
    (void)sem_post((sem_t *)(uintptr_t)deferred->fi.fh);
}

/* Waits until the thread has come to what is handed over now. */
static void settle(struct fs *fs)
{
    struct deferred deferred = {.finish = settled};
    sem_t here;

    if (sem_init(&here, 0, 0) != 0) {
        return;
    }
    deferred.fi.fh = (uintptr_t)&here;
    if (hand_over(fs, &deferred, true)) {
        while (sem_wait(&here) != 0) {
            /* interrupted */
        }
    }
    (void)sem_destroy(&here);
}

void ahead_hold(struct fs *fs)
{
    if (fs->ahead == NULL) {
        return;
    }
    pthread_mutex_lock(&fs->ahead->mutex);
    fs->ahead->held = true;
    pthread_mutex_unlock(&fs->ahead->mutex);
    settle(fs);
    settle(fs); /* what was handed over together is finished in any order */
}

void ahead_let_go(struct fs *fs)
{
    if (fs->ahead == NULL) {
        return;
    }
    pthread_mutex_lock(&fs->ahead->mutex);
    fs->ahead->held = false;
    pthread_mutex_unlock(&fs->ahead->mutex);
}

/* Says which node is being pushed, and finishes the requests that came until now. */
static void set_pushing(struct ahead *ahead, fuse_ino_t node)
{
    struct deferred *changes;

    pthread_mutex_lock(&ahead->mutex);
    ahead->pushing = node;
    changes = ahead->deferred;
    ahead->deferred = NULL;
    pthread_mutex_unlock(&ahead->mutex);
    while (changes != NULL) {
        struct deferred *next = changes->next;

        finish(changes);
        if (changes->counted) {
            nodes_closed(ahead->fs->nodes, changes->node, true);
        }
        free(changes);
        changes = next;
    }
}

/* Pushes a page. Returns 0, or ENOENT if the kernel does not know it. */
static int push(struct fs *fs, fuse_ino_t node)
{
    struct fuse_bufvec content = FUSE_BUFVEC_INIT(fs->page_size);
    struct target target;
    int code;

    if (nodes_has_writers(fs->nodes, node) || nodes_enter(fs->nodes, node, &target) != 0) {
        return 0;
    }
    content.buf[0].mem = fs_buffer(fs->page_size);
    code = content.buf[0].mem == NULL ? MPG_E_NO_MEMORY
                                      : mpg_page_read(content.buf[0].mem, fs->pager,
                                                      (mpg_page_id){target.id}, 0, fs->page_size);
    nodes_leave(fs->nodes, &target);
    if (code != MPG_OK) {
        return 0; /* whoever reads it gets the error */
    }
    return fuse_lowlevel_notify_store(fs->session, node, 0, &content, 0) == -ENOENT ? ENOENT : 0;
}

/* Pushes a window of pages from an id on; false if the kernel knows none of them. */
static bool push_window(struct ahead *ahead, uint64_t from)
{
    struct fs *fs = ahead->fs;
    unsigned unknown = 0;
    mpg_page_iter iter;
    mpg_page_id id;

    mpg_page_iter_begin(&iter, fs->pager, (mpg_page_id){from});
    while (mpg_page_iter_next(&id, &iter) > 0 && id.value < from + WINDOW) {
        fuse_ino_t node = nodes_current(fs->nodes, NODE_PAGE, id.value);

        if (node == 0 || id.value >= NODE_ID_LIMIT) {
            continue;
        }
        set_pushing(ahead, node);
        unknown = push(fs, node) == ENOENT ? unknown + 1 : 0;
        set_pushing(ahead, 0);
        if (unknown == UNKNOWN_MAX || ahead->stop) {
            return false;
        }
    }
    return true;
}

static void run(struct work *work)
{
    struct ahead *ahead = (struct ahead *)work; /* its first member */
    struct stream *stream;
    uint64_t from;

    pthread_mutex_lock(&ahead->mutex);
    ahead->called = false;
    stream = ahead->job;
    from = ahead->job_from;
    ahead->job = NULL;
    pthread_mutex_unlock(&ahead->mutex);
    set_pushing(ahead, 0);
    if (stream != NULL && !ahead->stop && !push_window(ahead, from)) {
        pthread_mutex_lock(&ahead->mutex);
        stream->run = -WINDOW;
        pthread_mutex_unlock(&ahead->mutex);
    }
}

/*
 * The stream that a read of `id` belongs to: one that it goes on with, or the one used longest ago.
 */
static struct stream *stream_of(struct ahead *ahead, uint64_t id)
{
    struct stream *oldest = &ahead->streams[0];

    for (int i = 0; i < STREAMS; i++) {
        struct stream *stream = &ahead->streams[i];
        uint64_t reach = stream->pushed > stream->last ? stream->pushed : stream->last;

        if (stream->used > 0 && id >= stream->last && id <= reach + WINDOW) {
            return stream;
        }
        if (stream->used < oldest->used) {
            oldest = stream;
        }
    }
    *oldest = (struct stream){.last = id};
    return oldest;
}

void ahead_was_read(struct fs *fs, fuse_ino_t node)
{
    struct ahead *ahead = fs->ahead;
    struct stream *stream;
    struct target target;

    if (ahead == NULL || fs->follows || fs->page_size > PAGE_MAX ||
        node_kind_of(node) != NODE_PAGE || nodes_resolve(fs->nodes, node, &target) != 0 ||
        target.kind != NODE_PAGE) {
        return;
    }
    pthread_mutex_lock(&ahead->mutex);
    stream = stream_of(ahead, target.id);
    stream->used = ++ahead->clock;
    stream->run += target.id != stream->last;
    stream->last = target.id;
    if (stream->run >= RUN_MIN && ahead->job == NULL && target.id + WINDOW / 2 >= stream->pushed) {
        ahead->job_from = target.id + 1 > stream->pushed ? target.id + 1 : stream->pushed;
        stream->pushed = ahead->job_from + WINDOW;
        ahead->job = stream;
        call(ahead);
    }
    pthread_mutex_unlock(&ahead->mutex);
}

struct ahead *ahead_start(struct fs *fs)
{
    struct ahead *ahead = calloc(1, sizeof(*ahead));

    if (ahead == NULL) {
        return NULL;
    }
    pthread_mutex_init(&ahead->mutex, NULL);
    ahead->work.run = run;
    ahead->fs = fs;
    ahead->thread = workers_new(1);
    if (ahead->thread == NULL || !workers_start(ahead->thread)) {
        ahead_free(ahead);
        return NULL;
    }
    return ahead;
}

void ahead_stop(struct ahead *ahead)
{
    if (ahead == NULL) {
        return;
    }
    pthread_mutex_lock(&ahead->mutex);
    ahead->stop = true;
    pthread_mutex_unlock(&ahead->mutex);
    workers_end(ahead->thread);
}

void ahead_free(struct ahead *ahead)
{
    if (ahead == NULL) {
        return;
    }
    workers_free(ahead->thread);
    pthread_mutex_destroy(&ahead->mutex);
    free(ahead);
}
