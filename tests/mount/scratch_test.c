/* SPDX-License-Identifier: MIT */
/*
 * What one client can cost all others by scratch files: neither time, however many there are and
 * whatever they are named, nor memory for what was cut, nor all of the memory.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fuse/scratch.h"
#include "fuse/scratch_table.h"

#define MANY 200000u
#define MASTER 1000

static const struct stat mine = {.st_mode = 0600, .st_uid = MASTER, .st_gid = MASTER};
static const struct stat theirs = {.st_mode = 0600, .st_uid = 2000, .st_gid = 2000};
static const struct stat others = {.st_mode = 0600, .st_uid = 3000, .st_gid = 3000};

static void name_of(char name[32], unsigned number)
{
    snprintf(name, 32, "%u.tmp", number);
}

static uint64_t create(struct scratch *scratch, const char *name, const struct stat *owner)
{
    uint64_t serial = 0;

    assert_int_equal(scratch_create(scratch, FIXED_PAGES, name, owner, &serial), 0);
    return serial;
}

static unsigned count(struct scratch *scratch, enum fixed_node directory)
{
    uint64_t place = 0, serial;
    char name[NAME_MAX + 1];
    unsigned found = 0;

    while (scratch_next(scratch, directory, &place, &serial, name) == 0) {
        found++;
    }
    return found;
}

/*
 * Every way to find one, 200,000 times. Where each walks along all others this takes minutes, and
 * the alarm ends it; otherwise a moment.
 */
static void test_many_files_cost_no_more_time_each(void **state)
{
    struct scratch *scratch = scratch_new(UINT64_C(1) << 40, MASTER);
    char name[32], other[32];
    uint64_t serial;

    (void)state;
    (void)alarm(100);
    for (unsigned i = 0; i < MANY; i++) {
        name_of(name, i);
        (void)create(scratch, name, &mine);
    }
    assert_int_equal(count(scratch, FIXED_PAGES), MANY);
    assert_int_equal(count(scratch, FIXED_PROTECTED), 0);
    for (unsigned i = 0; i < MANY; i++) {
        struct stat st;

        name_of(name, i);
        assert_int_equal(scratch_lookup(scratch, FIXED_PAGES, name, &serial), 0);
        assert_int_equal(scratch_lookup(scratch, FIXED_PROTECTED, name, &serial), ENOENT);
        assert_int_equal(scratch_attributes(scratch, serial, &st), 0);
        assert_int_equal(scratch_write(scratch, serial, "x", 0, 1), 0);
        snprintf(other, sizeof(other), "%u.new", i);
        assert_int_equal(
            scratch_rename(scratch, serial, i % 2 ? FIXED_PAGES : FIXED_PROTECTED, other), 0);
    }
    assert_int_equal(count(scratch, FIXED_PAGES), MANY / 2);
    assert_int_equal(count(scratch, FIXED_PROTECTED), MANY / 2);
    for (unsigned i = MANY; i-- > 0;) {
        const enum fixed_node directory = i % 2 ? FIXED_PAGES : FIXED_PROTECTED;

        snprintf(other, sizeof(other), "%u.new", i);
        assert_int_equal(scratch_find(scratch, directory, other, &serial), 0);
        assert_int_equal(scratch_unlink(scratch, directory, other), 0);
        scratch_forget(scratch, serial, 2);
        assert_int_equal(scratch_write(scratch, serial, "x", 0, 1), ESTALE);
    }
    (void)alarm(0);
    scratch_free(scratch);
}

/* A listing goes on behind the last it gave, whatever came and went meanwhile. */
static void test_listing_misses_nothing_that_stays(void **state)
{
    struct scratch *scratch = scratch_new(1 << 20, MASTER);
    char name[NAME_MAX + 1], own[32];
    uint64_t place = 0, serial;
    unsigned kept = 0;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        name_of(own, i);
        serial = create(scratch, own, &mine);
        scratch_forget(scratch, serial, 1);
    }
    while (scratch_next(scratch, FIXED_PAGES, &place, &serial, name) == 0) {
        kept += strtoul(name, NULL, 10) % 10 == 0;
        for (unsigned i = 0; i < 1000; i++) { /* at once all that do not stay */
            name_of(own, i);
            if (i % 10 != 0) {
                (void)scratch_unlink(scratch, FIXED_PAGES, own);
            }
        }
    }
    assert_int_equal(kept, 100);
    assert_int_equal(count(scratch, FIXED_PAGES), 100);
    scratch_free(scratch);
}

/* What fits in the limit, in steps of 1000 bytes. */
static unsigned fill(struct scratch *scratch, uint64_t serial)
{
    static const char bytes[1000];
    unsigned filled = 0;

    while (scratch_write(scratch, serial, bytes, filled * sizeof(bytes), sizeof(bytes)) == 0) {
        filled++;
    }
    return filled;
}

static void test_what_is_cut_gives_its_memory_back(void **state)
{
    struct scratch *scratch = scratch_new(1000000, MASTER);
    uint64_t one = create(scratch, "one.tmp", &mine), two = create(scratch, "two.tmp", &mine);
    const unsigned filled = fill(scratch, one);
    unsigned char byte = 1;
    size_t length = 1;

    (void)state;
    assert_true(filled > 900);
    assert_int_equal(fill(scratch, two), 0);
    assert_int_equal(scratch_truncate(scratch, one, 500), 0);
    assert_true(fill(scratch, two) + 1 >= filled);
    assert_int_equal(scratch_truncate(scratch, two, 0), 0);
    /* What was cut is zeros when the file grows again. */
    assert_int_equal(scratch_write(scratch, one, "end", 400, 3), 0);
    assert_int_equal(scratch_truncate(scratch, one, 401), 0);
    assert_int_equal(scratch_truncate(scratch, one, 900), 0);
    assert_int_equal(scratch_read(scratch, one, &byte, 401, &length), 0);
    assert_int_equal(byte, 0);
    assert_int_equal(scratch_truncate(scratch, one, 0), 0);
    assert_int_equal(fill(scratch, two), filled);
    /* One that is gone gives back all. */
    assert_int_equal(scratch_unlink(scratch, FIXED_PAGES, "two.tmp"), 0);
    assert_int_equal(fill(scratch, one), 0);
    scratch_forget(scratch, two, 1);
    assert_true(fill(scratch, one) >= filled);
    scratch_free(scratch);
}

static void test_one_user_leaves_something_to_the_others(void **state)
{
    struct scratch *scratch = scratch_new(1000000, MASTER);
    uint64_t first = create(scratch, "first.tmp", &theirs);
    uint64_t second = create(scratch, "second.tmp", &others);
    uint64_t third = create(scratch, "third.tmp", &mine);
    unsigned filled = fill(scratch, first);

    (void)state;
    assert_in_range(filled, 490, 500);
    assert_int_equal(fill(scratch, create(scratch, "more.tmp", &theirs)), 0);
    assert_in_range(fill(scratch, second), 240, 250);
    /* The mount is the master's. */
    assert_in_range(fill(scratch, third), 240, 260);
    scratch_free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_files_cost_no_more_time_each),
        cmocka_unit_test(test_listing_misses_nothing_that_stays),
        cmocka_unit_test(test_what_is_cut_gives_its_memory_back),
        cmocka_unit_test(test_one_user_leaves_something_to_the_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
