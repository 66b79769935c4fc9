/* SPDX-License-Identifier: MIT */
/*
 * Parts of pages, many operations: at random against a list of what is in use, and by many threads.
 */
#include "support/scratch_file.h"

#include <pthread.h>

#include "mappedpages_sub.h"

#define PAGE 1024u

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Writes into a part whose it is, or looks whether that is still there. */
static void put_name(mpg_sub *sub, mpg_sub_id id)
{
    void *data;

    assert_int_equal(mpg_sub_get_mut(&data, sub, id), 0);
    memcpy(data, &id, sizeof(id));
}

static void assert_name(const mpg_sub *sub, mpg_sub_id id)
{
    const void *data;

    assert_int_equal(mpg_sub_get(&data, sub, id), 0);
    assert_memory_equal(data, &id, sizeof(id));
}

static void shuffle(mpg_sub_id *ids, size_t count, uint64_t *seed)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = next_random(seed) % i;
        mpg_sub_id id = ids[j];
        ids[j] = ids[i - 1];
        ids[i - 1] = id;
    }
}

/* Random allocs and frees, single and bulk, against a list of what is in use. */
static void random_operations(mpg_sub *sub, uint64_t seed)
{
    enum { MOST = 2000 };
    mpg_sub_id *ids = calloc(MOST, sizeof(*ids));
    size_t live = 0;

    assert_non_null(ids);
    for (unsigned step = 0; step < 3000; step++) {
        size_t count = next_random(&seed) % 4 != 0 ? 1 : next_random(&seed) % 200;
        bool up = next_random(&seed) % MOST >= live;
        if (up && live + count <= MOST) {
            assert_int_equal(mpg_sub_alloc_bulk(ids + live, sub, count), 0);
            for (size_t i = live; i < live + count; i++)
                put_name(sub, ids[i]);
            live += count;
        } else if (!up && count <= live) {
            shuffle(ids, live, &seed);
            assert_int_equal(mpg_sub_free_bulk(sub, ids + live - count, count), 0);
            live -= count;
        }
        if (step % 100 == 0) {
            mpg_sub_usage usage;
            mpg_sub_stat(&usage, sub);
            assert_int_equal(usage.live, live);
            assert_int_equal(usage.live + usage.room, usage.pages * mpg_sub_parts(sub));
            assert_int_equal(count_regular_pages(mpg_sub_pager(sub)), usage.pages);
            for (size_t i = 0; i < live; i++)
                assert_name(sub, ids[i]);
        }
    }
    assert_int_equal(mpg_sub_free_bulk(sub, ids, live), 0);
    free(ids);
}

static void random_operations_agree_with_a_list(void **state)
{
    static const unsigned parts[] = {2, 4, 16, 64};
    mpg_pager *pager = scratch_create(*state, PAGE);

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        mpg_sub *sub = NULL;
        assert_int_equal(mpg_sub_open(&sub, pager, PAGE / parts[i]), 0);
        random_operations(sub, 0x9e3779b97f4a7c15 + i);
        assert_ptr_equal(mpg_sub_release(sub), pager);
        assert_int_equal(count_regular_pages(pager), 0);
    }
    check_and_close(pager);
}

/* One of several threads at once. cmocka's asserts are for the main thread: it counts faults. */
struct worker {
    pthread_t thread;
    mpg_sub *sub;
    uint64_t seed;
    unsigned faults;
};

static bool holds_name(const struct worker *worker, mpg_sub_id id)
{
    const void *data;

    return mpg_sub_get(&data, worker->sub, id) == 0 && memcmp(data, &worker->seed, 8) == 0;
}

static void *work(void *arg)
{
    enum { MOST = 100 };
    struct worker *worker = arg;
    uint64_t random = worker->seed;
    mpg_sub_id ids[MOST];
    size_t live = 0;

    for (unsigned step = 0; step < 2000; step++) {
        size_t count = next_random(&random) % 10;
        if (next_random(&random) % MOST >= live && live + count <= MOST) {
            if (mpg_sub_alloc_bulk(ids + live, worker->sub, count) != 0) {
                worker->faults++;
                continue;
            }
            for (size_t i = live; i < live + count; i++) {
                void *data;
                if (mpg_sub_get_mut(&data, worker->sub, ids[i]) == 0)
                    memcpy(data, &worker->seed, 8);
            }
            live += count;
        } else if (count <= live) {
            shuffle(ids, live, &random);
            for (size_t i = live - count; i < live; i++)
                worker->faults += !holds_name(worker, ids[i]);
            worker->faults += mpg_sub_free_bulk(worker->sub, ids + live - count, count) != 0;
            live -= count;
        }
    }
    worker->faults += mpg_sub_free_bulk(worker->sub, ids, live) != 0;
    return NULL;
}

static void threads_never_share_a_part(void **state)
{
    enum { THREADS = 8 };
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_sub *sub = NULL;
    struct worker workers[THREADS];

    assert_int_equal(mpg_sub_open(&sub, pager, PAGE / 4), 0);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.sub = sub, .seed = 1000003 * (i + 1)};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].faults, 0);
    }
    assert_ptr_equal(mpg_sub_release(sub), pager);
    assert_int_equal(count_regular_pages(pager), 0);
    check_and_close(pager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(random_operations_agree_with_a_list),
        SCRATCH_TEST(threads_never_share_a_part),
    };

    return SCRATCH_RUN("sub, many operations", tests);
}
