/* SPDX-License-Identifier: MIT */
/* Floor 7: what each asynchronous request does, by means of the same steps as its namesake. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "extras/async.h"
#include "pager/apply.h"
#include "pager/pager.h"
#include "pager/txn.h"
#include "pager/writer.h"

void mpgi_request_free(struct request *request)
{
    free(request->ids.pages);
    free(request);
}

/* ---- in the queue's thread ---- */

static int apply_frees(struct edit *edit, const struct request *request)
{
    int result = 0;

    for (size_t i = 0; i < request->count && result == 0; i++)
        result = request->kind == REQUEST_FREE
                     ? mpgi_apply_free(edit, request->ids.pages[i].value)
                     : mpgi_apply_free_protected(edit, request->ids.protected_pages[i].value);
    return result;
}

static int apply_alloc(struct edit *edit, struct request *request)
{
    int result = mpgi_check_flags(request->flags, MPG_ZERO, "alloc");

    if (result != 0)
        return result;
    if (request->kind == REQUEST_ALLOC)
        return mpgi_apply_alloc_many(edit, request->ids.pages, request->count, request->flags);
    return mpgi_apply_alloc_at(edit, request->ids.pages[0].value, request->flags);
}

static int apply_txn(struct edit *edit, const struct request *request)
{
    int result = mpgi_check_flags(request->flags, MPG_ORDERED, "commit");

    if (result == 0)
        result = mpgi_txn_apply(request->txn, edit);
    if (result == 0 && (request->flags & MPG_ORDERED) != 0)
        edit->pager->gathering->ordered = true;
    return result;
}

static int apply(struct edit *edit, struct request *request)
{
    int result;

    switch (request->kind) {
    case REQUEST_ALLOC:
    case REQUEST_ALLOC_AT:
        return apply_alloc(edit, request);
    case REQUEST_ALLOC_PROTECTED:
        return mpgi_apply_alloc_protected_many(edit, request->ids.protected_pages, request->count);
    case REQUEST_ALLOC_PROTECTED_AT:
        result = mpgi_check_alloc_protected_at(edit->pager, request->ids.protected_pages[0].value);
        if (result != 0)
            return result;
        return mpgi_apply_alloc_protected(edit, request->ids.protected_pages[0].value);
    case REQUEST_FREE:
    case REQUEST_FREE_PROTECTED:
        return apply_frees(edit, request);
    case REQUEST_WRITER:
        return mpgi_apply_writer(edit, request->writer);
    case REQUEST_TXN:
        return apply_txn(edit, request);
    case REQUEST_SYNC:
        return 0;
    }
    return 0;
}

/* The batch is done. Called with the pager's lock held. */
static void batch_done(struct completion *completion, int result, const mpg_error_info *error)
{
    struct request *request = (struct request *)completion;

    request->result = result;
    if (result != 0)
        request->error = *error;
    else if (request->kind == REQUEST_WRITER)
        mpgi_writer_free(request->writer);
    else if (request->kind == REQUEST_TXN)
        mpgi_txn_free(request->txn);
    mpgi_request_finish(request);
}

void mpgi_request_begin(struct request *request)
{
    struct edit edit;
    int result;

    if (request->kind == REQUEST_WRITER)
        mpgi_writer_prepare(request->writer);
    else if (request->kind == REQUEST_TXN)
        mpgi_txn_prepare(request->txn);
    result = mpgi_edit_begin(&edit, request->queue->pager, "async");
    request->completion.done = batch_done;
    if (result == 0) {
        do {
            result = apply(&edit, request);
        } while (mpgi_edit_again(&edit, &result, "async"));
        if (result == 0) {
            mpgi_edit_end_async(&edit, &request->completion);
            return;
        }
        (void)mpgi_edit_end(&edit, result, WAIT_DURABLE);
    }
    request->result = mpg_last_error(&request->error);
    mpgi_request_finish(request);
}

/* ---- in the caller's thread ---- */

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
