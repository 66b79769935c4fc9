/* SPDX-License-Identifier: MIT */
/* The public functions that submit a request: each hands it over to the queue's thread. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "extras/async.h"

static struct request *new_request(enum request_kind kind, unsigned flags, mpg_done done,
                                   void *context)
{
    struct request *request = calloc(1, sizeof(*request));

    if (request == NULL)
        return NULL;
    request->kind = kind;
    request->flags = flags;
    request->done = done;
    request->context = context;
    return request;
}

/* Submits a request about `count` ids; `ids` has their values, or is NULL. Both kinds are alike. */
static int submit_ids(mpg_request *number, mpg_queue *queue, enum request_kind kind, unsigned flags,
                      const void *ids, size_t count, mpg_done done, void *context)
{
    struct request *request = new_request(kind, flags, done, context);

    _Static_assert(sizeof(mpg_page_id) == sizeof(mpg_protected_id), "one array holds either");
    if (request != NULL && count < PTRDIFF_MAX / sizeof(mpg_page_id)) /* no array is longer */
        request->ids.pages = malloc((count + 1) * sizeof(mpg_page_id));
    if (request == NULL || request->ids.pages == NULL) {
        free(request);
        return mpgi_fail_memory("async");
    }
    request->count = count;
    if (ids != NULL)
        memcpy(request->ids.pages, ids, count * sizeof(mpg_page_id));
    return mpgi_queue_accept(number, queue, request);
}

int mpg_async_alloc(mpg_request *request, mpg_queue *queue, unsigned flags, mpg_done done,
                    void *context)
{
    return submit_ids(request, queue, REQUEST_ALLOC, flags, NULL, 1, done, context);
}

int mpg_async_alloc_at(mpg_request *request, mpg_queue *queue, mpg_page_id id, unsigned flags,
                       mpg_done done, void *context)
{
    return submit_ids(request, queue, REQUEST_ALLOC_AT, flags, &id, 1, done, context);
}

int mpg_async_alloc_bulk(mpg_request *request, mpg_queue *queue, size_t count, unsigned flags,
                         mpg_done done, void *context)
{
    return submit_ids(request, queue, REQUEST_ALLOC, flags, NULL, count, done, context);
}

int mpg_async_free(mpg_request *request, mpg_queue *queue, mpg_page_id id, mpg_done done,
                   void *context)
{
    return submit_ids(request, queue, REQUEST_FREE, 0, &id, 1, done, context);
}

int mpg_async_free_bulk(mpg_request *request, mpg_queue *queue, const mpg_page_id *ids,
                        size_t count, mpg_done done, void *context)
{
    return submit_ids(request, queue, REQUEST_FREE, 0, ids, count, done, context);
}

int mpg_async_alloc_protected(mpg_request *request, mpg_queue *queue, mpg_done done, void *context)
{
    return submit_ids(request, queue, REQUEST_ALLOC_PROTECTED, 0, NULL, 1, done, context);
}

int mpg_async_alloc_protected_at(mpg_request *request, mpg_queue *queue, mpg_protected_id id,
                                 mpg_done done, void *context)
{
    return submit_ids(request, queue, REQUEST_ALLOC_PROTECTED_AT, 0, &id, 1, done, context);
}

int mpg_async_alloc_protected_bulk(mpg_request *request, mpg_queue *queue, size_t count,
                                   mpg_done done, void *context)
{
    return submit_ids(request, queue, REQUEST_ALLOC_PROTECTED, 0, NULL, count, done, context);
}

int mpg_async_free_protected(mpg_request *request, mpg_queue *queue, mpg_protected_id id,
                             mpg_done done, void *context)
{
    return submit_ids(request, queue, REQUEST_FREE_PROTECTED, 0, &id, 1, done, context);
}

int mpg_async_free_protected_bulk(mpg_request *request, mpg_queue *queue,
                                  const mpg_protected_id *ids, size_t count, mpg_done done,
                                  void *context)
{
    return submit_ids(request, queue, REQUEST_FREE_PROTECTED, 0, ids, count, done, context);
}

int mpg_async_writer_commit(mpg_request *request, mpg_queue *queue, mpg_writer *writer,
                            mpg_done done, void *context)
{
    struct request *made = new_request(REQUEST_WRITER, 0, done, context);

    if (made == NULL)
        return mpgi_fail_memory("async");
    made->writer = writer;
    return mpgi_queue_accept(request, queue, made);
}

int mpg_async_txn_commit(mpg_request *request, mpg_queue *queue, mpg_txn *txn, unsigned flags,
                         mpg_done done, void *context)
{
    struct request *made = new_request(REQUEST_TXN, flags, done, context);

    if (made == NULL)
        return mpgi_fail_memory("async");
    made->txn = txn;
    return mpgi_queue_accept(request, queue, made);
}

int mpg_async_sync(mpg_request *request, mpg_queue *queue, mpg_done done, void *context)
{
    return submit_ids(request, queue, REQUEST_SYNC, 0, NULL, 0, done, context);
}
