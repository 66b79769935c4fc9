/* SPDX-License-Identifier: MIT */
/* mpg_create, mpg_open, mpg_open_readonly, mpg_refresh, mpg_close, mpg_stat: what each returns. */
#include <fcntl.h>
#include <sys/stat.h>

#include "scratch_file.h"

static void create_makes_what_was_asked_for(void **state)
{
    struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, 2048);
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_pager *pager;

    options.initial_pages = 50;
    options.label = scratch->format == MPG_FORMAT_1 ? "a label" : NULL;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_stat(&st, pager), 0);
    assert_int_equal(st.format, scratch->format);
    assert_int_equal(st.page_size, 2048);
    assert_int_equal(mpg_page_size(pager), 2048);
    assert_int_equal(st.total_pages, 50);
    assert_int_equal(st.free_pages, 47);
    assert_int_equal(st.metadata_pages, 3);
    assert_int_equal(st.regular_pages, 0);
    assert_int_equal(st.protected_pages, 0);
    assert_false(st.read_only);
    assert_true(st.file_bytes >= 50 * 2048);
    assert_string_equal(st.label, options.label != NULL ? options.label : "");
    check_and_close(pager);
}

static void create_refuses_nonsense(void **state)
{
    static const uint32_t sizes[] = {1, 512, 1000, 1025, 3072, 1u << 31};
    struct scratch *scratch = *state;
    mpg_options options;
    mpg_pager *pager = NULL;
    char label[MPG_LABEL_MAX + 2];

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        options = scratch_options(scratch, sizes[i]);
        assert_int_equal(mpg_create(&pager, scratch->path, &options), MPG_E_INVALID_PAGE_SIZE);
    }
    options = scratch_options(scratch, 1024);
    options.format = 7;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), MPG_E_INVALID);
    options = scratch_options(scratch, 1024);
    options.size--;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), MPG_E_INVALID);
    options = scratch_options(scratch, 1024);
    memset(label, 'x', sizeof(label));
    label[MPG_LABEL_MAX + 1] = '\0';
    options.label = label;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), MPG_E_INVALID);
    options = scratch_options(scratch, 1024);
    options.initial_pages = UINT64_MAX;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), MPG_E_FILE_FULL);
    assert_null(pager);
    assert_int_equal(access(scratch->path, F_OK), -1);
}

static void create_never_replaces_a_file(void **state)
{
    struct scratch *scratch = *state;
    mpg_pager *other = NULL;
    mpg_options options = scratch_options(scratch, 1024);

    check_and_close(scratch_create(scratch, 1024));
    assert_int_equal(mpg_create(&other, scratch->path, &options), MPG_E_EXISTS);
    assert_int_equal(mpg_create(&other, "no-such-directory/pages", &options), MPG_E_IO);
    assert_null(other);
    check_and_close(scratch_open(scratch));
}

static void one_writer_and_any_number_of_readers(void **state)
{
    struct scratch *scratch = *state;
    mpg_options options = MPG_OPTIONS_INIT;
    const mpg_pager *reader, *another;
    mpg_pager *writer = scratch_create(scratch, 1024), *second = NULL;

    assert_int_equal(mpg_open(&second, scratch->path, NULL), MPG_E_BUSY);
    assert_null(second);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    assert_int_equal(mpg_open_readonly(&another, scratch->path, NULL), 0);
    options.flags = MPG_LOCK_SHARED;
    assert_int_equal(mpg_close(another), 0);
    assert_int_equal(mpg_open_readonly(&another, scratch->path, &options), MPG_E_BUSY);
    assert_int_equal(mpg_close(writer), 0);
    assert_int_equal(mpg_open_readonly(&another, scratch->path, &options), 0);
    assert_int_equal(mpg_open(&second, scratch->path, NULL), MPG_E_BUSY);
    assert_int_equal(mpg_close(another), 0);
    second = scratch_open(scratch);
    assert_int_equal(mpg_close(second), 0);
    assert_int_equal(mpg_close(reader), 0);
    assert_int_equal(mpg_close(NULL), 0);
}

static void a_reader_moves_on_when_it_refreshes(void **state)
{
    struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, 1024);
    const mpg_pager *reader;
    mpg_pager *writer;
    mpg_page_id id;

    assert_int_equal(mpg_create(&writer, scratch->path, &options), 0);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    assert_int_equal(mpg_alloc(&id, writer, 0), 0);
    assert_int_equal(count_regular_pages(reader), 0);
    assert_int_equal(mpg_refresh(reader), 0);
    assert_int_equal(count_regular_pages(reader), 1);
    assert_int_equal(mpg_refresh(writer), MPG_E_INVALID);
    assert_int_equal(mpg_close(reader), 0);
    check_and_close(writer);
}

static void open_wants_the_page_size_of_the_file(void **state)
{
    struct scratch *scratch = *state;
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager = NULL;

    check_and_close(scratch_create(scratch, 4096));
    options.page_size = 1024;
    assert_int_equal(mpg_open(&pager, scratch->path, &options), MPG_E_INVALID_PAGE_SIZE);
    options.page_size = 4096;
    assert_int_equal(mpg_open(&pager, scratch->path, &options), 0);
    check_and_close(pager);
}

static void deferred_allocations_are_durable_after_close(void **state)
{
    struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, 1024);
    mpg_page_id id;

    for (int i = 0; i < 10; i++)
        assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_close(pager), 0);
    pager = scratch_open(scratch);
    assert_int_equal(count_regular_pages(pager), 10);
    check_and_close(pager);
}

/* Puts bytes into the closed file. */
static void overwrite(const struct scratch *scratch, long offset, const void *data, size_t length)
{
    int fd = open(scratch->path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, length, offset), length);
    close(fd);
}

static void what_is_no_page_file_is_refused(void **state)
{
    struct scratch *scratch = *state;
    mpg_pager *pager = NULL;

    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_IO);
    assert_int_equal(mpg_open(&pager, scratch->directory, NULL), MPG_E_IO);
    check_and_close(scratch_create(scratch, 1024));
    overwrite(scratch, 0, "XXXX", 4);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_CORRUPT_SUPERBLOCK);
    overwrite(scratch, 0, "MPPG\x02", 5);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_UNSUPPORTED_VERSION);
    assert_int_equal(truncate(scratch->path, 10), 0);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_CORRUPT_SUPERBLOCK);
    assert_null(pager);
}

static void damage_is_told_from_a_missing_end(void **state)
{
    struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, 1024);
    mpg_error_info info;
    mpg_pager *pager = NULL;
    char noise[2048];

    options.initial_pages = 40;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_close(pager), 0);
    pager = NULL;
    assert_int_equal(truncate(scratch->path, 20 * 1024), 0);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_TRUNCATED);
    assert_int_equal(truncate(scratch->path, 40 * 1024), 0);
    memset(noise, 0x5a, sizeof(noise));
    overwrite(scratch, 1024, noise, sizeof(noise));
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_CORRUPT_METADATA);
    assert_int_equal(mpg_last_error(&info), MPG_E_CORRUPT_METADATA);
    assert_non_null(strstr(info.message, scratch->path));
    assert_null(pager);
}

static void stat_wants_to_know_what_it_fills(void **state)
{
    struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, 1024);
    struct mpg_stat st = {.size = 3};

    assert_int_equal(mpg_stat(&st, pager), MPG_E_INVALID);
    check_and_close(pager);
}

static void a_file_that_may_not_be_written_is_read_only(void **state)
{
    struct scratch *scratch = *state;
    const mpg_pager *reader;
    mpg_pager *pager = NULL;
    struct mpg_stat st = {.size = sizeof(st)};

    check_and_close(scratch_create(scratch, 1024));
    assert_int_equal(chmod(scratch->path, 0444), 0);
    if (geteuid() != 0) /* root may write it all the same */
        assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_READ_ONLY);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    assert_int_equal(mpg_stat(&st, reader), 0);
    assert_true(st.read_only);
    assert_int_equal(mpg_close(reader), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(create_makes_what_was_asked_for),
        SCRATCH_TEST(create_refuses_nonsense),
        SCRATCH_TEST(create_never_replaces_a_file),
        SCRATCH_TEST(one_writer_and_any_number_of_readers),
        SCRATCH_TEST(a_reader_moves_on_when_it_refreshes),
        SCRATCH_TEST(open_wants_the_page_size_of_the_file),
        SCRATCH_TEST(deferred_allocations_are_durable_after_close),
        SCRATCH_TEST(what_is_no_page_file_is_refused),
        SCRATCH_TEST(damage_is_told_from_a_missing_end),
        SCRATCH_TEST(stat_wants_to_know_what_it_fills),
        SCRATCH_TEST(a_file_that_may_not_be_written_is_read_only),
    };

    return SCRATCH_RUN("files", tests);
}
