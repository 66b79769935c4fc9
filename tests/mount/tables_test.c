/* SPDX-License-Identifier: MIT */
/* The driver's tables: numbers to values, and which node stands for which page. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuse/map.h"
#include "fuse/node.h"

static uint64_t key_of(int i)
{
    return node_plain((enum node_kind)(i % 5), (uint64_t)i + 1);
}

/* Random puts and removals of few keys, so that slots collide and move, against an array. */
static void test_map_agrees_with_an_array(void **state)
{
    enum { KEYS = 200, STEPS = 200000 };
    uint64_t model[KEYS] = {0};
    struct map map = {0};
    size_t used = 0;
    uint32_t seed = 1;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        uint64_t key, value, *found;
        int i;

        seed = seed * 1664525 + 1013904223;
        /* Grows for a while, then shrinks. */
        i = (int)(seed >> 8) % KEYS;
        key = key_of(i);
        value = seed | 1;
        if ((seed >> 28) < (step / 1000 % 2 == 0 ? 12u : 4u)) {
            found = map_put(&map, key);
            assert_non_null(found);
            assert_int_equal(found[0], model[i]);
            used += model[i] == 0;
            found[0] = model[i] = value;
        } else {
            map_remove(&map, key);
            used -= model[i] != 0;
            model[i] = 0;
        }
        assert_int_equal(map.used, used);
        if (step % 100 == 0) {
            for (i = 0; i < KEYS; i++) {
                found = map_find(&map, key_of(i));
                assert_int_equal(found == NULL ? 0 : found[0], model[i]);
            }
        }
    }
    map_free(&map);
}

static void assert_stands_for(struct nodes *nodes, uint64_t node, enum node_kind kind, uint64_t id)
{
    struct target target;

    assert_int_equal(nodes_resolve(nodes, node, &target), 0);
    assert_int_equal(target.kind, kind);
    assert_int_equal(target.id, id);
}

static void assert_stale(struct nodes *nodes, uint64_t node)
{
    struct target target;

    assert_int_equal(nodes_resolve(nodes, node, &target), ESTALE);
}

static void test_page_made_again_is_another_node(void **state)
{
    struct nodes *nodes = nodes_new();
    uint64_t first = nodes_current(nodes, NODE_PAGE, 5);
    uint64_t was, second;

    (void)state;
    assert_stands_for(nodes, first, NODE_PAGE, 5);
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), 0);
    assert_int_equal(was, first);
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), ENOENT);
    assert_stale(nodes, first);
    assert_int_equal(nodes_current(nodes, NODE_PAGE, 5), 0);
    assert_stands_for(nodes, nodes_current(nodes, NODE_PROTECTED, 5), NODE_PROTECTED, 5);

    second = nodes_create(nodes, NODE_PAGE, 5);
    assert_int_not_equal(second, first);
    assert_int_equal(nodes_current(nodes, NODE_PAGE, 5), second);
    assert_stands_for(nodes, second, NODE_PAGE, 5);
    assert_stale(nodes, first);

    /* Once the kernel forgot both, nothing needs to be remembered. */
    nodes_forget(nodes, first);
    assert_stands_for(nodes, second, NODE_PAGE, 5);
    nodes_forget(nodes, second);
    assert_int_equal(nodes_current(nodes, NODE_PAGE, 5), first);
    assert_stale(nodes, second);
    nodes_free(nodes);
}

/* A creation whose answer could not be given: the kernel never heard of the node. */
static void test_cancelled_creation_leaves_no_node(void **state)
{
    struct nodes *nodes = nodes_new();
    uint64_t first = nodes_current(nodes, NODE_PAGE, 5);
    uint64_t was, second;

    (void)state;
    nodes_cancel_create(nodes, NODE_PAGE, 5); /* had the plain node, and no record */
    assert_int_equal(nodes_create(nodes, NODE_PAGE, 5), first);
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), 0);
    second = nodes_create(nodes, NODE_PAGE, 5);
    nodes_cancel_create(nodes, NODE_PAGE, 5);
    assert_stale(nodes, second);
    assert_stale(nodes, first);
    assert_int_equal(nodes_current(nodes, NODE_PAGE, 5), 0);

    /* Once the kernel forgot the first, nothing needs to be remembered. */
    nodes_forget(nodes, first);
    assert_int_equal(nodes_create(nodes, NODE_PAGE, 5), first);
    nodes_free(nodes);
}

static void test_failed_free_changes_nothing(void **state)
{
    struct nodes *nodes = nodes_new();
    uint64_t first = nodes_current(nodes, NODE_PAGE, 5);
    uint64_t was;

    (void)state;
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), 0);
    nodes_restore(nodes, NODE_PAGE, 5, was);
    assert_stands_for(nodes, first, NODE_PAGE, 5);
    assert_int_equal(nodes_current(nodes, NODE_PAGE, 5), first);
    nodes_free(nodes);
}

/* A forget can overtake the release before it. */
static void test_open_node_is_not_forgotten(void **state)
{
    struct nodes *nodes = nodes_new();
    uint64_t first = nodes_current(nodes, NODE_PAGE, 5);
    uint64_t was;

    (void)state;
    assert_int_equal(nodes_opened(nodes, first, true), 0);
    assert_true(nodes_has_writers(nodes, first));
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), 0);
    nodes_forget(nodes, first);
    assert_int_not_equal(nodes_create(nodes, NODE_PAGE, 5), first);
    assert_stale(nodes, first);
    nodes_closed(nodes, first, true);
    assert_false(nodes_has_writers(nodes, first));
    nodes_free(nodes);
}

/* Makes `node` the node of a page, as a rename does. */
static void adopt(struct nodes *nodes, uint64_t node, enum node_kind kind, uint64_t id)
{
    assert_int_equal(nodes_prepare_adopt(nodes, node, kind, id), 0);
    nodes_adopt(nodes, node, kind, id);
    assert_stands_for(nodes, node, kind, id);
    assert_int_equal(nodes_current(nodes, kind, id), node);
}

static void test_scratch_file_renamed_over_a_page_becomes_it(void **state)
{
    struct nodes *nodes = nodes_new();
    uint64_t page = nodes_current(nodes, NODE_PAGE, 5);
    uint64_t scratch = node_plain(NODE_SCRATCH, 1);
    uint64_t was;

    (void)state;
    assert_stands_for(nodes, scratch, NODE_SCRATCH, 1);
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), 0);
    adopt(nodes, scratch, NODE_PAGE, 5);
    assert_stale(nodes, page);

    /* And on to another number, and freed there. */
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), 0);
    assert_int_equal(was, scratch);
    adopt(nodes, scratch, NODE_PROTECTED, 9);
    assert_int_equal(nodes_retire(nodes, NODE_PROTECTED, 9, &was), 0);
    assert_stale(nodes, scratch);
    nodes_forget(nodes, scratch);
    nodes_forget(nodes, page);
    assert_int_equal(nodes_current(nodes, NODE_PAGE, 5), page);
    assert_stands_for(nodes, nodes_current(nodes, NODE_PROTECTED, 9), NODE_PROTECTED, 9);
    nodes_free(nodes);
}

static void test_page_renamed_away_and_made_again(void **state)
{
    struct nodes *nodes = nodes_new();
    uint64_t seven = nodes_current(nodes, NODE_PAGE, 7);
    uint64_t was, again;

    (void)state;
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 7, &was), 0);
    adopt(nodes, seven, NODE_PAGE, 5);
    again = nodes_create(nodes, NODE_PAGE, 7);
    assert_int_not_equal(again, seven);
    assert_stands_for(nodes, again, NODE_PAGE, 7);
    assert_stands_for(nodes, seven, NODE_PAGE, 5);

    /* Back again, over the new one. */
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 7, &was), 0);
    assert_int_equal(was, again);
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), 0);
    assert_int_equal(was, seven);
    adopt(nodes, seven, NODE_PAGE, 7);
    assert_stale(nodes, again);
    nodes_forget(nodes, again);
    nodes_forget(nodes, seven);
    assert_stands_for(nodes, seven, NODE_PAGE, 7);
    assert_stands_for(nodes, nodes_current(nodes, NODE_PAGE, 5), NODE_PAGE, 5);
    nodes_free(nodes);
}

static void test_rename_that_fails_changes_nothing(void **state)
{
    struct nodes *nodes = nodes_new();
    uint64_t seven = nodes_current(nodes, NODE_PAGE, 7);
    uint64_t five = nodes_current(nodes, NODE_PAGE, 5);
    uint64_t was_five, was_seven;

    (void)state;
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was_five), 0);
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 7, &was_seven), 0);
    assert_int_equal(nodes_prepare_adopt(nodes, seven, NODE_PAGE, 5), 0);
    nodes_cancel_adopt(nodes, seven, NODE_PAGE, 5);
    nodes_restore(nodes, NODE_PAGE, 7, was_seven);
    nodes_restore(nodes, NODE_PAGE, 5, was_five);
    assert_stands_for(nodes, seven, NODE_PAGE, 7);
    assert_stands_for(nodes, five, NODE_PAGE, 5);
    nodes_free(nodes);
}

/* More incarnations than there are numbers for, while the first is still held. */
static void test_incarnations_end(void **state)
{
    struct nodes *nodes = nodes_new();
    uint64_t was;

    (void)state;
    for (unsigned i = 0; i < (1u << NODE_INCARNATION_BITS) - 1; i++) {
        assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), 0);
        assert_int_not_equal(nodes_create(nodes, NODE_PAGE, 5), 0);
    }
    assert_int_equal(nodes_retire(nodes, NODE_PAGE, 5, &was), 0);
    assert_int_equal(nodes_create(nodes, NODE_PAGE, 5), 0);
    nodes_free(nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_agrees_with_an_array),
        cmocka_unit_test(test_page_made_again_is_another_node),
        cmocka_unit_test(test_cancelled_creation_leaves_no_node),
        cmocka_unit_test(test_failed_free_changes_nothing),
        cmocka_unit_test(test_open_node_is_not_forgotten),
        cmocka_unit_test(test_scratch_file_renamed_over_a_page_becomes_it),
        cmocka_unit_test(test_page_renamed_away_and_made_again),
        cmocka_unit_test(test_rename_that_fails_changes_nothing),
        cmocka_unit_test(test_incarnations_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
