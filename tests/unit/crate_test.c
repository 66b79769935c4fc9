/* SPDX-License-Identifier: MIT */
/*
 * What the public API of the Rust crate `mappedpages` 0.2 can do, done here: one test for each line
 * of the table in doc/crate.md that no other test stands for. fdatasync is wrapped by the linker.
 */
#include "support/scratch_file.h"

#include <errno.h>
#include <fcntl.h>

#define PAGE 1024u

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

static bool disk_fails;

int __wrap_fdatasync(int fd)
{
    if (!disk_fails)
        return __real_fdatasync(fd);
    errno = EIO;
    return -1;
}

static struct mpg_stat stat_of(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, pager), 0);
    return st;
}

/* ---- Pager: files and facts ----------------------------------------------------------------- */

static void create_makes_a_file_that_was_not_there(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, PAGE);
    mpg_pager *second = NULL;

    assert_int_equal(stat_of(pager).format, scratch->format);
    assert_int_equal(mpg_create(&second, scratch->path, NULL), MPG_E_EXISTS);
    assert_null(second);
    check_and_close(pager);
}

static void create_takes_powers_of_two_from_1024(void **state)
{
    static const uint32_t bad[] = {1, 512, 1023, 1025, 3000, 1u << 31};
    const struct scratch *scratch = *state;
    mpg_pager *pager = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        mpg_options options = scratch_options(scratch, bad[i]);
        assert_int_equal(mpg_create(&pager, scratch->path, &options), MPG_E_INVALID_PAGE_SIZE);
        assert_int_not_equal(access(scratch->path, F_OK), 0);
    }
    for (uint32_t size = 1024; size <= 65536; size *= 2) {
        pager = scratch_create(scratch, size);
        assert_int_equal(mpg_page_size(pager), size);
        check_and_close(pager);
        unlink(scratch->path);
    }
}

static void open_finds_what_was_left(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_page_id page;
    mpg_protected_id guarded;
    unsigned char content[PAGE];

    assert_int_equal(mpg_alloc(&page, pager, 0), 0);
    assert_int_equal(mpg_page_write(pager, page, "kept", 0, 4), 0);
    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(mpg_sync(pager), 0);
    check_and_close(pager);

    pager = scratch_open(*state);
    assert_int_equal(mpg_page_read(content, pager, page, 0, 4), 0);
    assert_memory_equal(content, "kept", 4);
    assert_int_equal(mpg_protected_read(content, pager, guarded), 0);
    check_and_close(pager);
}

static void open_wants_the_page_size_of_the_file(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager = NULL;

    check_and_close(scratch_create(scratch, PAGE));
    options.page_size = 2 * PAGE;
    assert_int_equal(mpg_open(&pager, scratch->path, &options), MPG_E_INVALID_PAGE_SIZE);
    assert_null(pager);
    options.page_size = PAGE;
    assert_int_equal(mpg_open(&pager, scratch->path, &options), 0);
    check_and_close(pager);
}

static void page_counts_follow_alloc_and_free(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_page_id ids[100];

    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(mpg_alloc_bulk(ids, pager, 100, 0), 0);
        struct mpg_stat st = stat_of(pager);
        assert_int_equal(st.regular_pages, 100);
        assert_int_equal(st.page_size, PAGE);
        assert_int_equal(st.total_pages, st.regular_pages + st.free_pages + st.metadata_pages);
        assert_true(st.file_bytes >= st.total_pages * PAGE);
        assert_int_equal(mpg_free_bulk(pager, ids, 100), 0);
        assert_int_equal(stat_of(pager).regular_pages, 0);
    }
    check_and_close(pager);
}

/* ---- Pager: regular pages ------------------------------------------------------------------- */

static void alloc_gives_each_page_once_and_grows_the_file(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    uint64_t before = stat_of(pager).total_pages;
    mpg_page_id ids[200];

    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(mpg_alloc(&ids[i], pager, 0), 0);
        assert_true(ids[i].value > 2);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(ids[i].value, ids[j].value);
    }
    assert_true(stat_of(pager).total_pages > before);
    check_and_close(pager);
}

static void free_takes_only_what_is_allocated(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_protected_id guarded;
    mpg_protected_info info;
    mpg_page_id id;

    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(mpg_protected_stat(&info, pager, guarded), 0);
    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_free(pager, id), 0);
    assert_int_equal(mpg_free(pager, id), MPG_E_DOUBLE_FREE);
    for (uint64_t page = 0; page < 3; page++)
        assert_int_equal(mpg_free(pager, (mpg_page_id){page}), MPG_E_RESERVED_PAGE);
    assert_int_equal(mpg_free(pager, (mpg_page_id){stat_of(pager).total_pages}),
                     MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_free(pager, (mpg_page_id){UINT64_MAX}), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_sync(pager), 0); /* where its content is, is known from then on */
    assert_int_equal(mpg_protected_stat(&info, pager, guarded), 0);
    assert_int_equal(mpg_free(pager, (mpg_page_id){info.page[info.current]}), MPG_E_NOT_REGULAR);
    check_and_close(pager);
}

static void bulk_is_all_or_nothing(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_page_id ids[51];

    assert_int_equal(mpg_alloc_bulk(ids, pager, 0, 0), 0);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 50, 0), 0);
    ids[50] = ids[7];
    assert_int_equal(mpg_free_bulk(pager, ids, 51), MPG_E_DOUBLE_FREE);
    ids[50].value = 1;
    assert_int_equal(mpg_free_bulk(pager, ids, 51), MPG_E_RESERVED_PAGE);
    assert_int_equal(count_regular_pages(pager), 50);
    assert_int_equal(mpg_free_bulk(pager, ids, 50), 0);
    assert_int_equal(mpg_free_bulk(pager, ids, 0), 0);
    assert_int_equal(count_regular_pages(pager), 0);
    check_and_close(pager);
}

static void content_is_reached_by_pointer(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_page_id id, more[500];
    const void *seen = NULL;
    void *data;

    assert_int_equal(mpg_alloc(&id, pager, MPG_ZERO), 0);
    assert_int_equal(mpg_page_get_mut(&data, pager, id), 0);
    memset(data, 'm', PAGE);
    assert_int_equal(mpg_alloc_bulk(more, pager, 500, 0), 0); /* the file grows, data stays valid */
    assert_int_equal(mpg_page_get(&seen, pager, id), 0);
    assert_ptr_equal(seen, data);
    assert_int_equal(((const unsigned char *)seen)[PAGE - 1], 'm');

    seen = NULL;
    for (uint64_t page = 0; page < 3; page++)
        assert_int_equal(mpg_page_get(&seen, pager, (mpg_page_id){page}), MPG_E_RESERVED_PAGE);
    assert_int_equal(mpg_page_get(&seen, pager, (mpg_page_id){UINT64_MAX}), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_free(pager, id), 0);
    assert_int_equal(mpg_page_get(&seen, pager, id), MPG_E_NOT_ALLOCATED);
    assert_null(seen);
    check_and_close(pager);
}

/* ---- Pager: protected pages ----------------------------------------------------------------- */

static void a_writer_commits_or_leaves_no_trace(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_protected_id id;
    mpg_writer *writer;
    const void *view = NULL;
    unsigned char content[PAGE];

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(mpg_writer_open(&writer, pager, id), 0);
    memset(mpg_writer_data(writer), 'c', PAGE);
    assert_int_equal(mpg_protected_read(content, pager, id), 0);
    assert_int_equal(content[0], 0); /* not seen before the commit */
    assert_int_equal(mpg_writer_commit(writer), 0);
    assert_int_equal(mpg_writer_open(&writer, pager, id), 0);
    assert_int_equal(*(unsigned char *)mpg_writer_data(writer), 'c');
    memset(mpg_writer_data(writer), 'd', PAGE);
    mpg_writer_discard(writer);
    check_and_close(pager);

    pager = scratch_open(*state);
    assert_int_equal(mpg_protected_view(&view, pager, id), 0);
    assert_int_equal(((const unsigned char *)view)[0], 'c');
    assert_int_equal(((const unsigned char *)view)[PAGE - 1], 'c');
    mpg_protected_release(pager, view);
    check_and_close(pager);
}

static void protected_pages_are_freed_once(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_protected_id id, again;
    unsigned char content[PAGE];

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(stat_of(pager).protected_pages, 1);
    assert_int_equal(mpg_free_protected(pager, id), 0);
    assert_int_equal(mpg_free_protected(pager, id), MPG_E_DOUBLE_FREE);
    assert_int_equal(mpg_protected_read(content, pager, id), MPG_E_NOT_ALLOCATED);
    assert_int_not_equal(mpg_free_protected(pager, (mpg_protected_id){UINT64_MAX}), 0);
    assert_int_equal(stat_of(pager).protected_pages, 0);
    assert_int_equal(mpg_alloc_protected(&again, pager), 0);
    assert_int_equal(again.value, id.value);
    check_and_close(pager);
}

static void protected_bulk_is_all_or_nothing(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_protected_id ids[51];

    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, 50), 0);
    assert_int_equal(stat_of(pager).protected_pages, 50);
    ids[50] = ids[49];
    assert_int_equal(mpg_free_protected_bulk(pager, ids, 51), MPG_E_DOUBLE_FREE);
    assert_int_equal(stat_of(pager).protected_pages, 50);
    assert_int_equal(mpg_free_protected_bulk(pager, ids, 50), 0);
    assert_int_equal(stat_of(pager).protected_pages, 0);
    check_and_close(pager);
}

/* ---- Iterators ------------------------------------------------------------------------------ */

static void iterators_meet_each_page_of_their_kind_once_in_order(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_page_id pages[60], page;
    mpg_protected_id guarded[60], one;
    mpg_page_iter page_iter;
    mpg_protected_iter guarded_iter;

    for (size_t i = 0; i < 60; i++) {
        assert_int_equal(mpg_alloc(&pages[i], pager, 0), 0);
        assert_int_equal(mpg_alloc_protected(&guarded[i], pager), 0);
    }
    for (size_t i = 0; i < 60; i += 2) {
        assert_int_equal(mpg_free(pager, pages[i]), 0);
        assert_int_equal(mpg_free_protected(pager, guarded[i]), 0);
    }
    mpg_page_iter_begin(&page_iter, pager, (mpg_page_id){0});
    mpg_protected_iter_begin(&guarded_iter, pager, (mpg_protected_id){0});
    for (size_t i = 1; i < 60; i += 2) {
        assert_int_equal(mpg_page_iter_next(&page, &page_iter), 1);
        assert_int_equal(page.value, pages[i].value);
        assert_int_equal(mpg_protected_iter_next(&one, &guarded_iter), 1);
        assert_int_equal(one.value, guarded[i].value);
    }
    assert_int_equal(mpg_page_iter_next(&page, &page_iter), 0);
    assert_int_equal(mpg_protected_iter_next(&one, &guarded_iter), 0);
    check_and_close(pager);
}

/* ---- One that only reads, and many threads -------------------------------------------------- */

static void a_reader_walks_and_reads_what_is_there(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, PAGE);
    unsigned char content[PAGE] = {7}, found[PAGE];
    const mpg_pager *readers[2];
    mpg_protected_id guarded, one;
    mpg_page_id regular, page;

    assert_int_equal(mpg_alloc(&regular, pager, 0), 0);
    assert_int_equal(mpg_page_write(pager, regular, content, 0, PAGE), 0);
    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(mpg_close(pager), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mpg_open_readonly(&readers[i], scratch->path, NULL), 0);
    for (int i = 0; i < 2; i++) {
        mpg_page_iter pages;
        mpg_protected_iter all_guarded;
        const void *data;

        assert_int_equal(mpg_page_size(readers[i]), PAGE);
        mpg_page_iter_begin(&pages, readers[i], (mpg_page_id){0});
        assert_int_equal(mpg_page_iter_next(&page, &pages), 1);
        assert_int_equal(page.value, regular.value);
        assert_int_equal(mpg_page_iter_next(&page, &pages), 0);
        mpg_protected_iter_begin(&all_guarded, readers[i], (mpg_protected_id){0});
        assert_int_equal(mpg_protected_iter_next(&one, &all_guarded), 1);
        assert_int_equal(one.value, guarded.value);
        assert_int_equal(mpg_protected_iter_next(&one, &all_guarded), 0);
        assert_int_equal(mpg_page_get(&data, readers[i], regular), 0);
        assert_memory_equal(data, content, PAGE);
        assert_int_equal(mpg_protected_read(found, readers[i], guarded), 0);
        assert_int_equal(found[0], 0);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(mpg_close(readers[i]), 0);
}

/*
 * What takes several operations is seen whole or not at all, though nobody was kept out meanwhile.
 */
static void several_operations_become_visible_together(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, PAGE);
    unsigned char content[PAGE] = {9};
    mpg_protected_id old, made;
    mpg_page_id page;
    const void *data;
    mpg_pager *pager;
    mpg_txn *txn;

    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_alloc_protected(&old, pager), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_alloc(&page, txn, 0), 0);
    assert_int_equal(mpg_txn_alloc_protected(&made, txn), 0);
    assert_int_equal(mpg_txn_protected_write(txn, old, content, 0, PAGE), 0);
    assert_true(mpg_page_get(&data, pager, page) < 0);
    assert_int_equal(mpg_protected_view(&data, pager, made), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_protected_view(&data, pager, old), 0);
    assert_int_equal(*(const unsigned char *)data, 0);
    mpg_protected_release(pager, data);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(mpg_page_get(&data, pager, page), 0);
    assert_int_equal(mpg_protected_view(&data, pager, old), 0);
    assert_int_equal(*(const unsigned char *)data, 9);
    mpg_protected_release(pager, data);
    assert_int_equal(mpg_close(pager), 0);
}

/* ---- Errors --------------------------------------------------------------------------------- */

static void no_file_is_an_io_error(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = NULL;
    mpg_error_info info;

    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_IO);
    assert_int_equal(mpg_last_error(&info), MPG_E_IO);
    assert_int_equal(info.system_errno, ENOENT);
    assert_null(pager);
}

static void another_kind_of_file_is_a_corrupt_superblock(void **state)
{
    const struct scratch *scratch = *state;
    const unsigned char zeros[8192] = {0};
    mpg_pager *pager = NULL;
    int fd = open(scratch->path, O_CREAT | O_WRONLY, 0600);

    assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
    close(fd);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_CORRUPT_SUPERBLOCK);
    assert_null(pager);
}

static void both_metadata_pages_damaged_is_corrupt_metadata(void **state)
{
    const struct scratch *scratch = *state;
    unsigned char rubbish[2 * PAGE];
    mpg_pager *pager = NULL;

    check_and_close(scratch_create(scratch, PAGE));
    memset(rubbish, 0x5a, sizeof(rubbish));
    int fd = open(scratch->path, O_WRONLY);
    assert_int_equal(pwrite(fd, rubbish, sizeof(rubbish), PAGE), sizeof(rubbish));
    close(fd);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_CORRUPT_METADATA);
    assert_null(pager);
}

static void a_protected_id_beyond_the_format_is_directory_full(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);

    assert_int_equal(mpg_alloc_protected_at(pager, (mpg_protected_id){UINT64_MAX}),
                     MPG_E_DIRECTORY_FULL);
    assert_int_equal(
        mpg_alloc_protected_at(pager, (mpg_protected_id){stat_of(pager).max_protected}),
        MPG_E_DIRECTORY_FULL);
    check_and_close(pager);
}

static void after_a_failed_sync_the_pager_is_unavailable(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, PAGE);
    mpg_pager *pager;
    mpg_page_id id;

    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    disk_fails = true;
    assert_int_equal(mpg_alloc(&id, pager, 0), MPG_E_IO);
    disk_fails = false;
    assert_int_equal(mpg_alloc(&id, pager, 0), MPG_E_UNAVAILABLE);
    mpg_close(pager);

    pager = scratch_open(scratch);
    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    check_and_close(pager);
}

static void every_error_has_a_name(void **state)
{
    (void)state;
    for (int code = MPG_E_CANCELLED; code <= 0; code++) {
        for (int other = code + 1; other <= 0; other++)
            assert_string_not_equal(mpg_strerror(code), mpg_strerror(other));
    }
    assert_non_null(mpg_strerror(-1000));
    assert_non_null(mpg_strerror(1000));
}

static void damage_is_told_from_other_errors(void **state)
{
    unsigned damage = 0;

    (void)state;
    for (int code = MPG_E_CANCELLED; code <= 0; code++) {
        bool named =
            strstr(mpg_strerror(code), "corrupt") || strstr(mpg_strerror(code), "truncated");

        assert_int_equal(mpg_is_damage(code), named);
        damage += named;
    }
    assert_int_equal(damage, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(create_makes_a_file_that_was_not_there),
        SCRATCH_TEST(create_takes_powers_of_two_from_1024),
        SCRATCH_TEST(open_finds_what_was_left),
        SCRATCH_TEST(open_wants_the_page_size_of_the_file),
        SCRATCH_TEST(page_counts_follow_alloc_and_free),
        SCRATCH_TEST(alloc_gives_each_page_once_and_grows_the_file),
        SCRATCH_TEST(free_takes_only_what_is_allocated),
        SCRATCH_TEST(bulk_is_all_or_nothing),
        SCRATCH_TEST(content_is_reached_by_pointer),
        SCRATCH_TEST(a_writer_commits_or_leaves_no_trace),
        SCRATCH_TEST(protected_pages_are_freed_once),
        SCRATCH_TEST(protected_bulk_is_all_or_nothing),
        SCRATCH_TEST(iterators_meet_each_page_of_their_kind_once_in_order),
        SCRATCH_TEST(a_reader_walks_and_reads_what_is_there),
        SCRATCH_TEST(several_operations_become_visible_together),
        SCRATCH_TEST(no_file_is_an_io_error),
        SCRATCH_TEST(another_kind_of_file_is_a_corrupt_superblock),
        SCRATCH_TEST(both_metadata_pages_damaged_is_corrupt_metadata),
        SCRATCH_TEST(a_protected_id_beyond_the_format_is_directory_full),
        SCRATCH_TEST(after_a_failed_sync_the_pager_is_unavailable),
        SCRATCH_TEST(every_error_has_a_name),
        SCRATCH_TEST(damage_is_told_from_other_errors),
    };

    return SCRATCH_RUN("what the crate can do", tests);
}
