/* SPDX-License-Identifier: MIT */
/*
 * What a pager says of its own work: each number goes up by what was done, and by nothing that
 * failed.
 */
#include "support/api.h"

#include <pthread.h>

static struct mpg_counters counters_of(const mpg_pager *pager)
{
    struct mpg_counters counters = {.size = sizeof(counters)};

    assert_int_equal(mpg_counters(&counters, pager), 0);
    return counters;
}

static void begin_with_nothing(void **state)
{
    mpg_pager *pager = api_create(*state);
    struct mpg_counters counters = counters_of(pager);

    assert_int_equal(counters.commits, 0);
    assert_int_equal(counters.operations, 0);
    assert_int_equal(counters.syncs, 0);
    assert_int_equal(counters.bytes_written, 0);
    assert_int_equal(counters.pages_allocated, 0);
    assert_int_equal(mpg_close(pager), 0);
}

static void pages_that_come_and_go_are_counted(void **state)
{
    mpg_pager *pager = api_create(*state);
    mpg_page_id ids[5];
    mpg_protected_id protected[3];
    struct mpg_counters counters;

    assert_int_equal(mpg_alloc_bulk(ids, pager, 5, 0), 0);
    assert_int_equal(mpg_free_bulk(pager, ids, 2), 0);
    assert_int_equal(mpg_alloc_protected_bulk(protected, pager, 3), 0);
    assert_int_equal(mpg_free_protected(pager, protected[1]), 0);
    counters = counters_of(pager);
    assert_int_equal(counters.pages_allocated, 5);
    assert_int_equal(counters.pages_freed, 2);
    assert_int_equal(counters.protected_allocated, 3);
    assert_int_equal(counters.protected_freed, 1);
    assert_int_equal(counters.commits, 4);
    assert_int_equal(counters.operations, 4);
    assert_int_equal(counters.largest_commit, 1);
    assert_true(counters.syncs >= 4);
    assert_true(counters.writes >= 4);
    assert_true(counters.bytes_grown > 0);
    assert_true(counters.longest_commit > 0 && counters.longest_commit <= counters.commit_time);
    assert_true(counters.commit_time <= counters.time);
    assert_int_equal(mpg_close(pager), 0);
}

static void contents_are_counted(void **state)
{
    mpg_pager *pager = api_create(*state);
    struct mpg_counters before, after;
    unsigned char *content = calloc(1, api_page_size);
    mpg_protected_id id;
    mpg_txn *txn;

    assert_non_null(content);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    before = counters_of(pager);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_protected_write(txn, id, content, 0, api_page_size), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    after = counters_of(pager);
    assert_int_equal(after.protected_written, before.protected_written + 1);
    assert_int_equal(after.commits, before.commits + 1);
    assert_true(after.bytes_written >= before.bytes_written + api_page_size);
    assert_int_equal(mpg_protected_read(content, pager, id), 0);
    assert_true(counters_of(pager).bytes_read >= after.bytes_read + api_page_size);
    assert_true(counters_of(pager).reads > after.reads);
    free(content);
    assert_int_equal(mpg_close(pager), 0);
}

static void what_fails_or_is_given_up_is_not_counted(void **state)
{
    mpg_pager *pager = api_create(*state);
    mpg_page_id twice[2] = {{0}, {0}};
    struct mpg_counters before;
    mpg_txn *txn;

    assert_int_equal(mpg_alloc(&twice[0], pager, 0), 0);
    twice[1] = twice[0];
    before = counters_of(pager);
    assert_error(mpg_free_bulk(pager, twice, 2), MPG_E_DOUBLE_FREE);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_alloc(&twice[1], txn, 0), 0);
    mpg_txn_abort(txn);
    assert_int_equal(counters_of(pager).pages_allocated, before.pages_allocated);
    assert_int_equal(counters_of(pager).pages_freed, before.pages_freed);
    assert_int_equal(counters_of(pager).commits, before.commits);
    assert_int_equal(mpg_close(pager), 0);
}

static void syncs_without_a_commit_are_syncs(void **state)
{
    mpg_pager *pager = api_create(*state);
    struct mpg_counters before = counters_of(pager);

    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(counters_of(pager).syncs, before.syncs + 1);
    assert_int_equal(counters_of(pager).commits, before.commits);
    assert_int_equal(mpg_close(pager), 0);
}

static void checkpoints_are_counted_where_there_are_any(void **state)
{
    mpg_pager *pager = api_create(*state);
    mpg_protected_id id;
    unsigned commits = 0;
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, pager), 0);
    while (commits++ < 300 && counters_of(pager).checkpoints == 0) {
        assert_int_equal(mpg_alloc_protected(&id, pager), 0);
        assert_int_equal(mpg_free_protected(pager, id), 0);
    }
    assert_int_equal(counters_of(pager).checkpoints > 0, st.format == MPG_FORMAT_1);
    assert_int_equal(mpg_close(pager), 0);
}

static void a_reader_counts_what_it_reads(void **state)
{
    const struct scratch *scratch = *state;
    const mpg_pager *reader;
    struct mpg_counters counters;

    assert_int_equal(mpg_close(api_create(scratch)), 0);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    counters = counters_of(reader);
    assert_int_equal(mpg_refresh(reader), 0);
    assert_true(counters_of(reader).reads > counters.reads);
    assert_int_equal(counters_of(reader).writes, 0);
    assert_int_equal(mpg_close(reader), 0);
}

static void another_version_of_the_struct_is_refused(void **state)
{
    mpg_pager *pager = api_create(*state);
    struct mpg_counters counters = {.size = sizeof(counters) - 8, .commits = 7};

    assert_error(mpg_counters(&counters, pager), MPG_E_INVALID);
    assert_int_equal(counters.commits, 7);
    assert_int_equal(mpg_close(pager), 0);
}

/* ---- threads: nothing is lost ---- */

#define THREADS 4
#define EACH 25

static void *alloc_some(void *argument)
{
    mpg_page_id id;
    uintptr_t failed = 0;

    for (unsigned i = 0; i < EACH; i++) {
        struct mpg_counters counters = {.size = sizeof(counters)};

        failed |= (uintptr_t)(mpg_alloc(&id, argument, 0) != 0);
        failed |= (uintptr_t)(mpg_counters(&counters, argument) != 0);
    }
    return (void *)failed; /* NOLINT(performance-no-int-to-ptr) */
}

static void nothing_is_lost_among_threads(void **state)
{
    mpg_pager *pager = api_create(*state);
    pthread_t threads[THREADS];
    struct mpg_counters counters;

    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, alloc_some, pager), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    counters = counters_of(pager);
    assert_int_equal(counters.pages_allocated, THREADS * EACH);
    assert_int_equal(counters.operations, THREADS * EACH);
    assert_true(counters.commits <= counters.operations);
    assert_true(counters.largest_commit >= 1 && counters.largest_commit <= THREADS);
    assert_int_equal(mpg_close(pager), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(begin_with_nothing),
        SCRATCH_TEST(pages_that_come_and_go_are_counted),
        SCRATCH_TEST(contents_are_counted),
        SCRATCH_TEST(what_fails_or_is_given_up_is_not_counted),
        SCRATCH_TEST(syncs_without_a_commit_are_syncs),
        SCRATCH_TEST(checkpoints_are_counted_where_there_are_any),
        SCRATCH_TEST(a_reader_counts_what_it_reads),
        SCRATCH_TEST(another_version_of_the_struct_is_refused),
        SCRATCH_TEST(nothing_is_lost_among_threads),
    };

    return API_RUN("counters", tests);
}
