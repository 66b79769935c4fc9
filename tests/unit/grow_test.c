/* SPDX-License-Identifier: MIT */
/* Growing a file: the disk has the space for it, or it is an error and the file stays as it was. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "format_1/layout.h"
#include "mappedpages_compact.h"
#include "os/io.h"
#include "pager/open.h"

#define PATH "grow_test.mpp"

static struct io calls;
static uint64_t disk_end; /* writes behind it find the disk full */

static int cannot_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    (void)fd;
    (void)offset;
    (void)length;
    errno = EOPNOTSUPP;
    return -1;
}

static ssize_t limited_pwrite(void *context, int fd, const void *data, size_t length,
                              uint64_t offset)
{
    if (offset + length > disk_end) {
        errno = ENOSPC;
        return -1;
    }
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

static int set_up(void **state)
{
    (void)state;
    calls = mpgi_io_system;
    calls.allocate = cannot_allocate;
    calls.pwrite = limited_pwrite;
    calls.pwritev = NULL;
    disk_end = UINT64_MAX;
    (void)unlink(PATH);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(PATH);
}

static void space_is_taken_without_fallocate(void **state)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_page_id ids[500];
    mpg_pager *pager;
    struct stat st;

    (void)state;
    assert_int_equal(mpgi_create_with(&pager, PATH, &options, &calls, NULL), 0);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 500, 0), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(stat(PATH, &st), 0);
    assert_true(st.st_blocks * 512 >= st.st_size);
    assert_int_equal(mpg_close(pager), 0);
}

static void a_full_disk_is_an_error_and_the_file_stays_as_it_was(void **state)
{
    mpg_options options = MPG_OPTIONS_INIT;
    struct mpg_stat before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    mpg_page_id ids[500];
    mpg_pager *pager;

    (void)state;
    assert_int_equal(mpgi_create_with(&pager, PATH, &options, &calls, NULL), 0);
    assert_int_equal(mpg_stat(&before, pager), 0);
    disk_end = 300 * 4096;
    assert_int_equal(mpg_alloc_bulk(ids, pager, 500, 0), MPG_E_NO_SPACE);
    assert_int_equal(mpg_stat(&after, pager), 0);
    assert_int_equal(after.file_bytes, before.file_bytes);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 5, 0), 0);
    assert_int_equal(mpg_free_bulk(pager, ids, 5), 0);
    assert_int_equal(mpg_stat(&after, pager), 0);
    assert_true(after.file_bytes <= disk_end);
    assert_int_equal(after.regular_pages, before.regular_pages);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(mpg_open(&pager, PATH, NULL), 0);
    assert_int_equal(mpg_close(pager), 0);
}

/* Rule 2 lets freed pages rest, but not where the file would have to grow instead. */
static void a_node_on_a_full_disk_takes_pages_just_freed(void **state)
{
    static const uint32_t page_sizes[] = {1024, 8192}; /* of a node's two, 64 or 8 pages apart */

    (void)state;
    for (int i = 0; i < 2; i++) {
        uint64_t most_in_root = root_area_size(node_size_of(page_sizes[i])) / ENTRY_SIZE;
        mpg_options options = MPG_OPTIONS_INIT;
        struct mpg_stat st = {.size = sizeof(st)};
        mpg_protected_id protected_ids[100];
        mpg_page_id ids[250];
        mpg_pager *pager;

        options.format = MPG_FORMAT_1;
        options.page_size = page_sizes[i];
        options.initial_pages = 250;
        disk_end = options.initial_pages * page_sizes[i];
        (void)unlink(PATH);
        assert_int_equal(mpgi_create_with(&pager, PATH, &options, &calls, NULL), 0);
        assert_int_equal(mpg_alloc_protected_bulk(protected_ids, pager, most_in_root), 0);
        assert_int_equal(mpg_stat(&st, pager), 0);
        /* As many pages stay free as are protected, so this is all that there is. */
        assert_int_equal(mpg_alloc_bulk(ids, pager, st.free_pages - st.protected_pages, 0), 0);
        assert_int_equal(mpg_alloc(ids + 249, pager, 0), MPG_E_NO_SPACE);
        assert_int_equal(mpg_free_bulk(pager, ids, 70), 0);
        assert_int_equal(mpg_alloc_protected(protected_ids, pager), 0);
        assert_int_equal(mpg_stat(&st, pager), 0);
        assert_int_equal(st.directory_height, 1);
        assert_int_equal(mpg_close(pager), 0);
    }
}

static int disk_room(void *context, int fd, uint64_t *bytes)
{
    (void)context;
    (void)fd;
    *bytes = 300 * 4096;
    return 0;
}

static int allocations;

static int counted_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    allocations++;
    return mpgi_io_system.allocate(context, fd, offset, length);
}

/* Other programs would find the disk full meanwhile. */
static void a_disk_that_is_too_small_is_not_filled_to_find_that_out(void **state)
{
    mpg_options options = MPG_OPTIONS_INIT;
    struct mpg_stat before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    mpg_protected_id protected_ids[151];
    mpg_page_id ids[302];
    mpg_pager *pager;

    (void)state;
    calls.room = disk_room;
    calls.allocate = counted_allocate;
    assert_int_equal(mpgi_create_with(&pager, PATH, &options, &calls, NULL), 0);
    assert_int_equal(mpg_stat(&before, pager), 0);
    allocations = 0;
    assert_int_equal(mpg_alloc_bulk(ids, pager, 302, 0), MPG_E_NO_SPACE);
    assert_int_equal(mpg_alloc_protected_bulk(protected_ids, pager, 151), MPG_E_NO_SPACE);
    assert_int_equal(allocations, 0);
    assert_int_equal(mpg_stat(&after, pager), 0);
    assert_int_equal(after.file_bytes, before.file_bytes);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 301, 0), 0);
    assert_int_equal(mpg_close(pager), 0);
}

/* fallocate may have taken a part when it fails. */
static int half_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    assert_int_equal(ftruncate(fd, (off_t)(offset + length / 2)), 0);
    errno = ENOSPC;
    return -1;
}

static void what_a_failed_growth_has_taken_is_given_back(void **state)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_page_id ids[500];
    mpg_pager *pager;
    struct stat before, after;

    (void)state;
    calls.allocate = mpgi_io_system.allocate;
    assert_int_equal(mpgi_create_with(&pager, PATH, &options, &calls, NULL), 0);
    calls.allocate = half_allocate;
    assert_int_equal(stat(PATH, &before), 0);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 500, 0), MPG_E_NO_SPACE);
    assert_int_equal(stat(PATH, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(mpg_close(pager), 0);
}

/* A copy on a full disk, where opening found no room to write again what it found. */
static void a_compaction_without_room_leaves_the_pager_as_it_was(void **state)
{
    static const int formats[] = {MPG_FORMAT_1, MPG_FORMAT_0_2};

    (void)state;
    for (int i = 0; i < 2; i++) {
        mpg_options options = MPG_OPTIONS_INIT;
        mpg_protected_id guarded;
        mpg_page_id ids[50];
        mpg_pager *pager;

        options.format = formats[i];
        (void)unlink(PATH);
        disk_end = UINT64_MAX;
        assert_int_equal(mpgi_create_with(&pager, PATH, &options, &calls, NULL), 0);
        assert_int_equal(mpg_alloc_bulk(ids, pager, 50, 0), 0);
        assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
        assert_int_equal(mpg_free_bulk(pager, ids, 40), 0);
        assert_int_equal(mpg_close(pager), 0);
        disk_end = 0;
        assert_int_equal(mpgi_open_with(&pager, PATH, NULL, false, &calls, NULL), 0);
        assert_int_equal(mpg_alloc(ids, pager, 0), MPG_E_NO_SPACE);
        assert_int_equal(mpg_compact(NULL, pager, NULL), MPG_E_NO_SPACE);
        assert_int_equal(mpg_alloc(ids, pager, 0), MPG_E_NO_SPACE);
        disk_end = UINT64_MAX;
        assert_int_equal(mpg_alloc(ids, pager, 0), 0);
        disk_end = 0;
        assert_int_equal(mpg_compact(NULL, pager, NULL), MPG_E_NO_SPACE);
        assert_int_equal(mpg_alloc(ids, pager, 0), MPG_E_NO_SPACE);
        disk_end = UINT64_MAX;
        assert_int_equal(mpg_compact(NULL, pager, NULL), 0);
        assert_int_equal(mpg_alloc(ids, pager, 0), 0);
        assert_int_equal(mpg_close(pager), 0);
    }
}

static bool has_space[4096]; /* by page */
static bool is_full, says_nothing;

/* Page by page, and nothing for what has it already, as XFS may on a disk that is all but full. */
static int reluctant_back(void *context, int fd, uint64_t offset, uint64_t length)
{
    (void)context;
    (void)fd;
    if (length == 4096 && !has_space[offset / 4096] && !is_full) {
        has_space[offset / 4096] = true;
        return 0;
    }
    errno = ENOSPC;
    return -1;
}

static uint64_t spaces(void *context, int fd, uint64_t offset, uint64_t length)
{
    uint64_t known = 0;

    (void)context;
    (void)fd;
    while (known < length && !says_nothing && has_space[(offset + known) / 4096])
        known += 4096;
    return known;
}

static void a_page_that_has_space_keeps_its_address_when_the_disk_is_full(void **state)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_page_id id, without;
    mpg_pager *pager;
    void *data;

    (void)state;
    options.initial_pages = 100;
    assert_int_equal(mpgi_create_with(&pager, PATH, &options, &calls, NULL), 0);
    assert_int_equal(mpg_alloc(&without, pager, 0), 0);
    assert_int_equal(mpg_close(pager), 0);
    calls.back = reluctant_back;
    calls.backed = spaces;
    assert_int_equal(mpgi_open_with(&pager, PATH, NULL, false, &calls, NULL), 0);
    for (int i = 0; i < 4; i++) {
        says_nothing = i >= 2; /* as of what was shared with another file a moment ago */
        assert_int_equal(mpg_alloc(&id, pager, i == 0 ? MPG_ZERO : 0), 0);
        assert_true(has_space[id.value]);
        assert_int_equal(mpg_page_get_mut(&data, pager, id), 0);
        memset(data, 'x', 4096);
    }
    /* Not so a page without. */
    is_full = true;
    assert_int_equal(mpg_page_get_mut(&data, pager, without), MPG_E_NO_SPACE);
    assert_int_equal(mpg_close(pager), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(space_is_taken_without_fallocate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_an_error_and_the_file_stays_as_it_was,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_on_a_full_disk_takes_pages_just_freed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_is_too_small_is_not_filled_to_find_that_out,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_failed_growth_has_taken_is_given_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_compaction_without_room_leaves_the_pager_as_it_was,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_page_that_has_space_keeps_its_address_when_the_disk_is_full, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("growing", tests, NULL, NULL);
}
