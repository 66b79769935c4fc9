/* SPDX-License-Identifier: MIT */
/* What a disk that is full, or a sync that fails, leaves behind; and what is told of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mappedpages.h"
#include "mappedpages_compact.h"
#include "pager/open.h"
#include "support/memory_disk.h"

#define PAGE_SIZE 1024u
#define PAGES 64u

/* What writes and syncs meet. */
static struct {
    bool full;           /* no write finds room */
    bool first_in_part;  /* … but one, for the half of it */
    unsigned sync_fails; /* the sync that fails: 1 is the next; 0: none */
    bool failed;         /* it has */
} trouble;

static struct memory_disk disk;

static int meet(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    if (call == CALL_FDATASYNC && trouble.sync_fails > 0 && --trouble.sync_fails == 0) {
        trouble.failed = true;
        return EIO;
    }
    if (call != CALL_PWRITE || !trouble.full)
        return 0;
    if (!trouble.first_in_part)
        return ENOSPC;
    trouble.first_in_part = false;
    *length /= 2;
    return 0;
}

static mpg_pager *create(int format, unsigned flags)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager = NULL;

    options.page_size = PAGE_SIZE;
    options.format = format;
    options.flags = flags;
    options.initial_pages = PAGES;
    options.address_space = PAGES * PAGE_SIZE;
    memset(&trouble, 0, sizeof(trouble));
    memory_disk_init(&disk, PAGES * PAGE_SIZE);
    disk.fault = meet;
    assert_int_equal(mpgi_create_with(&pager, "file", &options, &memory_disk_io, &disk), 0);
    return pager;
}

static int write_protected(mpg_pager *pager, mpg_protected_id id, int byte)
{
    unsigned char content[PAGE_SIZE];
    mpg_txn *txn;
    int result;

    memset(content, byte, sizeof(content));
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_protected_write(txn, id, content, 0, sizeof(content)), 0);
    result = mpg_txn_commit(txn, 0);
    if (result != 0)
        mpg_txn_abort(txn);
    return result;
}

/* After so many commits the next one is a root, or a record, anywhere in its chain. */
#define MOST_COMMITS 7

/*
 * A protected page in a file with a chain, at whose end, after some of these numbers of commits,
 * there is a record that could not be taken back: it was written, there was no room for its
 * content, nor for the zeros over it.
 */
static mpg_pager *with_a_record_that_stays(mpg_protected_id *id, int commits)
{
    mpg_pager *pager = create(MPG_FORMAT_1, 0);

    assert_int_equal(mpg_alloc_protected(id, pager), 0);
    for (int i = 0; i < commits; i++)
        assert_int_equal(write_protected(pager, *id, 'a' + i), 0);
    trouble.full = trouble.first_in_part = true;
    assert_int_equal(write_protected(pager, *id, 'x'), MPG_E_NO_SPACE);
    assert_false(trouble.first_in_part);
    trouble.full = false;
    return pager;
}

static void a_sync_that_fails_as_a_record_is_taken_back_late_ends_all_changes(void **state)
{
    (void)state;
    for (int commits = 0; commits < MOST_COMMITS; commits++) {
        mpg_protected_id id;
        mpg_pager *pager = with_a_record_that_stays(&id, commits);

        trouble.sync_fails = 1;
        assert_int_equal(write_protected(pager, id, 'y'), MPG_E_IO);
        assert_int_equal(write_protected(pager, id, 'z'), MPG_E_UNAVAILABLE);
        assert_int_equal(mpg_close(pager), 0);
        memory_disk_destroy(&disk);
    }
}

/* Takes pages until there are no more, that of the record among them, and gives them contents. */
static size_t fill(mpg_txn *txn, mpg_page_id *ids)
{
    unsigned char content[PAGE_SIZE];
    size_t count = 0;

    memset(content, 'r', sizeof(content));
    while (mpg_txn_alloc(&ids[count], txn, 0) == 0) {
        assert_int_equal(mpg_txn_page_write(txn, ids[count], content, 0, PAGE_SIZE), 0);
        count++;
    }
    return count;
}

static void assert_filled(const mpg_pager *pager, const mpg_page_id *ids, size_t count)
{
    unsigned char content[PAGE_SIZE];

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(mpg_page_read(content, pager, ids[i], 0, PAGE_SIZE), 0);
        assert_int_equal(content[0], 'r');
        assert_int_equal(content[PAGE_SIZE - 1], 'r');
    }
}

static void a_page_of_a_record_that_is_given_out_is_its_owners(void **state)
{
    (void)state;
    for (int commits = 0; commits < MOST_COMMITS; commits++) {
        mpg_page_id ids[PAGES];
        mpg_protected_id id;
        mpg_pager *pager = with_a_record_that_stays(&id, commits);
        mpg_txn *txn;
        size_t count;

        assert_int_equal(mpg_txn_begin(&txn, pager), 0);
        count = fill(txn, ids);
        assert_in_range(count, PAGES / 2, PAGES);
        assert_int_equal(mpg_txn_commit(txn, 0), 0);
        assert_filled(pager, ids, count);
        assert_int_equal(mpg_close(pager), 0);
        memory_disk_destroy(&disk);
    }
}

static void a_sync_that_fails_in_a_compaction_ends_all_changes(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned n = 1; failed; n++) {
        mpg_pager *pager = create(MPG_FORMAT_1, 0);
        mpg_protected_id id;
        int result;

        assert_int_equal(mpg_alloc_protected(&id, pager), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(write_protected(pager, id, 'a' + i), 0);
        trouble.sync_fails = n;
        result = mpg_compact(NULL, pager, NULL);
        trouble.sync_fails = 0;
        failed = trouble.failed;
        /* What fails once it is shorter for good keeps that from nobody. */
        assert_true(failed ? result == MPG_E_IO || result == 0 : result == 0);
        assert_int_equal(write_protected(pager, id, 'z'), failed ? MPG_E_UNAVAILABLE : 0);
        assert_int_equal(mpg_close(pager), 0);
        memory_disk_destroy(&disk);
    }
}

static void a_transaction_needs_no_more_room_than_it_has_taken(void **state)
{
    mpg_pager *pager = create(*(int *)*state, 0);
    mpg_page_id ids[PAGES];
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    (void)fill(txn, ids);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(mpg_stat(&st, pager), 0);
    assert_in_range(st.regular_pages, PAGES - 4, PAGES);
    assert_int_equal(mpg_close(pager), 0);
    memory_disk_destroy(&disk);
}

static void closing_tells_of_deferred_changes_that_found_no_room(void **state)
{
    mpg_pager *pager = create(*(int *)*state, MPG_DEFER_ALLOCATION);
    mpg_page_id id;

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    trouble.full = true;
    assert_int_equal(mpg_close(pager), MPG_E_NO_SPACE);
    assert_true(memory_disk_is_idle(&disk));
    memory_disk_destroy(&disk);
}

static void closing_without_room_loses_nothing_and_is_no_error(void **state)
{
    mpg_pager *pager = create(*(int *)*state, 0);
    mpg_page_id id;

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    trouble.full = true;
    assert_int_equal(mpg_close(pager), 0);
    memory_disk_destroy(&disk);
}

int main(void)
{
    static int old_format = MPG_FORMAT_0_2, format = MPG_FORMAT_1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sync_that_fails_as_a_record_is_taken_back_late_ends_all_changes),
        cmocka_unit_test(a_page_of_a_record_that_is_given_out_is_its_owners),
        cmocka_unit_test(a_sync_that_fails_in_a_compaction_ends_all_changes),
        cmocka_unit_test_prestate(a_transaction_needs_no_more_room_than_it_has_taken, &old_format),
        cmocka_unit_test_prestate(a_transaction_needs_no_more_room_than_it_has_taken, &format),
        cmocka_unit_test_prestate(closing_tells_of_deferred_changes_that_found_no_room,
                                  &old_format),
        cmocka_unit_test_prestate(closing_tells_of_deferred_changes_that_found_no_room, &format),
        cmocka_unit_test_prestate(closing_without_room_loses_nothing_and_is_no_error, &old_format),
        cmocka_unit_test_prestate(closing_without_room_loses_nothing_and_is_no_error, &format),
    };

    return cmocka_run_group_tests_name("trouble with the disk", tests, NULL, NULL);
}
