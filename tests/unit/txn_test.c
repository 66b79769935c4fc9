/* SPDX-License-Identifier: MIT */
/*
 * Several transactions open at once: what one holds is its own until it ends; and who gets which
 * id.
 */
#include <errno.h>
#include <unistd.h>

#include "pager/open.h"
#include "support/scratch_file.h"

static void test_a_page_id_is_held_by_one_transaction(void **state)
{
    mpg_pager *pager = scratch_create(*state, 1024);
    const mpg_page_id page = {7};
    mpg_txn *first, *second;

    assert_int_equal(mpg_txn_begin(&first, pager), 0);
    assert_int_equal(mpg_txn_begin(&second, pager), 0);
    assert_int_equal(mpg_txn_alloc_at(first, page, 0), 0);
    assert_int_equal(mpg_txn_alloc_at(first, page, 0), MPG_E_EXISTS);
    assert_int_equal(mpg_txn_alloc_at(second, page, 0), MPG_E_BUSY);
    assert_int_equal(mpg_alloc_at(pager, page, 0), MPG_E_BUSY);

    /* What did not get it gives nothing up. */
    mpg_txn_abort(second);
    assert_int_equal(mpg_alloc_at(pager, page, 0), MPG_E_BUSY);
    assert_int_equal(mpg_txn_commit(first, 0), 0);
    assert_int_equal(mpg_alloc_at(pager, page, 0), MPG_E_EXISTS);
    check_and_close(pager);
}

static void test_a_protected_id_is_held_by_one_transaction(void **state)
{
    mpg_pager *pager = scratch_create(*state, 1024);
    const mpg_protected_id page = {2};
    mpg_txn *first, *second;

    assert_int_equal(mpg_txn_begin(&first, pager), 0);
    assert_int_equal(mpg_txn_begin(&second, pager), 0);
    assert_int_equal(mpg_txn_alloc_protected_at(first, page), 0);
    assert_int_equal(mpg_txn_alloc_protected_at(second, page), MPG_E_BUSY);
    mpg_txn_abort(second);
    assert_int_equal(mpg_alloc_protected_at(pager, page), MPG_E_BUSY);
    assert_int_equal(mpg_txn_commit(first, 0), 0);
    assert_int_equal(mpg_alloc_protected_at(pager, page), MPG_E_EXISTS);
    check_and_close(pager);
}

static void test_what_an_aborted_transaction_held_is_free(void **state)
{
    mpg_pager *pager = scratch_create(*state, 1024);
    const mpg_protected_id given = {5};
    mpg_protected_id protected_page;
    const mpg_page_id page = {9};
    mpg_page_id chosen, again;
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_alloc_at(txn, page, 0), 0);
    assert_int_equal(mpg_txn_alloc(&chosen, txn, 0), 0);
    assert_int_equal(mpg_txn_alloc_protected_at(txn, given), 0);
    assert_int_equal(mpg_alloc(&again, pager, 0), 0);
    assert_int_not_equal(again.value, chosen.value);
    assert_int_equal(mpg_free(pager, again), 0);
    assert_int_equal(mpg_sync(pager), 0);
    mpg_txn_abort(txn);
    assert_int_equal(count_regular_pages(pager), 0);
    assert_int_equal(mpg_alloc_at(pager, page, 0), 0);
    assert_int_equal(mpg_alloc_at(pager, chosen, 0), 0);
    assert_int_equal(mpg_alloc_protected_at(pager, given), 0);
    assert_int_equal(mpg_alloc_protected(&protected_page, pager), 0);
    check_and_close(pager);
}

/* Ids are given lowest first, also those that were given back while a transaction is open. */
static void test_the_lowest_id_is_given_whoever_gave_it_back(void **state)
{
    mpg_options options = scratch_options(*state, 1024);
    const struct scratch *scratch = *state;
    mpg_page_id committed, held[3], page;
    mpg_protected_id held_protected[2], protected_page;
    mpg_pager *pager;
    mpg_txn *txn;

    options.initial_pages = 100; /* in a full one a page would not rest */
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_alloc(&committed, pager, 0), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mpg_txn_alloc(&held[i], txn, 0), 0);
        assert_int_equal(held[i].value, committed.value + 1 + (unsigned)i);
    }
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(mpg_txn_alloc_protected(&held_protected[i], txn), 0);
        assert_int_equal(held_protected[i].value, i);
    }

    /* By the transaction itself. */
    assert_int_equal(mpg_txn_free(txn, held[1]), 0);
    assert_int_equal(mpg_txn_alloc(&page, txn, 0), 0);
    assert_int_equal(page.value, held[1].value);
    assert_int_equal(mpg_txn_free_protected(txn, held_protected[0]), 0);
    assert_int_equal(mpg_txn_alloc_protected(&protected_page, txn), 0);
    assert_int_equal(protected_page.value, held_protected[0].value);

    /* By a commit; the page rests for one more (rule 2). */
    assert_int_equal(mpg_free(pager, committed), 0);
    assert_int_equal(mpg_alloc(&page, pager, 0), 0);
    assert_int_equal(page.value, held[2].value + 1);
    assert_int_equal(mpg_txn_alloc(&page, txn, 0), 0);
    assert_int_equal(page.value, committed.value);

    /* By its end. */
    mpg_txn_abort(txn);
    assert_int_equal(mpg_alloc(&page, pager, 0), 0);
    assert_int_equal(page.value, committed.value);
    assert_int_equal(mpg_alloc(&page, pager, 0), 0);
    assert_int_equal(page.value, held[0].value);
    assert_int_equal(mpg_alloc_protected(&protected_page, pager), 0);
    assert_int_equal(protected_page.value, held_protected[0].value);
    check_and_close(pager);
}

/* What one batch takes and gives back is nobody's. */
static void test_the_lowest_id_is_given_before_any_commit(void **state)
{
    mpg_pager *pager = scratch_create(*state, 1024);
    mpg_protected_id protected_pages[2], protected_page;
    mpg_page_id pages[2], page;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(mpg_alloc(&pages[i], pager, 0), 0);
        assert_int_equal(mpg_alloc_protected(&protected_pages[i], pager), 0);
    }
    assert_int_equal(mpg_free(pager, pages[0]), 0);
    assert_int_equal(mpg_alloc(&page, pager, 0), 0);
    assert_int_equal(page.value, pages[0].value);
    assert_int_equal(mpg_free_protected(pager, protected_pages[0]), 0);
    assert_int_equal(mpg_alloc_protected(&protected_page, pager), 0);
    assert_int_equal(protected_page.value, protected_pages[0].value);
    check_and_close(pager);
}

/* So many writes fail. */
static unsigned writes_to_fail;

static ssize_t failing_pwrite(void *context, int fd, const void *data, size_t length,
                              uint64_t offset)
{
    if (writes_to_fail == 0)
        return mpgi_io_system.pwrite(context, fd, data, length, offset);
    writes_to_fail--;
    errno = ENOSPC;
    return -1;
}

/*
 * What a transaction has gathered is its own again after a commit that failed, to be changed and
 * committed.
 */
static void test_a_commit_that_failed_can_be_changed_and_tried_again(void **state)
{
    const struct scratch *scratch = *state;
    const mpg_protected_id ids[] = {{0}, {1}};
    unsigned char content[1024], found[1024];
    struct io io = mpgi_io_system;
    mpg_pager *pager = scratch_create(*state, 1024);
    mpg_txn *txn;

    assert_int_equal(mpg_alloc_protected_at(pager, ids[0]), 0);
    assert_int_equal(mpg_alloc_protected_at(pager, ids[1]), 0);
    assert_int_equal(mpg_close(pager), 0);
    io.pwrite = failing_pwrite;
    io.pwritev = NULL;
    assert_int_equal(mpgi_open_with(&pager, scratch->path, NULL, false, &io, NULL), 0);

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    memset(content, 'a', sizeof(content));
    assert_int_equal(mpg_txn_protected_write(txn, ids[0], content, 0, sizeof(content)), 0);
    assert_int_equal(mpg_txn_protected_write(txn, ids[1], content, 0, 10), 0);
    assert_int_equal(mpg_txn_alloc_at(txn, (mpg_page_id){20}, 0), 0);
    assert_int_equal(mpg_txn_page_write(txn, (mpg_page_id){20}, content, 0, sizeof(content)), 0);
    for (unsigned i = 0; i < 2; i++) {
        writes_to_fail = 1;
        assert_int_equal(mpg_txn_commit(txn, 0), MPG_E_NO_SPACE);
        assert_int_equal(mpg_txn_protected_read(found, txn, ids[0]), 0);
        assert_memory_equal(found, content, sizeof(content));
        content[5] = content[1000] = (unsigned char)('x' + i);
        assert_int_equal(mpg_txn_protected_write(txn, ids[0], content + 5, 5, 1), 0);
        assert_int_equal(mpg_txn_protected_write(txn, ids[0], content + 1000, 1000, 24), 0);
        assert_int_equal(mpg_txn_page_write(txn, (mpg_page_id){20}, content, 0, 1024), 0);
    }
    assert_int_equal(mpg_txn_commit(txn, 0), 0);

    assert_int_equal(mpg_protected_read(found, pager, ids[0]), 0);
    assert_memory_equal(found, content, sizeof(content));
    assert_int_equal(mpg_page_read(found, pager, (mpg_page_id){20}, 0, sizeof(found)), 0);
    assert_memory_equal(found, content, sizeof(content));
    assert_int_equal(mpg_protected_read(found, pager, ids[1]), 0);
    assert_true(found[9] == 'a' && found[10] == 0);
    check_and_close(pager);
}

static void test_arguments_that_make_no_sense_are_refused(void **state)
{
    mpg_pager *pager = scratch_create(*state, 1024);
    mpg_options options = scratch_options(*state, 1024);
    const mpg_protected_id beyond = {UINT64_MAX};
    mpg_pager *other;
    mpg_page_id page;
    mpg_txn *txn;

    assert_int_equal(mpg_alloc(&page, pager, MPG_ORDERED), MPG_E_INVALID);
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){7}, 2), MPG_E_INVALID);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_alloc(&page, txn, MPG_ORDERED), MPG_E_INVALID);
    assert_int_equal(mpg_txn_alloc_at(txn, (mpg_page_id){7}, 2), MPG_E_INVALID);
    assert_int_equal(mpg_txn_free_protected(txn, beyond), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_txn_commit(txn, MPG_ZERO), MPG_E_INVALID);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    check_and_close(pager);
    options.flags = 1u << 20;
    assert_int_equal(mpg_open(&other, ((struct scratch *)*state)->path, &options), MPG_E_INVALID);
}

/*
 * More ids than the metadata that there is covers, and none of them is left for the metadata that
 * is to be made.
 */
static void allocate_all(const struct scratch *scratch, uint32_t page_size, uint64_t first,
                         uint64_t end)
{
    mpg_pager *pager = scratch_create(scratch, page_size);
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (uint64_t page = first; page < end; page++)
        assert_int_equal(mpg_txn_alloc_at(txn, (mpg_page_id){page}, 0), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(mpg_stat(&st, pager), 0);
    assert_int_equal(st.regular_pages, end - first);
    check_and_close(pager);
}

static void test_a_transaction_takes_all_ids_of_a_range(void **state)
{
    static const struct {
        uint64_t first, end;
    } ranges[] = {{100, 9000}, {3, 9000}, {3, 40000}, {30000, 60000}};
    const struct scratch *scratch = *state;

    if (scratch->format == MPG_FORMAT_0_2) { /* all of its metadata is made with the file */
        allocate_all(scratch, 4096, 100, 30000);
        return;
    }
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        allocate_all(scratch, 1024, ranges[i].first, ranges[i].end);
        (void)unlink(scratch->path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_a_page_id_is_held_by_one_transaction),
        SCRATCH_TEST(test_a_protected_id_is_held_by_one_transaction),
        SCRATCH_TEST(test_what_an_aborted_transaction_held_is_free),
        SCRATCH_TEST(test_the_lowest_id_is_given_whoever_gave_it_back),
        SCRATCH_TEST(test_the_lowest_id_is_given_before_any_commit),
        SCRATCH_TEST(test_a_commit_that_failed_can_be_changed_and_tried_again),
        SCRATCH_TEST(test_arguments_that_make_no_sense_are_refused),
        SCRATCH_TEST(test_a_transaction_takes_all_ids_of_a_range),
    };

    return SCRATCH_RUN("transactions", tests);
}
