/* SPDX-License-Identifier: MIT */
/*
 * Beside a writer a copy goes to the disk little by little, has all of it there before its sync,
 * and does nothing for most of the time while the writer commits; but it makes no pauses beside one
 * that writes as much meanwhile.
 */
#include "base/clock.h"
#include "life/copy.h"
#include "mappedpages_copy.h"
#include "support/api.h"
#include "support/scratch_copy.h"

#define FILLED 768 /* pages: 3 MiB */
#define FIRST_FILLED 100
#define MUCH 1200 /* pages: more than can be copied while a writer waits */
#define PIECE (UINT64_C(256) << 10)
#define GATE LOCK_END

/* What was seen of one copy. */
static struct {
    uint64_t in_flight;      /* bytes written since the disk was last asked to write */
    uint64_t most_in_flight; /* … at most */
    uint64_t at_sync;        /* … when it was synced */
    unsigned pieces;         /* how often the disk was asked to write */
    unsigned asked;          /* how often it was asked whether a writer is at a commit, */
    bool committing;         /* … which the answer to is this */
    unsigned slow;           /* microseconds that a piece takes */
    unsigned changes;        /* that the writer made meanwhile, */
    unsigned most_changes;   /* … of so many */
} seen;

static void add(int64_t bytes)
{
    seen.in_flight += bytes > 0 ? (uint64_t)bytes : 0;
    if (seen.in_flight > seen.most_in_flight)
        seen.most_in_flight = seen.in_flight;
}

static ssize_t seen_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    ssize_t result = mpgi_io_system.pwrite(context, fd, data, length, offset);

    add(result);
    return result;
}

static ssize_t seen_copy(void *context, int fd, int from, uint64_t offset, size_t length)
{
    ssize_t result = mpgi_io_system.copy(context, fd, from, offset, length);

    add(result);
    return result;
}

static int seen_write_out(void *context, int fd, uint64_t offset, uint64_t length)
{
    seen.in_flight = 0;
    seen.pieces++;
    (void)usleep(seen.slow);
    return mpgi_io_system.write_out(context, fd, offset, length);
}

static int seen_fdatasync(void *context, int fd)
{
    seen.at_sync = seen.in_flight;
    return mpgi_io_system.fdatasync(context, fd);
}

static bool seen_find_lock(void *context, int fd, uint64_t first, uint64_t length, uint64_t *at,
                           uint64_t *end)
{
    if (first != GATE || length != 1)
        return mpgi_io_system.find_lock(context, fd, first, length, at, end);
    seen.asked++;
    return seen.committing;
}

static void fill(const struct scratch *scratch)
{
    mpg_pager *pager = api_create(scratch);
    unsigned char *page = page_of(1);
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (unsigned i = 0; i < FILLED; i++)
        assert_int_equal(mpg_txn_alloc_at(txn, (mpg_page_id){FIRST_FILLED + i}, 0), 0);
    assert_int_equal(mpg_txn_alloc_protected_at(txn, (mpg_protected_id){0}), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    for (unsigned i = 0; i < FILLED; i++)
        assert_int_equal(
            mpg_page_write(pager, (mpg_page_id){FIRST_FILLED + i}, page, 0, api_page_size), 0);
    free(page);
    assert_int_equal(mpg_close(pager), 0);
}

/*
 * The writer allocates many pages elsewhere, and changes the protected one, so that there is a next
 * pass that tells.
 */
static bool change_much(void *context, uint64_t done, uint64_t total)
{
    uint64_t first = FIRST_FILLED + FILLED + seen.changes * MUCH;
    mpg_pager *writer = context;
    mpg_txn *txn;

    (void)done, (void)total;
    if (seen.changes == seen.most_changes)
        return true;
    seen.changes++;
    assert_int_equal(mpg_txn_begin(&txn, writer), 0);
    for (unsigned i = 0; i < MUCH; i++)
        assert_int_equal(mpg_txn_alloc_at(txn, (mpg_page_id){first + i}, 0), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(put_protected(writer, (mpg_protected_id){0}, (int)seen.changes), 0);
    return true;
}

/* A copy beside `writer`, or beside nobody; with what is set in `seen` before. */
static mpg_copy_result copy_beside(const struct scratch *scratch, mpg_pager *writer)
{
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;
    struct io calls = mpgi_io_system;
    mpg_copy_result result;

    calls.clone = NULL;
    calls.pwritev = NULL;
    calls.pwrite = seen_pwrite;
    calls.copy = seen_copy;
    calls.write_out = seen_write_out;
    calls.fdatasync = seen_fdatasync;
    calls.find_lock = seen_find_lock;
    options.progress = change_much;
    options.context = writer;
    assert_int_equal(mpgi_copy_with(&result, scratch->path, copy_path, &options, &calls, NULL), 0);
    assert_int_equal(unlink(copy_path), 0);
    return result;
}

static mpg_pager *open_filled(const struct scratch *scratch)
{
    mpg_pager *writer;

    memset(&seen, 0, sizeof(seen));
    fill(scratch);
    assert_int_equal(mpg_open(&writer, scratch->path, NULL), 0);
    return writer;
}

static void little_is_in_flight_beside_a_writer(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *writer = open_filled(scratch);

    (void)copy_beside(scratch, writer);
    assert_true(seen.pieces >= FILLED * api_page_size / PIECE);
    assert_true(seen.most_in_flight <= PIECE);
    assert_int_equal(seen.at_sync, 0);
    assert_int_equal(mpg_close(writer), 0);
    memset(&seen, 0, sizeof(seen));
    (void)copy_beside(scratch, NULL);
    assert_int_equal(seen.pieces, 0);
}

/* Three times as long as a piece took; what else the machine does can only make it longer. */
static void a_writer_at_a_commit_is_left_alone(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *writer = open_filled(scratch);
    uint64_t begun = now(), took;

    seen.slow = 2000;
    seen.committing = true;
    (void)copy_beside(scratch, writer);
    took = now() - begun;
    assert_true(seen.asked >= FILLED * api_page_size / PIECE);
    assert_true(took >= (uint64_t)seen.pieces * 4 * 2000 * 1000);
    assert_int_equal(mpg_close(writer), 0);
}

static void one_that_writes_as_much_is_not_waited_for(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *writer = open_filled(scratch);
    mpg_copy_result calm, hurried;
    unsigned asked, pieces;

    calm = copy_beside(scratch, writer);
    asked = seen.asked;
    pieces = seen.pieces;
    assert_int_equal(calm.passes, 2); /* the second one behind the gate */
    seen.most_changes = 1;
    hurried = copy_beside(scratch, writer);
    assert_int_equal(seen.changes, 1);
    assert_true(hurried.passes > calm.passes);
    assert_int_equal(asked, pieces);
    assert_true(seen.asked - asked < seen.pieces - pieces);
    assert_int_equal(mpg_close(writer), 0);
}

static int teardown(void **state)
{
    (void)unlink(copy_path);
    return scratch_end(state);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, scratch_begin_copy, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(little_is_in_flight_beside_a_writer),
        TEST(a_writer_at_a_commit_is_left_alone),
        TEST(one_that_writes_as_much_is_not_waited_for),
    };

    api_page_size = 4096;
    return SCRATCH_RUN("copies beside a writer", tests);
}
