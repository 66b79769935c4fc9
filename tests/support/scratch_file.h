/* SPDX-License-Identifier: MIT */
/* For tests: a page file in a directory of its own, in each of the formats. */
#ifndef SCRATCH_FILE_H
#define SCRATCH_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mappedpages.h"

/* Sanitizers end a program that asks for more memory than there is; some tests do ask. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* What a test gets as its state. */
struct scratch {
    int format;         /* MPG_FORMAT_… */
    char directory[32]; /* below the current one */
    char path[64];      /* of the page file */
};

/* The format of the files of the tests that follow. */
static int scratch_format;

/* A test of cmocka that has a scratch file. */
#define SCRATCH_TEST(test) cmocka_unit_test_setup_teardown(test, scratch_begin, scratch_end)

static int scratch_begin(void **state)
{
    struct scratch *scratch = calloc(1, sizeof(*scratch));

    if (scratch == NULL)
        return -1;
    scratch->format = scratch_format;
    snprintf(scratch->directory, sizeof(scratch->directory), "scratch-XXXXXX");
    if (mkdtemp(scratch->directory) == NULL)
        return -1;
    snprintf(scratch->path, sizeof(scratch->path), "%s/pages", scratch->directory);
    *state = scratch;
    return 0;
}

static int scratch_end(void **state)
{
    struct scratch *scratch = *state;

    unlink(scratch->path);
    int code = rmdir(scratch->directory);
    free(scratch);
    return code;
}

/* Runs the array of tests once in each format. The result is the exit status. */
#define SCRATCH_RUN(name, tests) scratch_run(name, tests, sizeof(tests) / sizeof((tests)[0]))

__attribute__((unused)) static int scratch_run(const char *name, const struct CMUnitTest *tests,
                                               size_t count)
{
    static const struct {
        int format;
        const char *name;
    } formats[] = {{MPG_FORMAT_0_2, "0.2"}, {MPG_FORMAT_1, "1"}};
    int failed = 0;

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        char group[64];
        snprintf(group, sizeof(group), "%s, format %s", name, formats[i].name);
        scratch_format = formats[i].format;
        failed |= _cmocka_run_group_tests(group, tests, count, NULL, NULL);
    }
    return failed != 0;
}

/* The options for a scratch file. */
__attribute__((unused)) static mpg_options scratch_options(const struct scratch *scratch,
                                                           uint32_t page_size)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.format = scratch->format;
    options.page_size = page_size;
    return options;
}

/* Makes the scratch file. Allocations are deferred, which spares the tests thousands of syncs. */
__attribute__((unused)) static mpg_pager *scratch_create(const struct scratch *scratch,
                                                         uint32_t page_size)
{
    mpg_options options = scratch_options(scratch, page_size);
    mpg_pager *pager = NULL;

    options.flags = MPG_DEFER_ALLOCATION;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    return pager;
}

__attribute__((unused)) static mpg_pager *scratch_open(const struct scratch *scratch)
{
    mpg_pager *pager = NULL;

    assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
    return pager;
}

/* How many regular pages the file has. */
__attribute__((unused)) static uint64_t count_regular_pages(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, pager), 0);
    return st.regular_pages;
}

/* The file has no fault, and its pager closes without one. */
__attribute__((unused)) static void check_and_close(mpg_pager *pager)
{
    mpg_check_result result;

    assert_int_equal(mpg_check(&result, pager, NULL), 0);
    assert_int_equal(result.faults, 0);
    assert_int_equal(mpg_close(pager), 0);
}

#endif
