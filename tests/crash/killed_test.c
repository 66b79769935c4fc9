/* SPDX-License-Identifier: MIT */
/*
 * A process commits as fast as it can and is killed, over and over, at any moment: while it opens
 * the file, between two writes of a commit, in what it does now and then for later commits. Whoever
 * opens the file next sees, of each of the threads that were at work, all of one of its commits:
 * the last that had returned, or the one that was begun after it.
 *
 * Each thread has pages of its own. Commit n of a thread writes its number into its first page and
 * into some others, which follow from n; so what each page must say is known from what the first
 * one says. Beside that, pages come and go.
 *
 * MPG_TEST_SECONDS=n goes on for so long. MPG_TEST_SEED=n is where the choices begin; it is
 * printed.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "os/io.h"
#include "pager/open.h"
#include "support/harness.h"
#include "support/scratch_file.h"

#define THREADS 3
#define PAGES 120u /* of each thread */
#define LARGE 100u /* pages of a large commit */
#define MOST_PAGE_SIZE 4096u
#define MANY 4000       /* regular pages of which half are freed */
#define ROUNDS 12       /* at least */
#define MOST_LIFE 60000 /* microseconds that a process lives at most, where it is quick */

/* What the processes tell each other. */
struct board {
    atomic_uint_fast64_t begun[THREADS];     /* the last commit of each that was begun */
    atomic_uint_fast64_t committed[THREADS]; /* … and that has returned */
    atomic_bool opened;                      /* the file, by the process that is at work */
    atomic_bool failed;
};

static struct board *board;
static uint32_t page_size;
static bool with_sync;
static struct io system_without_sync;
static const struct scratch *file;
static mpg_pager *shared_pager;

/* What the pages of each thread say in the state that was seen last. */
static uint64_t said[THREADS][PAGES];

/* cmocka knows nothing of other processes and threads. */
#define CHECK(condition) ((condition) ? (void)0 : give_up(__LINE__, #condition))

static _Noreturn void give_up(int line, const char *condition)
{
    mpg_error_info error;

    (void)mpg_last_error(&error);
    fprintf(stderr, "killed_test.c:%d: %s; last error: %d, %s\n", line, condition, error.code,
            error.message);
    board->failed = true;
    _exit(3);
}

static int no_sync(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

/* ---- What a commit writes ------------------------------------------------------------------- */

/* Which pages commit `number` of a thread writes. The first is always among them. */
static unsigned choose(unsigned thread, uint64_t number, bool *chosen)
{
    uint64_t random = number * THREADS + thread;
    uint64_t kind = random_below(&random, 40);
    unsigned count = kind == 0 ? LARGE : kind < 10 ? 8 : 1;

    memset(chosen, 0, PAGES * sizeof(*chosen));
    chosen[0] = true;
    for (unsigned i = 0; i < count; i++)
        chosen[random_below(&random, PAGES)] = true;
    return count;
}

static mpg_protected_id id_of(unsigned thread, unsigned page)
{
    return (mpg_protected_id){thread * PAGES + page};
}

static void fill(uint64_t *words, mpg_protected_id id, uint64_t number)
{
    for (size_t i = 0; i < page_size / sizeof(*words); i += 2) {
        words[i] = id.value;
        words[i + 1] = number;
    }
}

/* ---- The process that is killed ------------------------------------------------------------- */

/*
 * Pages that come and go with the commit, some of them for good: the file grows, trees get more
 * nodes.
 */
static void change_others(mpg_txn *txn, uint64_t number, mpg_page_id *held, bool *holds)
{
    if (number % 5 != 0)
        return;
    if (*holds && number % 50 != 0)
        CHECK(mpg_txn_free(txn, *held) == 0);
    CHECK(mpg_txn_alloc(held, txn, number % 3 == 0 ? MPG_ZERO : 0) == 0);
    *holds = true;
}

static void *work(void *context)
{
    unsigned thread = (unsigned)(uintptr_t)context;
    uint64_t words[MOST_PAGE_SIZE / sizeof(uint64_t)];
    bool chosen[PAGES], holds = false;
    mpg_page_id held;

    for (uint64_t number = board->committed[thread] + 1;; number++) {
        mpg_txn *txn;

        (void)choose(thread, number, chosen);
        CHECK(mpg_txn_begin(&txn, shared_pager) == 0);
        for (unsigned i = 0; i < PAGES; i++) {
            if (!chosen[i])
                continue;
            fill(words, id_of(thread, i), number);
            CHECK(mpg_txn_protected_write(txn, id_of(thread, i), words, 0, page_size) == 0);
        }
        change_others(txn, number, &held, &holds);
        board->begun[thread] = number;
        CHECK(mpg_txn_commit(txn, number % 16 == 0 ? MPG_ORDERED : 0) == 0);
        board->committed[thread] = number;
    }
    return NULL;
}

/* A file of format 0.2 is full some day of what was allocated for good: half of it is given back. */
static void make_room(void)
{
    static mpg_page_id pages[MANY / 2];
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_page_iter iter;

    CHECK(mpg_stat(&st, shared_pager) == 0);
    if (st.regular_pages < MANY)
        return;
    mpg_page_iter_begin(&iter, shared_pager, (mpg_page_id){0});
    for (size_t i = 0; i < MANY / 2; i++)
        CHECK(mpg_page_iter_next(&pages[i], &iter) == 1);
    CHECK(mpg_free_bulk(shared_pager, pages, MANY / 2) == 0);
}

static _Noreturn void work_until_killed(void)
{
    pthread_t threads[THREADS];

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHECK(mpgi_open_with(&shared_pager, file->path, NULL, false,
                         with_sync ? &mpgi_io_system : &system_without_sync, NULL) == 0);
    make_room();
    board->opened = true;
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) == 0);
    for (;;)
        (void)pause();
}

/* ---- Who looks ------------------------------------------------------------------------------ */

/* Moves what is said to what commit `number` of a thread left. */
static void advance(unsigned thread, uint64_t number)
{
    bool chosen[PAGES];

    for (uint64_t i = said[thread][0] + 1; i <= number; i++) {
        (void)choose(thread, i, chosen);
        for (unsigned page = 0; page < PAGES; page++)
            if (chosen[page])
                said[thread][page] = i;
    }
}

static void read_words(uint64_t *words, const mpg_pager *pager, mpg_protected_id id)
{
    CHECK(mpg_protected_read(words, pager, id) == 0);
    for (size_t i = 0; i < page_size / sizeof(*words); i += 2) {
        CHECK(words[i] == (words[1] == 0 ? 0 : id.value));
        CHECK(words[i + 1] == words[1]);
    }
}

static void look_at(const mpg_pager *pager)
{
    uint64_t words[MOST_PAGE_SIZE / sizeof(uint64_t)];
    mpg_check_result result;

    for (unsigned thread = 0; thread < THREADS; thread++) {
        read_words(words, pager, id_of(thread, 0));
        CHECK(words[1] >= board->committed[thread] && words[1] <= board->begun[thread]);
        advance(thread, words[1]);
        for (unsigned page = 1; page < PAGES; page++) {
            read_words(words, pager, id_of(thread, page));
            CHECK(words[1] == said[thread][page]);
        }
    }
    CHECK(mpg_check(&result, pager, NULL) == 0);
    CHECK(result.faults == 0);
}

/* What is seen is durable from here on, so the next process may count on it. */
static void look(bool read_only)
{
    mpg_pager *pager;

    CHECK(mpgi_open_with(&pager, file->path, NULL, read_only, &mpgi_io_system, NULL) == 0);
    look_at(pager);
    CHECK(mpg_close(pager) == 0);
    for (unsigned thread = 0; thread < THREADS; thread++)
        board->committed[thread] = board->begun[thread] = said[thread][0];
}

/* ---- Rounds --------------------------------------------------------------------------------- */

/*
 * There are so many pages that the file grows over what a root with pages of 1 KiB says of them
 * without any leaf while processes are killed.
 */
static void create(uint64_t *random)
{
    static mpg_page_id others[1100];
    mpg_protected_id ids[THREADS * PAGES];
    mpg_options options = scratch_options(file, page_size);
    mpg_pager *pager;

    assert_int_equal(mpg_create(&pager, file->path, &options), 0);
    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, THREADS * PAGES), 0);
    for (unsigned i = 0; i < THREADS * PAGES; i++)
        assert_int_equal(ids[i].value, i);
    assert_int_equal(mpg_alloc_bulk(others, pager, 800 + random_below(random, 300), 0), 0);
    assert_int_equal(mpg_close(pager), 0);
}

static void live_and_die(uint64_t *random)
{
    /* In one of four rounds it may not even have opened the file. */
    bool wait = random_below(random, 4) != 0;
    unsigned life = (unsigned)random_below(random, MOST_LIFE);
    pid_t child;
    int status;

    board->opened = false;
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        work_until_killed();
    while (wait && !board->opened && !board->failed)
        (void)usleep(200);
    (void)usleep(wait ? life : life / 20);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_false(board->failed);
}

static uint64_t milliseconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void run_rounds(const struct scratch *scratch)
{
    uint64_t random = setting("MPG_TEST_SEED", 1);
    /* There are four of these in all. */
    uint64_t end = milliseconds() + setting("MPG_TEST_SECONDS", 2) * 250;
    unsigned rounds = 0;

    print_message("seed %llu\n", (unsigned long long)random);
    memset(board, 0, sizeof(*board));
    memset(said, 0, sizeof(said));
    file = scratch;
    create(&random);
    for (; rounds < ROUNDS || milliseconds() < end; rounds++) {
        live_and_die(&random);
        if (random_below(&random, 2) == 0)
            look(true);
        /* Otherwise the next process opens what this one left, and is killed in its turn. */
        if (random_below(&random, 3) != 0)
            look(false);
    }
    look(false);
    print_message("%u rounds, %llu + %llu + %llu commits\n", rounds,
                  (unsigned long long)board->committed[0], (unsigned long long)board->committed[1],
                  (unsigned long long)board->committed[2]);
}

static void a_killed_process_leaves_whole_commits(void **state)
{
    page_size = MOST_PAGE_SIZE;
    with_sync = true;
    run_rounds(*state);
}

/* Many more commits come between two deaths then. */
static void also_when_syncs_take_no_time(void **state)
{
    page_size = 1024;
    with_sync = false;
    run_rounds(*state);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_killed_process_leaves_whole_commits),
        SCRATCH_TEST(also_when_syncs_take_no_time),
    };

    system_without_sync = mpgi_io_system;
    system_without_sync.fdatasync = no_sync;
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 99;
    (void)alarm((unsigned)setting("MPG_TEST_SECONDS", 0) * 2 + 300); /* nothing waits for ever */
    return SCRATCH_RUN("killed processes", tests);
}
