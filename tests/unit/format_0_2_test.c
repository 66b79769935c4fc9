/* SPDX-License-Identifier: MIT */
/*
 * What only format 0.2 has: spare copies of page 0, directory blocks that are never given back, and
 * generations that come again.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "format_0_2/layout.h"
#include "pager/open.h"
#include "support/memory_disk.h"

#define PAGE_SIZE 1024u
#define DISK_SIZE ((size_t)16 << 20)

static mpg_pager *create_on(struct memory_disk *disk, uint64_t initial_pages)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;

    options.format = MPG_FORMAT_0_2;
    options.page_size = PAGE_SIZE;
    options.initial_pages = initial_pages;
    options.address_space = DISK_SIZE;
    assert_int_equal(mpgi_create_with(&pager, "pages", &options, &memory_disk_io, disk), 0);
    return pager;
}

static int try_open(mpg_pager **pager, struct memory_disk *disk)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.address_space = DISK_SIZE;
    return mpgi_open_with(pager, "pages", &options, false, &memory_disk_io, disk);
}

static mpg_pager *open_on(struct memory_disk *disk)
{
    mpg_pager *pager;

    assert_int_equal(try_open(&pager, disk), 0);
    return pager;
}

static void close_on(mpg_pager *pager, struct memory_disk *disk)
{
    assert_int_equal(mpg_close(pager), 0);
    memory_disk_destroy(disk);
}

static struct mpg_stat stat_of(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, pager), 0);
    return st;
}

static void assert_sound(const mpg_pager *pager)
{
    mpg_check_result result;

    assert_int_equal(mpg_check(&result, pager, NULL), 0);
    assert_int_equal(result.faults, 0);
}

/* ---- Protected pages ----------------------------------------------------------------------- */

static mpg_protected_id alloc_protected(mpg_pager *pager)
{
    mpg_protected_id id;

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    return id;
}

static int try_put(mpg_pager *pager, mpg_protected_id id, const char *text)
{
    mpg_writer *writer;
    int result;

    assert_int_equal(mpg_writer_open(&writer, pager, id), 0);
    (void)strcpy(mpg_writer_data(writer), text);
    result = mpg_writer_commit(writer);
    if (result != 0)
        mpg_writer_discard(writer);
    return result;
}

static void put(mpg_pager *pager, mpg_protected_id id, const char *text)
{
    assert_int_equal(try_put(pager, id, text), 0);
}

static void put_both(mpg_pager *pager, const mpg_protected_id *ids, const char *text)
{
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mpg_txn_protected_write(txn, ids[i], text, 0, strlen(text) + 1), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
}

static void assert_text(const mpg_pager *pager, mpg_protected_id id, const char *text)
{
    char content[PAGE_SIZE];

    assert_int_equal(mpg_protected_read(content, pager, id), 0);
    assert_string_equal(content, text);
}

static void the_version_is_that_in_page_0(void **state)
{
    struct memory_disk disk;
    struct mpg_stat st;
    mpg_pager *pager;

    (void)state;
    memory_disk_init(&disk, DISK_SIZE);
    pager = create_on(&disk, 0);
    st = stat_of(pager);
    for (int i = 0; i < 4; i++)
        assert_int_equal(st.version[i], i == 1 ? 2 : 0);
    close_on(pager, &disk);
}

/* ---- Spares of page 0 ---------------------------------------------------------------------- */

/* A file with two protected pages whose entries are in different blocks. */
static mpg_pager *create_with_two(struct memory_disk *disk, mpg_protected_id *ids)
{
    mpg_pager *pager = create_on(disk, 200);

    ids[0] = alloc_protected(pager);
    ids[1].value = entries_per_block(PAGE_SIZE);
    assert_int_equal(mpg_alloc_protected_at(pager, ids[1]), 0);
    put(pager, ids[0], "old");
    put(pager, ids[1], "old");
    return pager;
}

static mpg_page_id highest_free_page(const mpg_pager *pager)
{
    mpg_page_id page = {stat_of(pager).total_pages};
    enum mpg_page_use use;

    do {
        page.value--;
        assert_int_equal(mpg_page_use(&use, pager, page.value), 0);
    } while (use != MPG_USE_FREE);
    return page;
}

static size_t next_sync(const struct event_log *log, size_t from)
{
    while (log->events[from].kind != EVENT_SYNC)
        from++;
    return from;
}

static size_t next_write_of_page_0(const struct event_log *log, size_t from)
{
    while (log->events[from].kind != EVENT_WRITE || log->events[from].offset != 0)
        from++;
    return from;
}

/* Does again what the log has from `begin` to before `end`, but for what was written to a page. */
static void replay(struct memory_disk *disk, const struct event_log *log, size_t begin, size_t end,
                   uint64_t left_out)
{
    disk->exists = true;
    disk->name_durable = true;
    for (size_t i = begin; i < end; i++) {
        const struct event *event = &log->events[i];

        if (event->kind != EVENT_WRITE || event->offset / PAGE_SIZE != left_out)
            event_apply(log, event, disk->cache, &disk->size, disk->capacity);
    }
}

/* A power cut while page 0 is written, and only its first sector arrives. */
static void tear_page_0(struct memory_disk *disk, const struct event_log *log, size_t event)
{
    event_apply_sector(log, &log->events[event], 0, disk->cache, &disk->size, disk->capacity);
}

/* Generations come again after a crash, and a transaction holds the page that the spare is in. */
static void a_spare_of_a_commit_cut_short_is_not_that_of_the_next(void **state)
{
    struct event_log first = {0}, second = {0};
    struct memory_disk disk;
    mpg_protected_id ids[2];
    uint64_t generation;
    mpg_pager *pager;
    size_t begin, cut;
    mpg_page_id spare;
    mpg_txn *holder;

    (void)state;
    memory_disk_init(&disk, DISK_SIZE);
    memory_disk_record(&disk, &first);
    pager = create_with_two(&disk, ids);
    begin = first.count;
    put(pager, ids[0], "cut short");
    generation = stat_of(pager).generation;
    close_on(pager, &disk);

    cut = next_sync(&first, begin);
    memory_disk_init(&disk, DISK_SIZE);
    replay(&disk, &first, 0, cut, MPG_NO_PAGE);
    pager = open_on(&disk);
    memory_disk_record(&disk, &second);
    spare = highest_free_page(pager);
    assert_memory_equal(disk.cache + spare.value * PAGE_SIZE, SPARE_TAG_TEXT, 4);
    assert_int_equal(mpg_txn_begin(&holder, pager), 0);
    assert_int_equal(mpg_txn_alloc_at(holder, spare, 0), 0);
    put_both(pager, ids, "new");
    assert_int_equal(stat_of(pager).generation, generation);
    mpg_txn_abort(holder);
    close_on(pager, &disk);

    memory_disk_init(&disk, DISK_SIZE);
    replay(&disk, &first, 0, cut, MPG_NO_PAGE);
    cut = next_write_of_page_0(&second, 0);
    replay(&disk, &second, 0, cut, MPG_NO_PAGE);
    tear_page_0(&disk, &second, cut);
    pager = open_on(&disk);
    assert_text(pager, ids[0], "new");
    assert_text(pager, ids[1], "new");
    assert_sound(pager);
    close_on(pager, &disk);
    event_log_free(&first);
    event_log_free(&second);
}

static int fail_index_of_spare(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    return call == CALL_PWRITE && *length == PAGE_SIZE - SUPER_HEAD_SIZE ? EIO : 0;
}

/*
 * The page of the spare then holds the index of an earlier one. What commits next at the same
 * generation is a program that leaves no spares.
 */
static void a_spare_of_which_only_the_head_was_written_is_none(void **state)
{
    struct event_log log = {0};
    struct memory_disk disk;
    mpg_protected_id ids[2];
    mpg_pager *pager;
    size_t begin, cut;
    mpg_page_id spare;

    (void)state;
    memory_disk_init(&disk, DISK_SIZE);
    memory_disk_record(&disk, &log);
    pager = create_with_two(&disk, ids);
    disk.fault = fail_index_of_spare;
    assert_int_equal(try_put(pager, ids[0], "fails"), MPG_E_IO);
    disk.fault = NULL;
    spare = highest_free_page(pager);
    assert_memory_equal(disk.cache + spare.value * PAGE_SIZE, SPARE_TAG_TEXT, 4);
    begin = log.count;
    put(pager, ids[1], "new");
    close_on(pager, &disk);

    memory_disk_init(&disk, DISK_SIZE);
    replay(&disk, &log, 0, begin, MPG_NO_PAGE);
    cut = next_write_of_page_0(&log, begin);
    replay(&disk, &log, begin, cut, spare.value);
    tear_page_0(&disk, &log, cut);
    assert_int_equal(try_open(&pager, &disk), MPG_E_CORRUPT_DIRECTORY_INDEX);
    memory_disk_destroy(&disk);
    event_log_free(&log);
}

/* Commits a protected page as the crate does it, without a word to the metadata or to any spare. */
static void crate_commits(struct memory_disk *disk, mpg_protected_id id, const char *text)
{
    unsigned char *page_0 = disk->cache, *reference, *block, *other, *entry, *content;
    uint32_t slot = (uint32_t)(id.value % entries_per_block(PAGE_SIZE));

    reference =
        page_0 + INDEX_REFERENCES + id.value / entries_per_block(PAGE_SIZE) * REFERENCE_SIZE;
    block = page_0 + get_u64(reference + 8 * reference[REFERENCE_ACTIVE]) * PAGE_SIZE;
    other = page_0 + get_u64(reference + 8 * !reference[REFERENCE_ACTIVE]) * PAGE_SIZE;
    memcpy(other, block, PAGE_SIZE);
    entry = other + BLOCK_ENTRIES + (size_t)slot * ENTRY_SIZE;
    entry[ENTRY_ACTIVE] = !entry[ENTRY_ACTIVE];
    content = page_0 + get_u64(entry + ENTRY_PAGE_A + 8 * entry[ENTRY_ACTIVE]) * PAGE_SIZE;
    memset(content, 0, PAGE_SIZE);
    memcpy(content, text, strlen(text));
    put_u64(entry + ENTRY_GENERATION, get_u64(entry + ENTRY_GENERATION) + 1);
    put_u32(entry + ENTRY_CRC, crc_of(content, PAGE_SIZE));
    put_u32(other + PAGE_SIZE - 4, crc_of(other, PAGE_SIZE - 4));
    reference[REFERENCE_ACTIVE] = !reference[REFERENCE_ACTIVE];
    put_u32(page_0 + PAGE_SIZE - 4, crc_of(page_0 + INDEX_COUNT, PAGE_SIZE - 4 - INDEX_COUNT));
}

/* The second half of page 0 does not reach the disk. */
static void crate_commits_torn(struct memory_disk *disk, mpg_protected_id id, const char *text)
{
    unsigned char before[PAGE_SIZE];

    memcpy(before, disk->cache, PAGE_SIZE);
    crate_commits(disk, id, text);
    memcpy(disk->cache + PAGE_SIZE / 2, before + PAGE_SIZE / 2, PAGE_SIZE / 2);
}

static void a_spare_does_not_take_back_what_the_crate_committed(void **state)
{
    static const struct {
        int first,
            second; /* which page the crate commits, and which one in the commit that is torn */
    } orders[] = {{0, 1}, {1, 0}, {0, 0}, {1, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        mpg_protected_id ids[2];
        struct memory_disk disk;
        mpg_pager *pager;

        memory_disk_init(&disk, DISK_SIZE);
        pager = create_with_two(&disk, ids);
        assert_int_equal(mpg_close(pager), 0);
        crate_commits(&disk, ids[orders[i].first], "the crate's");
        crate_commits_torn(&disk, ids[orders[i].second], "in flight");
        assert_int_equal(try_open(&pager, &disk), MPG_E_CORRUPT_DIRECTORY_INDEX);
        memory_disk_destroy(&disk);
    }
}

/* What the crate did before, and a commit of ours that failed, are no reason to doubt a spare. */
static void a_spare_counts_after_the_crate_and_after_a_failure(void **state)
{
    struct memory_disk disk;
    mpg_protected_id ids[2];
    mpg_pager *pager;

    (void)state;
    memory_disk_init(&disk, DISK_SIZE);
    pager = create_with_two(&disk, ids);
    assert_int_equal(mpg_close(pager), 0);
    crate_commits(&disk, ids[0], "the crate's");
    pager = open_on(&disk);
    disk.fault = fail_index_of_spare;
    assert_int_equal(try_put(pager, ids[1], "fails"), MPG_E_IO);
    disk.fault = NULL;
    put(pager, ids[0], "new");
    assert_int_equal(mpg_close(pager), 0);
    memset(disk.cache + PAGE_SIZE / 2, 0, PAGE_SIZE / 2);
    pager = open_on(&disk);
    assert_text(pager, ids[0], "new");
    assert_text(pager, ids[1], "old");
    assert_sound(pager);
    close_on(pager, &disk);
}

/* ---- Views --------------------------------------------------------------------------------- */

/* A content that was checked once is not checked again, unless it is another's. */
static void a_view_checks_the_content_of_a_new_owner_of_the_pages(void **state)
{
    mpg_protected_id other, old, new;
    mpg_protected_info old_info, new_info;
    struct memory_disk disk;
    mpg_pager *pager;
    const void *view;

    (void)state;
    memory_disk_init(&disk, DISK_SIZE);
    pager = create_on(&disk, 0);
    other = alloc_protected(pager);
    old = alloc_protected(pager);
    put(pager, old, "old");
    assert_int_equal(mpg_protected_stat(&old_info, pager, old), 0);
    assert_int_equal(mpg_protected_view(&view, pager, old), 0);
    mpg_protected_release(pager, view);

    assert_int_equal(mpg_free_protected(pager, old), 0);
    for (int i = 0; i < 2; i++) /* for so long the pages rest */
        put(pager, other, "other");
    new = alloc_protected(pager);
    put(pager, new, "new");
    assert_int_equal(mpg_protected_stat(&new_info, pager, new), 0);
    assert_int_equal(new_info.page[new_info.current], old_info.page[old_info.current]);
    assert_int_equal(new_info.generation, old_info.generation);

    memcpy(disk.cache + new_info.page[new_info.current] * PAGE_SIZE, "bad", 4);
    assert_int_equal(mpg_protected_view(&view, pager, new), MPG_E_CORRUPT_PAGE);
    close_on(pager, &disk);
}

/* ---- Directory blocks ---------------------------------------------------------------------- */

/* An id far ahead needs all the blocks up to its own. */
static void directory_blocks_of_an_allocation_that_fails_are_given_back(void **state)
{
    uint64_t most = most_pages(PAGE_SIZE);
    mpg_page_id *pages = malloc(most * sizeof(*pages));
    struct mpg_stat before, after;
    mpg_protected_id far_ahead, twenty[20];
    struct memory_disk disk;
    mpg_pager *pager;

    (void)state;
    assert_non_null(pages);
    memory_disk_init(&disk, DISK_SIZE);
    pager = create_on(&disk, most);
    assert_int_equal(mpg_alloc_bulk(pages, pager, stat_of(pager).free_pages - 40, 0), 0);
    before = stat_of(pager);
    far_ahead.value = before.max_protected - 1;
    assert_int_equal(mpg_alloc_protected_at(pager, far_ahead), MPG_E_FILE_FULL);
    /* Their 40 copies fit, and their block does not. */
    assert_int_equal(mpg_alloc_protected_bulk(twenty, pager, 20), MPG_E_FILE_FULL);
    assert_int_equal(mpg_sync(pager), 0);
    after = stat_of(pager);
    assert_int_equal(after.free_pages, before.free_pages);
    assert_int_equal(after.metadata_pages, before.metadata_pages);
    assert_sound(pager);
    free(pages);
    close_on(pager, &disk);
}

/* Bytes from one copy of a directory block to the other. */
static uint64_t distance_of(const struct memory_disk *disk, unsigned block)
{
    const unsigned char *reference = disk->cache + INDEX_REFERENCES + block * REFERENCE_SIZE;
    uint64_t a = get_u64(reference), b = get_u64(reference + 8);

    return (a > b ? a - b : b - a) * PAGE_SIZE;
}

/* One run of bad sectors is not to take both, where the file has a free page far enough. */
static void closing_puts_the_copies_of_a_block_apart(void **state)
{
    static const uint64_t pages[] = {200, 40};
    mpg_protected_id ids[50];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct memory_disk disk;
        mpg_pager *pager;

        memory_disk_init(&disk, DISK_SIZE);
        pager = create_on(&disk, pages[i]);
        assert_int_equal(mpg_alloc_protected_bulk(ids, pager, pages[i] / 4), 0);
        assert_int_equal(mpg_sync(pager), 0);
        assert_true(distance_of(&disk, 0) < 65536);
        assert_int_equal(mpg_close(pager), 0);
        for (unsigned block = 0; block * entries_per_block(PAGE_SIZE) < pages[i] / 4; block++)
            assert_int_equal(distance_of(&disk, block) >= 65536, i == 0);
        pager = open_on(&disk);
        assert_sound(pager);
        assert_int_equal(stat_of(pager).protected_pages, pages[i] / 4);
        close_on(pager, &disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spare_of_a_commit_cut_short_is_not_that_of_the_next),
        cmocka_unit_test(a_spare_of_which_only_the_head_was_written_is_none),
        cmocka_unit_test(a_spare_does_not_take_back_what_the_crate_committed),
        cmocka_unit_test(a_spare_counts_after_the_crate_and_after_a_failure),
        cmocka_unit_test(the_version_is_that_in_page_0),
        cmocka_unit_test(a_view_checks_the_content_of_a_new_owner_of_the_pages),
        cmocka_unit_test(directory_blocks_of_an_allocation_that_fails_are_given_back),
        cmocka_unit_test(closing_puts_the_copies_of_a_block_apart),
    };

    return cmocka_run_group_tests_name("format 0.2", tests, NULL, NULL);
}
