/* SPDX-License-Identifier: MIT */
/* A queue of requests and the requests in it. */
#ifndef MPGI_ASYNC_H
#define MPGI_ASYNC_H

#include <pthread.h>
#include <stdbool.h>

#include "mappedpages_async.h"
#include "pager/batch.h"

enum request_kind {
    REQUEST_ALLOC,
    REQUEST_ALLOC_AT,
    REQUEST_FREE,
    REQUEST_ALLOC_PROTECTED,
    REQUEST_ALLOC_PROTECTED_AT,
    REQUEST_FREE_PROTECTED,
    REQUEST_WRITER,
    REQUEST_TXN,
    REQUEST_SYNC,
};

/* Accepted, then applied to a batch, then finished, then delivered to its callback. */
struct request {
    struct completion completion; /* how the batch tells; first, so that one is the other */
    struct request *next;         /* in one of the queue's lists */
    mpg_queue *queue;
    mpg_request number;
    enum request_kind kind;
    unsigned flags; /* MPG_ZERO, or MPG_ORDERED */
    mpg_writer *writer;
    mpg_txn *txn;
    mpg_done done;
    void *context;
    int result;
    mpg_error_info error;
    size_t count; /* ids */
    union {
        mpg_page_id *pages;
        mpg_protected_id *protected_pages;
    } ids; /* owned: what to allocate, was allocated, or to free */
};

struct request_list {
    struct request *first, **end;
};

struct mpg_queue {
    mpg_pager *pager;
    pthread_t thread;
    int fd; /* an eventfd: readable while `finished` is not empty */
    pthread_mutex_t lock;
    pthread_cond_t changed;       /* something was accepted, nothing is under way, or closing set */
    struct request_list accepted; /* not begun */
    struct request_list finished; /* to be delivered */
    size_t under_way;             /* begun and not finished */
    mpg_request last_number;
    bool closing;
};

/* ---- async_queue.c ---- */

void mpgi_requests_empty(struct request_list *list);
struct request *mpgi_requests_take_all(struct request_list *list);
/* Takes one request out of a list in the order of their numbers; NULL if it is not there. */
struct request *mpgi_requests_take(struct request_list *list, mpg_request number);
/* Hands a request over to the queue's thread. Frees it on error. */
int mpgi_queue_accept(mpg_request *number, mpg_queue *queue, struct request *request);
/* Waits for requests and takes them all; NULL when the queue is closing and there are none. */
struct request *mpgi_queue_next(mpg_queue *queue);
/* Puts a request among the finished ones. */
void mpgi_request_finish(struct request *request);
void mpgi_request_free(struct request *request);

/* ---- async_apply.c ---- */

/* Applies a request to the gathering batch, or finishes it at once if that fails. */
void mpgi_request_begin(struct request *request);

#endif
