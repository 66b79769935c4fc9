/* SPDX-License-Identifier: MIT */
/* Pagers opened for reading, and what a file says of itself. */
#include "os/io.h"
#include "pager/open.h"
#include "support/api.h"

/* What no function returned. */
#define UNTOUCHED ((void *)0x5a5a)

/* ---- reading only ---- */

static void a_reader_keeps_what_it_saw_until_it_refreshes(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);
    const mpg_pager *reader;
    mpg_protected_id id;

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(put_protected(pager, id, 1), 0);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    assert_true(stat_of(reader).read_only);
    assert_int_equal(put_protected(pager, id, 2), 0);
    assert_int_equal(protected_byte(reader, id), 1);
    assert_int_equal(mpg_refresh(reader), 0);
    assert_int_equal(protected_byte(reader, id), 2);
    assert_int_equal(mpg_close(reader), 0);
    check_and_close(pager);
}

static unsigned reads;

static ssize_t counted_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    reads++;
    return mpgi_io_system.pread(context, fd, data, length, offset);
}

static unsigned reads_of_refresh(const mpg_pager *reader)
{
    reads = 0;
    assert_int_equal(mpg_refresh(reader), 0);
    return reads;
}

/* Also after several commits, which may leave the same page current as before. */
static void a_refresh_misses_no_commit_and_costs_little_without(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch), *reader;
    struct io io = mpgi_io_system;
    mpg_protected_id id;
    unsigned char value = 0;

    io.pread = counted_pread;
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(mpgi_open_with(&reader, scratch->path, NULL, true, &io, NULL), 0);
    for (int round = 0; round < 40; round++) {
        unsigned without, with;

        assert_int_equal(mpg_refresh(reader), 0);
        without = reads_of_refresh(reader);
        for (int i = 0; i <= round % 5; i++)
            assert_int_equal(put_protected(pager, id, ++value), 0);
        with = reads_of_refresh(reader);
        assert_int_equal(protected_byte(reader, id), value);
        if (stat_of(reader).format == MPG_FORMAT_1)
            assert_true(without <= 4 && without < with);
    }
    assert_int_equal(mpg_close(reader), 0);
    check_and_close(pager);
}

static void refresh_is_not_for_writers(void **state)
{
    mpg_pager *pager = api_create(*state);

    assert_error(mpg_refresh(pager), MPG_E_INVALID);
    check_and_close(pager);
}

/* What the compiler refuses, by a cast. */
static void everything_that_changes_a_file_is_refused_to_a_reader(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch), *reader;
    union {
        const mpg_pager *constant;
        mpg_pager *variable;
    } opened;
    mpg_page_id id, ids[2] = {{77}, {77}};
    mpg_protected_id guarded, more[2] = {{77}, {77}};
    const void *view = UNTOUCHED;
    void *data = UNTOUCHED;
    mpg_writer *writer = UNTOUCHED;
    mpg_txn *txn = UNTOUCHED;

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(mpg_open_readonly(&opened.constant, scratch->path, NULL), 0);
    reader = opened.variable;
    assert_error(mpg_alloc(ids, reader, 0), MPG_E_READ_ONLY);
    assert_error(mpg_alloc_bulk(ids, reader, 2, 0), MPG_E_READ_ONLY);
    assert_error(mpg_alloc_at(reader, (mpg_page_id){20}, 0), MPG_E_READ_ONLY);
    assert_error(mpg_free(reader, id), MPG_E_READ_ONLY);
    assert_error(mpg_free_bulk(reader, &id, 1), MPG_E_READ_ONLY);
    assert_error(mpg_page_get_mut(&data, reader, id), MPG_E_READ_ONLY);
    assert_error(mpg_page_write(reader, id, "x", 0, 1), MPG_E_READ_ONLY);
    assert_error(mpg_page_sync(reader, id), MPG_E_READ_ONLY);
    assert_error(mpg_sync(reader), MPG_E_READ_ONLY);
    assert_error(mpg_alloc_protected(more, reader), MPG_E_READ_ONLY);
    assert_error(mpg_alloc_protected_bulk(more, reader, 2), MPG_E_READ_ONLY);
    assert_error(mpg_alloc_protected_at(reader, (mpg_protected_id){5}), MPG_E_READ_ONLY);
    assert_error(mpg_free_protected(reader, guarded), MPG_E_READ_ONLY);
    assert_error(mpg_free_protected_bulk(reader, &guarded, 1), MPG_E_READ_ONLY);
    assert_error(mpg_protected_view(&view, reader, guarded), MPG_E_READ_ONLY);
    assert_error(mpg_writer_open(&writer, reader, guarded), MPG_E_READ_ONLY);
    assert_error(mpg_txn_begin(&txn, reader), MPG_E_READ_ONLY);
    assert_int_equal(ids[0].value, 77);
    assert_int_equal(more[0].value, 77);
    assert_ptr_equal(view, UNTOUCHED);
    assert_ptr_equal(data, UNTOUCHED);
    assert_ptr_equal(writer, UNTOUCHED);
    assert_ptr_equal(txn, UNTOUCHED);
    assert_int_equal(mpg_close(reader), 0);
}

static void a_reader_reads_all_kinds_of_pages(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);
    unsigned char *page = page_of(7);
    const mpg_pager *reader;
    const void *data;
    mpg_page_id id;
    mpg_protected_id guarded;

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_page_write(pager, id, page, 0, api_page_size), 0);
    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(put_protected(pager, guarded, 8), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    assert_int_equal(mpg_page_get(&data, reader, id), 0);
    assert_true(is_filled(data, 7));
    assert_int_equal(mpg_page_read(page, reader, id, 0, api_page_size), 0);
    assert_true(is_filled(page, 7));
    assert_int_equal(protected_byte(reader, guarded), 8);
    assert_int_equal(mpg_raw_read(page, reader, id.value), 0);
    assert_true(is_filled(page, 7));
    free(page);
    check_and_close((mpg_pager *)(uintptr_t)reader);
}

/* ---- what a file says of itself ---- */

static void stat_counts_pages_by_their_use(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);
    mpg_page_id ids[5];
    mpg_protected_id guarded[2];
    struct mpg_stat before = stat_of(pager), st;

    assert_int_equal(before.free_pages, 1);
    assert_int_equal(before.regular_pages, 0);
    assert_int_equal(before.metadata_pages, 3);
    assert_int_equal(before.protected_pages, 0);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 5, 0), 0);
    assert_int_equal(mpg_alloc_protected_bulk(guarded, pager, 2), 0);
    st = stat_of(pager);
    assert_int_equal(st.regular_pages, 5);
    assert_int_equal(st.protected_pages, 2);
    assert_int_equal(st.free_pages + st.regular_pages + st.metadata_pages +
                         (st.format == MPG_FORMAT_1 ? 2 : 4),
                     st.total_pages);
    assert_int_equal(st.file_bytes, st.total_pages * api_page_size);
    assert_true(st.generation > before.generation);
    check_and_close(pager);
}

static void stat_tells_the_format_and_its_limits(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);
    struct mpg_stat st = stat_of(pager);

    assert_int_equal(st.format, scratch->format);
    assert_int_equal(st.page_size, api_page_size);
    assert_false(st.read_only);
    if (scratch->format == MPG_FORMAT_0_2) {
        assert_int_equal(st.version[0], 0);
        assert_int_equal(st.version[1], 2);
        assert_int_equal(st.max_pages, UINT64_C(8) * (api_page_size - 28));
        assert_int_equal(st.max_protected,
                         (uint64_t)((api_page_size - 28) / 17) * ((api_page_size - 12) / 30));
        assert_int_equal(st.created, 0);
    } else {
        assert_int_equal(st.version[0], 1);
        assert_true(st.max_pages > UINT64_C(1) << 30);
        assert_true(st.max_protected > UINT64_C(1) << 28);
        assert_true(st.created > 1700000000);
        assert_int_equal(st.space_height, 0);
        assert_int_equal(st.directory_height, 0);
    }
    check_and_close(pager);
}

static void stat_refuses_a_struct_of_another_version(void **state)
{
    mpg_pager *pager = api_create(*state);
    struct mpg_stat st;

    memset(&st, 0x5a, sizeof(st));
    st.size = sizeof(st) - 8;
    assert_error(mpg_stat(&st, pager), MPG_E_INVALID);
    assert_int_equal(st.total_pages, UINT64_C(0x5a5a5a5a5a5a5a5a));
    check_and_close(pager);
}

static void every_file_of_format_1_has_a_uuid_of_its_own(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);
    struct mpg_stat first = stat_of(pager), again, second;
    const uint8_t none[16] = {0};

    assert_int_equal(mpg_close(pager), 0);
    pager = scratch_open(scratch);
    again = stat_of(pager);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(unlink(scratch->path), 0);
    pager = api_create(scratch);
    second = stat_of(pager);
    assert_int_equal(mpg_close(pager), 0);
    assert_memory_equal(first.uuid, again.uuid, 16);
    if (scratch->format == MPG_FORMAT_0_2)
        assert_memory_equal(first.uuid, none, 16);
    else
        assert_memory_not_equal(first.uuid, second.uuid, 16);
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    assert_int_equal(mpg_close(NULL), 0);
}

static void what_was_left_is_found_again(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);
    struct mpg_stat before, after;
    mpg_page_id ids[3];

    assert_int_equal(mpg_alloc_bulk(ids, pager, 3, 0), 0);
    before = stat_of(pager);
    assert_int_equal(mpg_close(pager), 0);
    pager = scratch_open(scratch);
    after = stat_of(pager);
    assert_int_equal(after.total_pages, before.total_pages);
    assert_int_equal(after.free_pages, before.free_pages);
    assert_int_equal(after.regular_pages, 3);
    assert_int_equal(after.created, before.created);
    check_and_close(pager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_reader_keeps_what_it_saw_until_it_refreshes),
        SCRATCH_TEST(a_refresh_misses_no_commit_and_costs_little_without),
        SCRATCH_TEST(refresh_is_not_for_writers),
        SCRATCH_TEST(everything_that_changes_a_file_is_refused_to_a_reader),
        SCRATCH_TEST(a_reader_reads_all_kinds_of_pages),
        SCRATCH_TEST(stat_counts_pages_by_their_use),
        SCRATCH_TEST(stat_tells_the_format_and_its_limits),
        SCRATCH_TEST(stat_refuses_a_struct_of_another_version),
        SCRATCH_TEST(every_file_of_format_1_has_a_uuid_of_its_own),
        SCRATCH_TEST(closing_nothing_is_fine),
        SCRATCH_TEST(what_was_left_is_found_again),
    };

    return API_RUN("readers", tests);
}
