/* SPDX-License-Identifier: MIT */
/*
 * Copies of a page file, made while another process writes it with many threads.
 *
 * Each transaction of a thread stamps the protected pages of its group, allocates a regular page
 * that bears the same stamp, names it in all of them, and frees the one before. A copy must open,
 * be without fault, and show in each group one stamp, with the regular page of that stamp: one
 * committed state, no mixture, none older than what was committed before the copying began.
 *
 * MPG_TEST_COPIES=n makes so many copies, MPG_TEST_GROUP=n groups of so many pages,
 * MPG_TEST_FILE_MIB=n a file of at least that size, MPG_TEST_FILLED_MIB=n so much in pages that
 * have contents, MPG_TEST_PROTECTED=n so many more protected pages, which nobody writes. What
 * commits took without and with copies is printed, and asserted of nothing: other machines, and
 * what else they do, are not ours. That no copy keeps a commit waiting for long is what the gate
 * itself sees to.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "mappedpages_copy.h"
#include "support/api.h"

#define WRITERS 8
#define MOST_PAGES 4096

/*
 * What this process does beside the commits, in turns: nothing, so that there is something to
 * compare with, a copy, and a check of that.
 */
enum beside { BESIDE_NOTHING, BESIDE_COPY, BESIDE_CHECK, BESIDES };

#define MOST_TIMES (1 << 20)

/* How long commits took, in nanoseconds. */
struct times {
    atomic_size_t count;
    uint64_t took[MOST_TIMES];
};

/* What the processes tell each other. */
struct board {
    struct times times[BESIDES];
    atomic_uint turn; /* modulo BESIDES it says what is done */
    atomic_uint_fast64_t waits,
        longest_wait;                        /* that the writer met because of copies; at the end */
    atomic_uint_fast64_t committed[WRITERS]; /* the last stamp of the group that is durable */
    atomic_bool end;
    atomic_bool failed;
};

static struct board *board;
static pid_t child; /* the writer, or 0 */
static unsigned group_pages;

static unsigned from_environment(const char *name, unsigned usual)
{
    const char *text = getenv(name);

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : usual;
}

static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* ---- the writer, a process ---- */

#define CHECK(condition) ((condition) ? (void)0 : give_up(__LINE__, #condition))

static _Noreturn void give_up(int line, const char *condition)
{
    mpg_error_info error;

    (void)mpg_last_error(&error);
    fprintf(stderr, "copy_test.c:%d: %s; last error: %d, %s\n", line, condition, error.code,
            error.message);
    board->failed = true;
    _exit(1);
}

/* A commit that met a copy is one beside it. */
static enum beside met_between(unsigned first, unsigned last)
{
    enum beside met = (enum beside)(first % BESIDES);

    for (unsigned turn = first; turn != last + 1; turn++)
        met = turn % BESIDES == BESIDE_COPY ? BESIDE_COPY : met;
    return met;
}

static void note_time(enum beside beside, uint64_t took)
{
    size_t at = atomic_fetch_add(&board->times[beside].count, 1);
    if (at < MOST_TIMES)
        board->times[beside].took[at] = took;
}

static size_t count_times(enum beside beside)
{
    size_t count = board->times[beside].count;

    return count < MOST_TIMES ? count : MOST_TIMES;
}

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Microseconds that so many of 1000 commits took at most; the times are sorted. */
static double quantile(enum beside beside, size_t of_1000)
{
    size_t count = count_times(beside);

    return count == 0 ? 0 : (double)board->times[beside].took[(count - 1) * of_1000 / 1000] / 1000;
}

struct writer {
    mpg_pager *pager;
    unsigned number;
};

static void stamp(uint64_t *words, uint64_t stamp, uint64_t page)
{
    for (size_t i = 0; i < api_page_size / sizeof(*words); i += 2) {
        words[i] = stamp;
        words[i + 1] = page;
    }
}

static void commit_once(const struct writer *writer, uint64_t number, mpg_page_id *regular)
{
    uint64_t *words = malloc(api_page_size);
    mpg_page_id fresh;
    unsigned turn;
    mpg_txn *txn;
    uint64_t begun;

    CHECK(words != NULL && mpg_txn_begin(&txn, writer->pager) == 0);
    CHECK(mpg_txn_alloc(&fresh, txn, 0) == 0);
    stamp(words, number, fresh.value);
    CHECK(mpg_txn_page_write(txn, fresh, words, 0, api_page_size) == 0);
    for (unsigned i = 0; i < group_pages; i++) {
        mpg_protected_id id = {i * WRITERS + writer->number};

        CHECK(mpg_txn_protected_write(txn, id, words, 0, api_page_size) == 0);
    }
    if (regular->value != 0)
        CHECK(mpg_txn_free(txn, *regular) == 0);
    turn = board->turn;
    begun = now();
    CHECK(mpg_txn_commit(txn, 0) == 0);
    begun = now() - begun;
    note_time(met_between(turn, board->turn), begun);
    board->committed[writer->number] = number;
    *regular = fresh;
    free(words);
}

static void *write_group(void *argument)
{
    const struct writer *writer = argument;
    mpg_page_id regular = {0};

    for (uint64_t number = 1; !board->end; number++)
        commit_once(writer, number, &regular);
    return NULL;
}

static _Noreturn void write_all(const char *path)
{
    struct mpg_counters counters = {.size = sizeof(counters)};
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    mpg_pager *pager;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHECK(mpg_open(&pager, path, NULL) == 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){pager, i};
        CHECK(pthread_create(&threads[i], NULL, write_group, &writers[i]) == 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(mpg_counters(&counters, pager) == 0);
    board->waits = counters.waits;
    board->longest_wait = counters.longest_wait;
    CHECK(mpg_close(pager) == 0);
    _exit(0);
}

/* ---- copies ---- */

static void count_fault(void *context, const mpg_fault *fault)
{
    print_error("%s\n", fault->message);
    *(unsigned *)context += fault->code != 0;
}

static void check_group(const mpg_pager *copy, unsigned group, uint64_t least)
{
    uint64_t *words = malloc(api_page_size), *regular = malloc(api_page_size);
    uint64_t found[2] = {0};

    for (unsigned i = 0; i < group_pages; i++) {
        mpg_protected_id id = {i * WRITERS + group};

        assert_int_equal(mpg_protected_read(words, copy, id), 0);
        if (i == 0)
            memcpy(found, words, sizeof(found));
        for (size_t k = 0; k < api_page_size / sizeof(*words); k++)
            assert_int_equal(words[k], found[k % 2]);
    }
    if (found[0] < least)
        fail_msg("group %u shows commit %llu, and %llu was durable", group,
                 (unsigned long long)found[0], (unsigned long long)least);
    if (found[0] > 0) {
        mpg_page_id id = {found[1]};

        assert_int_equal(use_of(copy, found[1]), MPG_USE_REGULAR);
        assert_int_equal(mpg_page_read(regular, copy, id, 0, api_page_size), 0);
        assert_memory_equal(regular, words, api_page_size);
    }
    free(words);
    free(regular);
}

static void check_copy(const char *path, int format, const uint64_t *least)
{
    const mpg_pager *copy;
    mpg_check_result result;
    unsigned faults = 0;

    assert_int_equal(mpg_open_readonly(&copy, path, NULL), 0);
    assert_int_equal(stat_of(copy).format, format);
    assert_int_equal(mpg_check(&result, copy,
                               &(mpg_check_options){.size = sizeof(mpg_check_options),
                                                    .report = count_fault,
                                                    .context = &faults}),
                     0);
    assert_int_equal(faults, 0);
    for (unsigned group = 0; group < WRITERS; group++)
        check_group(copy, group, least[group]);
    assert_int_equal(mpg_close(copy), 0);
}

/* Regular pages that nobody writes meanwhile, with a content that a disk has to hold. */
static void fill(mpg_pager *pager, uint64_t pages)
{
    uint64_t *words = malloc(api_page_size);
    static mpg_page_id ids[1024];

    assert_non_null(words);
    for (uint64_t left = pages, some; left > 0; left -= some) {
        some = left < 1024 ? left : 1024;
        if (some > stat_of(pager).max_pages - stat_of(pager).total_pages)
            break; /* format 0.2 is small */
        assert_int_equal(mpg_alloc_bulk(ids, pager, some, 0), 0);
        for (uint64_t i = 0; i < some; i++) {
            stamp(words, 0, ids[i].value);
            assert_int_equal(mpg_page_write(pager, ids[i], words, 0, api_page_size), 0);
        }
    }
    free(words);
}

static void create_groups(const struct scratch *scratch)
{
    uint64_t pages = (uint64_t)from_environment("MPG_TEST_FILE_MIB", 0) * (1 << 20) / api_page_size;
    mpg_options options = api_options(scratch);
    mpg_pager *pager;
    mpg_txn *txn;

    options.flags |= MPG_SPARSE;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    if (pages > 4 && pages < stat_of(pager).max_pages)
        assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){pages - 1}, 0), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (uint64_t i = 0; i < (uint64_t)group_pages * WRITERS; i++) {
        mpg_protected_id id = {i};

        assert_int_equal(mpg_txn_alloc_protected_at(txn, id), 0);
    }
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    fill(pager, (uint64_t)from_environment("MPG_TEST_FILLED_MIB", 0) * (1 << 20) / api_page_size);
    for (uint64_t left = from_environment("MPG_TEST_PROTECTED", 0), some; left > 0; left -= some) {
        static mpg_protected_id more[10000];
        struct mpg_stat st = stat_of(pager);

        some = left < 10000 ? left : 10000;
        if (some > (st.max_pages - st.total_pages) / 2 ||
            some > st.max_protected - st.protected_pages)
            break; /* format 0.2 is small */
        assert_int_equal(mpg_alloc_protected_bulk(more, pager, some), 0);
    }
    assert_int_equal(mpg_close(pager), 0);
}

/* Until as many commits were timed without a copy as with one. */
static void leave_alone(void)
{
    for (unsigned i = 0; i < 20000; i++) {
        if (count_times(BESIDE_NOTHING) > count_times(BESIDE_COPY) + 25 || board->failed)
            return;
        (void)usleep(1000);
    }
}

static void print_row(const char *name, enum beside beside)
{
    struct times *times = &board->times[beside];

    qsort(times->took, count_times(beside), sizeof(times->took[0]), compare_times);
    print_message("%-14s %8zu %8.2f %8.2f %8.2f %8.2f\n", name, count_times(beside),
                  quantile(beside, 500) / 1000, quantile(beside, 990) / 1000,
                  quantile(beside, 999) / 1000, quantile(beside, 1000) / 1000);
}

static void print_times(unsigned copies, uint64_t passes, uint64_t held)
{
    print_message("commits          number   median   99.0 %%   99.9 %%  longest (ms)\n");
    print_row("without copies", BESIDE_NOTHING);
    print_row("beside copies", BESIDE_COPY);
    print_message("%u copies in %llu passes; the gate was closed for %.2f ms at most; %llu commits "
                  "waited for it, the longest %.2f ms\n",
                  copies, (unsigned long long)passes, (double)held / 1e6,
                  (unsigned long long)board->waits, (double)board->longest_wait / 1e6);
}

static void copies_show_one_state(void **state)
{
    const struct scratch *scratch = *state;
    unsigned copies = from_environment("MPG_TEST_COPIES", 6);
    bool may_convert = from_environment("MPG_TEST_FILE_MIB", 0) == 0 &&
                       from_environment("MPG_TEST_FILLED_MIB", 0) == 0 &&
                       from_environment("MPG_TEST_PROTECTED", 0) == 0; /* format 0.2 is small */
    uint64_t held = 0, passes = 0;
    char path[80];
    int status;

    api_page_size = 4096;
    group_pages = from_environment("MPG_TEST_GROUP", 64);
    create_groups(scratch);
    snprintf(path, sizeof(path), "%s/copy", scratch->directory);
    memset((void *)board, 0, sizeof(*board));
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        write_all(scratch->path);
    for (unsigned i = 0; i < copies; i++) {
        mpg_copy_options options = MPG_COPY_OPTIONS_INIT;
        mpg_copy_result result;
        uint64_t least[WRITERS];

        leave_alone();
        for (unsigned group = 0; group < WRITERS; group++)
            least[group] = board->committed[group];
        options.format =
            i % 3 == 2 && may_convert ? MPG_FORMAT_1 + MPG_FORMAT_0_2 - scratch->format : 0;
        board->turn++;
        if (mpg_copy(&result, scratch->path, path, &options) != 0) {
            mpg_error_info error;

            mpg_last_error(&error);
            fail_msg("copy %u: %d, %s", i, error.code, error.message);
        }
        board->turn++;
        held = result.held > held ? result.held : held;
        passes += result.passes;
        check_copy(path, options.format != 0 ? options.format : scratch->format, least);
        assert_int_equal(unlink(path), 0);
        assert_false(board->failed);
        board->turn++;
    }
    board->end = true;
    assert_int_equal(waitpid(child, &status, 0), child);
    child = 0;
    assert_int_equal(status, 0);
    print_times(copies, passes, held);
}

/* Also after a test that failed. */
static int end_writer(void **state)
{
    const struct scratch *scratch = *state;
    char path[80];

    if (child > 0) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
        child = 0;
    }
    snprintf(path, sizeof(path), "%s/copy", scratch->directory);
    (void)unlink(path);
    return scratch_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(copies_show_one_state, scratch_begin, end_writer),
    };

    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    return SCRATCH_RUN("copies", tests);
}
