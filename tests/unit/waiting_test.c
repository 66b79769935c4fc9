/* SPDX-License-Identifier: MIT */
/*
 * How long an operation waits for the commits of others. A commit is held in its sync until another
 * thread waits for it, and the clock is the test's own, so nothing here depends on time.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "format_0_2/layout.h"
#include "pager/open.h"
#include "support/scratch_file.h"

#define PAGE_SIZE 1024u
#define MILLISECOND UINT64_C(1000000)
#define SECOND (1000 * MILLISECOND)

static struct io calls;
static uint64_t disk_end;       /* the file cannot grow beyond it */
static atomic_bool hold_sync;   /* the next sync is to be held */
static atomic_bool sync_held;   /* it is */
static atomic_bool others_wait; /* somebody waits for a commit since */

static _Atomic uint64_t clock_time;   /* nanoseconds that the library's clock shows */
static _Atomic uint64_t longest_wait; /* nanoseconds that anybody was ready to wait for others */

int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *deadline);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    others_wait = true;
    return __real_pthread_cond_wait(condition, mutex);
}

/* Nobody comes meanwhile. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *deadline)
{
    uint64_t time = (uint64_t)deadline->tv_sec * SECOND + (uint64_t)deadline->tv_nsec;

    (void)condition;
    (void)mutex;
    if (time > clock_time && time - clock_time > longest_wait)
        longest_wait = time - clock_time;
    if (time > clock_time)
        clock_time = time;
    return ETIMEDOUT;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    time->tv_sec = (time_t)(clock_time / SECOND);
    time->tv_nsec = (long)(clock_time % SECOND);
    return 0;
}

static int held_fdatasync(void *context, int fd)
{
    (void)context;
    (void)fd;
    if (atomic_exchange(&hold_sync, false)) {
        sync_held = true;
        while (!others_wait)
            (void)sched_yield();
        clock_time += 3 * SECOND;
    }
    return 0;
}

static int limited_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    if (offset + length > disk_end) {
        errno = ENOSPC;
        return -1;
    }
    return mpgi_io_system.allocate(context, fd, offset, length);
}

/* A file that cannot grow. */
static mpg_pager *create(const struct scratch *scratch, uint64_t pages)
{
    mpg_options options = scratch_options(scratch, PAGE_SIZE);
    mpg_pager *pager;

    options.initial_pages = pages;
    options.flags = MPG_DEFER_ALLOCATION;
    disk_end = pages * PAGE_SIZE;
    calls = mpgi_io_system;
    calls.fdatasync = held_fdatasync;
    calls.allocate = limited_allocate;
    hold_sync = sync_held = others_wait = false;
    clock_time = SECOND;
    longest_wait = 0;
    assert_int_equal(mpgi_create_with(&pager, scratch->path, &options, &calls, NULL), 0);
    return pager;
}

static void *sync_in_a_thread(void *pager)
{
    return mpg_sync(pager) == 0 ? pager : NULL;
}

/* Another thread begins a commit, which lasts until the caller waits for it. */
static pthread_t hold_a_commit(mpg_pager *pager)
{
    pthread_t thread;

    others_wait = false;
    hold_sync = true;
    assert_int_equal(pthread_create(&thread, NULL, sync_in_a_thread, pager), 0);
    while (!sync_held)
        (void)sched_yield();
    return thread;
}

static void join(pthread_t thread)
{
    void *answer;

    others_wait = true;
    assert_int_equal(pthread_join(thread, &answer), 0);
    assert_non_null(answer);
}

/* A page is freed while a commit is under way: only the one after it makes it available. */
static void assert_freed_page_is_waited_for(mpg_pager *pager, int full)
{
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_page_id *ids, page;
    pthread_t thread;
    int result;

    assert_int_equal(mpg_stat(&st, pager), 0);
    ids = malloc(st.free_pages * sizeof(*ids));
    assert_non_null(ids);
    assert_int_equal(mpg_alloc_bulk(ids, pager, st.free_pages, 0), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_alloc(&page, pager, 0), full);
    thread = hold_a_commit(pager);
    assert_int_equal(mpg_free(pager, ids[0]), 0);
    result = mpg_alloc(&page, pager, 0);
    join(thread);
    assert_int_equal(result, 0);
    assert_int_equal(page.value, ids[0].value);
    free(ids);
    check_and_close(pager);
}

static void a_page_freed_in_a_full_file_is_waited_for(void **state)
{
    const struct scratch *scratch = *state;

    if (scratch->format != MPG_FORMAT_0_2)
        skip(); /* no disk is large enough */
    assert_freed_page_is_waited_for(create(scratch, most_pages(PAGE_SIZE)), MPG_E_FILE_FULL);
}

static void a_page_freed_on_a_full_disk_is_waited_for(void **state)
{
    assert_freed_page_is_waited_for(create(*state, 100), MPG_E_NO_SPACE);
}

/* Two threads took part in the commit before, so two are expected in the next. */
static void nobody_waits_long_for_others_after_a_slow_commit(void **state)
{
    mpg_pager *pager = create(*state, 100);
    pthread_t thread = hold_a_commit(pager);
    int result = mpg_sync(pager);

    join(thread);
    assert_int_equal(result, 0);
    assert_true(clock_time > 3 * SECOND);
    assert_in_range(longest_wait, 1, 100 * MILLISECOND);
    check_and_close(pager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_page_freed_in_a_full_file_is_waited_for),
        SCRATCH_TEST(a_page_freed_on_a_full_disk_is_waited_for),
        SCRATCH_TEST(nobody_waits_long_for_others_after_a_slow_commit),
    };

    return SCRATCH_RUN("waiting", tests);
}
