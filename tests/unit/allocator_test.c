/* SPDX-License-Identifier: MIT */
/* One generic routine for whatever hands out units, run on regular pages, protected pages and
 * parts. */
#include "support/scratch_file.h"

#include "mappedpages_allocator.h"

#define PAGE 1024u
#define PART 128u
#define UNITS 40u

/* ---- The generic routine: knows nothing but the interface ----------------------------------- */

static void write_unit(const mpg_allocator *units, mpg_unit_id id, int byte)
{
    mpg_unit_edit edit;

    assert_int_equal(mpg_unit_get_mut(&edit, units, id), 0);
    assert_int_equal(edit.id.value, id.value);
    memset(edit.data, byte, mpg_unit_size(units));
    assert_int_equal(mpg_unit_commit(units, &edit), 0);
}

static void assert_unit(const mpg_allocator *units, mpg_unit_id id, int byte)
{
    mpg_unit_view view;

    assert_int_equal(mpg_unit_get(&view, units, id), 0);
    for (size_t i = 0; i < mpg_unit_size(units); i++)
        assert_int_equal(((const unsigned char *)view.data)[i], byte);
    mpg_unit_put(units, &view);
}

/* A unit that is not there is not shown, not changed and not freed. */
static void assert_no_unit(const mpg_allocator *units, mpg_unit_id id)
{
    mpg_unit_view view = {.data = units};
    mpg_unit_edit edit = {.data = NULL, .id = {77}};

    assert_int_equal(mpg_unit_get(&view, units, id), MPG_E_NOT_ALLOCATED);
    assert_ptr_equal(view.data, units);
    assert_int_equal(mpg_unit_get_mut(&edit, units, id), MPG_E_NOT_ALLOCATED);
    assert_int_equal(edit.id.value, 77);
    assert_int_equal(mpg_unit_free(units, id), MPG_E_DOUBLE_FREE);
}

static void single_units(const mpg_allocator *units)
{
    mpg_unit_id first, second;

    assert_int_equal(mpg_unit_alloc(&first, units), 0);
    assert_int_equal(mpg_unit_alloc(&second, units), 0);
    assert_int_not_equal(first.value, second.value);
    write_unit(units, first, 'a');
    write_unit(units, second, 'b');
    assert_unit(units, first, 'a');
    assert_unit(units, second, 'b');
    write_unit(units, first, 'c');
    assert_unit(units, first, 'c');
    assert_int_equal(mpg_unit_free(units, first), 0);
    assert_no_unit(units, first);
    assert_unit(units, second, 'b');
    assert_int_equal(mpg_unit_free(units, second), 0);
}

static void bulk_units(const mpg_allocator *units)
{
    mpg_unit_id ids[UNITS + 1];

    assert_int_equal(mpg_unit_alloc_bulk(ids, units, 0), 0);
    assert_int_equal(mpg_unit_alloc_bulk(ids, units, UNITS), 0);
    for (unsigned i = 0; i < UNITS; i++)
        write_unit(units, ids[i], (int)i);
    for (unsigned i = 0; i < UNITS; i++)
        assert_unit(units, ids[i], (int)i);

    ids[UNITS] = ids[0]; /* twice: none is freed */
    assert_int_equal(mpg_unit_free_bulk(units, ids, UNITS + 1), MPG_E_DOUBLE_FREE);
    for (unsigned i = 0; i < UNITS; i++)
        assert_unit(units, ids[i], (int)i);

    assert_int_equal(mpg_unit_free_bulk(units, ids, 0), 0);
    assert_int_equal(mpg_unit_free_bulk(units, ids, UNITS), 0);
    assert_int_equal(mpg_unit_free_bulk(units, ids, 1), MPG_E_DOUBLE_FREE);
    assert_int_equal(mpg_unit_alloc_bulk(ids, units, SIZE_MAX), MPG_E_NO_MEMORY);
    assert_int_equal(mpg_unit_free_bulk(units, ids, SIZE_MAX), MPG_E_NO_MEMORY);
}

/* What a discard does is what mpg_unit_atomic says, and another edit may follow. */
static void discarded_edit(const mpg_allocator *units)
{
    mpg_unit_id id;
    mpg_unit_edit edit;

    assert_int_equal(mpg_unit_alloc(&id, units), 0);
    write_unit(units, id, 1);
    assert_int_equal(mpg_unit_get_mut(&edit, units, id), 0);
    memset(edit.data, 2, mpg_unit_size(units));
    assert_unit(units, id, mpg_unit_atomic(units) ? 1 : 2);
    mpg_unit_discard(units, &edit);
    assert_unit(units, id, mpg_unit_atomic(units) ? 1 : 2);
    write_unit(units, id, 3);
    assert_unit(units, id, 3);
    assert_int_equal(mpg_unit_free(units, id), 0);
}

static void whatever_it_is(const mpg_allocator *units, size_t unit_size)
{
    assert_int_equal(mpg_unit_size(units), unit_size);
    single_units(units);
    bulk_units(units);
    discarded_edit(units);
}

/* ---- What it runs on ------------------------------------------------------------------------ */

static void regular_pages_are_units(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_allocator units = mpg_regular_allocator(pager);

    assert_false(mpg_unit_atomic(&units));
    whatever_it_is(&units, PAGE);
    check_and_close(pager);
}

static void protected_pages_are_units(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_allocator units = mpg_protected_allocator(pager);

    assert_true(mpg_unit_atomic(&units));
    whatever_it_is(&units, PAGE);
    check_and_close(pager);
}

static void parts_are_units(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_sub *sub = NULL;

    assert_int_equal(mpg_sub_open(&sub, pager, PART), 0);
    mpg_allocator units = mpg_sub_allocator(sub);
    assert_false(mpg_unit_atomic(&units));
    whatever_it_is(&units, PART);
    assert_ptr_equal(mpg_sub_release(sub), pager);
    check_and_close(pager);
}

/* The ids are the numbers of the pages, so that both ways lead to the same content. */
static void units_are_the_pages_of_the_same_number(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_allocator regular = mpg_regular_allocator(pager);
    mpg_allocator guarded = mpg_protected_allocator(pager);
    mpg_unit_id id;
    const void *data;
    unsigned char copy[PAGE];

    assert_int_equal(mpg_unit_alloc(&id, &regular), 0);
    write_unit(&regular, id, 'r');
    assert_int_equal(mpg_page_get(&data, pager, (mpg_page_id){id.value}), 0);
    assert_int_equal(*(const unsigned char *)data, 'r');

    assert_int_equal(mpg_unit_alloc(&id, &guarded), 0);
    write_unit(&guarded, id, 'p');
    assert_int_equal(mpg_protected_read(copy, pager, (mpg_protected_id){id.value}), 0);
    assert_int_equal(copy[PAGE - 1], 'p');
    check_and_close(pager);
}

static void a_protected_page_has_one_edit_at_a_time(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_allocator units = mpg_protected_allocator(pager);
    mpg_unit_id id;
    mpg_unit_edit one, two;

    assert_int_equal(mpg_unit_alloc(&id, &units), 0);
    assert_int_equal(mpg_unit_get_mut(&one, &units, id), 0);
    assert_int_equal(mpg_unit_get_mut(&two, &units, id), MPG_E_BUSY);
    mpg_unit_discard(&units, &one);
    assert_int_equal(mpg_unit_get_mut(&two, &units, id), 0);
    assert_int_equal(mpg_unit_commit(&units, &two), 0);
    check_and_close(pager);
}

/* A view shows what was committed when it was got, whatever is committed since. */
static void a_view_of_a_protected_page_does_not_change(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_allocator units = mpg_protected_allocator(pager);
    mpg_unit_id id;
    mpg_unit_view view;
    mpg_unit_edit edit;

    assert_int_equal(mpg_unit_alloc(&id, &units), 0);
    write_unit(&units, id, 1);
    assert_int_equal(mpg_unit_get(&view, &units, id), 0);
    write_unit(&units, id, 2);
    assert_int_equal(mpg_unit_get_mut(&edit, &units, id), 0);
    memset(edit.data, 3, PAGE);
    if (scratch_format == MPG_FORMAT_1) {
        assert_int_equal(mpg_unit_commit(&units, &edit), 0);
        assert_int_equal(*(const unsigned char *)view.data, 1);
        mpg_unit_put(&units, &view);
    } else { /* it has two pages, and both are needed */
        assert_int_equal(mpg_unit_commit(&units, &edit), MPG_E_BUSY);
        assert_int_equal(*(const unsigned char *)view.data, 1);
        mpg_unit_put(&units, &view);
        assert_int_equal(mpg_unit_commit(&units, &edit),
                         0); /* a failed one has not ended the edit */
    }
    assert_unit(&units, id, 3);
    check_and_close(pager);
}

static void committed_units_are_there_after_reopening(void **state)
{
    mpg_pager *pager = scratch_create(*state, PAGE);
    mpg_sub *sub = NULL;
    mpg_unit_id ids[3];

    assert_int_equal(mpg_sub_open(&sub, pager, PART), 0);
    mpg_allocator units[] = {mpg_regular_allocator(pager), mpg_protected_allocator(pager),
                             mpg_sub_allocator(sub)};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mpg_unit_alloc(&ids[i], &units[i]), 0);
        write_unit(&units[i], ids[i], 'x' + i);
    }
    check_and_close(mpg_sub_release(sub));

    pager = scratch_open(*state);
    assert_int_equal(mpg_sub_open(&sub, pager, PART), 0);
    const mpg_sub_id part = {ids[2].value};
    assert_int_equal(mpg_sub_adopt(sub, &part, 1), 0);
    units[0] = mpg_regular_allocator(pager);
    units[1] = mpg_protected_allocator(pager);
    units[2] = mpg_sub_allocator(sub);
    for (int i = 0; i < 3; i++) {
        assert_unit(&units[i], ids[i], 'x' + i);
        assert_int_equal(mpg_unit_free(&units[i], ids[i]), 0);
    }
    check_and_close(mpg_sub_release(sub));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(regular_pages_are_units),
        SCRATCH_TEST(protected_pages_are_units),
        SCRATCH_TEST(parts_are_units),
        SCRATCH_TEST(units_are_the_pages_of_the_same_number),
        SCRATCH_TEST(a_protected_page_has_one_edit_at_a_time),
        SCRATCH_TEST(a_view_of_a_protected_page_does_not_change),
        SCRATCH_TEST(committed_units_are_there_after_reopening),
    };

    return SCRATCH_RUN("allocator", tests);
}
