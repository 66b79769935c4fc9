/* SPDX-License-Identifier: MIT */
/*
 * Commits that do not wait: for event loops.
 *
 * A queue belongs to a pager and has a thread of its own. A request returns at once; the queue's
 * thread carries requests out in the order they came, many in one commit, and says so through a
 * descriptor that fits poll and epoll. mpg_dispatch then calls the callbacks, in the thread that
 * calls it: those of one commit in the order of their requests. (One that fails before any commit
 * is told at once, and so before those whose commit is under way.)
 *
 *     mpg_queue_open(&queue, pager);
 *     mpg_async_writer_commit(&request, queue, writer, done, context);
 *     ... poll mpg_queue_fd(queue) for reading ...
 *     mpg_dispatch(queue);           calls done(context, &completion)
 *     mpg_queue_close(queue);
 *
 * The functions are those of mappedpages.h with an `async` in the name, and mean the same: what
 * their namesakes return is the completion's result, and what is durable when they return is
 * durable when the callback is called.
 *
 * Thread safety: requests, mpg_async_cancel and mpg_dispatch may be called from any thread, from
 * callbacks too. Callbacks run without any lock of the library: they may call all of mappedpages.h,
 * and wait then as any caller would. Several queues on one pager share commits.
 */
#ifndef MAPPEDPAGES_ASYNC_H
#define MAPPEDPAGES_ASYNC_H

#include "mappedpages.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpg_queue mpg_queue;

/* What became of a request. It and what it points to are valid during the callback only. */
typedef struct mpg_completion {
    int result;                  /* 0 or MPG_E_… */
    const mpg_error_info *error; /* details where result is not 0, else NULL */
    size_t count;                /* ids in the next two */
    const mpg_page_id *pages;    /* what async alloc and alloc_bulk allocated, or NULL */
    const mpg_protected_id *protected_pages; /* what the forms for protected pages did, or NULL */
} mpg_completion;

/* Called by mpg_dispatch or mpg_queue_close, once for each request that was accepted. */
typedef void (*mpg_done)(void *context, const mpg_completion *completion);

/* Names a request that was accepted, for mpg_async_cancel. Never used twice in one queue. */
typedef uint64_t mpg_request;

/*
 * Makes a queue and its thread, which takes no signals. The pager must stay open until the queue is
 * closed.
 * Errors: READ_ONLY, NO_MEMORY, IO (no descriptor, no thread).
 */
MPG_API MPG_MUST_CHECK int mpg_queue_open(mpg_queue **queue, mpg_pager *pager);

/*
 * Carries out everything accepted so far, calls the callbacks that are due in this thread, and
 * frees the queue. NULL is allowed. A callback called from here must not make requests (they get
 * INVALID). Must not be called from a callback.
 * Thread safety: no other call on this queue may be running or follow, but those from its
 * callbacks.
 */
MPG_API void mpg_queue_close(mpg_queue *queue);

/*
 * A descriptor that is readable while there is something to dispatch. The queue's: do not close it.
 */
MPG_API int mpg_queue_fd(const mpg_queue *queue);

/* Calls the callbacks that are due, without waiting. Returns how many. */
MPG_API size_t mpg_dispatch(mpg_queue *queue);

/*
 * Takes back a request that was not begun yet: it completes with MPG_E_CANCELLED and nothing of it
 * was done. Errors: BUSY if it was begun already, or is done; it then completes as ever. INVALID if
 * there was no such request.
 */
MPG_API MPG_MUST_CHECK int mpg_async_cancel(mpg_queue *queue, mpg_request request);

/*
 * The requests. `request` and `done` may be NULL. Arguments and ids are copied; nothing that is
 * passed need stay, but for writers and transactions: those belong to the queue until the callback.
 * There, on success they have ended; otherwise they are the caller's again, to retry or to discard.
 * Errors, at once and without a callback: NO_MEMORY, INVALID (the queue is closing).
 */
MPG_API MPG_MUST_CHECK int mpg_async_alloc(mpg_request *request, mpg_queue *queue, unsigned flags,
                                           mpg_done done, void *context);
MPG_API MPG_MUST_CHECK int mpg_async_alloc_at(mpg_request *request, mpg_queue *queue,
                                              mpg_page_id id, unsigned flags, mpg_done done,
                                              void *context);
MPG_API MPG_MUST_CHECK int mpg_async_alloc_bulk(mpg_request *request, mpg_queue *queue,
                                                size_t count, unsigned flags, mpg_done done,
                                                void *context);
MPG_API MPG_MUST_CHECK int mpg_async_free(mpg_request *request, mpg_queue *queue, mpg_page_id id,
                                          mpg_done done, void *context);
MPG_API MPG_MUST_CHECK int mpg_async_free_bulk(mpg_request *request, mpg_queue *queue,
                                               const mpg_page_id *ids, size_t count, mpg_done done,
                                               void *context);
MPG_API MPG_MUST_CHECK int mpg_async_alloc_protected(mpg_request *request, mpg_queue *queue,
                                                     mpg_done done, void *context);
MPG_API MPG_MUST_CHECK int mpg_async_alloc_protected_at(mpg_request *request, mpg_queue *queue,
                                                        mpg_protected_id id, mpg_done done,
                                                        void *context);
MPG_API MPG_MUST_CHECK int mpg_async_alloc_protected_bulk(mpg_request *request, mpg_queue *queue,
                                                          size_t count, mpg_done done,
                                                          void *context);
MPG_API MPG_MUST_CHECK int mpg_async_free_protected(mpg_request *request, mpg_queue *queue,
                                                    mpg_protected_id id, mpg_done done,
                                                    void *context);
MPG_API MPG_MUST_CHECK int mpg_async_free_protected_bulk(mpg_request *request, mpg_queue *queue,
                                                         const mpg_protected_id *ids, size_t count,
                                                         mpg_done done, void *context);
MPG_API MPG_MUST_CHECK int mpg_async_writer_commit(mpg_request *request, mpg_queue *queue,
                                                   mpg_writer *writer, mpg_done done,
                                                   void *context);
MPG_API MPG_MUST_CHECK int mpg_async_txn_commit(mpg_request *request, mpg_queue *queue,
                                                mpg_txn *txn, unsigned flags, mpg_done done,
                                                void *context);
/* Everything written to regular pages before this call. The same as mpg_sync and mpg_page_sync. */
MPG_API MPG_MUST_CHECK int mpg_async_sync(mpg_request *request, mpg_queue *queue, mpg_done done,
                                          void *context);

#ifdef __cplusplus
}
#endif

#endif
