/* SPDX-License-Identifier: MIT */
/*
 * Who copies a file is stopped where it hurts most, or killed there; or somebody else changes the
 * file under its hands. The writer goes on, and there is a copy of one state or none.
 */
#include <signal.h>
#include <sys/wait.h>

#include "life/copy.h"
#include "mappedpages_copy.h"
#include "os/gate.h"
#include "support/api.h"
#include "support/scratch_copy.h"

#define PROTECTED 16
#define REGULAR 300
#define COMMITS 30

static struct io calls;
static unsigned gate_calls; /* how often the gate was had until the copier stops */
static int teardown(void **state)
{
    (void)unlink(copy_path);
    return scratch_end(state);
}

/*
 * ---- files: all protected pages of a state, and its last regular page, say the same number ----
 */

static void put(mpg_txn *txn, unsigned number, uint64_t regular)
{
    unsigned char *page = page_of((int)number);

    for (unsigned i = 0; i < PROTECTED; i++)
        assert_int_equal(
            mpg_txn_protected_write(txn, (mpg_protected_id){i}, page, 0, api_page_size), 0);
    assert_int_equal(mpg_txn_page_write(txn, (mpg_page_id){regular}, page, 0, api_page_size), 0);
    free(page);
}

static void create_file(const char *path, const struct scratch *scratch)
{
    mpg_options options = api_options(scratch);
    mpg_pager *pager;
    mpg_txn *txn;

    assert_int_equal(mpg_create(&pager, path, &options), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (unsigned i = 0; i < REGULAR; i++)
        assert_int_equal(mpg_txn_alloc_at(txn, (mpg_page_id){100 + i}, 0), 0);
    for (unsigned i = 0; i < PROTECTED; i++)
        assert_int_equal(mpg_txn_alloc_protected_at(txn, (mpg_protected_id){i}), 0);
    put(txn, 1, 100);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    for (unsigned i = 1; i < REGULAR; i++) {
        unsigned char *page = page_of(1);

        assert_int_equal(mpg_page_write(pager, (mpg_page_id){100 + i}, page, 0, api_page_size), 0);
        free(page);
    }
    assert_int_equal(mpg_close(pager), 0);
}

/* The regular page of a number is another one each time, and that of the number before is free. */
static void commit_number(mpg_pager *pager, unsigned number)
{
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_alloc_at(txn, (mpg_page_id){500 + number % 3}, 0), 0);
    if (number > 2)
        assert_int_equal(mpg_txn_free(txn, (mpg_page_id){500 + (number - 1) % 3}), 0);
    put(txn, number, 500 + number % 3);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
}

/* The number that a file shows; it must be one state. */
static unsigned number_of(const char *path)
{
    mpg_check_result checked;
    const mpg_pager *pager;
    int number;

    assert_int_equal(mpg_open_readonly(&pager, path, NULL), 0);
    assert_int_equal(mpg_check(&checked, pager, NULL), 0);
    assert_int_equal(checked.faults, 0);
    number = protected_byte(pager, (mpg_protected_id){0});
    assert_true(number > 0);
    for (unsigned i = 1; i < PROTECTED; i++)
        assert_int_equal(protected_byte(pager, (mpg_protected_id){i}), number);
    if (number > 1) {
        unsigned char *page = page_of(0);
        mpg_page_id id = {500 + (unsigned)number % 3};

        assert_int_equal(mpg_page_read(page, pager, id, 0, api_page_size), 0);
        assert_true(is_filled(page, number));
        free(page);
    }
    assert_int_equal(mpg_close(pager), 0);
    return (unsigned)number;
}

/* ---- stopped ---- */

static int stopping_lock_range(void *context, int fd, uint64_t first, uint64_t length,
                               enum io_lock lock)
{
    int result = mpgi_io_system.lock_range(context, fd, first, length, lock);

    if (result == 0 && first == LOCK_END && lock == IO_LOCK_SHARED && --gate_calls == 0)
        (void)raise(SIGSTOP);
    return result;
}

/* Copies, and is stopped while it has the gate closed, for the n-th time. */
static pid_t copy_and_stop(const struct scratch *scratch, unsigned nth)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        calls = mpgi_io_system;
        calls.lock_range = stopping_lock_range;
        gate_calls = nth;
        _exit(mpgi_copy_with(NULL, scratch->path, copy_path, NULL, &calls, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    return child;
}

static uint64_t waits_of(const mpg_pager *pager)
{
    struct mpg_counters counters = {.size = sizeof(counters)};

    assert_int_equal(mpg_counters(&counters, pager), 0);
    return counters.waits;
}

/*
 * It holds one commit up, and no other; when it goes on it finds that its state is not the newest.
 */
static void a_stopped_copier_holds_up_one_commit(void **state)
{
    const struct scratch *scratch = *state;

    create_file(scratch->path, scratch);
    for (unsigned nth = 1; nth <= 2; nth++) {
        unsigned first = nth == 1 ? 2 : COMMITS + 2;
        mpg_pager *pager;
        pid_t child;
        int status;

        assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
        child = copy_and_stop(scratch, nth);
        for (unsigned i = 0; i < COMMITS; i++)
            commit_number(pager, first + i);
        assert_int_equal(waits_of(pager), 1);
        assert_int_equal(kill(child, SIGCONT), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(number_of(copy_path), first + COMMITS - 1);
        assert_int_equal(mpg_close(pager), 0);
        assert_int_equal(unlink(copy_path), 0);
    }
}

/* One that is killed there holds nobody up, and leaves nothing. */
static void a_killed_copier_holds_up_nobody(void **state)
{
    const struct scratch *scratch = *state;
    unsigned number = 2;
    mpg_pager *pager;

    create_file(scratch->path, scratch);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
    for (unsigned nth = 1; nth <= 2; nth++) {
        pid_t child = copy_and_stop(scratch, nth);

        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        for (unsigned i = 0; i < 5; i++)
            commit_number(pager, number++);
        assert_int_equal(waits_of(pager), 0);
        assert_int_equal(access(copy_path, F_OK), -1);
    }
    assert_int_equal(mpg_close(pager), 0);
}

/* ---- what is done while the gate is closed ---- */

static struct {
    mpg_pager *writer;
    unsigned number;  /* of the last commit */
    bool closed;      /* the gate is, by the copy */
    unsigned reads;   /* meanwhile */
    unsigned changes; /* of the copy meanwhile, and syncs */
} behind;

/* Commits once before each closing of the gate, so that there is something to copy. */
static int watching_lock_range(void *context, int fd, uint64_t first, uint64_t length,
                               enum io_lock lock)
{
    int result;

    if (first == LOCK_END + 1 && lock == IO_LOCK_SHARED)
        commit_number(behind.writer, ++behind.number);
    if (first == LOCK_END && lock == IO_LOCK_NONE)
        behind.closed = false;
    result = mpgi_io_system.lock_range(context, fd, first, length, lock);
    if (result == 0 && first == LOCK_END && lock == IO_LOCK_SHARED)
        behind.closed = true;
    return result;
}

static ssize_t watching_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    behind.reads += behind.closed;
    return mpgi_io_system.pread(context, fd, data, length, offset);
}

static ssize_t watching_pwrite(void *context, int fd, const void *data, size_t length,
                               uint64_t offset)
{
    behind.changes += behind.closed;
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

static ssize_t watching_copy(void *context, int fd, int from, uint64_t offset, size_t length)
{
    behind.changes += behind.closed;
    return mpgi_io_system.copy(context, fd, from, offset, length);
}

static int watching_truncate(void *context, int fd, uint64_t bytes)
{
    behind.changes += behind.closed;
    return mpgi_io_system.truncate(context, fd, bytes);
}

static int watching_fdatasync(void *context, int fd)
{
    behind.changes += behind.closed;
    return mpgi_io_system.fdatasync(context, fd);
}

static bool watch_progress(void *context, uint64_t done, uint64_t total)
{
    (void)context, (void)done, (void)total;
    assert_false(behind.closed);
    return true;
}

/* A writer waits for reading alone, and for that of what it has just committed. */
static void behind_the_gate_the_rest_is_read_and_nothing_written(void **state)
{
    const struct scratch *scratch = *state;
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;

    create_file(scratch->path, scratch);
    calls = mpgi_io_system;
    calls.clone = NULL;
    calls.pwritev = NULL;
    calls.lock_range = watching_lock_range;
    calls.pread = watching_pread;
    calls.pwrite = watching_pwrite;
    calls.copy = watching_copy;
    calls.truncate = watching_truncate;
    calls.fdatasync = watching_fdatasync;
    options.progress = watch_progress;
    memset(&behind, 0, sizeof(behind));
    assert_int_equal(mpg_open(&behind.writer, scratch->path, NULL), 0);
    for (behind.number = 1; behind.number < 20;)
        commit_number(behind.writer, ++behind.number);
    assert_int_equal(mpgi_copy_with(NULL, scratch->path, copy_path, &options, &calls, NULL), 0);
    assert_int_equal(behind.changes, 0);
    assert_in_range(behind.reads, PROTECTED, 4 * PROTECTED);
    assert_int_equal(number_of(copy_path), behind.number);
    assert_int_equal(mpg_close(behind.writer), 0);
}

/* ---- many pages are given out meanwhile ---- */

#define MANY 1500 /* more than are read behind the gate */

static mpg_page_id scattered(unsigned i)
{
    return (mpg_page_id){1000 + 2 * i};
}

static void give_out(mpg_pager *pager, unsigned number)
{
    unsigned char *page = page_of((int)number);
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(mpg_txn_alloc_at(txn, scattered(i), 0), 0);
        assert_int_equal(mpg_txn_page_write(txn, scattered(i), page, 0, api_page_size), 0);
    }
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    free(page);
}

static void take_back(mpg_pager *pager)
{
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(mpg_txn_free(txn, scattered(i)), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
}

/* At the end of the first pass, which has copied what was there before. */
static bool give_out_again(void *context, uint64_t done, uint64_t total)
{
    if (done == total && behind.number == 1) {
        behind.number = 2;
        take_back(context);
        give_out(context, 2);
    }
    return true;
}

/* A file with many pages, all just given out, of which no copy can be a clone. */
static mpg_pager *open_given_out(const struct scratch *scratch)
{
    mpg_pager *pager;

    create_file(scratch->path, scratch);
    calls = mpgi_io_system;
    calls.clone = NULL;
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
    give_out(pager, 1);
    return pager;
}

static void all_pages_given_out_again_are_copied_twice_and_no_more(void **state)
{
    const struct scratch *scratch = *state;
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;
    mpg_copy_result result;
    const mpg_pager *copy;
    unsigned char *page = page_of(0);
    mpg_pager *pager;

    pager = open_given_out(scratch);
    behind.number = 1;
    options.progress = give_out_again;
    options.context = pager;
    assert_int_equal(mpgi_copy_with(&result, scratch->path, copy_path, &options, &calls, NULL), 0);
    assert_int_equal(behind.number, 2);
    assert_int_equal(mpg_close(pager), 0);
    assert_true(result.bytes < (2 * MANY + 2 * REGULAR) * (uint64_t)api_page_size);
    assert_int_equal(mpg_open_readonly(&copy, copy_path, NULL), 0);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(mpg_page_read(page, copy, scattered(i), 0, api_page_size), 0);
        assert_true(is_filled(page, 2));
    }
    assert_int_equal(mpg_close(copy), 0);
    free(page);
}

/* Where nobody has it open each page is copied once. */
static void a_file_at_rest_is_copied_once(void **state)
{
    const struct scratch *scratch = *state;
    mpg_copy_result result;
    mpg_pager *pager;

    pager = open_given_out(scratch);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(mpgi_copy_with(&result, scratch->path, copy_path, NULL, &calls, NULL), 0);
    assert_int_equal(result.bytes, (MANY + REGULAR + PROTECTED) * (uint64_t)api_page_size);
}

/* ---- changed by somebody else, at the first progress ---- */

enum trouble { CUT_SHORT, CUT_TO_NOTHING, ANOTHER_FILE, OLDER_SAME_FILE, REMOVED, TROUBLES };

struct other {
    const char *path;
    char from[80]; /* what is copied over it */
    enum trouble trouble;
    bool done;
};

static void copy_over(const char *from, const char *to)
{
    unsigned char *bytes;
    struct stat st;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_TRUNC);

    assert_true(in >= 0 && out >= 0 && fstat(in, &st) == 0);
    bytes = malloc((size_t)st.st_size);
    assert_non_null(bytes);
    assert_int_equal(pread(in, bytes, (size_t)st.st_size, 0), st.st_size);
    assert_int_equal(pwrite(out, bytes, (size_t)st.st_size, 0), st.st_size);
    assert_int_equal(close(in) | close(out), 0);
    free(bytes);
}

static bool make_trouble(void *context, uint64_t done, uint64_t total)
{
    struct other *other = context;
    struct stat st;

    (void)done, (void)total;
    if (other->done)
        return true;
    other->done = true;
    assert_int_equal(stat(other->path, &st), 0);
    if (other->trouble == CUT_SHORT)
        assert_int_equal(truncate(other->path, st.st_size / 2 / api_page_size * api_page_size), 0);
    if (other->trouble == CUT_TO_NOTHING)
        assert_int_equal(truncate(other->path, 0), 0);
    if (other->trouble == ANOTHER_FILE || other->trouble == OLDER_SAME_FILE)
        copy_over(other->from, other->path);
    if (other->trouble == REMOVED)
        assert_int_equal(unlink(other->path), 0);
    return true;
}

/* Returns what copying did. Where it did there is a copy of one state. */
static int copy_beside(struct other *other, const struct scratch *scratch, int *number)
{
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;
    struct io without_clones = mpgi_io_system;
    int result;

    without_clones.clone = NULL; /* for that there is no moment between */
    options.progress = make_trouble;
    options.context = other;
    other->done = false;
    result = mpgi_copy_with(NULL, scratch->path, copy_path, &options, &without_clones, NULL);
    assert_true(other->done);
    *number = 0;
    if (result != 0)
        assert_int_equal(access(copy_path, F_OK), -1);
    else
        *number = (int)number_of(copy_path);
    (void)unlink(copy_path);
    return result;
}

static void changed_by_somebody_else_there_is_no_mixture(void **state)
{
    const struct scratch *scratch = *state;
    struct other other = {.path = scratch->path};

    snprintf(other.from, sizeof(other.from), "%s/other", scratch->directory);
    for (other.trouble = 0; other.trouble < TROUBLES; other.trouble++) {
        int result, number;
        mpg_pager *pager;

        create_file(scratch->path, scratch);
        if (other.trouble == OLDER_SAME_FILE) {
            int fd = open(other.from, O_WRONLY | O_CREAT, 0600);

            assert_int_equal(close(fd), 0);
            copy_over(scratch->path, other.from);
        }
        assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
        for (unsigned i = 2; i < 6; i++)
            commit_number(pager, i);
        assert_int_equal(mpg_close(pager), 0);
        if (other.trouble == ANOTHER_FILE)
            create_file(other.from, scratch);
        result = copy_beside(&other, scratch, &number);
        if (other.trouble == CUT_SHORT || other.trouble == CUT_TO_NOTHING)
            assert_int_not_equal(result, 0);
        if (other.trouble == ANOTHER_FILE && scratch->format == MPG_FORMAT_1)
            assert_int_equal(result, MPG_E_CHANGED);
        if (other.trouble == OLDER_SAME_FILE)
            assert_true(result != 0 || number == 1);
        if (other.trouble == REMOVED)
            assert_true(result == 0 && number == 5);
        (void)unlink(scratch->path);
        (void)unlink(other.from);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, scratch_begin_copy, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stopped_copier_holds_up_one_commit),
        TEST(a_killed_copier_holds_up_nobody),
        TEST(behind_the_gate_the_rest_is_read_and_nothing_written),
        TEST(all_pages_given_out_again_are_copied_twice_and_no_more),
        TEST(a_file_at_rest_is_copied_once),
        TEST(changed_by_somebody_else_there_is_no_mixture),
    };

    api_page_size = 4096;
    return SCRATCH_RUN("trouble", tests);
}
