/* SPDX-License-Identifier: MIT */
/*
 * What a closed file has twice: whichever page of its metadata is lost, all is there, a writer goes
 * on, and a crash at any of its writes takes nothing from what there was.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "os/io.h"
#include "pager/open.h"
#include "support/scratch_file.h"

#define PROTECTED 70u
#define REGULAR 2000u /* beyond what a root says itself of pages of 1 KiB */

static uint32_t page_size;
static unsigned char *image; /* the closed file */
static size_t image_size;

/* ---- the file ---- */

static void put(mpg_pager *pager, uint64_t id, int byte)
{
    mpg_writer *writer;

    assert_int_equal(mpg_writer_open(&writer, pager, (mpg_protected_id){id}), 0);
    memset(mpg_writer_data(writer), byte, page_size);
    assert_int_equal(mpg_writer_commit(writer), 0);
}

static int content(uint64_t id)
{
    return (int)(id % 200) + 1;
}

static void make_file(const struct scratch *scratch)
{
    mpg_protected_id ids[PROTECTED];
    mpg_pager *pager = scratch_create(scratch, page_size);
    FILE *file;

    if (page_size == 1024 && scratch->format == MPG_FORMAT_1)
        assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){REGULAR}, 0), 0);
    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, PROTECTED), 0);
    for (uint64_t id = 0; id < PROTECTED; id++)
        put(pager, id, content(id));
    check_and_close(pager);
    file = fopen(scratch->path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    image_size = (size_t)ftell(file);
    rewind(file);
    image = malloc(image_size);
    assert_non_null(image);
    assert_int_equal(fread(image, 1, image_size, file), image_size);
    assert_int_equal(fclose(file), 0);
}

/* The closed file without one of its pages. */
static void put_damaged(const struct scratch *scratch, uint64_t page)
{
    int fd = open(scratch->path, O_RDWR | O_TRUNC | O_CLOEXEC);
    unsigned char *zeros = calloc(1, page_size);

    assert_true(fd >= 0 && zeros != NULL);
    assert_int_equal(write(fd, image, image_size), image_size);
    assert_int_equal(pwrite(fd, zeros, page_size, (off_t)(page * page_size)), page_size);
    assert_int_equal(close(fd), 0);
    free(zeros);
}

/* All contents, of which that of `id` may be another one. */
static void must_have_all(const struct scratch *scratch, uint64_t changed, int other)
{
    unsigned char *data = malloc(page_size);
    mpg_check_result result;
    const mpg_pager *pager;

    assert_non_null(data);
    assert_int_equal(mpg_open_readonly(&pager, scratch->path, NULL), 0);
    for (uint64_t id = 0; id < PROTECTED; id++) {
        assert_int_equal(mpg_protected_read(data, pager, (mpg_protected_id){id}), 0);
        if (data[0] != content(id) && (id != changed || data[0] != other))
            fail_msg("protected page %u shows %d", (unsigned)id, data[0]);
    }
    assert_int_equal(mpg_check(&result, pager, NULL), 0);
    if (scratch->format == MPG_FORMAT_1)
        assert_int_equal(result.faults, 0);
    assert_int_equal(mpg_close(pager), 0);
    free(data);
}

/* ---- a process that dies ---- */

static struct io mortal;
static unsigned writes_left;
static bool dead;

static ssize_t mortal_pwrite(void *context, int fd, const void *data, size_t length,
                             uint64_t offset)
{
    dead |= writes_left == 0;
    if (dead)
        return (ssize_t)length; /* nobody will know */
    writes_left--;
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

/*
 * Changes a protected page, allocates, and closes, of which so many writes come about. Returns
 * whether all did.
 */
static bool work(const struct scratch *scratch, uint64_t id, unsigned writes)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;
    mpg_writer *writer;
    int error;

    mortal = mpgi_io_system;
    mortal.pwrite = mortal_pwrite;
    mortal.pwritev = NULL;
    writes_left = writes;
    dead = false;
    error = mpgi_open_with(&pager, scratch->path, &options, false, &mortal, NULL);
    if (dead && error != 0)
        return false;
    assert_int_equal(error, 0);
    for (unsigned round = 0; round < 2 && error == 0; round++) {
        error = mpg_writer_open(&writer, pager, (mpg_protected_id){id});
        if (error == 0) {
            memset(mpg_writer_data(writer), 250, page_size);
            error = mpg_writer_commit(writer);
            if (error != 0)
                mpg_writer_discard(writer);
        }
    }
    assert_true(error == 0 || dead);
    error = mpg_close(pager);
    assert_true(error == 0 || dead);
    return !dead;
}

/* ---- the tests ---- */

static bool is_metadata(const struct scratch *scratch, uint64_t page)
{
    const mpg_pager *pager;
    enum mpg_page_use use;

    assert_int_equal(mpg_open_readonly(&pager, scratch->path, NULL), 0);
    assert_int_equal(mpg_page_use(&use, pager, page), 0);
    assert_int_equal(mpg_close(pager), 0);
    return use == MPG_USE_METADATA;
}

static unsigned list_metadata(const struct scratch *scratch, uint64_t *pages, unsigned most)
{
    unsigned count = 0;

    /* Page 0 of format 0.2 and of format 1 is for who repairs. */
    for (uint64_t page = 1; page < image_size / page_size && count < most; page++) {
        if (is_metadata(scratch, page))
            pages[count++] = page;
    }
    return count;
}

static void any_page_of_metadata_may_be_lost(const struct scratch *scratch)
{
    uint64_t pages[64];
    unsigned count;

    make_file(scratch);
    count = list_metadata(scratch, pages, 64);
    assert_true(count >= 4 && count < 64);
    for (unsigned i = 0; i < count; i++) {
        put_damaged(scratch, pages[i]);
        must_have_all(scratch, UINT64_MAX, 0);
        assert_true(work(scratch, PROTECTED - 1, UINT_MAX));
        must_have_all(scratch, PROTECTED - 1, 250);
    }
    free(image);
}

static void any_page_of_small_files(void **state)
{
    page_size = 1024;
    any_page_of_metadata_may_be_lost(*state);
}

static void any_page_of_files_with_large_pages(void **state)
{
    page_size = 16384;
    any_page_of_metadata_may_be_lost(*state);
}

static void a_writer_may_die_where_a_page_is_lost(void **state)
{
    const struct scratch *scratch = *state;
    uint64_t pages[64];
    unsigned count;

    page_size = 1024;
    make_file(scratch);
    count = list_metadata(scratch, pages, 64);
    for (unsigned i = 2; i < count; i++) {
        unsigned writes = 0;

        do {
            put_damaged(scratch, pages[i]);
            if (work(scratch, PROTECTED - 1, writes))
                break;
            must_have_all(scratch, PROTECTED - 1, 250);
        } while (++writes < 200);
        assert_true(writes > 3 && writes < 200);
    }
    free(image);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(any_page_of_small_files),
        SCRATCH_TEST(any_page_of_files_with_large_pages),
        SCRATCH_TEST(a_writer_may_die_where_a_page_is_lost),
    };

    return SCRATCH_RUN("twins", tests);
}
