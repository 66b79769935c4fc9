/* SPDX-License-Identifier: MIT */
/*
 * Parts of pages when memory runs out: the n-th request for memory fails, for every n until nothing
 * fails any more. An operation then does what it should or nothing at all. The linker wraps malloc,
 * calloc and realloc, in the library and below it.
 */
#include "support/scratch_file.h"

#include "mappedpages_allocator.h"
#include "mappedpages_sub.h"

#define PAGE 1024u
#define PARTS 300u

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

/* How many more requests are granted; negative: all. */
static int granted = -1;
static bool refused;

static bool grant(void)
{
    if (granted < 0)
        return true;
    if (granted-- > 0)
        return true;
    granted = -1; /* the one that fails is the only one */
    refused = true;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return grant() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return grant() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
    return grant() ? __real_realloc(old, size) : NULL;
}

/* What can be seen of a sub-allocator and its pager. */
struct seen {
    mpg_sub_usage usage;
    uint64_t pages;
};

static struct seen look(const mpg_sub *sub)
{
    struct seen seen;

    mpg_sub_stat(&seen.usage, sub);
    seen.pages = count_regular_pages(mpg_sub_pager(sub));
    return seen;
}

/* An operation on a sub-allocator and some ids. */
typedef int operation(mpg_sub *sub, mpg_sub_id *ids);

static int alloc_one(mpg_sub *sub, mpg_sub_id *ids)
{
    return mpg_sub_alloc(ids, sub);
}

static int alloc_many(mpg_sub *sub, mpg_sub_id *ids)
{
    return mpg_sub_alloc_bulk(ids + 1, sub, PARTS - 1);
}

static int free_many(mpg_sub *sub, mpg_sub_id *ids)
{
    return mpg_sub_free_bulk(sub, ids + 1, PARTS - 1);
}

static int free_one(mpg_sub *sub, mpg_sub_id *ids)
{
    return mpg_sub_free(sub, ids[0]);
}

static int alloc_units(mpg_sub *sub, mpg_sub_id *ids)
{
    mpg_allocator allocator = mpg_sub_allocator(sub);
    mpg_unit_id units[PARTS];
    int code = mpg_unit_alloc_bulk(units, &allocator, PARTS);

    for (size_t i = 0; code == 0 && i < PARTS; i++)
        ids[i].value = units[i].value;
    return code;
}

static int free_units(mpg_sub *sub, mpg_sub_id *ids)
{
    mpg_allocator allocator = mpg_sub_allocator(sub);
    mpg_unit_id units[PARTS];

    for (size_t i = 0; i < PARTS; i++)
        units[i].value = ids[i].value;
    return mpg_unit_free_bulk(&allocator, units, PARTS);
}

/*
 * Does the operation with one request for memory refused, the next one each time, until none was
 * refused. Where it works without that memory, `undo` takes it back.
 */
static void until_it_works(operation *operate, operation *undo, mpg_sub *sub, mpg_sub_id *ids)
{
    for (int n = 0;; n++) {
        struct seen before = look(sub);
        refused = false;
        granted = n;
        int code = operate(sub, ids);
        granted = -1;
        if (!refused) {
            assert_int_equal(code, 0);
            return;
        }
        if (code == 0)
            assert_int_equal(undo(sub, ids), 0);
        else
            assert_int_equal(code, MPG_E_NO_MEMORY);
        struct seen after = look(sub);
        assert_memory_equal(&before, &after, sizeof(before));
        assert_in_range(n, 0, 10000);
    }
}

static void no_operation_is_left_half_done(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_sub_id ids[PARTS];
    mpg_sub *sub = NULL;

    assert_int_equal(mpg_sub_open(&sub, pager, PAGE / 4), 0);
    until_it_works(alloc_one, free_one, sub, ids);
    until_it_works(alloc_many, free_many, sub, ids);
    until_it_works(free_many, alloc_many, sub, ids);
    until_it_works(free_one, alloc_one, sub, ids);
    assert_int_equal(count_regular_pages(pager), 0);
    until_it_works(alloc_units, free_units, sub, ids);
    until_it_works(free_units, alloc_units, sub, ids);
    assert_int_equal(count_regular_pages(pager), 0);
    assert_ptr_equal(mpg_sub_release(sub), pager);
    check_and_close(pager);
}

static int adopt_many(mpg_sub *sub, mpg_sub_id *ids)
{
    return mpg_sub_adopt(sub, ids, PARTS);
}

/* The pages stay allocated: only the sub-allocator forgets its parts. */
static int forget_many(mpg_sub *sub, mpg_sub_id *ids)
{
    mpg_page_id pages[PARTS];
    size_t count = 0;

    if (mpg_sub_free_bulk(sub, ids, PARTS) != 0)
        return -1;
    for (size_t i = 0; i < PARTS; i++) {
        if (mpg_sub_part(ids[i]) == 0)
            pages[count++] = mpg_sub_page(ids[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (mpg_alloc_at(mpg_sub_pager(sub), pages[i], 0) != 0)
            return -1;
    }
    return 0;
}

static void no_list_is_adopted_in_part(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_sub_id ids[PARTS];
    mpg_sub *sub = NULL;

    assert_int_equal(mpg_sub_open(&sub, pager, PAGE / 4), 0);
    assert_int_equal(mpg_sub_alloc_bulk(ids, sub, PARTS), 0);
    assert_ptr_equal(mpg_sub_release(sub), pager);
    assert_int_equal(mpg_sub_open(&sub, pager, PAGE / 4), 0);
    until_it_works(adopt_many, forget_many, sub, ids);
    assert_int_equal(mpg_sub_free_bulk(sub, ids, PARTS), 0);
    assert_int_equal(count_regular_pages(pager), 0);
    assert_ptr_equal(mpg_sub_release(sub), pager);
    check_and_close(pager);
}

static void no_sub_allocator_begins_in_part(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_sub *sub = NULL;
    int code = MPG_E_NO_MEMORY;

    for (int n = 0; code != 0; n++) {
        granted = n;
        code = mpg_sub_open(&sub, pager, PAGE / 2);
        granted = -1;
        assert_true(code == 0 || (code == MPG_E_NO_MEMORY && sub == NULL));
    }
    assert_ptr_equal(mpg_sub_release(sub), pager);
    check_and_close(pager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(no_operation_is_left_half_done),
        SCRATCH_TEST(no_list_is_adopted_in_part),
        SCRATCH_TEST(no_sub_allocator_begins_in_part),
    };

    return SCRATCH_RUN("sub, without memory", tests);
}
