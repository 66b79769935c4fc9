/* SPDX-License-Identifier: MIT */
/* Pagers and sub-allocators whose sizes the compiler knows. What it refuses: compile_fail.sh. */
#include "support/scratch_file.h"

#include "mappedpages_typed.h"

MPG_DEFINE_PAGER(blk, 4096);
MPG_DEFINE_PAGER(small, 1 << 10); /* any constant expression */
MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 512);
MPG_DEFINE_SUB_ALLOCATOR_ON(tiny, blk, 64);

static blk_pager create(const struct scratch *scratch)
{
    mpg_options options = scratch_options(scratch, 0);
    blk_pager pager = {NULL};

    assert_int_equal(blk_create(&pager, scratch->path, &options), 0);
    return pager;
}

static void fill(blk_page *page, int byte)
{
    memset(page->bytes, byte, sizeof(page->bytes));
}

static void contents_have_the_size_of_the_page(void **state)
{
    blk_pager pager = create(*state);

    assert_int_equal(sizeof(blk_page), 4096);
    assert_int_equal(sizeof(small_page), 1024);
    assert_int_equal(sizeof(rec_part), 512);
    assert_int_equal(sizeof(tiny_part), 64);
    assert_int_equal(blk_page_size(pager), 4096);
    assert_int_equal(mpg_page_size(pager.untyped), 4096);
    assert_int_equal(blk_page_at(7).untyped.value, 7);
    assert_int_equal(blk_protected_at(8).untyped.value, 8);
    assert_int_equal(blk_close(pager), 0);
}

static void a_file_of_another_page_size_is_not_opened(void **state)
{
    struct scratch *scratch = *state;
    small_pager wrong = {NULL};
    small_reader wrong_reader = {NULL};
    rec_sub sub = {NULL};
    mpg_options options = MPG_OPTIONS_INIT;

    assert_int_equal(blk_close(create(scratch)), 0);
    assert_int_equal(small_open(&wrong, scratch->path, NULL), MPG_E_INVALID_PAGE_SIZE);
    options.page_size = 4096; /* what counts is the type's */
    assert_int_equal(small_open(&wrong, scratch->path, &options), MPG_E_INVALID_PAGE_SIZE);
    assert_int_equal(small_open_readonly(&wrong_reader, scratch->path, NULL),
                     MPG_E_INVALID_PAGE_SIZE);
    assert_null(wrong.untyped);
    assert_null(wrong_reader.untyped);

    unlink(scratch->path);
    options.format = scratch->format;
    assert_int_equal(small_create(&wrong, scratch->path, &options), 0);
    assert_int_equal(mpg_page_size(wrong.untyped), 1024);
    assert_int_equal(rec_open(&sub, wrong.untyped), MPG_E_INVALID_PAGE_SIZE);
    assert_int_equal(small_close(wrong), 0);
}

static void regular_pages(void **state)
{
    blk_pager pager = create(*state);
    blk_page_id id, ids[3], found;
    blk_page *page = NULL;
    const blk_page *seen = NULL;
    blk_page_iter iter;
    unsigned char bytes[5];

    assert_int_equal(blk_alloc(&id, pager, MPG_ZERO), 0);
    assert_int_equal(blk_page_get_mut(&page, pager, id), 0);
    assert_int_equal(page->bytes[4095], 0);
    fill(page, 'q');
    assert_int_equal(blk_page_write(pager, id, "hello", 4091, 5), 0);
    assert_int_equal(blk_page_get(&seen, pager, id), 0);
    assert_memory_equal(seen->bytes + 4090, "qhello", 6);
    assert_int_equal(blk_page_read(bytes, pager, id, 4091, 5), 0);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(blk_page_sync(pager, id), 0);
    assert_int_equal(blk_sync(pager), 0);

    assert_int_equal(blk_alloc_bulk(ids, pager, 3, 0), 0);
    assert_int_equal(blk_free_bulk(pager, ids + 1, 2), 0);
    assert_int_equal(blk_page_get(&seen, pager, ids[1]), MPG_E_NOT_ALLOCATED);
    assert_int_equal(blk_alloc_at(pager, ids[2], 0), 0);
    blk_page_iter_begin(&iter, pager, blk_page_at(ids[0].untyped.value));
    assert_int_equal(blk_page_iter_next(&found, &iter), 1);
    assert_int_equal(found.untyped.value, ids[0].untyped.value);
    assert_int_equal(blk_page_iter_next(&found, &iter), 1);
    assert_int_equal(found.untyped.value, ids[2].untyped.value);
    assert_int_equal(blk_page_iter_next(&found, &iter), 0);
    assert_int_equal(blk_free(pager, id), 0);
    assert_int_equal(blk_free(pager, id), MPG_E_DOUBLE_FREE);
    assert_int_equal(blk_close(pager), 0);
}

static void protected_pages(void **state)
{
    blk_pager pager = create(*state);
    blk_protected_id id, ids[2], found;
    blk_writer writer;
    blk_page copy;
    const blk_page *view = NULL;
    mpg_protected_info info;
    blk_protected_iter iter;

    assert_int_equal(blk_alloc_protected(&id, pager), 0);
    assert_int_equal(blk_writer_open(&writer, pager, id), 0);
    fill(blk_writer_data(writer), 'p');
    assert_int_equal(blk_writer_commit(writer), 0);
    assert_int_equal(blk_writer_open(&writer, pager, id), 0);
    fill(blk_writer_data(writer), 'x');
    blk_writer_discard(writer);
    assert_int_equal(blk_protected_read(&copy, pager, id), 0);
    assert_int_equal(copy.bytes[4095], 'p');
    assert_int_equal(blk_protected_view(&view, pager, id), 0);
    assert_memory_equal(view->bytes, copy.bytes, sizeof(copy.bytes));
    blk_protected_release(pager, view);
    assert_int_equal(blk_protected_stat(&info, pager, id), 0);
    assert_int_not_equal(info.page[0], info.page[1]);

    assert_int_equal(blk_alloc_protected_at(pager, blk_protected_at(5)), 0);
    assert_int_equal(blk_alloc_protected_bulk(ids, pager, 2), 0);
    assert_int_equal(blk_free_protected_bulk(pager, ids, 2), 0);
    blk_protected_iter_begin(&iter, pager, blk_protected_at(1));
    assert_int_equal(blk_protected_iter_next(&found, &iter), 1);
    assert_int_equal(found.untyped.value, 5);
    assert_int_equal(blk_protected_iter_next(&found, &iter), 0);
    assert_int_equal(blk_free_protected(pager, id), 0);
    assert_int_equal(blk_protected_read(&copy, pager, id), MPG_E_NOT_ALLOCATED);
    assert_int_equal(blk_close(pager), 0);
}

static void transactions(void **state)
{
    blk_pager pager = create(*state);
    blk_protected_id guarded, more;
    blk_page_id id;
    blk_txn txn;
    blk_page copy;
    unsigned char bytes[4];

    assert_int_equal(blk_alloc_protected(&guarded, pager), 0);
    assert_int_equal(blk_txn_begin(&txn, pager), 0);
    assert_int_equal(blk_txn_alloc(&id, txn, 0), 0);
    assert_int_equal(blk_txn_page_write(txn, id, "page", 0, 4), 0);
    assert_int_equal(blk_txn_alloc_protected(&more, txn), 0);
    assert_int_equal(blk_txn_alloc_at(txn, blk_page_at(id.untyped.value + 40), 0), 0);
    assert_int_equal(blk_txn_free(txn, blk_page_at(id.untyped.value + 40)), 0);
    assert_int_equal(blk_txn_alloc_protected_at(txn, blk_protected_at(9)), 0);
    assert_int_equal(blk_txn_free_protected(txn, blk_protected_at(9)), 0);
    assert_int_equal(blk_txn_protected_write(txn, guarded, "safe", 10, 4), 0);
    assert_int_equal(blk_txn_protected_read(&copy, txn, guarded), 0);
    assert_memory_equal(copy.bytes + 10, "safe", 4);
    assert_int_equal(blk_protected_read(&copy, pager, guarded), 0);
    assert_int_equal(copy.bytes[10], 0);
    assert_int_equal(blk_txn_commit(txn, MPG_ORDERED), 0);

    assert_int_equal(blk_txn_begin(&txn, pager), 0);
    assert_int_equal(blk_txn_protected_write(txn, guarded, "lost", 10, 4), 0);
    blk_txn_abort(txn);
    assert_int_equal(blk_protected_read(&copy, pager, guarded), 0);
    assert_memory_equal(copy.bytes + 10, "safe", 4);
    assert_int_equal(blk_protected_read(&copy, pager, more), 0);
    assert_int_equal(blk_page_read(bytes, pager, id, 0, 4), 0);
    assert_memory_equal(bytes, "page", 4);
    assert_int_equal(blk_close(pager), 0);
}

static void a_snapshot_shows_what_was(void **state)
{
    struct scratch *scratch = *state;
    mpg_options options = MPG_OPTIONS_INIT;
    const blk_protected_id other = blk_protected_at(5);
    blk_protected_id id;
    blk_page content;
    blk_pager pager;
    blk_snapshot snapshot;
    blk_snapshot_iter iter;
    mpg_protected_info info;
    mpg_snapshot_info of_all;
    blk_writer writer;

    options.format = MPG_FORMAT_1;
    assert_int_equal(blk_create(&pager, scratch->path, &options), 0);
    assert_int_equal(blk_alloc_protected(&id, pager), 0);
    assert_int_equal(blk_snapshot_open(&snapshot, pager), 0);
    assert_int_equal(blk_writer_open(&writer, pager, id), 0);
    fill(blk_writer_data(writer), 3);
    assert_int_equal(blk_writer_commit(writer), 0);
    assert_int_equal(blk_alloc_protected_at(pager, other), 0);

    assert_int_equal(blk_snapshot_read(&content, snapshot, id), 0);
    assert_int_equal(content.bytes[0], 0);
    assert_int_equal(blk_snapshot_read(&content, snapshot, other), MPG_E_NOT_ALLOCATED);
    assert_int_equal(blk_snapshot_protected_stat(&info, snapshot, id), 0);
    blk_snapshot_stat(&of_all, snapshot);
    assert_int_equal(of_all.protected_pages, 1);
    blk_snapshot_iter_begin(&iter, snapshot, blk_protected_at(0));
    assert_int_equal(blk_snapshot_iter_next(&id, &iter), 1);
    assert_int_equal(id.untyped.value, 0);
    assert_int_equal(blk_snapshot_iter_next(&id, &iter), 0);
    blk_snapshot_close(snapshot);
    assert_int_equal(blk_close(pager), 0);
}

static void a_reader_sees_what_is_committed(void **state)
{
    struct scratch *scratch = *state;
    blk_pager pager = create(scratch);
    blk_reader reader;
    blk_page_id id, found;
    blk_protected_id guarded, found_guarded;
    const blk_page *seen = NULL;
    blk_page copy;
    blk_page_iter iter;
    blk_protected_iter guarded_iter;
    mpg_protected_info info;
    struct mpg_stat st = {.size = sizeof(st)};
    unsigned char byte;

    assert_int_equal(blk_alloc(&id, pager, MPG_ZERO), 0);
    assert_int_equal(blk_page_write(pager, id, "r", 0, 1), 0);
    assert_int_equal(blk_sync(pager), 0);
    assert_int_equal(blk_open_readonly(&reader, scratch->path, NULL), 0);
    assert_int_equal(blk_alloc_protected(&guarded, pager), 0);
    assert_int_equal(blk_reader_protected_read(&copy, reader, guarded), MPG_E_NOT_ALLOCATED);
    assert_int_equal(blk_reader_refresh(reader), 0);
    assert_int_equal(blk_reader_protected_read(&copy, reader, guarded), 0);
    assert_int_equal(blk_reader_protected_stat(&info, reader, guarded), 0);

    assert_int_equal(blk_reader_page_get(&seen, reader, id), 0);
    assert_int_equal(seen->bytes[0], 'r');
    assert_int_equal(blk_reader_page_read(&byte, reader, id, 0, 1), 0);
    assert_int_equal(byte, 'r');
    assert_int_equal(blk_reader_page_size(reader), 4096);
    assert_int_equal(blk_reader_stat(&st, reader), 0);
    assert_true(st.read_only);
    assert_int_equal(st.regular_pages, 1);
    assert_int_equal(blk_stat(&st, pager), 0);
    assert_false(st.read_only);
    blk_reader_page_iter_begin(&iter, reader, blk_page_at(0));
    assert_int_equal(blk_page_iter_next(&found, &iter), 1);
    assert_int_equal(found.untyped.value, id.untyped.value);
    blk_reader_protected_iter_begin(&guarded_iter, reader, blk_protected_at(0));
    assert_int_equal(blk_protected_iter_next(&found_guarded, &guarded_iter), 1);
    assert_int_equal(found_guarded.untyped.value, guarded.untyped.value);
    assert_int_equal(blk_reader_close(reader), 0);

    assert_int_equal(blk_reader_page_get(&seen, blk_as_reader(pager), id), 0);
    assert_int_equal(seen->bytes[0], 'r');
    assert_int_equal(blk_close(pager), 0);
}

static void parts_of_pages(void **state)
{
    blk_pager pager = create(*state);
    rec_sub records;
    rec_id id, ids[9];
    rec_part *part = NULL;
    const rec_part *seen = NULL;

    assert_int_equal(rec_open(&records, pager.untyped), 0);
    assert_int_equal(rec_part_size(records), 512);
    assert_int_equal(rec_alloc(&id, records), 0);
    assert_int_equal(rec_get_mut(&part, records, id), 0);
    memset(part->bytes, 's', sizeof(part->bytes));
    assert_int_equal(rec_get(&seen, records, id), 0);
    assert_ptr_equal(seen, part);
    assert_int_equal(rec_alloc_bulk(ids, records, 9), 0);
    assert_int_equal(rec_free_bulk(records, ids, 9), 0);
    assert_int_equal(rec_get(&seen, records, ids[0]), MPG_E_NOT_ALLOCATED);
    assert_ptr_equal(rec_release(records), pager.untyped);

    assert_int_equal(rec_open(&records, pager.untyped), 0);
    assert_int_equal(rec_adopt(records, &id, 1), 0);
    assert_int_equal(rec_get(&seen, records, rec_at(id.untyped.value)), 0);
    assert_int_equal(seen->bytes[511], 's');
    assert_int_equal(rec_free(records, id), 0);
    assert_ptr_equal(rec_release(records), pager.untyped);
    assert_int_equal(blk_close(pager), 0);
}

static void parts_on_a_typed_pager(void **state)
{
    tiny_sub records;
    tiny_id id;
    tiny_part *part = NULL;

    assert_int_equal(tiny_open(&records, create(*state)), 0);
    assert_int_equal(tiny_alloc(&id, records), 0);
    assert_int_equal(tiny_get_mut(&part, records, id), 0);
    memset(part->bytes, 't', sizeof(part->bytes));
    assert_int_equal(tiny_free(records, id), 0);
    blk_pager pager = tiny_release(records);
    assert_int_equal(blk_close(pager), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(contents_have_the_size_of_the_page),
        SCRATCH_TEST(a_file_of_another_page_size_is_not_opened),
        SCRATCH_TEST(regular_pages),
        SCRATCH_TEST(protected_pages),
        SCRATCH_TEST(transactions),
        SCRATCH_TEST(a_snapshot_shows_what_was),
        SCRATCH_TEST(a_reader_sees_what_is_committed),
        SCRATCH_TEST(parts_of_pages),
        SCRATCH_TEST(parts_on_a_typed_pager),
    };

    return SCRATCH_RUN("typed", tests);
}
