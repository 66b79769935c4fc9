/* SPDX-License-Identifier: MIT */
/*
 * How a file of format 0.2 ends: its bitmap has room for (page size - 28) * 8 pages, all of them
 * can be had, the next one is "file full", and nothing is lost by asking.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mappedpages.h"

#define PAGE_SIZE 4096
#define PAGES_THAT_FIT 32544
#define OWN_PAGES 3   /* 0, 1 and 2 */
#define MARK_EVERY 97 /* pages between those that get a content: the file stays sparse */

struct full {
    char path[32];
    mpg_pager *pager;
    mpg_page_id *ids; /* all regular pages, by id */
    size_t count;     /* of them */
};

/* Content that tells where it belongs. */
static void mark(struct full *full, size_t i)
{
    char text[32];
    int length = snprintf(text, sizeof text, "page %" PRIu64, full->ids[i].value);

    assert_int_equal(mpg_page_write(full->pager, full->ids[i], text, 0, (size_t)length + 1), 0);
}

static void assert_nothing_lost(const struct full *full)
{
    char text[32], expected[32];
    mpg_page_iter iter;
    mpg_page_id id;
    size_t met = 0;

    mpg_page_iter_begin(&iter, full->pager, (mpg_page_id){0});
    while (mpg_page_iter_next(&id, &iter) == 1) {
        assert_in_range(met, 0, full->count - 1);
        assert_int_equal(id.value, full->ids[met].value);
        if (met % MARK_EVERY == 0) {
            snprintf(expected, sizeof expected, "page %" PRIu64, id.value);
            assert_int_equal(mpg_page_read(text, full->pager, id, 0, sizeof text), 0);
            assert_string_equal(text, expected);
        }
        met++;
    }
    assert_int_equal(met, full->count);
}

static void assert_no_faults(const struct full *full)
{
    mpg_check_result result;

    assert_int_equal(mpg_check(&result, full->pager, NULL), 0);
    assert_int_equal(result.faults, 0);
}

static int open_new(void **state)
{
    struct full *full = calloc(1, sizeof *full);
    mpg_options options = MPG_OPTIONS_INIT;

    options.page_size = PAGE_SIZE;
    options.format = MPG_FORMAT_0_2;
    options.flags = MPG_SPARSE;
    if (!full)
        return -1;
    snprintf(full->path, sizeof full->path, "full-XXXXXX");
    int fd = mkstemp(full->path);
    if (fd < 0 || close(fd) || unlink(full->path))
        return -1;
    full->ids = calloc(PAGES_THAT_FIT, sizeof *full->ids);
    *state = full;
    return full->ids ? mpg_create(&full->pager, full->path, &options) : -1;
}

static int close_and_remove(void **state)
{
    struct full *full = *state;
    int error = mpg_close(full->pager);

    unlink(full->path);
    free(full->ids);
    free(full);
    return error;
}

static void fill(struct full *full)
{
    full->count = PAGES_THAT_FIT - OWN_PAGES;
    assert_int_equal(mpg_alloc_bulk(full->ids, full->pager, full->count, 0), 0);
    for (size_t i = 0; i < full->count; i += MARK_EVERY)
        mark(full, i);
}

static void every_page_that_fits_can_be_had(void **state)
{
    struct full *full = *state;
    struct mpg_stat st = {.size = sizeof st};

    fill(full);
    for (size_t i = 0; i < full->count; i++)
        assert_int_equal(full->ids[i].value, OWN_PAGES + i);
    assert_int_equal(mpg_stat(&st, full->pager), 0);
    assert_int_equal(st.max_pages, PAGES_THAT_FIT);
    assert_int_equal(st.total_pages, PAGES_THAT_FIT);
    assert_int_equal(st.free_pages, 0);
    assert_nothing_lost(full);
    assert_no_faults(full);
}

static void one_more_is_file_full_and_changes_nothing(void **state)
{
    struct full *full = *state;
    mpg_page_id id = {7}, ids[2];
    mpg_protected_id protected_id = {7};
    struct mpg_stat before = {.size = sizeof before}, after = {.size = sizeof after};

    fill(full);
    assert_int_equal(mpg_stat(&before, full->pager), 0);
    assert_int_equal(mpg_alloc(&id, full->pager, 0), MPG_E_FILE_FULL);
    assert_int_equal(id.value, 7);
    assert_int_equal(mpg_alloc_at(full->pager, (mpg_page_id){PAGES_THAT_FIT}, 0), MPG_E_FILE_FULL);
    assert_int_equal(mpg_alloc_protected(&protected_id, full->pager), MPG_E_FILE_FULL);
    assert_int_equal(protected_id.value, 7);
    /* One page is free: two are not to be had, and the one is not lost in trying. */
    assert_int_equal(mpg_free(full->pager, full->ids[full->count - 1]), 0);
    assert_int_equal(mpg_alloc_bulk(ids, full->pager, 2, 0), MPG_E_FILE_FULL);
    assert_int_equal(mpg_alloc(&id, full->pager, 0), 0);
    assert_int_equal(id.value, full->ids[full->count - 1].value);
    assert_int_equal(mpg_stat(&after, full->pager), 0);
    assert_int_equal(after.total_pages, before.total_pages);
    assert_int_equal(after.file_bytes, before.file_bytes);
    assert_int_equal(after.free_pages, 0);
    assert_nothing_lost(full);
    assert_no_faults(full);
}

static void a_full_file_opens_again_whole(void **state)
{
    struct full *full = *state;
    mpg_page_id id;

    fill(full);
    assert_int_equal(mpg_alloc(&id, full->pager, 0), MPG_E_FILE_FULL);
    assert_int_equal(mpg_sync(full->pager), 0);
    assert_int_equal(mpg_close(full->pager), 0);
    full->pager = NULL;
    assert_int_equal(mpg_open(&full->pager, full->path, NULL), 0);
    assert_nothing_lost(full);
    assert_no_faults(full);
    assert_int_equal(mpg_alloc(&id, full->pager, 0), MPG_E_FILE_FULL);
}

static void more_initial_pages_than_fit_are_refused(void **state)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager = NULL;

    (void)state;
    options.page_size = PAGE_SIZE;
    options.format = MPG_FORMAT_0_2;
    options.initial_pages = PAGES_THAT_FIT + 1;
    assert_int_equal(mpg_create(&pager, "too-large.mpp", &options), MPG_E_FILE_FULL);
    assert_null(pager);
    assert_int_equal(access("too-large.mpp", F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_page_that_fits_can_be_had, open_new,
                                        close_and_remove),
        cmocka_unit_test_setup_teardown(one_more_is_file_full_and_changes_nothing, open_new,
                                        close_and_remove),
        cmocka_unit_test_setup_teardown(a_full_file_opens_again_whole, open_new, close_and_remove),
        cmocka_unit_test(more_initial_pages_than_fit_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
