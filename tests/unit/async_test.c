/* SPDX-License-Identifier: MIT */
/* Asynchronous requests: completion, order of results, shared commits, cancelling, closing. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mappedpages_async.h"
#include "os/io.h"
#include "pager/open.h"

#define MANY 1000

/* The system's calls, with every sync counted, and failing or held back on request. */
static struct io counting;
static atomic_uint syncs;
static atomic_bool fail_sync;
static atomic_bool hold_sync;
static atomic_bool sync_held;

static int counted_fdatasync(void *context, int fd)
{
    while (hold_sync) {
        sync_held = true;
        (void)usleep(1000);
    }
    sync_held = false;
    syncs++;
    if (fail_sync) {
        errno = EIO;
        return -1;
    }
    return mpgi_io_system.fdatasync(context, fd);
}

struct fixture {
    char path[64];
    mpg_pager *pager;
    mpg_queue *queue;
};

static int format_of_test = MPG_FORMAT_0_2;

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    mpg_options options = MPG_OPTIONS_INIT;

    options.format = format_of_test;
    counting = mpgi_io_system;
    counting.fdatasync = counted_fdatasync;
    fail_sync = false;
    hold_sync = false;
    (void)snprintf(fixture->path, sizeof(fixture->path), "async_test.%ld.mpp", (long)getpid());
    (void)unlink(fixture->path);
    assert_int_equal(mpgi_create_with(&fixture->pager, fixture->path, &options, &counting, NULL),
                     0);
    assert_int_equal(mpg_queue_open(&fixture->queue, fixture->pager), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    mpg_queue_close(fixture->queue);
    (void)mpg_close(fixture->pager);
    (void)unlink(fixture->path);
    free(fixture);
    return 0;
}

/* What callbacks have seen. */
struct seen {
    unsigned calls;
    int result; /* of the last */
    uint64_t id;
};

static void note(void *context, const mpg_completion *completion)
{
    struct seen *seen = context;

    seen->calls++;
    seen->result = completion->result;
    assert_int_equal(completion->error != NULL, completion->result != 0);
    if (completion->pages != NULL)
        seen->id = completion->pages[completion->count - 1].value;
    if (completion->protected_pages != NULL)
        seen->id = completion->protected_pages[completion->count - 1].value;
}

/* Dispatches, by the descriptor, until so many callbacks were called. */
static void await(mpg_queue *queue, const struct seen *seen, unsigned calls)
{
    while (seen->calls < calls) {
        struct pollfd readable = {mpg_queue_fd(queue), POLLIN, 0};

        assert_int_equal(poll(&readable, 1, 60000), 1);
        assert_true(mpg_dispatch(queue) > 0);
    }
}

static void each_request_does_what_its_namesake_does(void **state)
{
    struct fixture *fixture = *state;
    mpg_queue *queue = fixture->queue;
    mpg_page_id page = {7}, pages[2];
    mpg_protected_id id = {5};
    enum mpg_page_use use;
    struct seen seen = {0, 1, 0};

    assert_int_equal(mpg_async_alloc_at(NULL, queue, page, MPG_ZERO, note, &seen), 0);
    await(queue, &seen, 1);
    assert_int_equal(seen.result, 0);
    assert_int_equal(seen.id, 7);
    assert_int_equal(mpg_async_alloc(NULL, queue, 0, note, &seen), 0);
    await(queue, &seen, 2);
    pages[0] = page;
    pages[1].value = seen.id;
    assert_int_equal(mpg_page_use(&use, fixture->pager, seen.id), 0);
    assert_int_equal(use, MPG_USE_REGULAR);
    assert_int_equal(mpg_async_free_bulk(NULL, queue, pages, 2, note, &seen), 0);
    await(queue, &seen, 3);
    assert_int_equal(mpg_page_use(&use, fixture->pager, 7), 0);
    assert_int_equal(use, MPG_USE_FREE);
    assert_int_equal(mpg_async_alloc_protected_at(NULL, queue, id, note, &seen), 0);
    assert_int_equal(mpg_async_alloc_protected_bulk(NULL, queue, 3, note, &seen), 0);
    assert_int_equal(mpg_async_alloc_protected(NULL, queue, note, &seen), 0);
    assert_int_equal(mpg_async_free_protected(NULL, queue, id, note, &seen), 0);
    assert_int_equal(mpg_async_sync(NULL, queue, note, &seen), 0);
    await(queue, &seen, 8);
    assert_int_equal(seen.result, 0);
    assert_int_equal(mpg_async_alloc_bulk(NULL, queue, 10, 0, note, &seen), 0);
    await(queue, &seen, 9);
    page.value = seen.id;
    assert_int_equal(mpg_async_free(NULL, queue, page, note, &seen), 0);
    id.value = 0;
    assert_int_equal(mpg_async_free_protected_bulk(NULL, queue, &id, 1, note, &seen), 0);
    await(queue, &seen, 11);
    assert_int_equal(seen.result, 0);
}

static void an_error_is_delivered_with_its_details(void **state)
{
    struct fixture *fixture = *state;
    mpg_page_id page = {3};
    struct seen seen = {0, 0, 0};

    assert_int_equal(mpg_async_free(NULL, fixture->queue, page, note, &seen), 0);
    await(fixture->queue, &seen, 1);
    assert_int_equal(seen.result, MPG_E_DOUBLE_FREE);
}

static void a_thousand_commits_share_syncs(void **state)
{
    struct fixture *fixture = *state;
    mpg_protected_id *ids = calloc(MANY, sizeof(*ids));
    char *content = malloc(mpg_page_size(fixture->pager));
    struct seen seen = {0, 0, 0};
    unsigned before;

    assert_int_equal(mpg_alloc_protected_bulk(ids, fixture->pager, MANY), 0);
    before = syncs;
    for (unsigned i = 0; i < MANY; i++) {
        mpg_writer *writer;

        assert_int_equal(mpg_writer_open(&writer, fixture->pager, ids[i]), 0);
        memset(mpg_writer_data(writer), (int)(i % 251 + 1), mpg_page_size(fixture->pager));
        assert_int_equal(mpg_async_writer_commit(NULL, fixture->queue, writer, note, &seen), 0);
    }
    await(fixture->queue, &seen, MANY);
    assert_int_equal(seen.result, 0);
    assert_true(syncs - before < MANY / 2);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(mpg_protected_read(content, fixture->pager, ids[i]), 0);
        assert_int_equal(content[17], (char)(i % 251 + 1));
    }
    free(content);
    free(ids);
}

static void a_transaction_ends_with_its_commit(void **state)
{
    struct fixture *fixture = *state;
    mpg_protected_id id;
    mpg_page_id page;
    mpg_txn *txn;
    char *content = malloc(mpg_page_size(fixture->pager));
    struct seen seen = {0, 1, 0};

    assert_int_equal(mpg_txn_begin(&txn, fixture->pager), 0);
    assert_int_equal(mpg_txn_alloc(&page, txn, 0), 0);
    assert_int_equal(mpg_txn_alloc_protected(&id, txn), 0);
    assert_int_equal(mpg_txn_protected_write(txn, id, "there", 3, 5), 0);
    assert_int_equal(mpg_async_txn_commit(NULL, fixture->queue, txn, 0, note, &seen), 0);
    await(fixture->queue, &seen, 1);
    assert_int_equal(seen.result, 0);
    assert_int_equal(mpg_protected_read(content, fixture->pager, id), 0);
    assert_memory_equal(content + 3, "there", 5);
    free(content);
}

static void a_failed_writer_is_the_callers_again(void **state)
{
    struct fixture *fixture = *state;
    mpg_protected_id id;
    mpg_writer *writer;
    mpg_txn *txn;
    struct seen seen = {0, 0, 0};

    assert_int_equal(mpg_alloc_protected(&id, fixture->pager), 0);
    assert_int_equal(mpg_writer_open(&writer, fixture->pager, id), 0);
    assert_int_equal(mpg_txn_begin(&txn, fixture->pager), 0);
    assert_int_equal(mpg_txn_free_protected(txn, id), 0);
    assert_int_equal(mpg_async_txn_commit(NULL, fixture->queue, txn, 0, note, &seen), 0);
    await(fixture->queue, &seen, 1);
    assert_int_equal(seen.result, MPG_E_BUSY); /* a writer is open on it */
    assert_int_equal(mpg_writer_commit(writer), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
}

/* Begins a request and waits until its commit is held back: what comes after it has not begun. */
static void hold_next_commit(mpg_queue *queue, struct seen *seen)
{
    hold_sync = true;
    assert_int_equal(mpg_async_alloc(NULL, queue, 0, note, seen), 0);
    while (!sync_held)
        (void)usleep(100);
}

static void a_request_not_begun_can_be_cancelled(void **state)
{
    struct fixture *fixture = *state;
    struct seen first = {0, 1, 0}, second = {0, 1, 0};
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_request requests[3];
    unsigned before = syncs;

    hold_next_commit(fixture->queue, &first);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(mpg_async_alloc(&requests[i], fixture->queue, 0, note, &second), 0);
    assert_int_equal(mpg_async_cancel(fixture->queue, requests[2]), 0);
    assert_int_equal(mpg_async_cancel(fixture->queue, requests[0]), 0);
    await(fixture->queue, &second, 2);
    assert_int_equal(second.result, MPG_E_CANCELLED);
    assert_int_equal(mpg_async_cancel(fixture->queue, requests[0]), MPG_E_BUSY);
    assert_int_equal(mpg_async_cancel(fixture->queue, requests[2] + 1), MPG_E_INVALID);
    assert_int_equal(mpg_async_cancel(fixture->queue, 0), MPG_E_INVALID);
    hold_sync = false;
    await(fixture->queue, &first, 1);
    assert_int_equal(first.result, 0);
    await(fixture->queue, &second, 3);
    assert_int_equal(second.result, 0);
    assert_true(syncs > before);
    assert_int_equal(mpg_async_cancel(fixture->queue, requests[1]), MPG_E_BUSY);
    assert_int_equal(mpg_stat(&st, fixture->pager), 0);
    assert_int_equal(st.regular_pages, 2);
}

static void a_cancelled_transaction_is_the_callers_again(void **state)
{
    struct fixture *fixture = *state;
    struct seen first = {0, 1, 0}, second = {0, 1, 0};
    mpg_request request;
    mpg_page_id page;
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, fixture->pager), 0);
    assert_int_equal(mpg_txn_alloc(&page, txn, 0), 0);
    hold_next_commit(fixture->queue, &first);
    assert_int_equal(mpg_async_txn_commit(&request, fixture->queue, txn, 0, note, &second), 0);
    assert_int_equal(mpg_async_cancel(fixture->queue, request), 0);
    hold_sync = false;
    await(fixture->queue, &second, 1);
    assert_int_equal(second.result, MPG_E_CANCELLED);
    await(fixture->queue, &first, 1);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
}

static unsigned order[MANY];
static struct seen in_order;

static void note_order(void *context, const mpg_completion *completion)
{
    assert_int_equal(completion->result, 0);
    order[in_order.calls++] = *(unsigned *)context;
}

static void callbacks_come_in_the_order_of_their_requests(void **state)
{
    static unsigned numbers[MANY];
    struct fixture *fixture = *state;
    struct seen first = {0, 1, 0};

    in_order.calls = 0;
    hold_next_commit(fixture->queue, &first); /* so that many share the commit after it */
    for (unsigned i = 0; i < MANY; i++) {
        numbers[i] = i;
        assert_int_equal(mpg_async_alloc(NULL, fixture->queue, 0, note_order, &numbers[i]), 0);
    }
    hold_sync = false;
    await(fixture->queue, &in_order, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(order[i], i);
}

static void assert_filled_with(const char *content, char byte, size_t length)
{
    for (size_t i = 0; i < length; i++)
        assert_int_equal(content[i], byte);
}

/* One commit takes a page, fills it, frees it and gives it to somebody else. */
static void a_page_given_on_within_a_commit_is_its_new_owners(void **state)
{
    struct fixture *fixture = *state;
    struct seen first = {0, 1, 0}, regular = {0, 1, 0}, protected_page = {0, 1, 0};
    size_t length = mpg_page_size(fixture->pager);
    char *content = malloc(length);
    mpg_check_result checked;
    mpg_protected_id passing;
    mpg_txn *txn;

    memset(content, 'x', length);
    assert_int_equal(mpg_txn_begin(&txn, fixture->pager), 0);
    assert_int_equal(mpg_txn_alloc_protected(&passing, txn), 0);
    assert_int_equal(mpg_txn_protected_write(txn, passing, content, 0, length), 0);
    hold_next_commit(fixture->queue, &first);
    assert_int_equal(mpg_async_txn_commit(NULL, fixture->queue, txn, 0, note, &first), 0);
    assert_int_equal(mpg_async_free_protected(NULL, fixture->queue, passing, note, &first), 0);
    assert_int_equal(mpg_async_alloc(NULL, fixture->queue, MPG_ZERO, note, &regular), 0);
    assert_int_equal(mpg_async_alloc_protected(NULL, fixture->queue, note, &protected_page), 0);
    hold_sync = false;
    await(fixture->queue, &protected_page, 1);
    await(fixture->queue, &regular, 1);
    await(fixture->queue, &first, 3);
    assert_int_equal(protected_page.result, 0);

    mpg_queue_close(fixture->queue);
    fixture->queue = NULL;
    assert_int_equal(mpg_close(fixture->pager), 0);
    assert_int_equal(mpg_open(&fixture->pager, fixture->path, NULL), 0);
    assert_int_equal(mpg_page_read(content, fixture->pager, (mpg_page_id){regular.id}, 0, length),
                     0);
    assert_filled_with(content, 0, length);
    assert_int_equal(
        mpg_protected_read(content, fixture->pager, (mpg_protected_id){protected_page.id}), 0);
    assert_filled_with(content, 0, length);
    assert_int_equal(mpg_check(&checked, fixture->pager, NULL), 0);
    assert_int_equal(checked.faults, 0);
    free(content);
}

static volatile sig_atomic_t handled_in_queue;
static pthread_t test_thread;

static void handle(int number)
{
    (void)number;
    handled_in_queue = !pthread_equal(pthread_self(), test_thread);
}

static void signals_are_not_the_queues_to_handle(void **state)
{
    struct sigaction action = {.sa_handler = handle}, before;
    sigset_t set;

    (void)state; /* its queue has a thread */
    test_thread = pthread_self();
    handled_in_queue = 0;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    (void)usleep(10000);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
    assert_int_equal(handled_in_queue, 0);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

static void numbers_of_ids_that_no_array_holds_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const size_t counts[] = {PTRDIFF_MAX / sizeof(mpg_page_id), SIZE_MAX / sizeof(mpg_page_id),
                             SIZE_MAX / sizeof(mpg_page_id) + 1, SIZE_MAX};

    for (int i = 0; i < 4; i++) {
        assert_int_equal(mpg_async_alloc_bulk(NULL, fixture->queue, counts[i], 0, note, NULL),
                         MPG_E_NO_MEMORY);
        assert_int_equal(
            mpg_async_alloc_protected_bulk(NULL, fixture->queue, counts[i], note, NULL),
            MPG_E_NO_MEMORY);
    }
}

static void unknown_flags_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0, 0, 0};
    mpg_txn *txn;

    assert_int_equal(mpg_async_alloc(NULL, fixture->queue, MPG_ORDERED, note, &seen), 0);
    await(fixture->queue, &seen, 1);
    assert_int_equal(seen.result, MPG_E_INVALID);
    assert_int_equal(mpg_txn_begin(&txn, fixture->pager), 0);
    seen.result = 0;
    assert_int_equal(mpg_async_txn_commit(NULL, fixture->queue, txn, MPG_ZERO, note, &seen), 0);
    await(fixture->queue, &seen, 2);
    assert_int_equal(seen.result, MPG_E_INVALID);
    mpg_txn_abort(txn);
}

static void closing_carries_out_what_was_accepted(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0, 1, 0};
    struct mpg_stat st = {.size = sizeof(st)};

    for (int i = 0; i < 100; i++)
        assert_int_equal(mpg_async_alloc(NULL, fixture->queue, 0, note, &seen), 0);
    mpg_queue_close(fixture->queue);
    fixture->queue = NULL;
    assert_int_equal(seen.calls, 100);
    assert_int_equal(seen.result, 0);
    assert_int_equal(mpg_stat(&st, fixture->pager), 0);
    assert_int_equal(st.regular_pages, 100);
}

static void a_failed_sync_reaches_every_request_of_the_batch(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0, 0, 0};

    fail_sync = true;
    assert_int_equal(mpg_async_alloc(NULL, fixture->queue, 0, note, &seen), 0);
    await(fixture->queue, &seen, 1);
    assert_int_equal(seen.result, MPG_E_IO);
    assert_int_equal(mpg_async_alloc(NULL, fixture->queue, 0, note, &seen), 0);
    await(fixture->queue, &seen, 2);
    assert_int_equal(seen.result, MPG_E_UNAVAILABLE);
}

#define QUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        QUEUE_TEST(each_request_does_what_its_namesake_does),
        QUEUE_TEST(an_error_is_delivered_with_its_details),
        QUEUE_TEST(a_thousand_commits_share_syncs),
        QUEUE_TEST(a_transaction_ends_with_its_commit),
        QUEUE_TEST(a_failed_writer_is_the_callers_again),
        QUEUE_TEST(a_request_not_begun_can_be_cancelled),
        QUEUE_TEST(a_cancelled_transaction_is_the_callers_again),
        QUEUE_TEST(callbacks_come_in_the_order_of_their_requests),
        QUEUE_TEST(a_page_given_on_within_a_commit_is_its_new_owners),
        QUEUE_TEST(signals_are_not_the_queues_to_handle),
        QUEUE_TEST(numbers_of_ids_that_no_array_holds_are_refused),
        QUEUE_TEST(unknown_flags_are_refused),
        QUEUE_TEST(closing_carries_out_what_was_accepted),
        QUEUE_TEST(a_failed_sync_reaches_every_request_of_the_batch),
    };
    int failed =
        cmocka_run_group_tests_name("asynchronous requests, format 0.2", tests, NULL, NULL);

    format_of_test = MPG_FORMAT_1;
    return failed +
           cmocka_run_group_tests_name("asynchronous requests, format 1", tests, NULL, NULL);
}
