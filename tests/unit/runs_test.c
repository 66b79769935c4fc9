/* SPDX-License-Identifier: MIT */
/* Many pages at once: what works on runs of pages does what working on each page would. */
#include "support/scratch_file.h"

#include "format/page_uses.h"

#define PAGES 300
#define ROUNDS 3000

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t end)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % end;
}

/* Runs of uses, some of them long. */
static void fill_at_random(unsigned char *uses)
{
    for (uint64_t at = 0; at < PAGES;) {
        uint64_t end = at + 1 + random_below(random_below(2) ? 3 : 90);
        enum mpg_page_use use = (enum mpg_page_use)random_below(4);

        for (; at < end && at < PAGES; at++)
            mpgi_uses_set(uses, at, use);
    }
}

static void test_filling_a_run_is_setting_each_page(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char uses[PAGES / USES_PER_BYTE] = {0}, filled[PAGES / USES_PER_BYTE];
        uint64_t first = random_below(PAGES), end = first + random_below(PAGES - first + 1);
        enum mpg_page_use use = (enum mpg_page_use)random_below(4);

        fill_at_random(uses);
        memcpy(filled, uses, sizeof(filled));
        mpgi_uses_fill(filled, first, end, use);
        for (uint64_t page = 0; page < PAGES; page++)
            assert_int_equal(mpgi_uses_get(filled, page),
                             page >= first && page < end ? use : mpgi_uses_get(uses, page));
    }
}

#define MANY_PAGES 10000

static void test_counting_a_run_is_counting_each_page(void **state)
{
    static unsigned char uses[MANY_PAGES / USES_PER_BYTE];

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        /* Mostly short, and at times longer than what is counted at once. */
        uint64_t most = random_below(20) ? PAGES : MANY_PAGES;
        uint64_t first = random_below(most), end = first + random_below(most - first + 1);
        enum mpg_page_use use = (enum mpg_page_use)random_below(4);
        uint64_t count = 0;

        if (random_below(3) == 0)
            mpgi_uses_fill(uses, 0, most, use);
        else
            fill_at_random(uses);
        if (random_below(2) == 0)
            mpgi_uses_set(uses, random_below(most), (enum mpg_page_use)random_below(4));
        for (uint64_t page = first; page < end; page++)
            count += mpgi_uses_get(uses, page) == use;
        assert_int_equal(mpgi_uses_count(uses, first, end, use), count);
        assert_int_equal(mpgi_uses_all(uses, first, end, use), count == end - first);
    }
}

#define MOST 30000

/* A file with holes of many sizes among its pages, and which pages are allocated in it. */
static mpg_pager *file_with_holes(const struct scratch *scratch, bool *allocated)
{
    mpg_pager *pager = scratch_create(scratch, 4096);
    static mpg_page_id ids[MOST];

    assert_int_equal(mpg_alloc_bulk(ids, pager, MOST / 2, 0), 0);
    for (size_t i = 0; i < MOST / 2; i++) {
        assert_false(allocated[ids[i].value]);
        allocated[ids[i].value] = true;
    }
    for (uint64_t at = 3; at < MOST / 2;) {
        uint64_t end = at + 1 + random_below(random_below(8) ? 4 : 700);

        for (; at < end && at < MOST / 2; at++)
            if (allocated[at] && end % 2 == 0) {
                mpg_page_id id = {at};

                assert_int_equal(mpg_free(pager, id), 0);
                allocated[at] = false;
            }
        at += random_below(20);
    }
    return pager;
}

static void expect_allocated(const mpg_pager *pager, const bool *allocated, size_t size)
{
    mpg_page_id from = {0}, id;
    mpg_page_iter iter;
    uint64_t at = 0;
    int result;

    mpg_page_iter_begin(&iter, pager, from);
    while ((result = mpg_page_iter_next(&id, &iter)) == 1) {
        for (; at < id.value; at++)
            assert_false(allocated[at]);
        assert_true(allocated[at]);
        at++;
    }
    assert_int_equal(result, 0);
    for (; at < size; at++)
        assert_false(allocated[at]);
}

static void test_bulk_fills_holes_and_frees_in_any_order(void **state)
{
    const struct scratch *scratch = *state;
    static bool allocated[2 * MOST];
    static mpg_page_id ids[MOST / 2];
    mpg_pager *pager;

    memset(allocated, 0, sizeof(allocated));
    pager = file_with_holes(scratch, allocated);
    for (int round = 0; round < 6; round++) {
        size_t count = 1 + (size_t)random_below(MOST / 4);

        assert_int_equal(mpg_alloc_bulk(ids, pager, count, 0), 0);
        for (size_t i = 0; i < count; i++) {
            assert_in_range(ids[i].value, 3, 2 * MOST - 1);
            assert_false(allocated[ids[i].value]);
            allocated[ids[i].value] = true;
        }
        expect_allocated(pager, allocated, 2 * MOST);
        for (size_t i = count; round % 2 && i > 1; i--) {
            size_t other = (size_t)random_below(i);
            mpg_page_id swapped = ids[i - 1];

            ids[i - 1] = ids[other];
            ids[other] = swapped;
        }
        count -= count / 3;
        assert_int_equal(mpg_free_bulk(pager, ids, count), 0);
        for (size_t i = 0; i < count; i++)
            allocated[ids[i].value] = false;
        assert_int_equal(mpg_sync(pager), 0);
        expect_allocated(pager, allocated, 2 * MOST);
    }
    check_and_close(pager);
}

static void test_a_free_that_fails_in_the_middle_frees_nothing(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, 4096);
    mpg_page_id ids[101], freed;

    assert_int_equal(mpg_alloc_bulk(ids, pager, 101, 0), 0);
    freed = ids[100];
    assert_int_equal(mpg_free(pager, freed), 0);
    ids[100] = ids[50];
    assert_int_equal(mpg_free_bulk(pager, ids, 101), MPG_E_DOUBLE_FREE);
    assert_int_equal(count_regular_pages(pager), 100);
    ids[100] = freed;
    assert_int_equal(mpg_free_bulk(pager, ids, 101), MPG_E_DOUBLE_FREE);
    assert_int_equal(count_regular_pages(pager), 100);
    ids[100].value = 1;
    assert_int_equal(mpg_free_bulk(pager, ids, 101), MPG_E_RESERVED_PAGE);
    assert_int_equal(count_regular_pages(pager), 100);
    assert_int_equal(mpg_free_bulk(pager, ids, 100), 0);
    assert_int_equal(count_regular_pages(pager), 0);
    check_and_close(pager);
}

static void test_a_run_stops_before_what_a_transaction_holds(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, 4096);
    mpg_page_id ids[100], held;
    mpg_txn *txn;

    assert_int_equal(mpg_alloc_bulk(ids, pager, 40, 0), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_alloc(&held, txn, 0), 0);
    assert_int_equal(mpg_free_bulk(pager, ids, 40), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 100, 0), 0);
    for (int i = 0; i < 100; i++)
        assert_int_not_equal(ids[i].value, held.value);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(count_regular_pages(pager), 101);
    check_and_close(pager);
}

int main(void)
{
    const struct CMUnitTest uses[] = {
        cmocka_unit_test(test_filling_a_run_is_setting_each_page),
        cmocka_unit_test(test_counting_a_run_is_counting_each_page),
    };
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_bulk_fills_holes_and_frees_in_any_order),
        SCRATCH_TEST(test_a_free_that_fails_in_the_middle_frees_nothing),
        SCRATCH_TEST(test_a_run_stops_before_what_a_transaction_holds),
    };
    int failed = cmocka_run_group_tests(uses, NULL, NULL);

    return SCRATCH_RUN("runs", tests) || failed;
}
