/* SPDX-License-Identifier: MIT */
/*
 * Files made shorter: how short, that all of it is still there by its ids or by those that were
 * told, what stands in the way, and that a process may be killed at it at any call, in the middle
 * of a write, too.
 *
 * MPG_TEST_KILLS=n kills so many of each kind.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mappedpages_compact.h"
#include "pager/open.h"
#include "support/api.h"

#define MOST_REGULAR 6000

/* Regular pages by what is in them: number k holds k. 0: there is none. */
static uint64_t regular[MOST_REGULAR];
static uint64_t regular_count, protected_count;

/* What is told of regular pages that move; seen by whoever looks after a death. */
struct moves {
    uint64_t pages; /* of the file that has the new numbers */
    uint64_t count;
    uint64_t from[MOST_REGULAR], to[MOST_REGULAR];
    uint64_t calls; /* that change the file, of who was not killed */
};

static struct moves *moves;

static bool note_moved(void *context, mpg_page_id from, mpg_page_id to, uint64_t pages)
{
    (void)context;
    moves->pages = pages;
    moves->from[moves->count] = from.value;
    moves->to[moves->count++] = to.value;
    return true;
}

static void apply_moves(void)
{
    uint64_t next = 0; /* both are in ascending order of the old number */

    for (uint64_t i = 0; i < moves->count; i++) {
        while (next < regular_count && regular[next] != moves->from[i])
            next++;
        assert_true(next < regular_count);
        regular[next] = moves->to[i];
        next = 0;
    }
    moves->count = 0;
}

static void fill(uint64_t *words, uint64_t number)
{
    for (size_t i = 0; i < api_page_size / sizeof(*words); i++)
        words[i] = number * 1000003 + i;
}

static void put_regular(mpg_pager *pager, uint64_t number, uint64_t at)
{
    uint64_t *words = malloc(api_page_size);
    mpg_page_id id = {at};
    int result = MPG_E_EXISTS;

    assert_non_null(words);
    for (; result == MPG_E_EXISTS || result == MPG_E_NOT_REGULAR; id.value += result != 0)
        result = mpg_alloc_at(pager, id, 0);
    assert_int_equal(result, 0);
    fill(words, number);
    assert_int_equal(mpg_page_write(pager, id, words, 0, api_page_size), 0);
    regular[number] = id.value;
    free(words);
}

static void put_all_protected(mpg_pager *pager, uint64_t count)
{
    uint64_t *words = malloc(api_page_size);
    mpg_protected_id *ids = calloc(count + 1, sizeof(*ids));

    assert_true(words != NULL && ids != NULL);
    if (count > 0)
        assert_int_equal(mpg_alloc_protected_bulk(ids, pager, count), 0);
    for (uint64_t i = 0; i < count;) {
        mpg_txn *txn;

        assert_int_equal(mpg_txn_begin(&txn, pager), 0);
        for (unsigned k = 0; k < 100 && i < count; k++, i++) {
            assert_int_equal(ids[i].value, i);
            fill(words, MOST_REGULAR + i);
            assert_int_equal(mpg_txn_protected_write(txn, ids[i], words, 0, api_page_size), 0);
        }
        assert_int_equal(mpg_txn_commit(txn, 0), 0);
    }
    protected_count = count;
    free(words);
    free(ids);
}

static void check_all(const mpg_pager *pager)
{
    uint64_t *words = malloc(api_page_size), *wanted = malloc(api_page_size);
    mpg_check_result checked;
    struct mpg_stat st = stat_of(pager);

    assert_true(words != NULL && wanted != NULL);
    if (mpg_check(&checked, pager, NULL) != 0) {
        mpg_error_info error;

        mpg_last_error(&error);
        fail_msg("check: %d, %s", error.code, error.message);
    }
    assert_int_equal(checked.faults, 0);
    assert_int_equal(st.regular_pages, regular_count);
    assert_int_equal(st.protected_pages, protected_count);
    for (uint64_t i = 0; i < regular_count; i++) {
        fill(wanted, i);
        assert_int_equal(mpg_page_read(words, pager, (mpg_page_id){regular[i]}, 0, api_page_size),
                         0);
        assert_memory_equal(words, wanted, api_page_size);
    }
    for (uint64_t i = 0; i < protected_count; i++) {
        fill(wanted, MOST_REGULAR + i);
        assert_int_equal(mpg_protected_read(words, pager, (mpg_protected_id){i}), 0);
        assert_memory_equal(words, wanted, api_page_size);
    }
    free(words);
    free(wanted);
}

/* Regular pages from the first on, or all over the file; metadata is everywhere. */
static mpg_pager *make_file(const struct scratch *scratch, uint64_t total, uint64_t count,
                            uint64_t guarded, bool spread)
{
    mpg_options options = api_options(scratch);
    mpg_pager *pager = NULL;
    uint64_t step = (total - 100) / (count + 1);

    options.initial_pages = total;
    options.flags = MPG_SPARSE | MPG_DEFER_ALLOCATION;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    for (uint64_t at = 10; at < total; at += total / 70) {
        mpg_page_id id = {at};

        assert_int_equal(mpg_alloc_at(pager, id, 0), 0);
        assert_int_equal(mpg_free(pager, id), 0);
    }
    regular_count = count;
    for (uint64_t i = 0; i < count; i++)
        put_regular(pager, i, spread ? 20 + i * step : 3 + i);
    put_all_protected(pager, guarded);
    assert_int_equal(mpg_sync(pager), 0);
    return pager;
}

static void compact(mpg_pager *pager, unsigned flags)
{
    mpg_compact_options options = MPG_COMPACT_OPTIONS_INIT;
    mpg_compact_result result;
    mpg_error_info error;

    options.flags = flags;
    options.moved = note_moved;
    moves->count = 0;
    if (mpg_compact(&result, pager, &options) != 0) {
        mpg_last_error(&error);
        fail_msg("%d, %s", error.code, error.message);
    }
    assert_int_equal(result.moved_regular, moves->count);
    assert_int_equal(result.pages_after, stat_of(pager).total_pages);
    assert_true(result.pages_after <= result.pages_before);
    apply_moves();
}

/*
 * Of so many pages in use, and one more for each protected one, the file has a tenth more at most.
 */
static void check_short(const struct scratch *scratch, const mpg_pager *pager)
{
    struct mpg_stat st = stat_of(pager);
    uint64_t used = st.regular_pages + 2 * st.protected_pages + st.metadata_pages;
    struct stat file;

    assert_int_equal(stat(scratch->path, &file), 0);
    assert_int_equal((uint64_t)file.st_size, st.total_pages * st.page_size);
    assert_true(st.total_pages <= used + used / 10 + 8);
}

static void a_file_that_is_hardly_used_becomes_short(void **state)
{
    const struct scratch *scratch = *state;
    uint64_t total = scratch->format == MPG_FORMAT_1 ? UINT64_C(1) << 20 : 30000;
    uint64_t count = scratch->format == MPG_FORMAT_1 ? 5000 : 150;

    for (int spread = 0; spread < 2; spread++) {
        mpg_pager *pager = make_file(scratch, total, count, count / 3, spread != 0);

        compact(pager, 0);
        check_all(pager);
        assert_int_equal(moves->count, 0);
        if (spread) {
            assert_true(stat_of(pager).total_pages > total - total / 50);
            compact(pager, MPG_COMPACT_RENUMBER);
            check_all(pager);
        }
        check_short(scratch, pager);
        assert_int_equal(mpg_close(pager), 0);
        assert_int_equal(unlink(scratch->path), 0);
    }
}

/* It goes on as it was: it grows, takes contents, and is compacted once more. */
static void work_goes_on_afterwards(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = make_file(scratch, 3000, 40, 30, true);

    compact(pager, MPG_COMPACT_RENUMBER);
    for (uint64_t i = 0; i < 200; i++)
        put_regular(pager, regular_count++, 3);
    assert_int_equal(mpg_sync(pager), 0);
    check_all(pager);
    compact(pager, 0);
    compact(pager, MPG_COMPACT_RENUMBER);
    check_all(pager);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(unlink(scratch->path), 0);
}

static void what_is_in_use_is_busy(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = make_file(scratch, 500, 20, 5, true);
    mpg_compact_options options = MPG_COMPACT_OPTIONS_INIT;
    const void *data;
    mpg_page_id page;
    mpg_writer *writer;
    mpg_txn *txn;

    assert_int_equal(mpg_protected_view(&data, pager, (mpg_protected_id){1}), 0);
    assert_error(mpg_compact(NULL, pager, NULL), MPG_E_BUSY);
    mpg_protected_release(pager, data);
    assert_int_equal(mpg_writer_open(&writer, pager, (mpg_protected_id){1}), 0);
    assert_error(mpg_compact(NULL, pager, NULL), MPG_E_BUSY);
    mpg_writer_discard(writer);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_alloc(&page, txn, 0), 0);
    assert_error(mpg_compact(NULL, pager, NULL), MPG_E_BUSY);
    mpg_txn_abort(txn);
    options.flags = 2;
    assert_error(mpg_compact(NULL, pager, &options), MPG_E_INVALID);
    assert_int_equal(mpg_compact(NULL, pager, NULL), 0);
    check_all(pager);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(unlink(scratch->path), 0);
}

/* ---- given up, and killed ---- */

static uint64_t calls_left;

static bool go_on(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    assert_true(done <= total);
    return calls_left-- > 0;
}

static void given_up_at_any_time_it_is_whole(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = make_file(scratch, 700, 30, 20, true);
    mpg_compact_options options = MPG_COMPACT_OPTIONS_INIT;
    int result = MPG_E_CANCELLED;

    options.flags = MPG_COMPACT_RENUMBER;
    options.moved = note_moved;
    options.progress = go_on;
    for (uint64_t calls = 0; result == MPG_E_CANCELLED; calls += 3) {
        calls_left = calls;
        moves->count = 0;
        result = mpg_compact(NULL, pager, &options);
        if (moves->count > 0 && stat_of(pager).total_pages <= moves->pages)
            apply_moves();
        check_all(pager);
    }
    assert_int_equal(result, 0);
    check_short(scratch, pager);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(unlink(scratch->path), 0);
}

static struct io calls;
static uint64_t dies_at; /* which call is not made, or by halves; 0: none */

/*
 * Whether the process is to end, with what it is about to write written by halves if `length` is
 * any.
 */
static void count_call(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    if (++moves->calls != dies_at)
        return;
    if (length >= 1024)
        (void)mpgi_io_system.pwrite(context, fd, data, length / 1024 * 512, offset);
    (void)kill(getpid(), SIGKILL);
}

static ssize_t dying_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    count_call(context, fd, data, length, offset);
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

static int dying_fdatasync(void *context, int fd)
{
    count_call(context, fd, NULL, 0, 0);
    return 0; /* it is the process that dies */
}

static int dying_truncate(void *context, int fd, uint64_t bytes)
{
    count_call(context, fd, NULL, 0, 0);
    return mpgi_io_system.truncate(context, fd, bytes);
}

static void compact_and_exit(const struct scratch *scratch, unsigned flags)
{
    mpg_compact_options options = MPG_COMPACT_OPTIONS_INIT;
    mpg_pager *pager;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    calls = mpgi_io_system;
    calls.pwrite = dying_pwrite;
    calls.pwritev = NULL;
    calls.fdatasync = dying_fdatasync;
    calls.truncate = dying_truncate;
    options.flags = flags;
    options.moved = note_moved;
    if (mpgi_open_with(&pager, scratch->path, NULL, false, &calls, NULL) != 0 ||
        mpg_compact(NULL, pager, &options) != 0 || mpg_close(pager) != 0)
        _exit(1);
    _exit(0);
}

/* Some pages go far away, so that there is something to do. */
static void spread_out(mpg_pager *pager, uint64_t round)
{
    for (uint64_t i = round % 3; i < regular_count; i += 3) {
        mpg_page_id old = {regular[i]};

        put_regular(pager, i, 900 + 90 * i);
        assert_int_equal(mpg_free(pager, old), 0);
    }
    assert_int_equal(mpg_sync(pager), 0);
}

/* Returns whether it was killed before all was done. */
static bool compact_and_die(const struct scratch *scratch, unsigned flags, uint64_t call)
{
    int status;
    pid_t child;

    moves->count = moves->calls = 0;
    dies_at = call;
    child = fork();
    if (child == 0)
        compact_and_exit(scratch, flags);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

static void killed_at_any_call_nothing_is_lost(void **state)
{
    const struct scratch *scratch = *state;
    const char *wanted = getenv("MPG_TEST_KILLS");
    unsigned kills = wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : 12;
    mpg_options options = MPG_OPTIONS_INIT;
    uint64_t most = 0, random = 12345;
    unsigned killed = 0, old = 0;
    mpg_pager *pager = make_file(scratch, 6000, 50, 40, true);

    options.flags = MPG_SPARSE;
    for (unsigned round = 0; killed < kills; round++) {
        /* Now and then nothing kills it, which shows how many calls there are. */
        bool whole = round % 16 == 0, died;
        uint64_t pages;

        assert_true(round < 3 * kills + 32);
        spread_out(pager, round);
        pages = stat_of(pager).total_pages;
        assert_int_equal(mpg_close(pager), 0);
        random = random * 6364136223846793005u + 1442695040888963407u;
        died = compact_and_die(scratch, round % 4 == 3 ? 0 : MPG_COMPACT_RENUMBER,
                               whole ? 0 : 1 + (random >> 33) % most);
        most = whole ? moves->calls : most;
        assert_int_equal(mpg_open(&pager, scratch->path, &options), 0);
        if (moves->count > 0 && stat_of(pager).total_pages <= moves->pages)
            apply_moves();
        check_all(pager);
        killed += died;
        old += died && stat_of(pager).total_pages == pages;
    }
    print_message("%u killed, %u of them before it counted\n", killed, old);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(unlink(scratch->path), 0);
}

int main(void)
{
    const struct CMUnitTest large[] = {
        cmocka_unit_test_setup_teardown(a_file_that_is_hardly_used_becomes_short, scratch_begin,
                                        scratch_end),
    };
    const struct CMUnitTest small[] = {
        cmocka_unit_test_setup_teardown(work_goes_on_afterwards, scratch_begin, scratch_end),
        cmocka_unit_test_setup_teardown(what_is_in_use_is_busy, scratch_begin, scratch_end),
        cmocka_unit_test_setup_teardown(given_up_at_any_time_it_is_whole, scratch_begin,
                                        scratch_end),
        cmocka_unit_test_setup_teardown(killed_at_any_call_nothing_is_lost, scratch_begin,
                                        scratch_end),
    };
    int failed;

    moves = mmap(NULL, sizeof(*moves), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (moves == MAP_FAILED)
        return 1;
    api_page_size = 4096;
    failed = SCRATCH_RUN("compacting", large);
    for (api_page_size = 1024; api_page_size <= 16384; api_page_size *= 4)
        failed |= SCRATCH_RUN("compacting", small);
    return failed;
}
