/* SPDX-License-Identifier: MIT */
/*
 * A repair that goes back to the state before the newest, by choice: of a file of format 1 whose
 * newest commit was one with a root, that was not closed, and that lost a node of that commit, or
 * that root. What the older state names is still there.
 */
#include <fcntl.h>

#include "mappedpages_repair.h"
#include "support/scratch_file.h"

#define PAGE_SIZE 1024u
#define PAGES 60u
#define CHANGED 40u /* a protected page in another leaf than the first */

struct hearing {
    bool agrees;
    unsigned asked, older_states, records, unfinished;
};

static bool consent(void *context, const mpg_rescue_note *note)
{
    struct hearing *hearing = context;

    hearing->asked++;
    hearing->older_states += strcmp(note->name, "older-state") == 0;
    hearing->records += strcmp(note->name, "record") == 0;
    return hearing->agrees;
}

static void put(mpg_pager *pager, uint64_t id, int byte)
{
    mpg_writer *writer;

    assert_int_equal(mpg_writer_open(&writer, pager, (mpg_protected_id){id}), 0);
    memset(mpg_writer_data(writer), byte, PAGE_SIZE);
    assert_int_equal(mpg_writer_commit(writer), 0);
}

static int byte_of(const char *path, uint64_t id)
{
    unsigned char page[PAGE_SIZE];
    const mpg_pager *pager;

    assert_int_equal(mpg_open_readonly(&pager, path, NULL), 0);
    assert_int_equal(mpg_protected_read(page, pager, (mpg_protected_id){id}), 0);
    assert_int_equal(mpg_close(pager), 0);
    return page[0];
}

static size_t read_file(const char *path, unsigned char *bytes, size_t most)
{
    FILE *file = fopen(path, "rb");
    size_t length;

    assert_non_null(file);
    length = fread(bytes, 1, most, file);
    assert_int_equal(fclose(file), 0);
    return length;
}

static void write_file(const char *path, const unsigned char *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* A commit that needs a sync before its root, so that opening does not doubt it. */
static void commit_ordered(mpg_pager *pager)
{
    unsigned char page[PAGE_SIZE];
    mpg_page_id id;
    mpg_txn *txn;

    memset(page, 2, sizeof(page));
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_alloc(&id, txn, MPG_ZERO), 0);
    assert_int_equal(
        mpg_txn_protected_write(txn, (mpg_protected_id){CHANGED}, page, 0, sizeof(page)), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
}

/* What is committed last of what is there. */
static void (*commit_last)(mpg_pager *pager) = commit_ordered;

static uint64_t number_at(const unsigned char *bytes)
{
    uint64_t number;

    memcpy(&number, bytes, sizeof(number));
    return number;
}

/* Zeros the newest leaf of the directory. */
static void destroy_newest_leaf(unsigned char *bytes, size_t length)
{
    unsigned char *newest = NULL;

    for (size_t at = 0; at + PAGE_SIZE <= length; at += PAGE_SIZE) {
        unsigned char *node = bytes + at;

        if (memcmp(node, "MPGD", 4) == 0 && node[4] == 0 &&
            (newest == NULL || number_at(node + 16) > number_at(newest + 16)))
            newest = node;
    }
    assert_non_null(newest);
    memset(newest, 0, PAGE_SIZE);
}

static void destroy_newest_root(unsigned char *bytes, size_t length)
{
    unsigned char *a = bytes + PAGE_SIZE, *b = a + PAGE_SIZE;

    assert_true(length > 3 * (size_t)PAGE_SIZE && number_at(a + 16) != number_at(b + 16));
    memset(number_at(a + 16) > number_at(b + 16) ? a : b, 0, PAGE_SIZE);
}

/* The file as a process leaves it that is killed, without a part of its last commit. */
static size_t make_damaged(const struct scratch *scratch, unsigned char *bytes, size_t most,
                           void (*destroy)(unsigned char *bytes, size_t length))
{
    mpg_pager *pager = scratch_create(scratch, PAGE_SIZE);
    mpg_protected_id ids[PAGES];
    size_t length;

    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, PAGES), 0);
    put(pager, CHANGED, 1);
    check_and_close(pager);
    pager = scratch_open(scratch);
    commit_last(pager);
    length = read_file(scratch->path, bytes, most);
    assert_int_equal(mpg_close(pager), 0);
    assert_true(length < most);
    destroy(bytes, length);
    write_file(scratch->path, bytes, length);
    return length;
}

static unsigned char damaged[1 << 20], now[1 << 20];

static void must_be_damaged(const struct scratch *scratch, size_t length)
{
    assert_int_equal(read_file(scratch->path, now, sizeof(now)), length);
    assert_memory_equal(now, damaged, length);
}

static void the_state_before_comes_back_by_choice(void **state)
{
    const struct scratch *scratch = *state;
    size_t length = make_damaged(scratch, damaged, sizeof(damaged), destroy_newest_leaf);
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;
    struct hearing hearing = {0};
    mpg_repair_result result;

    options.flags = MPG_REPAIR_OLDER;
    options.consent = consent;
    options.context = &hearing;
    assert_int_equal(mpg_repair(&result, scratch->path, &options), MPG_E_CANCELLED);
    assert_int_equal(hearing.older_states, 1);
    must_be_damaged(scratch, length);
    hearing = (struct hearing){.agrees = true};
    assert_int_equal(mpg_repair(&result, scratch->path, &options), 0);
    assert_int_equal(hearing.older_states, 1);
    assert_int_equal(hearing.asked, 1);
    assert_true(result.changed && !result.rebuilt && result.faults > 0);
    assert_int_equal(result.faults_left, 0);
    assert_int_equal(byte_of(scratch->path, CHANGED), 1);
    check_and_close(scratch_open(scratch));
    assert_int_equal(mpg_repair_undo(scratch->path, NULL), 0);
    must_be_damaged(scratch, length);
}

static void without_the_choice_what_is_newer_is_looked_for(void **state)
{
    const struct scratch *scratch = *state;
    size_t length = make_damaged(scratch, damaged, sizeof(damaged), destroy_newest_leaf);
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;
    struct hearing hearing = {.agrees = true};
    mpg_repair_result result;

    options.consent = consent;
    options.context = &hearing;
    assert_int_equal(mpg_repair(&result, scratch->path, &options), 0);
    assert_int_equal(hearing.older_states, 0);
    assert_true(result.rebuilt);
    assert_int_equal(mpg_repair_undo(scratch->path, NULL), 0);
    must_be_damaged(scratch, length);
}

static void count_records(void *context, const mpg_fault *fault)
{
    struct hearing *hearing = context;

    hearing->records += strcmp(fault->name, "record") == 0;
    hearing->unfinished += strcmp(fault->name, "unfinished") == 0;
}

/* It opens, with the root before it: check says that something newer is left. */
static void check_with(const struct scratch *scratch, struct hearing *hearing,
                       mpg_check_result *result)
{
    mpg_check_options options = MPG_CHECK_OPTIONS_INIT;
    const mpg_pager *pager;

    options.report = count_records;
    options.context = hearing;
    assert_int_equal(mpg_open_readonly(&pager, scratch->path, NULL), 0);
    assert_int_equal(mpg_check(result, pager, &options), 0);
    assert_int_equal(mpg_close(pager), 0);
}

/* A crash that tears a root leaves it so: no fault. */
static void check_warns_of_a_lost_root_behind_which_there_are_nodes(void **state)
{
    const struct scratch *scratch = *state;
    struct hearing hearing = {0};
    mpg_check_result result;

    (void)make_damaged(scratch, damaged, sizeof(damaged), destroy_newest_root);
    check_with(scratch, &hearing, &result);
    assert_int_equal(hearing.unfinished, 1);
    assert_int_equal(result.faults, 0);
}

static void commit_records(mpg_pager *pager)
{
    for (int byte = 2; byte < 10; byte++)
        put(pager, CHANGED, byte);
}

/* Two records in a row, and not the last one. */
static void destroy_two_records(unsigned char *bytes, size_t length)
{
    uint64_t newest = 0;
    unsigned destroyed = 0;

    for (size_t at = 0; at + PAGE_SIZE <= length; at += PAGE_SIZE) {
        if (memcmp(bytes + at, "MPGL", 4) == 0 && number_at(bytes + at + 8) > newest)
            newest = number_at(bytes + at + 8);
    }
    for (size_t at = 0; at + PAGE_SIZE <= length; at += PAGE_SIZE) {
        if (memcmp(bytes + at, "MPGL", 4) != 0 || number_at(bytes + at + 8) == newest ||
            number_at(bytes + at + 8) + 2 < newest)
            continue;
        memset(bytes + at, 0, PAGE_SIZE);
        destroyed++;
    }
    assert_int_equal(destroyed, 2);
}

/* Opening sees the end of the chain where they were. */
static void what_was_behind_lost_records_is_not_given_up_unasked(void **state)
{
    const struct scratch *scratch = *state;
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;
    struct hearing hearing = {0};
    mpg_repair_result result;
    size_t length;

    commit_last = commit_records;
    length = make_damaged(scratch, damaged, sizeof(damaged), destroy_two_records);
    commit_last = commit_ordered;
    options.consent = consent;
    options.context = &hearing;
    assert_int_equal(mpg_repair(&result, scratch->path, &options), MPG_E_CANCELLED);
    assert_int_equal(hearing.records, 1);
    must_be_damaged(scratch, length);
    hearing = (struct hearing){.agrees = true};
    assert_int_equal(mpg_repair(&result, scratch->path, &options), 0);
    assert_int_equal(byte_of(scratch->path, CHANGED), 9);
    assert_int_equal(mpg_repair_undo(scratch->path, NULL), 0);
    must_be_damaged(scratch, length);
}

static void what_was_behind_the_newest_root_is_not_given_up_unasked(void **state)
{
    const struct scratch *scratch = *state;
    size_t length = make_damaged(scratch, damaged, sizeof(damaged), destroy_newest_root);
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;
    struct hearing hearing = {0};
    mpg_repair_result result;

    options.consent = consent;
    options.context = &hearing;
    assert_int_equal(mpg_repair(&result, scratch->path, &options), MPG_E_CANCELLED);
    assert_int_equal(hearing.records, 1);
    must_be_damaged(scratch, length);
    hearing = (struct hearing){.agrees = true};
    assert_int_equal(mpg_repair(&result, scratch->path, &options), 0);
    assert_true(result.rebuilt && result.protected_older > 0);
    assert_int_equal(byte_of(scratch->path, CHANGED), 2);
    assert_int_equal(mpg_repair_undo(scratch->path, NULL), 0);
    must_be_damaged(scratch, length);
    hearing = (struct hearing){.agrees = true};
    options.flags = MPG_REPAIR_OLDER;
    assert_int_equal(mpg_repair(&result, scratch->path, &options), 0);
    assert_int_equal(hearing.older_states, 1);
    assert_int_equal(byte_of(scratch->path, CHANGED), 1);
    assert_int_equal(mpg_repair_undo(scratch->path, NULL), 0);
    must_be_damaged(scratch, length);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(the_state_before_comes_back_by_choice),
        SCRATCH_TEST(without_the_choice_what_is_newer_is_looked_for),
        SCRATCH_TEST(check_warns_of_a_lost_root_behind_which_there_are_nodes),
        SCRATCH_TEST(what_was_behind_lost_records_is_not_given_up_unasked),
        SCRATCH_TEST(what_was_behind_the_newest_root_is_not_given_up_unasked),
    };

    scratch_format = MPG_FORMAT_1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
