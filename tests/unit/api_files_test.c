/* SPDX-License-Identifier: MIT */
/* Creating, opening, closing; what a file says of itself; what is refused and what that leaves. */
#include <inttypes.h>
#include <sys/wait.h>

#include "support/api.h"

/* A pager that no function returned. */
#define UNTOUCHED ((void *)0x5a5a)

static void put_file(const char *path, const void *data, size_t length)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void put_bytes(const char *path, uint64_t offset, const void *data, size_t length)
{
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, length, (off_t)offset), length);
    assert_int_equal(close(fd), 0);
}

/* Creating fails with this error, leaves the pointer alone and no file behind. */
static void assert_no_create(const char *path, const mpg_options *options, int error)
{
    mpg_pager *pager = UNTOUCHED;

    assert_error(mpg_create(&pager, path, options), error);
    assert_ptr_equal(pager, UNTOUCHED);
    assert_int_equal(access(path, F_OK), -1);
}

/* Both ways of opening fail with this error and leave the pointer alone. */
static void assert_no_open(const char *path, const mpg_options *options, int error)
{
    mpg_pager *pager = UNTOUCHED;
    const mpg_pager *reader = UNTOUCHED;

    assert_error(mpg_open(&pager, path, options), error);
    assert_ptr_equal(pager, UNTOUCHED);
    assert_error(mpg_open_readonly(&reader, path, options), error);
    assert_ptr_equal(reader, UNTOUCHED);
}

/* ---- create ---- */

static void create_without_options_takes_the_defaults(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager;
    struct mpg_stat st;

    assert_int_equal(mpg_create(&pager, scratch->path, NULL), 0);
    st = stat_of(pager);
    assert_int_equal(st.format, MPG_FORMAT_1);
    assert_int_equal(st.page_size, MPG_PAGE_SIZE_DEFAULT);
    assert_int_equal(st.total_pages, 4);
    check_and_close(pager);
}

static void create_refuses_a_path_that_is_taken(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = UNTOUCHED;
    mpg_options options = api_options(scratch);
    char text[4] = {0};
    FILE *file;

    put_file(scratch->path, "mine", 4);
    assert_error(mpg_create(&pager, scratch->path, &options), MPG_E_EXISTS);
    assert_ptr_equal(pager, UNTOUCHED);
    file = fopen(scratch->path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text), file), 4);
    assert_int_equal(fclose(file), 0);
    assert_memory_equal(text, "mine", 4);
}

static void create_refuses_options_of_another_version(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);

    options.size--;
    assert_no_create(scratch->path, &options, MPG_E_INVALID);
}

static void create_refuses_page_sizes_that_are_none(void **state)
{
    const struct scratch *scratch = *state;
    const uint32_t sizes[] = {1, 512, 1023, 1025, 3000, UINT32_C(1) << 31, UINT32_MAX};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        mpg_options options = scratch_options(scratch, sizes[i]);

        assert_no_create(scratch->path, &options, MPG_E_INVALID_PAGE_SIZE);
    }
}

static void create_refuses_formats_that_are_none(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);

    options.format = 1;
    assert_no_create(scratch->path, &options, MPG_E_INVALID);
    options.format = -1;
    assert_no_create(scratch->path, &options, MPG_E_INVALID);
}

static void a_label_of_the_longest_length_is_kept(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);
    char label[MPG_LABEL_MAX + 1];
    mpg_pager *pager;

    memset(label, 'x', MPG_LABEL_MAX);
    label[MPG_LABEL_MAX] = '\0';
    options.label = label;
    if (scratch->format == MPG_FORMAT_0_2) {
        assert_no_create(scratch->path, &options, MPG_E_INVALID);
        return;
    }
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_close(pager), 0);
    pager = scratch_open(scratch);
    assert_string_equal(stat_of(pager).label, label);
    check_and_close(pager);
}

static void a_label_longer_than_that_is_refused(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);
    char label[MPG_LABEL_MAX + 2];

    memset(label, 'x', MPG_LABEL_MAX + 1);
    label[MPG_LABEL_MAX + 1] = '\0';
    options.label = label;
    assert_no_create(scratch->path, &options, MPG_E_INVALID);
}

static void a_file_begins_with_as_many_pages_as_asked_for(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);
    struct mpg_stat st;
    mpg_pager *pager;

    options.initial_pages = 37;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    st = stat_of(pager);
    assert_int_equal(st.total_pages, 37);
    assert_int_equal(st.free_pages, 34);
    assert_int_equal(st.file_bytes, UINT64_C(37) * api_page_size);
    check_and_close(pager);
}

static void fewer_than_four_initial_pages_are_four(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);
    mpg_pager *pager;

    options.initial_pages = 1;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(stat_of(pager).total_pages, 4);
    check_and_close(pager);
}

static void create_refuses_more_pages_than_the_format_holds(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);

    options.initial_pages = UINT64_MAX;
    assert_no_create(scratch->path, &options, MPG_E_FILE_FULL);
    if (scratch->format == MPG_FORMAT_0_2) {
        options.initial_pages = (UINT64_C(8) * (api_page_size - 28)) + 1;
        assert_no_create(scratch->path, &options, MPG_E_FILE_FULL);
    }
}

static void create_in_a_missing_directory_is_an_io_error(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);
    mpg_error_info info;
    char path[96];

    snprintf(path, sizeof(path), "%s/missing/pages", scratch->directory);
    assert_no_create(path, &options, MPG_E_IO);
    (void)mpg_last_error(&info);
    assert_int_equal(info.system_errno, ENOENT);
    assert_non_null(strstr(info.message, path));
}

/* ---- open ---- */

static void open_of_nothing_is_an_io_error(void **state)
{
    const struct scratch *scratch = *state;
    mpg_error_info info;

    assert_no_open(scratch->path, NULL, MPG_E_IO);
    (void)mpg_last_error(&info);
    assert_int_equal(info.system_errno, ENOENT);
    assert_string_equal(info.operation, "open");
    assert_int_equal(info.page, MPG_NO_PAGE);
    assert_non_null(strstr(info.message, scratch->path));
}

static void open_of_a_directory_is_an_io_error(void **state)
{
    const struct scratch *scratch = *state;
    mpg_error_info info;

    assert_no_open(scratch->directory, NULL, MPG_E_IO);
    (void)mpg_last_error(&info);
    assert_int_equal(info.system_errno, EISDIR);
}

static void open_of_a_fifo_does_not_wait(void **state)
{
    const struct scratch *scratch = *state;

    assert_int_equal(mkfifo(scratch->path, 0600), 0);
    assert_no_open(scratch->path, NULL, MPG_E_IO);
}

static void open_refuses_what_is_no_page_file(void **state)
{
    const struct scratch *scratch = *state;
    char text[8192];

    put_file(scratch->path, "", 0);
    assert_no_open(scratch->path, NULL, MPG_E_CORRUPT_SUPERBLOCK);
    put_file(scratch->path, "MPPG", 4);
    assert_no_open(scratch->path, NULL, MPG_E_CORRUPT_SUPERBLOCK);
    memset(text, 'x', sizeof(text));
    put_file(scratch->path, text, sizeof(text));
    assert_no_open(scratch->path, NULL, MPG_E_CORRUPT_SUPERBLOCK);
}

static void open_refuses_options_of_another_version(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = MPG_OPTIONS_INIT;

    assert_int_equal(mpg_close(api_create(scratch)), 0);
    options.size++;
    assert_no_open(scratch->path, &options, MPG_E_INVALID);
}

static void open_refuses_a_page_size_that_is_not_the_files(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;

    assert_int_equal(mpg_close(api_create(scratch)), 0);
    options.page_size = api_page_size * 2;
    assert_no_open(scratch->path, &options, MPG_E_INVALID_PAGE_SIZE);
    options.page_size = api_page_size;
    assert_int_equal(mpg_open(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_page_size(pager), api_page_size);
    check_and_close(pager);
}

static void open_refuses_versions_it_does_not_know(void **state)
{
    const struct scratch *scratch = *state;
    const unsigned char two = 2, three = 3, zero = 0;

    assert_int_equal(mpg_close(api_create(scratch)), 0);
    put_bytes(scratch->path, 4, &two, 1);
    assert_no_open(scratch->path, NULL, MPG_E_UNSUPPORTED_VERSION);
    put_bytes(scratch->path, 4, &zero, 1);
    put_bytes(scratch->path, 5, &three, 1);
    assert_no_open(scratch->path, NULL, MPG_E_CORRUPT_SUPERBLOCK);
}

static void open_refuses_a_file_without_good_metadata(void **state)
{
    const struct scratch *scratch = *state;
    const unsigned char bad[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    assert_int_equal(mpg_close(api_create(scratch)), 0);
    put_bytes(scratch->path, api_page_size, bad, sizeof(bad));
    put_bytes(scratch->path, UINT64_C(2) * api_page_size, bad, sizeof(bad));
    assert_no_open(scratch->path, NULL, MPG_E_CORRUPT_METADATA);
}

static void open_tells_that_a_file_was_cut_short(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);

    /* Twice: a single commit that lacks its pages could be one that a crash cut off. */
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){100}, 0), 0);
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){101}, 0), 0);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(truncate(scratch->path, (off_t)api_page_size * 50), 0);
    assert_no_open(scratch->path, NULL, MPG_E_TRUNCATED);
}

static void a_second_writer_is_told_that_the_file_is_busy(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch), *second = UNTOUCHED;

    assert_error(mpg_open(&second, scratch->path, NULL), MPG_E_BUSY);
    assert_ptr_equal(second, UNTOUCHED);
    check_and_close(pager);
    check_and_close(scratch_open(scratch));
}

static void a_locking_reader_and_a_writer_keep_each_other_out(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch), *second;
    const mpg_pager *reader = UNTOUCHED, *other;
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_LOCK_SHARED;
    assert_error(mpg_open_readonly(&reader, scratch->path, &options), MPG_E_BUSY);
    assert_ptr_equal(reader, UNTOUCHED);
    check_and_close(pager);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, &options), 0);
    assert_int_equal(mpg_open_readonly(&other, scratch->path, &options), 0);
    assert_error(mpg_open(&second, scratch->path, NULL), MPG_E_BUSY);
    assert_int_equal(mpg_close(other), 0);
    assert_int_equal(mpg_close(reader), 0);
    check_and_close(scratch_open(scratch));
}

/* ---- permissions, as an ordinary user ---- */

/*
 * Calls opening functions as an ordinary user, and returns what mpg_open and mpg_open_readonly
 * said.
 */
static void open_as_ordinary_user(const char *path, int *writing, int *reading)
{
    int status, results[2], ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        mpg_pager *pager = NULL;
        const mpg_pager *reader = NULL;

        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(1);
        results[0] = mpg_open(&pager, path, NULL);
        if (results[0] == 0)
            (void)mpg_close(pager);
        results[1] = mpg_open_readonly(&reader, path, NULL);
        if (results[1] == 0)
            (void)mpg_close(reader);
        _exit(write(ends[1], results, sizeof(results)) == (ssize_t)sizeof(results) ? 0 : 1);
    }
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(read(ends[0], results, sizeof(results)), sizeof(results));
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    *writing = results[0];
    *reading = results[1];
}

/* Whether an ordinary user can come as far as the directory that the scratch files are in. */
static bool is_reachable(const struct scratch *scratch)
{
    char path[4096];
    pid_t child;
    int status;

    assert_int_equal(chmod(scratch->directory, 0755), 0);
    assert_non_null(realpath(scratch->directory, path));
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(1);
        _exit(access(path, X_OK) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status == 0;
}

static void a_file_that_may_not_be_written_can_be_read(void **state)
{
    const struct scratch *scratch = *state;
    int writing, reading;

    if (!is_reachable(scratch))
        skip();
    assert_int_equal(mpg_close(api_create(scratch)), 0);
    assert_int_equal(chmod(scratch->path, 0444), 0);
    open_as_ordinary_user(scratch->path, &writing, &reading);
    assert_int_equal(writing, MPG_E_READ_ONLY);
    assert_int_equal(reading, 0);
}

static void a_file_that_may_not_be_read_is_an_io_error(void **state)
{
    const struct scratch *scratch = *state;
    int writing, reading;

    if (!is_reachable(scratch))
        skip();
    assert_int_equal(mpg_close(api_create(scratch)), 0);
    assert_int_equal(chmod(scratch->path, 0), 0);
    open_as_ordinary_user(scratch->path, &writing, &reading);
    assert_int_equal(reading, MPG_E_IO);
    assert_int_equal(chmod(scratch->path, 0600), 0);
}

static void open_makes_a_file_where_it_may(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, 2048);
    const mpg_pager *reader;
    mpg_error_info error;
    mpg_pager *pager;
    mpg_page_id page;
    char elsewhere[64];

    assert_int_equal(mpg_open(&pager, scratch->path, &options), MPG_E_IO);
    assert_int_equal(mpg_last_error(&error), MPG_E_IO);
    assert_int_equal(error.system_errno, ENOENT);
    options.flags = MPG_CREATE;
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, &options), MPG_E_INVALID);
    assert_int_equal(mpg_open(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_page_size(pager), 2048);
    assert_int_equal(mpg_alloc(&page, pager, 0), 0);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(mpg_open(&pager, scratch->path, &options), 0);
    assert_int_equal(count_regular_pages(pager), 1);
    check_and_close(pager);

    /* A file that is there and cannot be opened is not replaced. */
    options.page_size = 4096;
    assert_int_equal(mpg_open(&pager, scratch->path, &options), MPG_E_INVALID_PAGE_SIZE);
    options.page_size = 2048;
    assert_int_equal(mpg_open(&pager, "no/such/directory", &options), MPG_E_IO);

    /* Where a name leads to nothing, or to a file that is still empty. */
    assert_int_equal(unlink(scratch->path), 0);
    assert_int_equal(symlink("elsewhere", scratch->path), 0);
    assert_int_equal(mpg_open(&pager, scratch->path, &options), 0);
    check_and_close(pager);
    assert_int_equal(truncate(scratch->path, 0), 0);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_CORRUPT_SUPERBLOCK);
    assert_int_equal(mpg_open(&pager, scratch->path, &options), 0);
    check_and_close(pager);
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", scratch->directory);
    assert_int_equal(unlink(elsewhere), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(create_without_options_takes_the_defaults),
        SCRATCH_TEST(create_refuses_a_path_that_is_taken),
        SCRATCH_TEST(create_refuses_options_of_another_version),
        SCRATCH_TEST(create_refuses_page_sizes_that_are_none),
        SCRATCH_TEST(create_refuses_formats_that_are_none),
        SCRATCH_TEST(a_label_of_the_longest_length_is_kept),
        SCRATCH_TEST(a_label_longer_than_that_is_refused),
        SCRATCH_TEST(a_file_begins_with_as_many_pages_as_asked_for),
        SCRATCH_TEST(fewer_than_four_initial_pages_are_four),
        SCRATCH_TEST(create_refuses_more_pages_than_the_format_holds),
        SCRATCH_TEST(create_in_a_missing_directory_is_an_io_error),
        SCRATCH_TEST(open_of_nothing_is_an_io_error),
        SCRATCH_TEST(open_makes_a_file_where_it_may),
        SCRATCH_TEST(open_of_a_directory_is_an_io_error),
        SCRATCH_TEST(open_of_a_fifo_does_not_wait),
        SCRATCH_TEST(open_refuses_what_is_no_page_file),
        SCRATCH_TEST(open_refuses_options_of_another_version),
        SCRATCH_TEST(open_refuses_a_page_size_that_is_not_the_files),
        SCRATCH_TEST(open_refuses_versions_it_does_not_know),
        SCRATCH_TEST(open_refuses_a_file_without_good_metadata),
        SCRATCH_TEST(open_tells_that_a_file_was_cut_short),
        SCRATCH_TEST(a_second_writer_is_told_that_the_file_is_busy),
        SCRATCH_TEST(a_locking_reader_and_a_writer_keep_each_other_out),
        SCRATCH_TEST(a_file_that_may_not_be_written_can_be_read),
        SCRATCH_TEST(a_file_that_may_not_be_read_is_an_io_error),
    };

    return API_RUN("files", tests);
}
