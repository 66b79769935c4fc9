/* SPDX-License-Identifier: MIT */
/* Protected pages, writers, views, transactions and iterators: what each function returns. */
#include "support/scratch_file.h"

static uint32_t page_size;
static unsigned char *buffer; /* room for a page */

static mpg_protected_id guarded(uint64_t value)
{
    return (mpg_protected_id){value};
}

/* Commits a content of one byte, repeated. */
static void write_page(mpg_pager *pager, mpg_protected_id id, int byte)
{
    mpg_writer *writer;

    assert_int_equal(mpg_writer_open(&writer, pager, id), 0);
    memset(mpg_writer_data(writer), byte, page_size);
    assert_int_equal(mpg_writer_commit(writer), 0);
}

static int first_and_last_byte(const mpg_pager *pager, mpg_protected_id id)
{
    assert_int_equal(mpg_protected_read(buffer, pager, id), 0);
    assert_int_equal(buffer[0], buffer[page_size - 1]);
    return buffer[0];
}

static void a_new_page_shows_zeros_and_then_what_is_committed(void **state)
{
    struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, page_size);
    mpg_protected_info first, second;
    mpg_protected_id id;

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(id.value, 0);
    assert_int_equal(first_and_last_byte(pager, id), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_protected_stat(&first, pager, id), 0);
    write_page(pager, id, 'a');
    assert_int_equal(mpg_protected_stat(&second, pager, id), 0);
    assert_int_not_equal(first.page[first.current], second.page[second.current]);
    assert_true(second.generation > first.generation);
    assert_int_equal(first_and_last_byte(pager, id), 'a');
    assert_int_equal(mpg_close(pager), 0);
    pager = scratch_open(scratch);
    assert_int_equal(first_and_last_byte(pager, id), 'a');
    check_and_close(pager);
}

static void ids_are_given_lowest_first_or_as_asked(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_protected_id ids[5], id;

    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, 5), 0);
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(ids[i].value, i);
    assert_int_equal(mpg_free_protected(pager, guarded(2)), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(id.value, 2);
    assert_int_equal(mpg_alloc_protected_at(pager, guarded(40)), 0);
    assert_int_equal(mpg_alloc_protected_at(pager, guarded(40)), MPG_E_EXISTS);
    assert_int_equal(mpg_alloc_protected_at(pager, guarded(UINT64_MAX)), MPG_E_DIRECTORY_FULL);
    ids[1] = ids[0];
    assert_int_equal(mpg_free_protected_bulk(pager, ids, 2), MPG_E_DOUBLE_FREE);
    assert_int_equal(mpg_free_protected_bulk(pager, ids, 1), 0);
    check_and_close(pager);
}

static void what_is_not_there_is_refused(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_protected_info info;
    mpg_writer *writer = NULL;
    const void *view;
    mpg_protected_id id;
    int error;

    assert_int_equal(mpg_protected_read(buffer, pager, guarded(0)), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_protected_view(&view, pager, guarded(7)), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_protected_stat(&info, pager, guarded(1 << 20)), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_writer_open(&writer, pager, guarded(0)), MPG_E_NOT_ALLOCATED);
    assert_null(writer);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(mpg_free_protected(pager, id), 0);
    error = mpg_free_protected(pager, id);
    assert_true(error == MPG_E_DOUBLE_FREE || error == MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_protected_read(buffer, pager, id), MPG_E_NOT_ALLOCATED);
    check_and_close(pager);
}

static void a_writer_begins_with_what_is_there_and_may_be_discarded(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_writer *writer, *second = NULL;
    mpg_protected_id id;

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    write_page(pager, id, 'a');
    assert_int_equal(mpg_writer_open(&writer, pager, id), 0);
    assert_int_equal(((const char *)mpg_writer_data(writer))[page_size - 1], 'a');
    assert_int_equal(mpg_writer_open(&second, pager, id), MPG_E_BUSY);
    assert_int_equal(mpg_free_protected(pager, id), MPG_E_BUSY);
    memset(mpg_writer_data(writer), 'b', page_size);
    assert_int_equal(first_and_last_byte(pager, id), 'a');
    mpg_writer_discard(writer);
    mpg_writer_discard(NULL);
    assert_int_equal(first_and_last_byte(pager, id), 'a');
    check_and_close(pager);
}

static void a_view_stays_as_it_is(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    const char *view;
    const void *data;
    mpg_writer *writer;
    mpg_protected_id id;

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    write_page(pager, id, 'a');
    assert_int_equal(mpg_protected_view(&data, pager, id), 0);
    view = data;
    write_page(pager, id, 'b');
    assert_int_equal(view[0], 'a');
    assert_int_equal(first_and_last_byte(pager, id), 'b');
    assert_int_equal(mpg_writer_open(&writer, pager, id), 0);
    memset(mpg_writer_data(writer), 'c', page_size);
    if (scratch_format == MPG_FORMAT_0_2) { /* there is no third page for it */
        assert_int_equal(mpg_writer_commit(writer), MPG_E_BUSY);
    } else {
        assert_int_equal(mpg_writer_commit(writer), 0);
        assert_int_equal(mpg_writer_open(&writer, pager, id), 0);
        memset(mpg_writer_data(writer), 'c', page_size);
    }
    assert_int_equal(view[page_size - 1], 'a');
    mpg_protected_release(pager, data);
    mpg_protected_release(pager, NULL);
    mpg_protected_release(pager, data); /* once too often: it does not block the page for ever */
    assert_int_equal(mpg_writer_commit(writer), 0);
    assert_int_equal(first_and_last_byte(pager, id), 'c');
    write_page(pager, id, 'd');
    write_page(pager, id, 'e');
    check_and_close(pager);
}

static void bit_rot_is_told_and_never_shown(void **state)
{
    struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, page_size);
    mpg_protected_info info;
    mpg_check_result result;
    mpg_error_info error;
    const void *view;
    mpg_protected_id id;
    FILE *file;

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    for (int i = 0; i < 3; i++)
        write_page(pager, id, 'a' + i);
    assert_int_equal(mpg_alloc_protected_at(pager, guarded(9)), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_protected_stat(&info, pager, id), 0);
    assert_int_equal(mpg_close(pager), 0);
    file = fopen(scratch->path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)(info.page[info.current] * page_size + 100), SEEK_SET), 0);
    assert_int_equal(fputc('!', file), '!');
    assert_int_equal(fclose(file), 0);
    pager = scratch_open(scratch);
    assert_int_equal(mpg_protected_read(buffer, pager, id), MPG_E_CORRUPT_PAGE);
    assert_int_equal(mpg_last_error(&error), MPG_E_CORRUPT_PAGE);
    assert_true(error.has_crc);
    assert_int_equal(error.expected_crc, info.crc);
    assert_int_not_equal(error.found_crc, info.crc);
    assert_int_equal(mpg_protected_view(&view, pager, id), MPG_E_CORRUPT_PAGE);
    assert_int_equal(mpg_protected_read(buffer, pager, guarded(9)), 0);
    assert_int_equal(mpg_check(&result, pager, NULL), 0);
    assert_true(result.faults > 0);
    assert_int_equal(mpg_close(pager), 0);
}

static void a_transaction_is_seen_as_a_whole(void **state)
{
    struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, page_size);
    mpg_protected_id old, new;
    mpg_page_id kept, page;
    mpg_txn *txn;

    assert_int_equal(mpg_alloc_protected(&old, pager), 0);
    assert_int_equal(mpg_alloc(&kept, pager, MPG_ZERO), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    memset(buffer, 'x', page_size);
    assert_int_equal(mpg_txn_alloc(&page, txn, 0), 0);
    assert_int_equal(mpg_txn_page_write(txn, page, buffer, 0, page_size), 0);
    assert_int_equal(mpg_txn_page_write(txn, kept, buffer, 0, page_size), MPG_E_INVALID);
    assert_int_equal(mpg_txn_page_write(txn, page, buffer, page_size, 1), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_txn_alloc_protected(&new, txn), 0);
    assert_int_equal(mpg_txn_protected_write(txn, new, buffer, 0, page_size), 0);
    assert_int_equal(mpg_txn_protected_write(txn, old, buffer, 0, page_size), 0);
    assert_int_equal(mpg_txn_protected_write(txn, old, buffer, 1, page_size), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_txn_free(txn, kept), 0);
    assert_int_equal(mpg_txn_free(txn, (mpg_page_id){1}), MPG_E_RESERVED_PAGE);
    assert_int_equal(mpg_txn_protected_read(buffer, txn, old), 0);
    assert_int_equal(buffer[0], 'x');
    assert_int_equal(first_and_last_byte(pager, old), 0);
    assert_int_equal(count_regular_pages(pager), 1);
    assert_int_equal(mpg_protected_read(buffer, pager, new), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(first_and_last_byte(pager, old), 'x');
    assert_int_equal(first_and_last_byte(pager, new), 'x');
    assert_int_equal(mpg_page_read(buffer, pager, page, 0, page_size), 0);
    assert_int_equal(buffer[page_size - 1], 'x');
    assert_int_equal(mpg_page_read(buffer, pager, kept, 0, 1), MPG_E_NOT_ALLOCATED);
    check_and_close(pager);
}

static void an_aborted_transaction_leaves_nothing(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_protected_id id;
    mpg_page_id page, again;
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_alloc(&page, txn, 0), 0);
    assert_int_equal(mpg_txn_alloc_at(txn, (mpg_page_id){40}, 0), 0);
    assert_int_equal(mpg_txn_alloc_at(txn, (mpg_page_id){40}, 0), MPG_E_EXISTS);
    assert_int_equal(mpg_txn_alloc_protected_at(txn, guarded(3)), 0);
    mpg_txn_abort(txn);
    mpg_txn_abort(NULL);
    assert_int_equal(count_regular_pages(pager), 0);
    assert_int_equal(mpg_alloc(&again, pager, 0), 0);
    assert_int_equal(again.value, page.value);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(id.value, 0);
    check_and_close(pager);
}

static void transactions_that_write_different_parts_both_survive(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_protected_id id;
    mpg_txn *one, *two;

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(mpg_txn_begin(&one, pager), 0);
    assert_int_equal(mpg_txn_begin(&two, pager), 0);
    assert_int_equal(mpg_txn_protected_write(one, id, "11", 0, 2), 0);
    assert_int_equal(mpg_txn_protected_write(two, id, "22", page_size - 2, 2), 0);
    assert_int_equal(mpg_txn_commit(two, MPG_ORDERED), 0);
    assert_int_equal(mpg_txn_commit(one, 0), 0);
    assert_int_equal(mpg_protected_read(buffer, pager, id), 0);
    assert_memory_equal(buffer, "11", 2);
    assert_memory_equal(buffer + page_size - 2, "22", 2);
    check_and_close(pager);
}

static void iterators_keep_the_kinds_apart(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_protected_id ids[4], protected_id;
    mpg_page_id pages[5], page;
    mpg_protected_iter protected_iter;
    mpg_page_iter iter;

    assert_int_equal(mpg_alloc_bulk(pages, pager, 3, 0), 0);
    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, 4), 0);
    assert_int_equal(mpg_alloc_bulk(pages + 3, pager, 2, 0), 0);
    assert_int_equal(mpg_free_protected(pager, ids[1]), 0);
    mpg_page_iter_begin(&iter, pager, pages[1]);
    for (size_t i = 1; i < 5; i++) {
        assert_int_equal(mpg_page_iter_next(&page, &iter), 1);
        assert_int_equal(page.value, pages[i].value);
    }
    assert_int_equal(mpg_page_iter_next(&page, &iter), 0);
    mpg_protected_iter_begin(&protected_iter, pager, guarded(0));
    for (size_t i = 0; i < 4; i++) {
        if (i == 1)
            continue;
        assert_int_equal(mpg_protected_iter_next(&protected_id, &protected_iter), 1);
        assert_int_equal(protected_id.value, ids[i].value);
    }
    assert_int_equal(mpg_protected_iter_next(&protected_id, &protected_iter), 0);
    check_and_close(pager);
}

int main(void)
{
    static const uint32_t sizes[] = {1024, 4096, 16384, 1 << 20};
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_new_page_shows_zeros_and_then_what_is_committed),
        SCRATCH_TEST(ids_are_given_lowest_first_or_as_asked),
        SCRATCH_TEST(what_is_not_there_is_refused),
        SCRATCH_TEST(a_writer_begins_with_what_is_there_and_may_be_discarded),
        SCRATCH_TEST(a_view_stays_as_it_is),
        SCRATCH_TEST(bit_rot_is_told_and_never_shown),
        SCRATCH_TEST(a_transaction_is_seen_as_a_whole),
        SCRATCH_TEST(an_aborted_transaction_leaves_nothing),
        SCRATCH_TEST(transactions_that_write_different_parts_both_survive),
        SCRATCH_TEST(iterators_keep_the_kinds_apart),
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        page_size = sizes[i];
        buffer = malloc(page_size);
        failed |= SCRATCH_RUN("protected pages", tests);
        free(buffer);
    }
    return failed;
}
