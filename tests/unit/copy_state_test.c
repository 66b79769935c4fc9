/* SPDX-License-Identifier: MIT */
/*
 * What a copy knows of a file is brought up to date beside a writer by looking at what changed
 * alone: it is then what reading all of it gives, and an entry counts as copied only if its content
 * is the one that was.
 */
#include "life/copy_state.h"
#include "pager/pager.h"
#include "support/api.h"

#define PAGES 3000 /* many leaves */
#define ROUNDS 60

static unsigned seed = 1;

static unsigned draw(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % below;
}

static void read_all(struct copy_state *state, const mpg_pager *reader)
{
    pager_lock(reader);
    assert_int_equal(mpgi_copy_state_read(state, reader->format), 0);
    pager_unlock(reader);
}

static int advance(struct copy_state *state, struct copy_changes *changes, const mpg_pager *reader)
{
    struct copy_state fresh;
    int result;

    pager_lock(reader);
    result = mpgi_copy_state_advance(&fresh, state, changes, reader->format);
    pager_unlock(reader);
    if (result == 0) {
        mpgi_copy_state_take(&fresh, state);
        *state = fresh;
    }
    return result;
}

/* Both name the same pages and contents. */
static void compare(const struct copy_state *state, const struct copy_state *all)
{
    assert_int_equal(state->total, all->total);
    assert_int_equal(state->generation, all->generation);
    assert_int_equal(state->regular, all->regular);
    assert_int_equal(state->run_count, all->run_count);
    if (all->run_count > 0)
        assert_memory_equal(state->runs, all->runs, all->run_count * sizeof(*all->runs));
    assert_int_equal(state->entry_count, all->entry_count);
    for (size_t i = 0; i < all->entry_count; i++) {
        const struct entry *one = &state->entries[i].entry, *other = &all->entries[i].entry;

        assert_int_equal(state->entries[i].id, all->entries[i].id);
        assert_true(entry_page(one) == entry_page(other) && one->crc == other->crc &&
                    one->generation == other->generation);
    }
}

static void change(mpg_pager *writer, bool allocate)
{
    unsigned many = draw(4) == 0 ? 300 : draw(5);
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, writer), 0);
    for (unsigned i = 0; i < many; i++) {
        uint32_t value = seed;

        assert_int_equal(mpg_txn_protected_write(txn, (mpg_protected_id){draw(PAGES)}, &value,
                                                 4 * (size_t)draw(50), sizeof(value)),
                         0);
    }
    if (allocate) {
        mpg_protected_id id;

        assert_int_equal(mpg_txn_alloc_protected(&id, txn), 0);
    }
    if (draw(3) == 0) {
        mpg_page_id page;

        assert_int_equal(mpg_txn_alloc(&page, txn, 0), 0);
    }
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
}

/* As a copy does after each pass: all that is to be copied was. */
static void mark_copied(struct copy_state *state, struct copy_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        state->entries[changes->entries[i]].copied = true;
    mpgi_copy_changes_settle(changes, state);
    assert_int_equal(changes->count, 0);
    for (size_t i = 0; i < state->entry_count; i++)
        assert_true(state->entries[i].copied);
}

static void check_changed(const struct copy_state *before, const struct copy_state *state,
                          const struct copy_changes *changes)
{
    size_t changed = 0;

    for (size_t i = 0; i < state->entry_count; i++) {
        const struct entry *was = &before->entries[i].entry, *is = &state->entries[i].entry;
        bool same = entry_page(was) == entry_page(is) && was->crc == is->crc &&
                    was->generation == is->generation;

        assert_int_equal(state->entries[i].copied, same);
        changed += !same;
    }
    assert_int_equal(changes->count, changed);
}

static void what_changed_is_what_is_looked_at(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);
    struct copy_state known, before, all;
    struct copy_changes changes = {0};
    static mpg_protected_id ids[PAGES];
    const mpg_pager *reader;
    mpg_pager *writer;

    assert_int_equal(mpg_create(&writer, scratch->path, &options), 0);
    assert_int_equal(mpg_alloc_protected_bulk(ids, writer, PAGES), 0);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    read_all(&known, reader);
    assert_int_equal(mpgi_copy_changes_begin(&changes, &known), 0);
    assert_int_equal(changes.count, PAGES);
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool allocate = round % 20 == 19;
        int result;

        mark_copied(&known, &changes);
        read_all(&before, reader);
        change(writer, allocate);
        assert_int_equal(mpg_refresh(reader), 0);
        result = advance(&known, &changes, reader);
        read_all(&all, reader);
        if (allocate || scratch->format == MPG_FORMAT_0_2) {
            assert_int_equal(result, COPY_LOOK_AT_ALL);
            mpgi_copy_state_carry(&all, &known);
            mpgi_copy_state_free(&known);
            known = all;
            assert_int_equal(mpgi_copy_changes_begin(&changes, &known), 0);
        } else {
            assert_int_equal(result, 0);
            compare(&known, &all);
            check_changed(&before, &known, &changes);
            mpgi_copy_state_free(&all);
        }
        mpgi_copy_state_free(&before);
    }
    mpgi_copy_state_free(&known);
    mpgi_copy_changes_free(&changes);
    assert_int_equal(mpg_close(reader), 0);
    assert_int_equal(mpg_close(writer), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_changed_is_what_is_looked_at, scratch_begin,
                                        scratch_end),
    };

    return SCRATCH_RUN("copy_state", tests);
}
