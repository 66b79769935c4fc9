/* SPDX-License-Identifier: MIT */
/*
 * A regular page that gets a new content as a whole: what it shows then, to whom, and what is
 * refused. What a crash leaves is for crash/crash_test; here a file is as one left it that came
 * between the record and the page.
 */
#include "support/api.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "format_1/layout.h"
#include "mappedpages_copy.h"
#include "mappedpages_rescue.h"

/* Two pages, the first full of 1, the second of 2. */
static mpg_pager *begin(mpg_page_id ids[2], const struct scratch *scratch)
{
    mpg_pager *pager = api_create(scratch);
    unsigned char *page = page_of(0);

    assert_int_equal(mpg_alloc_bulk(ids, pager, 2, MPG_ZERO), 0);
    for (int i = 0; i < 2; i++) {
        memset(page, i + 1, api_page_size);
        assert_int_equal(mpg_page_write(pager, ids[i], page, 0, api_page_size), 0);
    }
    assert_int_equal(mpg_sync(pager), 0);
    free(page);
    return pager;
}

static int replace(mpg_pager *pager, mpg_page_id id, int byte)
{
    unsigned char *page = page_of(byte);
    int result = mpg_page_replace(pager, id, page, api_page_size);

    free(page);
    return result;
}

static bool holds(const mpg_pager *pager, mpg_page_id id, int byte)
{
    unsigned char *page = page_of(0);
    const void *data;
    bool same;

    assert_int_equal(mpg_page_read(page, pager, id, 0, api_page_size), 0);
    assert_int_equal(mpg_page_get(&data, pager, id), 0);
    same = is_filled(page, byte) && is_filled(data, byte);
    free(page);
    return same;
}

static void assert_sound(const mpg_pager *pager)
{
    mpg_check_result checked;

    assert_int_equal(mpg_check(&checked, pager, NULL), 0);
    assert_int_equal(checked.faults, 0);
}

static void the_other_format_says_that_it_cannot(void **state)
{
    const struct scratch *scratch = *state;
    mpg_page_id ids[2];
    mpg_pager *pager = begin(ids, scratch);

    if (scratch->format == MPG_FORMAT_0_2) {
        assert_error(replace(pager, ids[0], 3), MPG_E_UNSUPPORTED);
        assert_error(mpg_page_move(pager, ids[0], ids[1]), MPG_E_UNSUPPORTED);
    }
    assert_true(holds(pager, ids[0], 1));
    assert_int_equal(mpg_close(pager), 0);
}

static void pointers_show_it(void **state)
{
    const struct scratch *scratch = *state;
    mpg_page_id ids[2];
    mpg_pager *pager = begin(ids, scratch);
    const void *data;

    if (scratch->format == MPG_FORMAT_1) {
        uint64_t free_pages = stat_of(pager).free_pages;

        assert_int_equal(mpg_page_get(&data, pager, ids[0]), 0);
        for (int i = 3; i < 90; i++) {
            assert_int_equal(replace(pager, ids[i % 2], i), 0);
            assert_true(holds(pager, ids[i % 2], i));
        }
        assert_true(is_filled(data, 88));
        assert_int_equal(mpg_page_replace(pager, ids[0], "short", 5), 0);
        assert_memory_equal(data, "short\0\0\0", 8);
        assert_int_equal(((const unsigned char *)data)[api_page_size - 1], 0);
        assert_true(stat_of(pager).free_pages >= free_pages);
        assert_sound(pager);
    }
    assert_int_equal(mpg_close(pager), 0);
}

static void a_moved_page_is_free(void **state)
{
    const struct scratch *scratch = *state;
    mpg_page_id ids[2];
    mpg_pager *pager = begin(ids, scratch);

    if (scratch->format == MPG_FORMAT_1) {
        assert_int_equal(mpg_page_move(pager, ids[1], ids[0]), 0);
        assert_true(holds(pager, ids[0], 2));
        assert_int_equal(use_of(pager, ids[1].value), MPG_USE_FREE);
        assert_int_equal(mpg_alloc_at(pager, ids[1], MPG_ZERO), 0);
        assert_true(holds(pager, ids[1], 0));
        assert_true(holds(pager, ids[0], 2));
        assert_sound(pager);
    }
    assert_int_equal(mpg_close(pager), 0);
}

static void what_makes_no_sense_is_refused(void **state)
{
    const struct scratch *scratch = *state;
    mpg_page_id ids[2];
    mpg_pager *pager = begin(ids, scratch);
    unsigned char *page = calloc(2, api_page_size);

    if (scratch->format == MPG_FORMAT_1) {
        mpg_protected_id id;

        assert_int_equal(mpg_alloc_protected(&id, pager), 0);
        assert_error(mpg_page_replace(pager, ids[0], page, api_page_size + 1), MPG_E_OUT_OF_BOUNDS);
        assert_error(replace(pager, (mpg_page_id){1}, 3), MPG_E_RESERVED_PAGE);
        assert_error(replace(pager, (mpg_page_id){UINT64_MAX}, 3), MPG_E_OUT_OF_BOUNDS);
        assert_error(mpg_page_move(pager, ids[0], ids[0]), MPG_E_INVALID);
        assert_int_equal(mpg_free(pager, ids[1]), 0);
        assert_error(replace(pager, ids[1], 3), MPG_E_NOT_ALLOCATED);
        assert_error(mpg_page_move(pager, ids[1], ids[0]), MPG_E_NOT_ALLOCATED);
        assert_error(mpg_page_move(pager, ids[0], ids[1]), MPG_E_NOT_ALLOCATED);
        assert_true(holds(pager, ids[0], 1));
        assert_sound(pager);
    }
    free(page);
    assert_int_equal(mpg_close(pager), 0);
}

/* ---- beside others ---- */

#define ROUNDS 30

struct work {
    mpg_pager *pager;
    mpg_page_id id;
    atomic_uint failures;
};

static void *replace_it(void *argument)
{
    struct work *work = argument;

    for (int i = 0; i < ROUNDS; i++)
        work->failures += replace(work->pager, work->id, 100 + i) != 0;
    work->failures += !holds(work->pager, work->id, 100 + ROUNDS - 1);
    return NULL;
}

static void *commit(void *argument)
{
    struct work *work = argument;

    for (int i = 0; i < ROUNDS; i++) {
        mpg_protected_id id;

        work->failures += mpg_alloc_protected(&id, work->pager) != 0 ||
                          put_protected(work->pager, id, i) != 0 ||
                          protected_byte(work->pager, id) != i;
        if (i % 3 == 0)
            work->failures += mpg_free_protected(work->pager, id) != 0;
    }
    return NULL;
}

static void others_commit_meanwhile(void **state)
{
    const struct scratch *scratch = *state;
    mpg_page_id ids[2];
    mpg_pager *pager = begin(ids, scratch);
    struct work works[4] = {{.pager = pager, .id = ids[0]},
                            {.pager = pager, .id = ids[1]},
                            {.pager = pager},
                            {.pager = pager}};
    pthread_t threads[4];

    if (scratch->format == MPG_FORMAT_1 && api_page_size < 1 << 20) {
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(
                pthread_create(&threads[i], NULL, i < 2 ? replace_it : commit, &works[i]), 0);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(works[i].failures, 0);
        assert_sound(pager);
    }
    assert_int_equal(mpg_close(pager), 0);
}

/* ---- a file that was left between the record and the page ---- */

struct image {
    unsigned char *bytes;
    size_t size;
    char path[96];
};

static void read_image(struct image *image, const struct scratch *scratch)
{
    FILE *file = fopen(scratch->path, "rb");
    long size;

    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    rewind(file);
    assert_true(size > 0);
    image->size = (size_t)size;
    image->bytes = malloc(image->size);
    assert_non_null(image->bytes);
    assert_int_equal(fread(image->bytes, image->size, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(image->path, sizeof(image->path), "%s/cut", scratch->directory);
}

/* The last record of the newest root's chain. */
static unsigned char *last_record(const struct image *image)
{
    unsigned char *roots[2] = {image->bytes + api_page_size, image->bytes + 2 * api_page_size};
    unsigned char *root =
        roots[get_u64(roots[1] + NODE_GENERATION) > get_u64(roots[0] + NODE_GENERATION)];
    unsigned char *last = NULL;
    uint64_t place = get_u64(root + ROOT_NEXT);

    while (place != 0) {
        unsigned char *record = image->bytes + place * api_page_size;

        if (memcmp(record, TYPE_RECORD, TYPE_SIZE) != 0 ||
            get_u64(record + RECORD_ROOT_GENERATION) != get_u64(root + NODE_GENERATION))
            break;
        last = record;
        place = get_u64(record + RECORD_NEXT);
    }
    assert_non_null(last);
    return last;
}

/* Takes back the mark, and half of what was put into the pages. */
static void cut(struct image *image, const mpg_page_id *ids, size_t count)
{
    unsigned char *record = last_record(image);
    unsigned char *mark = record + get_u32(record + RECORD_USED);
    FILE *file;

    assert_int_equal(get_u32(record + RECORD_REDOS), count);
    assert_memory_equal(mark, TYPE_MARK, TYPE_SIZE);
    memset(mark, 0, MARK_SIZE);
    for (size_t i = 0; i < count; i++)
        memset(image->bytes + ids[i].value * api_page_size, 0xee, api_page_size / 2);
    file = fopen(image->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(image->bytes, image->size, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static void copies_show_it(const struct image *image, mpg_page_id id)
{
    mpg_rescue_result rescued;
    char copy[128];
    mpg_pager *pager;

    (void)snprintf(copy, sizeof(copy), "%s-copy", image->path);
    assert_int_equal(mpg_copy(NULL, image->path, copy, NULL), 0);
    assert_int_equal(mpg_open(&pager, copy, NULL), 0);
    assert_true(holds(pager, id, 7));
    assert_sound(pager);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(unlink(copy), 0);
    assert_int_equal(mpg_rescue(&rescued, image->path, copy, NULL), 0);
    assert_int_equal(mpg_open(&pager, copy, NULL), 0);
    assert_true(holds(pager, id, 7));
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(unlink(copy), 0);
}

static void a_cut_replacement_is_carried_out(void **state)
{
    const struct scratch *scratch = *state;
    mpg_page_id ids[2];
    mpg_pager *pager = begin(ids, scratch);
    const mpg_pager *reader;
    struct image image;
    const void *before;

    if (scratch->format == MPG_FORMAT_0_2) {
        assert_int_equal(mpg_close(pager), 0);
        return;
    }
    assert_int_equal(replace(pager, ids[0], 7), 0);
    read_image(&image, scratch);
    cut(&image, ids, 1);
    assert_int_equal(mpg_open_readonly(&reader, image.path, NULL), 0);
    assert_true(holds(reader, ids[0], 7));
    assert_true(holds(reader, ids[1], 2));
    assert_sound(reader);
    assert_int_equal(mpg_page_get(&before, reader, ids[0]), 0);
    copies_show_it(&image, ids[0]);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(mpg_open(&pager, image.path, NULL), 0);
    assert_true(holds(pager, ids[0], 7));
    assert_int_equal(replace(pager, ids[0], 9), 0);
    assert_int_equal(mpg_refresh(reader), 0);
    assert_true(holds(reader, ids[0], 9));
    assert_true(is_filled(before, 7));
    assert_int_equal(mpg_close(reader), 0);
    assert_int_equal(mpg_close(pager), 0);
    free(image.bytes);
    assert_int_equal(unlink(image.path), 0);
}

/* ---- in a transaction ---- */

/* Pages that are in use, regular and protected, with one content each. */
struct set {
    mpg_page_id *ids;
    size_t count;
    mpg_protected_id protected_id;
};

static struct set make_set(mpg_pager *pager, size_t count, int byte)
{
    struct set set = {calloc(count, sizeof(*set.ids)), count, {0}};
    unsigned char *page = page_of(byte);

    assert_non_null(set.ids);
    assert_int_equal(mpg_alloc_bulk(set.ids, pager, count, 0), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(mpg_page_write(pager, set.ids[i], page, 0, api_page_size), 0);
    assert_int_equal(mpg_alloc_protected(&set.protected_id, pager), 0);
    assert_int_equal(put_protected(pager, set.protected_id, byte), 0);
    free(page);
    return set;
}

/* A transaction that gives all of them another content. */
static mpg_txn *change_set(mpg_pager *pager, const struct set *set, int byte)
{
    unsigned char *page = page_of(byte);
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (size_t i = set->count; i-- > 0;) {
        assert_int_equal(mpg_txn_page_replace(txn, set->ids[i], "first", 5), 0);
        assert_int_equal(mpg_txn_page_replace(txn, set->ids[i], page, api_page_size), 0);
    }
    assert_int_equal(mpg_txn_protected_write(txn, set->protected_id, page, 0, api_page_size), 0);
    free(page);
    return txn;
}

static void assert_set(const mpg_pager *pager, const struct set *set, int byte)
{
    for (size_t i = 0; i < set->count; i++)
        assert_true(holds(pager, set->ids[i], byte));
    assert_int_equal(protected_byte(pager, set->protected_id), byte);
    assert_sound(pager);
}

/* More of them than one block of a record can name, if pages are small. */
static size_t many(void)
{
    return api_page_size <= 4096 ? 400 : 3;
}

static void a_transaction_replaces_pages(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);
    unsigned char *page = page_of(9);
    struct set set;
    mpg_protected_id far = {1000};
    mpg_page_id added;
    mpg_txn *txn;

    if (scratch->format == MPG_FORMAT_1) {
        set = make_set(pager, many(), 1);
        for (int i = 2; i < 5; i++) {
            txn = change_set(pager, &set, i);
            assert_set(pager, &set, i - 1);
            assert_int_equal(mpg_txn_alloc(&added, txn, 0), 0);
            assert_int_equal(mpg_txn_page_write(txn, added, page, 0, api_page_size), 0);
            /* What makes nodes cannot be said by a record. */
            if (i == 3)
                assert_int_equal(mpg_txn_alloc_protected_at(txn, far), 0);
            if (i == 4) {
                assert_int_equal(mpg_txn_free_protected(txn, far), 0);
                assert_int_equal(mpg_txn_free(txn, set.ids[--set.count]), 0);
            }
            assert_int_equal(mpg_txn_commit(txn, i == 2 ? MPG_ORDERED : 0), 0);
            assert_set(pager, &set, i);
            assert_true(holds(pager, added, 9));
        }
        assert_int_equal(use_of(pager, set.ids[set.count].value), MPG_USE_FREE);
        txn = change_set(pager, &set, 7);
        mpg_txn_abort(txn);
        assert_set(pager, &set, 4);
        free(set.ids);
    }
    free(page);
    assert_int_equal(mpg_close(pager), 0);
}

static void a_cut_transaction_is_carried_out(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);
    const mpg_pager *reader;
    struct image image;
    struct set set;

    if (scratch->format == MPG_FORMAT_1 && api_page_size < 1 << 20) {
        set = make_set(pager, many(), 1);
        assert_int_equal(mpg_txn_commit(change_set(pager, &set, 7), 0), 0);
        read_image(&image, scratch);
        cut(&image, set.ids, set.count);
        assert_int_equal(mpg_open_readonly(&reader, image.path, NULL), 0);
        assert_set(reader, &set, 7);
        for (size_t i = 0; i < set.count; i += set.count - 1)
            copies_show_it(&image, set.ids[i]);
        assert_int_equal(mpg_close(pager), 0);
        assert_int_equal(mpg_open(&pager, image.path, NULL), 0);
        assert_set(pager, &set, 7);
        assert_int_equal(mpg_refresh(reader), 0);
        assert_set(reader, &set, 7);
        assert_int_equal(mpg_close(reader), 0);
        free(image.bytes);
        free(set.ids);
        assert_int_equal(unlink(image.path), 0);
    }
    assert_int_equal(mpg_close(pager), 0);
}

static void a_transaction_refuses_pages(void **state)
{
    const struct scratch *scratch = *state;
    mpg_page_id ids[2], added;
    mpg_pager *pager = begin(ids, scratch);
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    if (scratch->format == MPG_FORMAT_0_2) {
        assert_error(mpg_txn_page_replace(txn, ids[0], "x", 1), MPG_E_UNSUPPORTED);
    } else {
        assert_error(mpg_txn_page_replace(txn, (mpg_page_id){1}, "x", 1), MPG_E_RESERVED_PAGE);
        assert_error(mpg_txn_page_replace(txn, ids[0], "x", api_page_size + (size_t)1),
                     MPG_E_OUT_OF_BOUNDS);
        assert_int_equal(mpg_txn_alloc(&added, txn, 0), 0);
        assert_error(mpg_txn_page_replace(txn, added, "x", 1), MPG_E_NOT_ALLOCATED);
        /* A page that is freed gets nothing, and one that was freed is not there. */
        assert_int_equal(mpg_txn_page_replace(txn, ids[0], "x", 1), 0);
        assert_int_equal(mpg_txn_free(txn, ids[0]), 0);
        assert_error(mpg_txn_page_replace(txn, ids[0], "x", 1), MPG_E_NOT_ALLOCATED);
        assert_int_equal(mpg_txn_page_replace(txn, ids[1], "x", 1), 0);
        assert_int_equal(mpg_free(pager, ids[1]), 0);
        assert_error(mpg_txn_commit(txn, 0), MPG_E_NOT_ALLOCATED);
        assert_int_equal(use_of(pager, ids[0].value), MPG_USE_REGULAR);
        assert_true(holds(pager, ids[0], 1));
        assert_sound(pager);
    }
    mpg_txn_abort(txn);
    assert_int_equal(mpg_close(pager), 0);
}

/* What is written to the page later is not taken back by it. */
static void a_mark_stands_for_it(void **state)
{
    const struct scratch *scratch = *state;
    mpg_page_id ids[2];
    mpg_pager *pager = begin(ids, scratch), *other;
    struct image image;
    FILE *file;

    if (scratch->format == MPG_FORMAT_1) {
        assert_int_equal(replace(pager, ids[0], 7), 0);
        read_image(&image, scratch);
        memset(image.bytes + ids[0].value * api_page_size, 8, api_page_size);
        file = fopen(image.path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(image.bytes, image.size, 1, file), 1);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(mpg_open(&other, image.path, NULL), 0);
        assert_true(holds(other, ids[0], 8));
        assert_int_equal(mpg_close(other), 0);
        free(image.bytes);
        assert_int_equal(unlink(image.path), 0);
    }
    assert_int_equal(mpg_close(pager), 0);
}

/* New contents for the first `count` of the pages, in one transaction; what its commit returns. */
static int replace_first(mpg_pager *pager, const mpg_page_id *ids, size_t count, char byte)
{
    mpg_txn *txn;
    int result;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(mpg_txn_page_replace(txn, ids[i], &byte, 1), 0);
    result = mpg_txn_commit(txn, 0);
    if (result != 0)
        mpg_txn_abort(txn);
    return result;
}

static char first_byte(const mpg_pager *pager, mpg_page_id id)
{
    char byte;

    assert_int_equal(mpg_page_read(&byte, pager, id, 0, 1), 0);
    return byte;
}

/* As many as the header promises; and far more are refused, and none of them changed. */
static void a_transaction_replaces_two_thousand_pages(void **state)
{
    enum { PROMISED = 2000, TOO_MANY = 2400 };
    const struct scratch *scratch = *state;
    mpg_page_id ids[TOO_MANY];
    mpg_pager *pager;

    if (scratch->format != MPG_FORMAT_1 || api_page_size != 1024)
        return;
    pager = api_create(scratch);
    assert_int_equal(mpg_alloc_bulk(ids, pager, TOO_MANY, MPG_ZERO), 0);
    assert_int_equal(replace_first(pager, ids, PROMISED, 'a'), 0);
    assert_error(replace_first(pager, ids, TOO_MANY, 'b'), MPG_E_UNSUPPORTED);
    for (size_t i = 0; i < TOO_MANY; i++)
        assert_int_equal(first_byte(pager, ids[i]), i < PROMISED ? 'a' : 0);
    assert_int_equal(replace_first(pager, ids, PROMISED, 'c'), 0);
    assert_int_equal(first_byte(pager, ids[PROMISED - 1]), 'c');
    assert_sound(pager);
    assert_int_equal(mpg_close(pager), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(the_other_format_says_that_it_cannot),
        SCRATCH_TEST(pointers_show_it),
        SCRATCH_TEST(a_moved_page_is_free),
        SCRATCH_TEST(what_makes_no_sense_is_refused),
        SCRATCH_TEST(others_commit_meanwhile),
        SCRATCH_TEST(a_cut_replacement_is_carried_out),
        SCRATCH_TEST(a_mark_stands_for_it),
        SCRATCH_TEST(a_transaction_replaces_pages),
        SCRATCH_TEST(a_cut_transaction_is_carried_out),
        SCRATCH_TEST(a_transaction_refuses_pages),
        SCRATCH_TEST(a_transaction_replaces_two_thousand_pages),
    };

    return API_RUN("replacing a page", tests);
}
