/* SPDX-License-Identifier: MIT */
/*
 * Where something ends: the format's room, the disk's, the trust in it; and what is told of a
 * failure.
 */
#include <pthread.h>

#include "pager/open.h"
#include "support/api.h"
#include "support/memory_disk.h"

#define UNTOUCHED UINT64_C(0x5a5a)

/* A file of the test's format on a disk in memory with room for so many bytes. */
static mpg_pager *create_on_disk(const struct scratch *scratch, struct memory_disk *disk,
                                 size_t capacity)
{
    mpg_options options = api_options(scratch);
    mpg_pager *pager = NULL;

    options.address_space = capacity;
    memory_disk_init(disk, capacity);
    assert_int_equal(mpgi_create_with(&pager, "pages", &options, &memory_disk_io, disk), 0);
    return pager;
}

static void close_on_disk(mpg_pager *pager, struct memory_disk *disk)
{
    assert_int_equal(mpg_close(pager), 0);
    assert_true(memory_disk_is_idle(disk));
    memory_disk_destroy(disk);
}

/* ---- the format's room ---- */

static void a_file_of_format_0_2_can_be_filled_to_the_last_page(void **state)
{
    const struct scratch *scratch = *state;
    uint64_t most = UINT64_C(8) * (api_page_size - 28);
    mpg_page_id *ids, one = {UNTOUCHED};
    struct memory_disk disk;
    mpg_pager *pager;

    if (scratch->format != MPG_FORMAT_0_2 || api_page_size > 4096)
        skip();
    pager = create_on_disk(scratch, &disk, (size_t)(most + 1) * api_page_size);
    ids = calloc(most, sizeof(*ids));
    assert_non_null(ids);
    assert_error(mpg_alloc_bulk(ids, pager, most - 2, 0), MPG_E_FILE_FULL);
    assert_int_equal(stat_of(pager).regular_pages, 0);
    assert_int_equal(mpg_alloc_bulk(ids, pager, most - 3, 0), 0);
    assert_int_equal(stat_of(pager).free_pages, 0);
    assert_error(mpg_alloc(&one, pager, 0), MPG_E_FILE_FULL);
    assert_int_equal(one.value, UNTOUCHED);
    assert_error(mpg_alloc_at(pager, (mpg_page_id){most}, 0), MPG_E_FILE_FULL);
    assert_int_equal(mpg_free(pager, ids[5]), 0);
    assert_int_equal(mpg_alloc(&one, pager, 0), 0);
    assert_int_equal(one.value, ids[5].value);
    free(ids);
    close_on_disk(pager, &disk);
}

static void a_directory_of_format_0_2_can_be_filled_to_the_last_entry(void **state)
{
    const struct scratch *scratch = *state;
    mpg_protected_id *ids, one = {UNTOUCHED};
    struct memory_disk disk;
    uint64_t most, total;
    mpg_pager *pager;

    if (scratch->format != MPG_FORMAT_0_2 || api_page_size > 1024)
        skip();
    pager = create_on_disk(scratch, &disk, (size_t)8192 * api_page_size);
    most = stat_of(pager).max_protected;
    ids = calloc(most + 1, sizeof(*ids));
    assert_non_null(ids);
    total = stat_of(pager).total_pages;
    assert_error(mpg_alloc_protected_bulk(ids, pager, most + 1), MPG_E_DIRECTORY_FULL);
    assert_int_equal(stat_of(pager).protected_pages, 0);
    assert_int_equal(stat_of(pager).total_pages, total);
    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, most), 0);
    assert_error(mpg_alloc_protected(&one, pager), MPG_E_DIRECTORY_FULL);
    assert_int_equal(one.value, UNTOUCHED);
    assert_int_equal(mpg_free_protected(pager, ids[7]), 0);
    assert_int_equal(mpg_alloc_protected(&one, pager), 0);
    assert_int_equal(one.value, ids[7].value);
    free(ids);
    close_on_disk(pager, &disk);
}

static void ids_beyond_the_format_are_told_from_those_that_are_free(void **state)
{
    mpg_pager *pager = api_create(*state);
    struct mpg_stat st = stat_of(pager);

    assert_error(mpg_alloc_at(pager, (mpg_page_id){st.max_pages}, 0), MPG_E_FILE_FULL);
    assert_error(mpg_alloc_at(pager, (mpg_page_id){UINT64_MAX}, 0), MPG_E_FILE_FULL);
    assert_error(mpg_alloc_protected_at(pager, (mpg_protected_id){st.max_protected}),
                 MPG_E_DIRECTORY_FULL);
    assert_error(mpg_alloc_protected_at(pager, (mpg_protected_id){UINT64_MAX}),
                 MPG_E_DIRECTORY_FULL);
    assert_error(mpg_free_protected(pager, (mpg_protected_id){st.max_protected}),
                 MPG_E_OUT_OF_BOUNDS);
    assert_error(mpg_free_protected(pager, (mpg_protected_id){st.max_protected - 1}),
                 MPG_E_DOUBLE_FREE);
    check_and_close(pager);
}

/* ---- the disk's room ---- */

static void a_full_disk_changes_nothing(void **state)
{
    const struct scratch *scratch = *state;
    struct memory_disk disk;
    mpg_pager *pager = create_on_disk(scratch, &disk, (size_t)64 * api_page_size);
    mpg_page_id ids[100] = {{UNTOUCHED}}, one;
    mpg_error_info info;

    assert_int_equal(mpg_alloc(&one, pager, 0), 0);
    assert_error(mpg_alloc_bulk(ids, pager, 100, 0), MPG_E_NO_SPACE);
    (void)mpg_last_error(&info);
    assert_int_equal(info.system_errno, ENOSPC);
    assert_int_equal(ids[0].value, UNTOUCHED);
    assert_int_equal(stat_of(pager).regular_pages, 1);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 40, 0), 0);
    close_on_disk(pager, &disk);
}

/* ---- the trust in the disk ---- */

static int fail_syncs(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    (void)length;
    return call == CALL_FDATASYNC ? EIO : 0;
}

static void after_a_failed_sync_nothing_can_be_changed(void **state)
{
    const struct scratch *scratch = *state;
    struct memory_disk disk;
    mpg_pager *pager = create_on_disk(scratch, &disk, (size_t)64 * api_page_size);
    mpg_error_info info;
    mpg_protected_id guarded;
    mpg_writer *writer;
    mpg_page_id id, one;
    mpg_txn *txn;

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(put_protected(pager, guarded, 3), 0);
    assert_int_equal(mpg_writer_open(&writer, pager, guarded), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    disk.fault = fail_syncs;
    assert_error(mpg_alloc(&one, pager, 0), MPG_E_IO);
    (void)mpg_last_error(&info);
    assert_int_equal(info.system_errno, EIO);
    assert_string_equal(info.operation, "fdatasync");
    disk.fault = NULL;
    assert_error(mpg_alloc(&one, pager, 0), MPG_E_UNAVAILABLE);
    assert_error(mpg_alloc_at(pager, (mpg_page_id){9}, 0), MPG_E_UNAVAILABLE);
    assert_error(mpg_free(pager, id), MPG_E_UNAVAILABLE);
    assert_error(mpg_sync(pager), MPG_E_UNAVAILABLE);
    assert_error(mpg_page_sync(pager, id), MPG_E_UNAVAILABLE);
    assert_error(mpg_alloc_protected(&guarded, pager), MPG_E_UNAVAILABLE);
    assert_error(mpg_alloc_protected_at(pager, (mpg_protected_id){4}), MPG_E_UNAVAILABLE);
    assert_error(mpg_free_protected(pager, guarded), MPG_E_UNAVAILABLE);
    assert_error(mpg_writer_commit(writer), MPG_E_UNAVAILABLE);
    assert_error(mpg_txn_alloc(&one, txn, 0), MPG_E_UNAVAILABLE);
    assert_error(mpg_txn_alloc_protected(&guarded, txn), MPG_E_UNAVAILABLE);
    assert_error(mpg_txn_commit(txn, 0), MPG_E_UNAVAILABLE);
    /* What is there can still be read. */
    assert_int_equal(protected_byte(pager, guarded), 3);
    mpg_writer_discard(writer);
    mpg_txn_abort(txn);
    close_on_disk(pager, &disk);
}

/* ---- what is told of a failure ---- */

static void *fail_in_a_thread(void *argument)
{
    mpg_error_info info;

    assert_int_equal(mpg_last_error(&info), 0);
    assert_int_equal(mpg_free(argument, (mpg_page_id){0}), MPG_E_RESERVED_PAGE);
    return mpg_last_error(&info) == MPG_E_RESERVED_PAGE ? argument : NULL;
}

static void every_thread_has_its_own_last_failure(void **state)
{
    mpg_pager *pager = api_create(*state);
    mpg_error_info info;
    pthread_t thread;
    void *answer;

    assert_int_equal(mpg_free(pager, (mpg_page_id){1000000}), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(pthread_create(&thread, NULL, fail_in_a_thread, pager), 0);
    assert_int_equal(pthread_join(thread, &answer), 0);
    assert_ptr_equal(answer, pager);
    assert_int_equal(mpg_last_error(&info), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(info.page, 1000000);
    assert_string_equal(info.operation, "free");
    assert_false(info.has_crc);
    check_and_close(pager);
}

static void a_damaged_page_is_told_with_both_checksums(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);
    unsigned char *page = page_of(UNTOUCHED & 0xff);
    mpg_protected_info entry;
    mpg_protected_id guarded;
    mpg_error_info info;
    int fd;

    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(put_protected(pager, guarded, 3), 0);
    assert_int_equal(mpg_protected_stat(&entry, pager, guarded), 0);
    fd = open(scratch->path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, (off_t)(entry.page[entry.current] * api_page_size)), 1);
    assert_int_equal(close(fd), 0);
    assert_error(mpg_protected_read(page, pager, guarded), MPG_E_CORRUPT_PAGE);
    (void)mpg_last_error(&info);
    assert_true(info.has_crc);
    assert_int_equal(info.expected_crc, entry.crc);
    assert_int_not_equal(info.found_crc, entry.crc);
    assert_int_equal(info.page, guarded.value);
    assert_non_null(strstr(info.message, scratch->path));
    free(page);
    assert_int_equal(mpg_close(pager), 0);
}

static void the_library_has_the_version_of_its_header(void **state)
{
    int major, minor, patch;

    (void)state;
    mpg_version(&major, &minor, &patch);
    assert_int_equal(major, MPG_VERSION_MAJOR);
    assert_int_equal(minor, MPG_VERSION_MINOR);
    assert_int_equal(patch, MPG_VERSION_PATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_file_of_format_0_2_can_be_filled_to_the_last_page),
        SCRATCH_TEST(a_directory_of_format_0_2_can_be_filled_to_the_last_entry),
        SCRATCH_TEST(ids_beyond_the_format_are_told_from_those_that_are_free),
        SCRATCH_TEST(a_full_disk_changes_nothing),
        SCRATCH_TEST(after_a_failed_sync_nothing_can_be_changed),
        SCRATCH_TEST(every_thread_has_its_own_last_failure),
        SCRATCH_TEST(a_damaged_page_is_told_with_both_checksums),
        SCRATCH_TEST(the_library_has_the_version_of_its_header),
    };

    return API_RUN("limits", tests);
}
