/* SPDX-License-Identifier: MIT */
/*
 * The queue. Its thread applies all that was accepted to the gathering batch, then commits
 * that if nobody else does. What is accepted meanwhile makes the next batch.
 *
 * Lock order: the pager's lock, then the queue's.
 */
#include "extras/async.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "pager/commit.h"
#include "pager/pager.h"

static void *run(void *argument)
{
    mpg_queue *queue = argument;
    struct request *requests;

    while ((requests = mpgi_queue_next(queue)) != NULL) {
        while (requests != NULL) {
            struct request *request = requests;

            requests = request->next;
            mpgi_request_begin(request);
        }
        mpgi_commit_wanted(queue->pager);
    }
    return NULL;
}

/* Signals are the program's: its own threads take them. */
static int create_thread(mpg_queue *queue)
{
    sigset_t all, before;
    int error;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&queue->thread, NULL, run, queue);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int mpg_queue_open(mpg_queue **queue, mpg_pager *pager)
{
    mpg_queue *made;
    int error;

    if (pager->read_only)
        return mpgi_fail(MPG_E_READ_ONLY, "queue", MPG_NO_PAGE, "%s: opened read-only",
                         pager->file.path);
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return mpgi_fail_memory("queue");
    made->pager = pager;
    mpgi_requests_empty(&made->accepted);
    mpgi_requests_empty(&made->finished);
    made->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made->fd < 0) {
        error = errno;
        free(made);
        return mpgi_fail_errno(error, "eventfd", MPG_NO_PAGE, pager->file.path);
    }
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)pthread_cond_init(&made->changed, NULL);
    error = create_thread(made);
    if (error != 0) {
        (void)close(made->fd);
        free(made);
        return mpgi_fail_errno(error, "pthread_create", MPG_NO_PAGE, pager->file.path);
    }
    *queue = made;
    return 0;
}

int mpg_queue_fd(const mpg_queue *queue)
{
    return queue->fd;
}

static void deliver(struct request *request)
{
    bool is_protected =
        request->kind == REQUEST_ALLOC_PROTECTED || request->kind == REQUEST_ALLOC_PROTECTED_AT;
    bool is_regular = request->kind == REQUEST_ALLOC || request->kind == REQUEST_ALLOC_AT;
    mpg_completion completion = {request->result, NULL, 0, NULL, NULL};

    if (request->result != 0)
        completion.error = &request->error;
    else if (is_regular || is_protected)
        completion.count = request->count;
    if (request->result == 0 && is_regular)
        completion.pages = request->ids.pages;
    if (request->result == 0 && is_protected)
        completion.protected_pages = request->ids.protected_pages;
    if (request->done != NULL)
        request->done(request->context, &completion);
    mpgi_request_free(request);
}

size_t mpg_dispatch(mpg_queue *queue)
{
    struct request *requests;
    uint64_t count;
    size_t delivered = 0;

    (void)pthread_mutex_lock(&queue->lock);
    /* Nothing to read is nothing to reset. */
    if (read(queue->fd, &count, sizeof(count)) < 0)
        (void)errno;
    requests = mpgi_requests_take_all(&queue->finished);
    (void)pthread_mutex_unlock(&queue->lock);
    while (requests != NULL) {
        struct request *request = requests;

        requests = request->next;
        deliver(request);
        delivered++;
    }
    return delivered;
}

int mpg_async_cancel(mpg_queue *queue, mpg_request number)
{
    struct request *request;
    bool known;

    (void)pthread_mutex_lock(&queue->lock);
    known = number != 0 && number <= queue->last_number;
    request = mpgi_requests_take(&queue->accepted, number);
    if (request != NULL)
        queue->under_way++;
    (void)pthread_mutex_unlock(&queue->lock);
    if (!known)
        return mpgi_fail(MPG_E_INVALID, "cancel", MPG_NO_PAGE, "there was no request %llu",
                         (unsigned long long)number);
    if (request == NULL)
        return mpgi_fail(MPG_E_BUSY, "cancel", MPG_NO_PAGE, "the request was begun already");
    request->result = mpgi_fail(MPG_E_CANCELLED, "async", MPG_NO_PAGE, "the request was cancelled");
    (void)mpg_last_error(&request->error);
    mpgi_request_finish(request);
    return 0;
}

void mpg_queue_close(mpg_queue *queue)
{
    if (queue == NULL)
        return;
    (void)pthread_mutex_lock(&queue->lock);
    queue->closing = true;
    (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->lock);
    (void)pthread_join(queue->thread, NULL);
    /* A batch that another thread leads may still hold requests. */
    (void)pthread_mutex_lock(&queue->lock);
    while (queue->under_way > 0)
        (void)pthread_cond_wait(&queue->changed, &queue->lock);
    (void)pthread_mutex_unlock(&queue->lock);
    while (mpg_dispatch(queue) > 0)
        continue;
    (void)close(queue->fd);
    (void)pthread_cond_destroy(&queue->changed);
    (void)pthread_mutex_destroy(&queue->lock);
    free(queue);
}
