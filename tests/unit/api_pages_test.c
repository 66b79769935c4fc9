/* SPDX-License-Identifier: MIT */
/* Regular pages, for several page sizes: what each function does, and each error it can give. */
#include "support/scratch_file.h"

static uint32_t page_size;

static mpg_page_id page(uint64_t value)
{
    return (mpg_page_id){value};
}

static void the_lowest_free_page_comes_first(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_page_id id;

    assert_int_equal(mpg_alloc_at(pager, page(30), 0), 0); /* so that there is a choice */
    for (uint64_t i = 3; i < 9; i++) {
        assert_int_equal(mpg_alloc(&id, pager, 0), 0);
        assert_int_equal(id.value, i);
    }
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_free(pager, page(4)), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_in_range(id.value, 9,
                    12); /* in format 1 records of commits may lie at the end of so small a file */
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(id.value, 4); /* it has rested for a commit */
    check_and_close(pager);
}

static int stat_of_format(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, pager), 0);
    return st.format;
}

static void alloc_at_gives_that_page_or_says_why_not(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_protected_info info;
    mpg_protected_id guarded;

    assert_int_equal(mpg_alloc_at(pager, page(30), 0), 0);
    assert_int_equal(mpg_alloc_at(pager, page(30), 0), MPG_E_EXISTS);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(mpg_alloc_at(pager, page(i), 0), MPG_E_RESERVED_PAGE);
    assert_int_equal(mpg_alloc_at(pager, page(UINT64_MAX), 0), MPG_E_FILE_FULL);
    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_protected_stat(&info, pager, guarded), 0);
    assert_int_equal(mpg_alloc_at(pager, page(info.page[0]), 0),
                     stat_of_format(pager) == MPG_FORMAT_1 ? 0 : MPG_E_NOT_REGULAR);
    check_and_close(pager);
}

static void free_refuses_what_is_not_the_callers(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_protected_info info;
    mpg_protected_id guarded;
    mpg_page_id id;

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_protected_stat(&info, pager, guarded), 0);
    assert_int_equal(mpg_free(pager, page(2)), MPG_E_RESERVED_PAGE);
    assert_int_equal(mpg_free(pager, page(1000000)), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_free(pager, page(info.page[info.current])), MPG_E_NOT_REGULAR);
    assert_int_equal(mpg_free(pager, id), 0);
    assert_int_equal(mpg_free(pager, id), MPG_E_DOUBLE_FREE);
    check_and_close(pager);
}

static void bulk_is_all_or_nothing(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_page_id ids[20];

    assert_int_equal(mpg_alloc_bulk(ids, pager, 20, MPG_ZERO), 0);
    for (size_t i = 1; i < 20; i++)
        assert_true(ids[i].value > ids[i - 1].value);
    ids[19] = ids[0];
    assert_int_equal(mpg_free_bulk(pager, ids, 20), MPG_E_DOUBLE_FREE);
    assert_int_equal(count_regular_pages(pager), 20);
    assert_int_equal(mpg_free_bulk(pager, ids, 19), 0);
    assert_int_equal(count_regular_pages(pager), 1);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 0, 0), 0);
    assert_int_equal(mpg_free_bulk(pager, ids, 0), 0);
    check_and_close(pager);
}

static void content_by_copy_and_by_pointer_is_the_same(void **state)
{
    struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, page_size);
    unsigned char *data = malloc(page_size);
    const void *seen;
    void *own;
    mpg_page_id id;

    assert_non_null(data);
    assert_int_equal(mpg_alloc(&id, pager, MPG_ZERO), 0);
    assert_int_equal(mpg_page_read(data, pager, id, 0, page_size), 0);
    for (size_t i = 0; i < page_size; i++)
        assert_int_equal(data[i], 0);
    memset(data, 'a', page_size);
    assert_int_equal(mpg_page_write(pager, id, data, 1, page_size - 1), 0);
    assert_int_equal(mpg_page_get(&seen, pager, id), 0);
    assert_int_equal(((const char *)seen)[0], 0);
    assert_memory_equal((const char *)seen + 1, data, page_size - 1);
    assert_int_equal(mpg_page_get_mut(&own, pager, id), 0);
    assert_ptr_equal(own, seen);
    memset(own, 'b', page_size);
    assert_int_equal(mpg_page_sync(pager, id), 0);
    assert_int_equal(mpg_close(pager), 0);
    pager = scratch_open(scratch);
    assert_int_equal(mpg_page_read(data, pager, id, page_size - 1, 1), 0);
    assert_int_equal(data[0], 'b');
    free(data);
    check_and_close(pager);
}

static void content_of_what_is_no_regular_page_is_refused(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_protected_info info;
    mpg_protected_id guarded;
    mpg_page_id id;
    const void *seen;
    void *own;
    char byte;

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_alloc_protected(&guarded, pager), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_protected_stat(&info, pager, guarded), 0);
    assert_int_equal(mpg_page_get(&seen, pager, page(0)), MPG_E_RESERVED_PAGE);
    assert_int_equal(mpg_page_get_mut(&own, pager, page(1000000)), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_page_get(&seen, pager, page(info.page[0])), MPG_E_NOT_REGULAR);
    assert_int_equal(mpg_page_read(&byte, pager, id, page_size, 1), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_page_read(&byte, pager, id, SIZE_MAX, 2), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_page_write(pager, id, &byte, page_size, 1), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_free(pager, id), 0);
    assert_int_equal(mpg_page_get(&seen, pager, id), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_page_read(&byte, pager, id, 0, 1), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_page_write(pager, id, &byte, 0, 1), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_page_sync(pager, id), MPG_E_NOT_ALLOCATED);
    check_and_close(pager);
}

static void pointers_stay_while_the_file_grows(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_page_id id, far;
    void *before, *after;

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_page_get_mut(&before, pager, id), 0);
    memset(before, 'x', page_size);
    for (int i = 0; i < 50; i++)
        assert_int_equal(mpg_alloc(&far, pager, 0), 0);
    assert_int_equal(mpg_page_get_mut(&after, pager, far), 0);
    memset(after, 'y', page_size);
    assert_int_equal(((char *)before)[page_size - 1], 'x');
    assert_int_equal(mpg_page_get_mut(&after, pager, id), 0);
    assert_ptr_equal(before, after);
    check_and_close(pager);
}

static void beyond_the_address_space_only_copies_work(void **state)
{
    struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, page_size);
    mpg_pager *pager;
    void *own;
    char byte = 'z';
    uint64_t last;

    options.address_space = 4 * (uint64_t)page_size;
    options.flags = MPG_SPARSE;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    last = options.address_space / page_size + 100;
    assert_int_equal(mpg_alloc_at(pager, page(last), 0), 0);
    assert_int_equal(mpg_page_get_mut(&own, pager, page(last)), MPG_E_NO_MEMORY);
    assert_int_equal(mpg_page_write(pager, page(last), &byte, 0, 1), 0);
    byte = 0;
    assert_int_equal(mpg_page_read(&byte, pager, page(last), 0, 1), 0);
    assert_int_equal(byte, 'z');
    check_and_close(pager);
}

static void every_page_has_a_use(void **state)
{
    mpg_pager *pager = scratch_create(*state, page_size);
    struct mpg_stat st = {.size = sizeof(st)};
    enum mpg_page_use use;
    mpg_page_id id;
    void *raw = malloc(page_size);

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(mpg_stat(&st, pager), 0);
    assert_int_equal(mpg_page_use(&use, pager, 0), 0);
    assert_int_equal(use, MPG_USE_METADATA);
    assert_int_equal(mpg_page_use(&use, pager, id.value), 0);
    assert_int_equal(use, MPG_USE_REGULAR);
    assert_int_equal(mpg_page_use(&use, pager, st.total_pages), MPG_E_OUT_OF_BOUNDS);
    assert_int_equal(mpg_raw_read(raw, pager, 0), 0);
    assert_memory_equal(raw, "MPPG", 4);
    assert_int_equal(mpg_raw_read(raw, pager, st.total_pages), MPG_E_OUT_OF_BOUNDS);
    free(raw);
    check_and_close(pager);
}

/*
 * Many pages with holes between, protected ones among them, over more than one look under the lock.
 */
static void the_uses_of_many_pages_are_those_of_each(void **state)
{
    enum { COUNT = 4000, LOOKED_AT = 9500 };
    mpg_pager *pager = scratch_create(*state, page_size);
    mpg_page_id *ids = malloc(COUNT * sizeof(*ids));
    unsigned char *uses = malloc(LOOKED_AT);
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_protected_id protected_ids[5];
    size_t freed = 0;

    assert_int_equal(mpg_alloc_bulk(ids, pager, COUNT, 0), 0);
    assert_int_equal(mpg_alloc_protected_bulk(protected_ids, pager, 5), 0);
    for (size_t i = 0; i < COUNT; i += 3)
        ids[freed++] = ids[i];
    assert_int_equal(mpg_free_bulk(pager, ids, freed), 0);
    assert_int_equal(mpg_stat(&st, pager), 0);
    for (uint64_t first = 0; first < 130; first += 43) {
        assert_int_equal(mpg_page_uses(uses, pager, first, LOOKED_AT), 0);
        for (uint64_t i = 0; i < LOOKED_AT; i++) {
            enum mpg_page_use use = MPG_USE_FREE; /* beyond the end */

            if (first + i < st.total_pages)
                assert_int_equal(mpg_page_use(&use, pager, first + i), 0);
            assert_int_equal(uses[i], use);
        }
    }
    assert_int_equal(mpg_page_uses(uses, pager, UINT64_MAX - 3, 100), 0);
    assert_int_equal(uses[2], MPG_USE_FREE);
    assert_int_equal(mpg_page_uses(uses, pager, 7, 0), 0);
    free(uses);
    free(ids);
    check_and_close(pager);
}

int main(void)
{
    static const uint32_t sizes[] = {1024, 4096, 16384, 1 << 20};
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(the_lowest_free_page_comes_first),
        SCRATCH_TEST(alloc_at_gives_that_page_or_says_why_not),
        SCRATCH_TEST(free_refuses_what_is_not_the_callers),
        SCRATCH_TEST(bulk_is_all_or_nothing),
        SCRATCH_TEST(content_by_copy_and_by_pointer_is_the_same),
        SCRATCH_TEST(content_of_what_is_no_regular_page_is_refused),
        SCRATCH_TEST(pointers_stay_while_the_file_grows),
        SCRATCH_TEST(beyond_the_address_space_only_copies_work),
        SCRATCH_TEST(every_page_has_a_use),
        SCRATCH_TEST(the_uses_of_many_pages_are_those_of_each),
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        page_size = sizes[i];
        failed |= SCRATCH_RUN("regular pages", tests);
    }
    return failed;
}
