/* SPDX-License-Identifier: MIT */
/* What a queue holds: requests that were accepted, and finished ones that wait to be delivered. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "extras/async.h"

void mpgi_request_free(struct request *request)
{
    free(request->ids.pages);
    free(request);
}

static void append(struct request_list *list, struct request *request)
{
    request->next = NULL;
    *list->end = request;
    list->end = &request->next;
}

void mpgi_requests_empty(struct request_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

struct request *mpgi_requests_take_all(struct request_list *list)
{
    struct request *first = list->first;

    mpgi_requests_empty(list);
    return first;
}

void mpgi_request_finish(struct request *request)
{
    static const uint64_t one = 1;
    mpg_queue *queue = request->queue;

    (void)pthread_mutex_lock(&queue->lock);
    /* Where others are waiting to be delivered it is readable already. */
    if (queue->finished.first == NULL && write(queue->fd, &one, sizeof(one)) < 0)
        (void)errno; /* cannot be: its count is 0 */
    append(&queue->finished, request);
    if (--queue->under_way == 0)
        (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->lock);
}

int mpgi_queue_accept(mpg_request *number, mpg_queue *queue, struct request *request)
{
    bool closing;

    (void)pthread_mutex_lock(&queue->lock);
    closing = queue->closing;
    if (!closing) {
        request->queue = queue;
        request->number = ++queue->last_number;
        if (number != NULL)
            *number = request->number;
        /* Its thread takes all that there is. */
        if (queue->accepted.first == NULL)
            (void)pthread_cond_broadcast(&queue->changed);
        append(&queue->accepted, request);
    }
    (void)pthread_mutex_unlock(&queue->lock);
    if (!closing)
        return 0;
    mpgi_request_free(request);
    return mpgi_fail(MPG_E_INVALID, "async", MPG_NO_PAGE, "the queue is being closed");
}

struct request *mpgi_queue_next(mpg_queue *queue)
{
    struct request *requests;

    (void)pthread_mutex_lock(&queue->lock);
    while (queue->accepted.first == NULL && !queue->closing)
        (void)pthread_cond_wait(&queue->changed, &queue->lock);
    requests = mpgi_requests_take_all(&queue->accepted);
    for (const struct request *request = requests; request != NULL; request = request->next)
        queue->under_way++;
    (void)pthread_mutex_unlock(&queue->lock);
    return requests;
}

struct request *mpgi_requests_take(struct request_list *list, mpg_request number)
{
    struct request **at = &list->first;
    struct request *found;

    /* They are in the order of their numbers. */
    while (*at != NULL && (*at)->number < number)
        at = &(*at)->next;
    found = *at;
    if (found == NULL || found->number != number)
        return NULL;
    *at = found->next;
    if (found->next == NULL)
        list->end = at;
    return found;
}
