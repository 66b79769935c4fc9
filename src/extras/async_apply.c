/* SPDX-License-Identifier: MIT */
/* What each request does, in the queue's thread, by means of the same steps as its namesake. */
#include "base/error.h"
#include "extras/async.h"
#include "pager/apply.h"
#include "pager/pager.h"
#include "pager/txn.h"
#include "pager/writer.h"

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
