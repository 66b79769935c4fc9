/* SPDX-License-Identifier: MIT */
/* For the tests of the public functions one by one: every format with every kind of page size. */
#ifndef API_H
#define API_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "support/scratch_file.h"

/* The page size of the files of the tests that follow, in bytes. */
static uint32_t api_page_size;

/* Runs the array of tests in each format, with pages of each of some sizes. */
#define API_RUN(name, tests) api_run(name, tests, sizeof(tests) / sizeof((tests)[0]))

__attribute__((unused)) static int api_run(const char *name, const struct CMUnitTest *tests,
                                           size_t count)
{
    static const uint32_t sizes[] = {1024, 4096, 65536, 1 << 20};
    int failed = 0;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char group[48];

        api_page_size = sizes[i];
        snprintf(group, sizeof(group), "%s, pages of %u bytes", name, (unsigned)sizes[i]);
        failed |= scratch_run(group, tests, count);
    }
    return failed;
}

static mpg_options api_options(const struct scratch *scratch)
{
    return scratch_options(scratch, api_page_size);
}

/* A new file, open for writing. */
__attribute__((unused)) static mpg_pager *api_create(const struct scratch *scratch)
{
    mpg_options options = api_options(scratch);
    mpg_pager *pager = NULL;

    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    return pager;
}

/* A call fails with this error, and the details of the last failure say so, too. */
#define assert_error(call, code) assert_error_at(call, code, __FILE__, __LINE__)

__attribute__((unused)) static void assert_error_at(int result, int wanted, const char *file,
                                                    int line)
{
    mpg_error_info info;

    if (result != wanted)
        print_error("%s instead of %s\n", mpg_strerror(result), mpg_strerror(wanted));
    _assert_int_equal((uint64_t)result, (uint64_t)wanted, file, line);
    _assert_int_equal((uint64_t)mpg_last_error(&info), (uint64_t)wanted, file, line);
    _assert_int_equal((uint64_t)info.code, (uint64_t)wanted, file, line);
    _assert_true(info.operation[0] != '\0' && info.message[0] != '\0', "details", file, line);
}

__attribute__((unused)) static struct mpg_stat stat_of(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, pager), 0);
    return st;
}

__attribute__((unused)) static enum mpg_page_use use_of(const mpg_pager *pager, uint64_t page)
{
    enum mpg_page_use use;

    assert_int_equal(mpg_page_use(&use, pager, page), 0);
    return use;
}

/* A page full of one byte; free() it. */
__attribute__((unused)) static unsigned char *page_of(int byte)
{
    unsigned char *page = malloc(api_page_size);

    assert_non_null(page);
    memset(page, byte, api_page_size);
    return page;
}

__attribute__((unused)) static bool is_filled(const void *data, int byte)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < api_page_size; i++)
        if (bytes[i] != (unsigned char)byte)
            return false;
    return true;
}

/* Which byte fills the committed content of a protected page, or -1. */
__attribute__((unused)) static int protected_byte(const mpg_pager *pager, mpg_protected_id id)
{
    unsigned char *page = page_of(0);
    int byte;

    assert_int_equal(mpg_protected_read(page, pager, id), 0);
    byte = is_filled(page, page[0]) ? page[0] : -1;
    free(page);
    return byte;
}

/* Commits a content full of one byte. */
__attribute__((unused)) static int put_protected(mpg_pager *pager, mpg_protected_id id, int byte)
{
    mpg_writer *writer;
    int result = mpg_writer_open(&writer, pager, id);

    if (result != 0)
        return result;
    memset(mpg_writer_data(writer), byte, api_page_size);
    result = mpg_writer_commit(writer);
    if (result != 0)
        mpg_writer_discard(writer);
    return result;
}

#endif
