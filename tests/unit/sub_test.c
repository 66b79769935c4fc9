/* SPDX-License-Identifier: MIT */
/*
 * Parts of pages. The pager's bulk functions are wrapped by the linker: the wrappers count commits,
 * fail on request, and let other things happen at a moment at which other threads could do them.
 */
#include "support/scratch_file.h"

#include "mappedpages_sub.h"

#define PAGE 1024u

/* ---- The pager below, wrapped --------------------------------------------------------------- */

int __real_mpg_alloc_bulk(mpg_page_id *ids, mpg_pager *pager, size_t count, unsigned flags);
int __real_mpg_free_bulk(mpg_pager *pager, const mpg_page_id *ids, size_t count);
int __wrap_mpg_alloc_bulk(mpg_page_id *ids, mpg_pager *pager, size_t count, unsigned flags);
int __wrap_mpg_free_bulk(mpg_pager *pager, const mpg_page_id *ids, size_t count);

/* What the wrappers do. */
static struct {
    unsigned calls;                /* of either */
    unsigned fail_from;            /* the call, counted from 1, from which on all fail; 0: none */
    void (*meanwhile)(void *data); /* done once, before the next call; may be NULL */
    void *data;
} below;

static int enter(void)
{
    unsigned call = ++below.calls;
    void (*meanwhile)(void *data) = below.meanwhile;

    below.meanwhile = NULL;
    if (meanwhile != NULL)
        meanwhile(below.data);
    return below.fail_from != 0 && call >= below.fail_from ? MPG_E_NO_SPACE : 0;
}

int __wrap_mpg_alloc_bulk(mpg_page_id *ids, mpg_pager *pager, size_t count, unsigned flags)
{
    int code = enter();

    return code != 0 ? code : __real_mpg_alloc_bulk(ids, pager, count, flags);
}

int __wrap_mpg_free_bulk(mpg_pager *pager, const mpg_page_id *ids, size_t count)
{
    int code = enter();

    return code != 0 ? code : __real_mpg_free_bulk(pager, ids, count);
}

/* ---- Helpers -------------------------------------------------------------------------------- */

static mpg_sub *begin(const struct scratch *scratch, size_t part_size)
{
    mpg_sub *sub = NULL;

    below.calls = 0;
    below.fail_from = 0;
    below.meanwhile = NULL;
    assert_int_equal(mpg_sub_open(&sub, scratch_create(scratch, PAGE), part_size), 0);
    return sub;
}

static void assert_usage(const mpg_sub *sub, uint64_t pages, uint64_t live, uint64_t room)
{
    mpg_sub_usage usage;

    mpg_sub_stat(&usage, sub);
    assert_int_equal(usage.pages, pages);
    assert_int_equal(usage.live, live);
    assert_int_equal(usage.room, room);
}

static bool in_use(const mpg_sub *sub, mpg_sub_id id)
{
    const void *data;
    int code = mpg_sub_get(&data, sub, id);

    assert_true(code == 0 || code == MPG_E_NOT_ALLOCATED);
    return code == 0;
}

static void alloc_each(mpg_sub_id *ids, mpg_sub *sub, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(mpg_sub_alloc(&ids[i], sub), 0);
}

static mpg_sub_id part_of(mpg_sub_id id, unsigned part)
{
    return (mpg_sub_id){mpg_sub_page(id).value * MPG_SUB_PARTS_MAX + part};
}

/* ---- One at a time -------------------------------------------------------------------------- */

static void a_part_size_divides_the_page_into_2_to_64(void **state)
{
    static const size_t good[] = {16, 32, 64, 128, 256, 512};
    static const size_t bad[] = {0, 1, 8, 15, 17, 100, 1000, 1024, 2048, SIZE_MAX};
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_sub *sub = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(mpg_sub_open(&sub, pager, bad[i]), MPG_E_INVALID);
        assert_null(sub);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(mpg_sub_open(&sub, pager, good[i]), 0);
        assert_int_equal(mpg_sub_part_size(sub), good[i]);
        assert_int_equal(mpg_sub_parts(sub), PAGE / good[i]);
        assert_ptr_equal(mpg_sub_pager(sub), pager);
        assert_ptr_equal(mpg_sub_release(sub), pager);
    }
    assert_null(mpg_sub_release(NULL));
    check_and_close(pager);
}

static void code_for_one_page_size_refuses_another(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_error_info info;
    mpg_sub *sub = NULL;

    assert_int_equal(mpg_sub_open_sized(&sub, pager, 2 * PAGE, PAGE), MPG_E_INVALID_PAGE_SIZE);
    assert_int_equal(mpg_last_error(&info), MPG_E_INVALID_PAGE_SIZE);
    assert_null(sub);
    assert_int_equal(mpg_sub_open_sized(&sub, pager, PAGE, PAGE / 2), 0);
    check_and_close(mpg_sub_release(sub));
}

static void parts_are_disjoint_and_fill_their_page(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 64);
    mpg_sub_id ids[64];
    const void *page;
    void *data;

    alloc_each(ids, sub, 64);
    assert_usage(sub, 1, 64, 0);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(mpg_sub_page(ids[i]).value, mpg_sub_page(ids[0]).value);
        assert_int_equal(mpg_sub_get_mut(&data, sub, ids[i]), 0);
        memset(data, (int)mpg_sub_part(ids[i]) + 1, PAGE / 64);
    }
    assert_int_equal(mpg_page_get(&page, mpg_sub_pager(sub), mpg_sub_page(ids[0])), 0);
    for (size_t i = 0; i < PAGE; i++)
        assert_int_equal(((const unsigned char *)page)[i], i / (PAGE / 64) + 1);
    for (size_t i = 0; i < 64; i++) {
        const void *part;
        assert_int_equal(mpg_sub_get(&part, sub, ids[i]), 0);
        assert_ptr_equal(part, (const unsigned char *)page + mpg_sub_part(ids[i]) * (PAGE / 64));
    }
    check_and_close(mpg_sub_release(sub));
}

static void a_page_is_taken_when_there_is_no_room_and_goes_back_with_its_last_part(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 2);
    mpg_pager *pager = mpg_sub_pager(sub);
    mpg_sub_id ids[3];

    alloc_each(ids, sub, 2);
    assert_int_equal(count_regular_pages(pager), 1);
    alloc_each(ids + 2, sub, 1);
    assert_int_equal(count_regular_pages(pager), 2);
    assert_usage(sub, 2, 3, 1);

    assert_int_equal(mpg_sub_free(sub, ids[0]), 0);
    assert_int_equal(count_regular_pages(pager), 2);
    assert_int_equal(mpg_sub_free(sub, ids[1]), 0);
    assert_int_equal(count_regular_pages(pager), 1);
    assert_int_equal(mpg_sub_free(sub, ids[2]), 0);
    assert_int_equal(count_regular_pages(pager), 0);
    assert_usage(sub, 0, 0, 0);
    check_and_close(mpg_sub_release(sub));
}

static void freed_parts_are_used_before_a_new_page(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 4);
    mpg_sub_id ids[8], again;

    alloc_each(ids, sub, 8);
    assert_usage(sub, 2, 8, 0);
    assert_int_equal(mpg_sub_free(sub, ids[2]), 0);
    assert_int_equal(mpg_sub_alloc(&again, sub), 0);
    assert_int_equal(again.value, ids[2].value);
    assert_usage(sub, 2, 8, 0);
    check_and_close(mpg_sub_release(sub));
}

static void what_is_not_in_use_is_not_freed_and_not_shown(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 4);
    mpg_sub_id ids[2];
    const void *data = NULL;
    void *mut = NULL;

    alloc_each(ids, sub, 2);
    assert_int_equal(mpg_sub_free(sub, ids[1]), 0);
    assert_int_equal(mpg_sub_free(sub, ids[1]), MPG_E_DOUBLE_FREE);
    assert_int_equal(mpg_sub_get(&data, sub, ids[1]), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_sub_get_mut(&mut, sub, ids[1]), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_sub_free(sub, part_of(ids[0], 4)), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_sub_get(&data, sub, part_of(ids[0], 63)), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_sub_free(sub, (mpg_sub_id){0}), MPG_E_DOUBLE_FREE);
    assert_int_equal(mpg_sub_free(sub, (mpg_sub_id){UINT64_MAX - 63}), MPG_E_DOUBLE_FREE);
    assert_int_equal(mpg_sub_get(&data, sub, (mpg_sub_id){UINT64_MAX - 63}), MPG_E_NOT_ALLOCATED);
    assert_null(data);
    assert_null(mut);

    assert_int_equal(mpg_sub_free(sub, ids[0]), 0);
    assert_int_equal(mpg_sub_free(sub, ids[0]), MPG_E_DOUBLE_FREE);
    assert_int_equal(mpg_sub_get(&data, sub, ids[0]), MPG_E_NOT_ALLOCATED);
    check_and_close(mpg_sub_release(sub));
}

/* ---- Many at a time ------------------------------------------------------------------------- */

static void bulk_takes_and_gives_back_pages_in_one_commit_each(void **state)
{
    enum { COUNT = 1000 };
    mpg_sub *sub = begin(*state, PAGE / 64);
    static mpg_sub_id ids[COUNT];

    assert_int_equal(mpg_sub_alloc_bulk(ids, sub, COUNT), 0);
    assert_int_equal(below.calls, 1);
    assert_usage(sub, (COUNT + 63) / 64, COUNT, (64 - COUNT % 64) % 64);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(in_use(sub, ids[i]));

    assert_int_equal(mpg_sub_free_bulk(sub, ids, COUNT), 0);
    assert_int_equal(below.calls, 2);
    assert_usage(sub, 0, 0, 0);
    assert_int_equal(count_regular_pages(mpg_sub_pager(sub)), 0);

    assert_int_equal(mpg_sub_alloc_bulk(ids, sub, 0), 0);
    assert_int_equal(mpg_sub_free_bulk(sub, ids, 0), 0);
    assert_int_equal(below.calls, 2);
    check_and_close(mpg_sub_release(sub));
}

static void bulk_uses_the_room_there_is(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 8);
    mpg_sub_id ids[16];

    alloc_each(ids, sub, 3);
    assert_int_equal(mpg_sub_alloc_bulk(ids + 3, sub, 5), 0);
    assert_int_equal(below.calls, 1);
    assert_usage(sub, 1, 8, 0);
    assert_int_equal(mpg_sub_alloc_bulk(ids + 8, sub, 8), 0);
    assert_int_equal(below.calls, 2);
    assert_usage(sub, 2, 16, 0);
    check_and_close(mpg_sub_release(sub));
}

static void a_bulk_free_with_a_fault_frees_nothing(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 4);
    mpg_sub_id ids[6];

    alloc_each(ids, sub, 5);
    ids[5] = ids[0];
    assert_int_equal(mpg_sub_free_bulk(sub, ids, 6), MPG_E_DOUBLE_FREE);
    ids[5] = part_of(ids[4], 3);
    assert_int_equal(mpg_sub_free_bulk(sub, ids, 6), MPG_E_DOUBLE_FREE);
    ids[5] = part_of(ids[4], 4);
    assert_int_equal(mpg_sub_free_bulk(sub, ids, 6), MPG_E_OUT_OF_BOUNDS);
    assert_usage(sub, 2, 5, 3);
    for (size_t i = 0; i < 5; i++)
        assert_true(in_use(sub, ids[i]));
    assert_int_equal(mpg_sub_free_bulk(sub, ids, 5), 0);
    assert_usage(sub, 0, 0, 0);
    check_and_close(mpg_sub_release(sub));
}

static void a_bulk_that_does_not_fit_the_file_takes_nothing(void **state)
{
    struct scratch *scratch = *state;
    if (scratch->format != MPG_FORMAT_0_2)
        skip(); /* only that one is full before the disk is */
    mpg_sub *sub = begin(scratch, PAGE / 2);
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, mpg_sub_pager(sub)), 0);
    size_t count = 2 * (size_t)st.max_pages;
    mpg_sub_id *ids = calloc(count, sizeof(*ids));
    assert_non_null(ids);
    assert_int_equal(mpg_sub_alloc(ids, sub), 0);
    ids[1].value = 99;
    assert_int_equal(mpg_sub_alloc_bulk(ids + 1, sub, count - 1), MPG_E_FILE_FULL);
    assert_int_equal(ids[1].value, 99);
    assert_usage(sub, 1, 1, 1);
    assert_int_equal(count_regular_pages(mpg_sub_pager(sub)), 1);
    free(ids);
    check_and_close(mpg_sub_release(sub));
}

static void more_than_memory_holds_is_no_memory(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 2);
    mpg_sub_id id = {99};

    assert_int_equal(mpg_sub_alloc_bulk(&id, sub, SIZE_MAX), MPG_E_NO_MEMORY);
    assert_int_equal(mpg_sub_free_bulk(sub, &id, SIZE_MAX), MPG_E_NO_MEMORY);
    assert_int_equal(id.value, 99);
    assert_usage(sub, 0, 0, 0);
    check_and_close(mpg_sub_release(sub));
}

/* ---- When the pager refuses ----------------------------------------------------------------- */

static void a_refused_page_changes_nothing(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 2);
    mpg_sub_id ids[3] = {{0}, {0}, {99}};

    alloc_each(ids, sub, 2);
    below.fail_from = below.calls + 1;
    assert_int_equal(mpg_sub_alloc(&ids[2], sub), MPG_E_NO_SPACE);
    assert_int_equal(ids[2].value, 99);
    assert_usage(sub, 1, 2, 0);
    below.fail_from = 0;
    assert_int_equal(mpg_sub_alloc(&ids[2], sub), 0);
    check_and_close(mpg_sub_release(sub));
}

static void a_page_that_does_not_go_back_keeps_its_parts(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 2);
    mpg_sub_id ids[5];

    alloc_each(ids, sub, 5);
    below.fail_from = below.calls + 1;
    assert_int_equal(mpg_sub_free(sub, ids[4]), MPG_E_NO_SPACE);
    assert_true(in_use(sub, ids[4]));
    /* Parts 0 and 1 are a page, 2 is half of one, 4 all that is in use of one. */
    const mpg_sub_id some[] = {ids[0], ids[1], ids[2], ids[4]};
    assert_int_equal(mpg_sub_free_bulk(sub, some, 4), MPG_E_NO_SPACE);
    for (size_t i = 0; i < 5; i++)
        assert_true(in_use(sub, ids[i]));
    assert_usage(sub, 3, 5, 1);

    below.fail_from = 0;
    assert_int_equal(mpg_sub_free_bulk(sub, some, 4), 0);
    assert_usage(sub, 1, 1, 1);
    assert_int_equal(count_regular_pages(mpg_sub_pager(sub)), 1);
    check_and_close(mpg_sub_release(sub));
}

/* ---- While the pager commits ---------------------------------------------------------------- */

/* What somebody else does meanwhile. */
struct other {
    mpg_sub *sub;
    mpg_sub_id ids[4];
    size_t count;
    int code;
};

static void other_allocs(void *data)
{
    struct other *other = data;

    other->code = mpg_sub_alloc_bulk(other->ids, other->sub, other->count);
}

static void other_frees(void *data)
{
    struct other *other = data;

    other->code = mpg_sub_free_bulk(other->sub, other->ids, other->count);
}

static void other_frees_then_pager_refuses(void *data)
{
    other_frees(data);
    below.fail_from = below.calls + 1;
}

static void room_that_others_took_meanwhile_is_replaced(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 4);
    struct other other = {.sub = sub, .count = 3};
    mpg_sub_id ids[8];

    alloc_each(ids, sub, 1); /* leaves room for 3 */
    below.meanwhile = other_allocs;
    below.data = &other;
    assert_int_equal(mpg_sub_alloc_bulk(ids + 1, sub, 7), 0);
    assert_int_equal(other.code, 0);
    assert_usage(sub, 3, 11, 1);
    check_and_close(mpg_sub_release(sub));
}

static void pages_that_are_not_enough_go_back(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 4);
    struct other other = {.sub = sub, .count = 3};
    mpg_sub_id ids[8];

    alloc_each(ids, sub, 1);
    below.meanwhile = other_allocs;
    below.data = &other;
    below.fail_from = below.calls + 2; /* the first page comes, the second does not */
    assert_int_equal(mpg_sub_alloc_bulk(ids + 1, sub, 7), MPG_E_NO_SPACE);
    assert_int_equal(other.code, 0);
    assert_usage(sub, 1, 4, 0);
    assert_int_equal(count_regular_pages(mpg_sub_pager(sub)), 1);
    check_and_close(mpg_sub_release(sub));
}

static void parts_being_freed_are_not_freed_by_another(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 4);
    struct other other = {.sub = sub, .count = 1};
    mpg_sub_id ids[6];

    alloc_each(ids, sub, 6); /* a full page, and half of one */
    const mpg_sub_id some[] = {ids[4], ids[5], ids[0]};
    other.ids[0] = ids[0];
    below.meanwhile = other_frees;
    below.data = &other;
    assert_int_equal(mpg_sub_free_bulk(sub, some, 3), 0);
    assert_int_equal(other.code, MPG_E_DOUBLE_FREE);
    assert_usage(sub, 1, 3, 1);
    check_and_close(mpg_sub_release(sub));
}

static void a_page_emptied_by_two_at_once_goes_back(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 4);
    struct other other = {.sub = sub, .count = 3};
    mpg_sub_id ids[6];

    alloc_each(ids, sub, 6);
    const mpg_sub_id some[] = {ids[4], ids[5], ids[0]};
    memcpy(other.ids, ids + 1, sizeof(ids[0]) * 3);
    below.meanwhile = other_frees;
    below.data = &other;
    assert_int_equal(mpg_sub_free_bulk(sub, some, 3), 0);
    assert_int_equal(other.code, 0);
    assert_usage(sub, 0, 0, 0);
    assert_int_equal(count_regular_pages(mpg_sub_pager(sub)), 0);
    check_and_close(mpg_sub_release(sub));
}

static void a_free_undone_leaves_what_others_freed(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 4);
    struct other other = {.sub = sub, .count = 3};
    mpg_sub_id ids[6];

    alloc_each(ids, sub, 6);
    const mpg_sub_id some[] = {ids[4], ids[5], ids[0]};
    memcpy(other.ids, ids + 1, sizeof(ids[0]) * 3);
    below.meanwhile = other_frees;
    below.data = &other;
    below.fail_from = below.calls + 1;
    assert_int_equal(mpg_sub_free_bulk(sub, some, 3), MPG_E_NO_SPACE);
    assert_int_equal(other.code, 0);
    assert_usage(sub, 2, 3, 5);
    for (size_t i = 0; i < 3; i++)
        assert_true(in_use(sub, some[i]));
    below.fail_from = 0;
    assert_int_equal(mpg_sub_free_bulk(sub, some, 3), 0);
    assert_usage(sub, 0, 0, 0);
    check_and_close(mpg_sub_release(sub));
}

/* Leaves one page without a part in use, because the pager refused it. A part of it was *part. */
static mpg_sub *begin_with_idle_page(const struct scratch *scratch, mpg_sub_id *part)
{
    mpg_sub *sub = begin(scratch, PAGE / 4);
    struct other other = {.sub = sub, .count = 3};
    mpg_sub_id ids[6];

    alloc_each(ids, sub, 6);
    const mpg_sub_id some[] = {ids[4], ids[5], ids[0]};
    memcpy(other.ids, ids + 1, sizeof(ids[0]) * 3);
    below.meanwhile = other_frees_then_pager_refuses;
    below.data = &other;
    /* The page of ids 4 and 5 goes back; then that of 0 to 3, which is empty by now, does not. */
    assert_int_equal(mpg_sub_free_bulk(sub, some, 3), 0);
    assert_int_equal(other.code, 0);
    assert_usage(sub, 1, 0, 4);
    below.fail_from = 0;
    *part = ids[0];
    return sub;
}

static void an_emptied_page_that_was_refused_is_used_again(void **state)
{
    mpg_sub_id before, again;
    mpg_sub *sub = begin_with_idle_page(*state, &before);

    assert_int_equal(mpg_sub_free(sub, before), MPG_E_DOUBLE_FREE);
    assert_int_equal(mpg_sub_alloc(&again, sub), 0);
    assert_int_equal(mpg_sub_page(again).value, mpg_sub_page(before).value);
    assert_int_equal(mpg_sub_free(sub, again), 0);
    assert_usage(sub, 0, 0, 0);
    check_and_close(mpg_sub_release(sub));
}

static void an_emptied_page_that_was_refused_goes_back_at_the_end(void **state)
{
    mpg_sub_id before;
    mpg_pager *pager = mpg_sub_release(begin_with_idle_page(*state, &before));

    assert_int_equal(count_regular_pages(pager), 0);
    check_and_close(pager);
}

/* ---- Across runs ---------------------------------------------------------------------------- */

static void released_parts_are_adopted_after_reopening(void **state)
{
    mpg_sub *sub = begin(*state, PAGE / 8);
    mpg_sub_id ids[10], next[7];
    const void *data;
    void *mut;

    alloc_each(ids, sub, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(mpg_sub_get_mut(&mut, sub, ids[i]), 0);
        memset(mut, (int)i + 1, PAGE / 8);
    }
    assert_int_equal(mpg_sync(mpg_sub_pager(sub)), 0);
    check_and_close(mpg_sub_release(sub));

    mpg_pager *pager = scratch_open(*state);
    assert_int_equal(count_regular_pages(pager), 2);
    assert_int_equal(mpg_sub_open(&sub, pager, PAGE / 8), 0);
    assert_int_equal(mpg_sub_get(&data, sub, ids[0]), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_sub_adopt(sub, ids, 9), 0);
    assert_usage(sub, 2, 9, 7);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(mpg_sub_get(&data, sub, ids[i]), 0);
        assert_int_equal(*(const unsigned char *)data, i + 1);
    }
    assert_false(in_use(sub, ids[9])); /* not in the list, so it is free again */
    alloc_each(next, sub, 7);
    assert_usage(sub, 2, 16, 0);
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < 9; j++)
            assert_int_not_equal(next[i].value, ids[j].value);
    }
    assert_int_equal(mpg_sub_free_bulk(sub, ids, 9), 0);
    assert_int_equal(mpg_sub_free_bulk(sub, next, 7), 0);
    assert_int_equal(count_regular_pages(pager), 0);
    check_and_close(mpg_sub_release(sub));
}

static void a_list_with_a_fault_is_not_adopted(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_page_id pages[2];
    mpg_protected_id guarded;
    mpg_protected_info info;
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_sub *sub = NULL;

    assert_int_equal(mpg_alloc_bulk(pages, pager, 2, 0), 0);
    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_protected_stat(&info, pager, guarded), 0);
    assert_int_equal(mpg_free(pager, pages[1]), 0);
    assert_int_equal(mpg_stat(&st, pager), 0);
    assert_int_equal(mpg_sub_open(&sub, pager, PAGE / 4), 0);

    const mpg_sub_id good = {pages[0].value * 64 + 1};
    const struct {
        mpg_sub_id id;
        int code;
    } bad[] = {
        {good, MPG_E_EXISTS},
        {{pages[0].value * 64 + 4}, MPG_E_OUT_OF_BOUNDS},
        {{pages[1].value * 64}, MPG_E_NOT_ALLOCATED},
        {{0 * 64}, MPG_E_RESERVED_PAGE},
        {{2 * 64}, MPG_E_RESERVED_PAGE},
        {{st.total_pages * 64}, MPG_E_OUT_OF_BOUNDS},
        {{UINT64_MAX - 63}, MPG_E_OUT_OF_BOUNDS},
        {{info.page[0] * 64}, MPG_E_NOT_REGULAR},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const mpg_sub_id ids[] = {good, {pages[0].value * 64}, bad[i].id};
        assert_int_equal(mpg_sub_adopt(sub, ids, 3), bad[i].code);
        assert_usage(sub, 0, 0, 0);
    }
    assert_int_equal(mpg_sub_adopt(sub, &good, 1), 0);
    assert_int_equal(mpg_sub_adopt(sub, &good, 1), MPG_E_EXISTS);
    assert_usage(sub, 1, 1, 3);
    const mpg_sub_id more[] = {{pages[0].value * 64 + 2}, good};
    assert_int_equal(mpg_sub_adopt(sub, more, 2), MPG_E_EXISTS);
    assert_usage(sub, 1, 1, 3);
    assert_int_equal(mpg_sub_adopt(sub, more, 1), 0);
    assert_usage(sub, 1, 2, 2);
    check_and_close(mpg_sub_release(sub));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_part_size_divides_the_page_into_2_to_64),
        SCRATCH_TEST(code_for_one_page_size_refuses_another),
        SCRATCH_TEST(parts_are_disjoint_and_fill_their_page),
        SCRATCH_TEST(a_page_is_taken_when_there_is_no_room_and_goes_back_with_its_last_part),
        SCRATCH_TEST(freed_parts_are_used_before_a_new_page),
        SCRATCH_TEST(what_is_not_in_use_is_not_freed_and_not_shown),
        SCRATCH_TEST(bulk_takes_and_gives_back_pages_in_one_commit_each),
        SCRATCH_TEST(bulk_uses_the_room_there_is),
        SCRATCH_TEST(a_bulk_free_with_a_fault_frees_nothing),
        SCRATCH_TEST(a_bulk_that_does_not_fit_the_file_takes_nothing),
        SCRATCH_TEST(more_than_memory_holds_is_no_memory),
        SCRATCH_TEST(a_refused_page_changes_nothing),
        SCRATCH_TEST(a_page_that_does_not_go_back_keeps_its_parts),
        SCRATCH_TEST(room_that_others_took_meanwhile_is_replaced),
        SCRATCH_TEST(pages_that_are_not_enough_go_back),
        SCRATCH_TEST(parts_being_freed_are_not_freed_by_another),
        SCRATCH_TEST(a_page_emptied_by_two_at_once_goes_back),
        SCRATCH_TEST(a_free_undone_leaves_what_others_freed),
        SCRATCH_TEST(an_emptied_page_that_was_refused_is_used_again),
        SCRATCH_TEST(an_emptied_page_that_was_refused_goes_back_at_the_end),
        SCRATCH_TEST(released_parts_are_adopted_after_reopening),
        SCRATCH_TEST(a_list_with_a_fault_is_not_adopted),
    };

    return SCRATCH_RUN("sub", tests);
}
