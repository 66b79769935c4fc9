/* SPDX-License-Identifier: MIT */
/*
 * Format 1 at the edges of its trees, which grow in height, at every size of node and pair;
 * features of the future.
 */
#include "unit/format_1_file.h"

/* ---- Growth -------------------------------------------------------------------------------- */

static void assert_pages(const mpg_pager *pager, const uint64_t *ids, size_t count)
{
    mpg_page_iter iter;
    mpg_page_id id;

    mpg_page_iter_begin(&iter, pager, page_id(0));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(mpg_page_iter_next(&id, &iter), 1);
        assert_int_equal(id.value, ids[i]);
    }
    assert_int_equal(mpg_page_iter_next(&id, &iter), 0);
}

static void new_file_says_what_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        mpg_pager *pager = open_again(make(page_sizes[i]));
        struct mpg_stat st = stat_of(pager);

        assert_int_equal(st.format, MPG_FORMAT_1);
        assert_int_equal(st.version[0], 1);
        assert_int_equal(st.page_size, page_sizes[i]);
        assert_int_equal(st.total_pages, 4);
        assert_int_equal(st.free_pages, 1);
        assert_int_equal(st.metadata_pages, 3);
        assert_int_equal(st.generation, 1);
        assert_string_equal(st.label, "a label");
        assert_true(st.created > 0);
        assert_false(is_zero(st.uuid, sizeof(st.uuid)));
        assert_sound(pager);
        assert_int_equal(mpg_close(pager), 0);
    }
}

/* Ids around each edge: the root's area, a leaf, what one level of references covers. */
static size_t edges_of(uint64_t *ids, uint32_t page_size)
{
    uint32_t node_size = node_size_of(page_size);
    uint64_t area = (uint64_t)root_area_size(node_size) * 4;
    uint64_t leaf = (uint64_t)(node_size - NODE_BODY) * 4;
    uint64_t level = root_area_size(node_size) / REF_SIZE * leaf;
    uint64_t edges[] = {area, leaf, 2 * leaf, level, level + leaf, 3 * level};
    size_t count = 0;

    ids[count++] = 5;
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        ids[count++] = edges[i] - 1;
        ids[count++] = edges[i];
    }
    return count;
}

static void space_tree_grows_by_named_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        mpg_pager *pager = make(page_sizes[i]);
        uint64_t ids[16];
        size_t count = edges_of(ids, page_sizes[i]);

        for (size_t k = 0; k < count; k++) {
            assert_int_equal(mpg_alloc_at(pager, page_id(ids[k]), 0), 0);
            assert_int_equal(mpg_alloc_at(pager, page_id(ids[k]), 0), MPG_E_EXISTS);
            assert_sound(pager);
            pager = open_again(pager);
            assert_pages(pager, ids, k + 1);
        }
        assert_int_equal(stat_of(pager).space_height, 2);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(mpg_free(pager, page_id(ids[k])), 0);
        assert_sound(pager);
        pager = open_again(pager);
        assert_pages(pager, NULL, 0);
        assert_int_equal(stat_of(pager).regular_pages, 0);
        assert_int_equal(mpg_close(pager), 0);
    }
}

/* All in one commit, from nothing to a tree of two levels. */
static void space_tree_grows_by_bulk(void **state)
{
    size_t count = 90000;
    mpg_page_id *ids = malloc(count * sizeof(*ids));
    mpg_pager *pager = make(1024);

    (void)state;
    assert_non_null(ids);
    assert_int_equal(mpg_alloc_bulk(ids, pager, count, 0), 0);
    for (size_t i = 1; i < count; i++)
        assert_true(ids[i].value > ids[i - 1].value);
    assert_int_equal(stat_of(pager).space_height, 2);
    assert_int_equal(stat_of(pager).regular_pages, count);
    assert_sound(pager);
    pager = open_again(pager);
    assert_sound(pager);
    assert_int_equal(mpg_free_bulk(pager, ids, count), 0);
    pager = open_again(pager);
    assert_sound(pager);
    assert_int_equal(stat_of(pager).regular_pages, 0);
    assert_int_equal(mpg_close(pager), 0);
    free(ids);
}

static void space_tree_grows_one_by_one(void **state)
{
    mpg_pager *pager = make(1024);
    uint64_t last = 0;

    (void)state;
    for (int i = 0; i < 9000; i++) {
        mpg_page_id id;

        assert_int_equal(mpg_alloc(&id, pager, 0), 0);
        /* Pages of records come back when they are not needed any more. */
        assert_true(id.value > last || i > 0);
        last = id.value > last ? id.value : last;
    }
    assert_in_range(last, 9002, 9400);
    assert_int_equal(stat_of(pager).space_height, 1);
    pager = open_again(pager);
    assert_sound(pager);
    assert_int_equal(stat_of(pager).regular_pages, 9000);
    assert_int_equal(mpg_close(pager), 0);
}

static void write_all(mpg_pager *pager, const mpg_protected_id *ids, size_t count, int byte)
{
    unsigned char content[2048];
    mpg_txn *txn;

    memset(content, byte, sizeof(content));
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(mpg_txn_protected_write(txn, ids[i], content, 0, 1024), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
}

/*
 * A commit whose contents find room in part where the root says what pages are used for, and in
 * part behind that, makes the first leaf: which takes none of the pages just found for itself.
 */
static void a_leaf_made_for_contents_takes_none_of_their_pages(void **state)
{
    static mpg_page_id regular[4000];
    mpg_protected_id ids[130];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint64_t area = (uint64_t)root_area_size(node_size_of(page_sizes[i])) * 4;

        for (size_t count = 105; count <= 130; count += 5) {
            mpg_pager *pager = make(page_sizes[i]);

            assert_int_equal(mpg_alloc_bulk(regular, pager, area - 228, 0), 0);
            assert_int_equal(mpg_alloc_protected_bulk(ids, pager, count), 0);
            for (int round = 1; round <= 3; round++) {
                write_all(pager, ids, count, round);
                assert_sound(pager);
            }
            pager = open_again(pager);
            assert_true(count < 130 || stat_of(pager).space_height == 1);
            assert_sound(pager);
            assert_int_equal(mpg_close(pager), 0);
        }
    }
}

static void directory_tree_grows_by_named_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        uint32_t node_size = node_size_of(page_sizes[i]);
        uint64_t area = root_area_size(node_size) / ENTRY_SIZE;
        uint64_t leaf = (node_size - NODE_BODY) / ENTRY_SIZE;
        uint64_t level = root_area_size(node_size) / REF_SIZE * leaf;
        uint64_t ids[] = {0,        area - 1,  area,  leaf - 1,         leaf,
                          2 * leaf, level - 1, level, level + leaf - 1, level + 5 * leaf};
        size_t count = sizeof(ids) / sizeof(ids[0]);
        mpg_pager *pager = make(page_sizes[i]);

        for (size_t k = 0; k < count; k++) {
            assert_int_equal(mpg_alloc_protected_at(pager, protected_id(ids[k])), 0);
            write_protected(pager, ids[k], (int)k + 1);
            assert_sound(pager);
            pager = open_again(pager);
            for (size_t j = 0; j <= k; j++)
                assert_int_equal(first_byte(pager, ids[j]), j + 1);
        }
        assert_int_equal(stat_of(pager).directory_height, 2);
        assert_int_equal(stat_of(pager).protected_pages, count);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(mpg_free_protected(pager, protected_id(ids[k])), 0);
        assert_sound(pager);
        pager = open_again(pager);
        assert_int_equal(stat_of(pager).protected_pages, 0);
        assert_sound(pager);
        assert_int_equal(mpg_close(pager), 0);
    }
}

static void protected_ids_are_given_lowest_first(void **state)
{
    mpg_protected_id ids[200], id;
    mpg_pager *pager = make(1024);

    (void)state;
    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, 200), 0);
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(ids[i].value, i);
    assert_int_equal(mpg_free_protected(pager, protected_id(150)), 0);
    assert_int_equal(mpg_free_protected(pager, protected_id(33)), 0);
    pager = open_again(pager);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(id.value, 33);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(id.value, 150);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(id.value, 200);
    assert_sound(pager);
    assert_int_equal(mpg_close(pager), 0);
}

/* ---- Page 0 -------------------------------------------------------------------------------- */

static void set_superblock(uint32_t offset, unsigned char value)
{
    unsigned char page[4096];

    read_at(page, sizeof(page), 0);
    page[offset] = value;
    put_u32(page + sizeof(page) - SB_CRC_SIZE, crc_of(page, sizeof(page) - SB_CRC_SIZE));
    write_at(page, sizeof(page), 0);
}

static void features_of_the_future(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    set_superblock(SB_FEATURES, 1);
    pager = open_again(NULL);
    assert_int_equal(stat_of(pager).features[0], 1);
    assert_int_equal(mpg_close(pager), 0);
    set_superblock(SB_FEATURES + 8, 1);
    assert_int_equal(try_open(&pager, false), MPG_E_READ_ONLY);
    assert_int_equal(try_open(&pager, true), 0);
    assert_int_equal(first_byte(pager, 0), 2);
    assert_int_equal(mpg_close(pager), 0);
    set_superblock(SB_FEATURES + 16 + 7, 0x80);
    assert_int_equal(try_open(&pager, false), MPG_E_UNSUPPORTED_VERSION);
    assert_int_equal(try_open(&pager, true), MPG_E_UNSUPPORTED_VERSION);
}

static void damaged_superblock_is_an_error(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    flip_at(SB_LABEL);
    assert_int_equal(try_open(&pager, false), MPG_E_CORRUPT_SUPERBLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_file_says_what_it_is),
        cmocka_unit_test(space_tree_grows_by_named_pages),
        cmocka_unit_test(space_tree_grows_by_bulk),
        cmocka_unit_test(space_tree_grows_one_by_one),
        cmocka_unit_test(a_leaf_made_for_contents_takes_none_of_their_pages),
        cmocka_unit_test(directory_tree_grows_by_named_pages),
        cmocka_unit_test(protected_ids_are_given_lowest_first),
        cmocka_unit_test(features_of_the_future),
        cmocka_unit_test(damaged_superblock_is_an_error),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
