/* SPDX-License-Identifier: MIT */
/* The driver's threads for requests that wait: each thing is done once, several at a time. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "fuse/workers.h"

#define WAIT_SECONDS 60
#define AT_ONCE 8u
#define PRODUCERS 4
#define EACH 5000u

/* What all the work of a test shares. */
static struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned running, most_running, done;
    unsigned meeting; /* each waits until so many run */
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void begin_test(unsigned meeting)
{
    shared.running = shared.most_running = shared.done = 0;
    shared.meeting = meeting;
}

static void run(struct work *work)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&shared.mutex);
    if (++shared.running > shared.most_running) {
        shared.most_running = shared.running;
    }
    pthread_cond_broadcast(&shared.changed);
    while (shared.most_running < shared.meeting &&
           pthread_cond_timedwait(&shared.changed, &shared.mutex, &until) != ETIMEDOUT) {
        /* others are on their way */
    }
    pthread_mutex_unlock(&shared.mutex);
    sched_yield(); /* so that others are seen to run */
    pthread_mutex_lock(&shared.mutex);
    shared.running--;
    shared.done++;
    pthread_mutex_unlock(&shared.mutex);
    free(work);
}

static void hand_over(struct workers *workers)
{
    struct work *work = malloc(sizeof(*work));

    assert_non_null(work);
    work->run = run;
    assert_true(workers_do(workers, work));
}

static void test_several_at_a_time(void **state)
{
    struct workers *workers = workers_new(AT_ONCE);

    (void)state;
    for (int round = 0; round < 20;
         round++) { /* the first makes the threads, the others call them */
        begin_test(AT_ONCE);
        for (unsigned i = 0; i < AT_ONCE; i++) {
            hand_over(workers);
        }
        workers_wait(workers);
        assert_int_equal(shared.done, AT_ONCE);
        assert_int_equal(shared.most_running, AT_ONCE);
    }
    workers_free(workers);
}

static void test_no_more_than_allowed(void **state)
{
    struct workers *workers = workers_new(2);

    (void)state;
    begin_test(0);
    for (unsigned i = 0; i < EACH; i++) {
        hand_over(workers);
    }
    workers_wait(workers);
    assert_int_equal(shared.done, EACH);
    assert_in_range(shared.most_running, 1, 2);
    workers_free(workers);
}

static void *produce(void *workers)
{
    for (unsigned i = 0; i < EACH; i++) {
        hand_over(workers);
    }
    return NULL;
}

/* From many threads, which rest and are called in turn; what is left at the end is done, too. */
static void test_all_is_done_once(void **state)
{
    struct workers *workers = workers_new(3);
    pthread_t producers[PRODUCERS];

    (void)state;
    begin_test(0);
    for (int i = 0; i < PRODUCERS; i++) {
        assert_int_equal(pthread_create(&producers[i], NULL, produce, workers), 0);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i], NULL);
    }
    workers_free(workers);
    assert_int_equal(shared.done, PRODUCERS * EACH);
}

/* What one thread did, in its order. */
static unsigned order[EACH];
static unsigned ordered;

struct numbered {
    struct work work;
    unsigned number;
};

static void note_number(struct work *work)
{
    order[ordered++] = ((struct numbered *)work)->number;
}

static void test_one_does_things_in_order_until_it_is_ended(void **state)
{
    static struct numbered things[EACH];
    struct workers *workers = workers_new(1);

    (void)state;
    ordered = 0;
    assert_true(workers_start(workers));
    for (unsigned i = 0; i < EACH; i++) {
        things[i] = (struct numbered){{.run = note_number}, i};
        assert_true(workers_do(workers, &things[i].work));
    }
    workers_end(workers);
    assert_int_equal(ordered, EACH);
    for (unsigned i = 0; i < EACH; i++) {
        assert_int_equal(order[i], i);
    }
    assert_false(workers_do(workers, &things[0].work));
    workers_end(workers);
    assert_int_equal(ordered, EACH);
    workers_free(workers);
}

static void test_nothing_to_do(void **state)
{
    struct workers *workers = workers_new(3);

    (void)state;
    workers_wait(workers);
    workers_free(workers);
    workers_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_at_a_time),
        cmocka_unit_test(test_no_more_than_allowed),
        cmocka_unit_test(test_all_is_done_once),
        cmocka_unit_test(test_one_does_things_in_order_until_it_is_ended),
        cmocka_unit_test(test_nothing_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
