/* SPDX-License-Identifier: MIT */
/*
 * One process writes a page file as fast as it can while others read it.
 *
 * Each page says over and over which page it is and which commit wrote it. What a reader sees
 * between two refreshes is one committed state: every page whole, the two pages that each commit
 * changes together alike, nothing older than what was committed before it looked, nothing that was
 * not committed at all; or MPG_E_STALE, and then it refreshes. Also: who keeps whom out.
 *
 * MPG_TEST_SECONDS=n lets the processes run for so long.
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
#include "support/scratch_file.h"

#define READERS 2
#define THREADS 3        /* of one of the readers */
#define PAIR 2           /* protected pages 0 and 1 change together */
#define SINGLE 40        /* and after them these, one a commit: some directory blocks */
#define MOST_REGULAR 500 /* to which the file grows */
#define BREATH 200       /* commits, after which the writer lets a reader finish */
#define MOST_PAGE_SIZE 16384u

/* What the processes tell each other. */
struct board {
    atomic_uint_fast64_t begun;     /* the last commit that was begun */
    atomic_uint_fast64_t committed; /* the last commit that has returned */
    atomic_uint_fast64_t whole;     /* states that readers have looked at from end to end */
    atomic_uint_fast64_t stale;     /* … and those that the writer overtook meanwhile */
    atomic_bool end;
};

static struct board *board;
static uint32_t page_size;
static struct io system_without_sync;
static bool with_sync;

/* cmocka knows nothing of other processes. */
#define CHECK(condition) ((condition) ? (void)0 : give_up(__LINE__, #condition))

static _Noreturn void give_up(int line, const char *condition)
{
    mpg_error_info error;

    (void)mpg_last_error(&error);
    fprintf(stderr, "processes_test.c:%d: %s\ncommit %llu; last error: %d, %s\n", line, condition,
            (unsigned long long)board->committed, error.code, error.message);
    board->end = true;
    abort();
}

/* ---- content ---- */

/* A page whose words alternate between its name and the commit that wrote it. */
static void fill(uint64_t *words, uint64_t name, uint64_t commit)
{
    for (size_t i = 0; i < page_size / sizeof(*words); i += 2) {
        words[i] = name;
        words[i + 1] = commit;
    }
}

/* The commit that wrote a page, which must be whole; 0 for a page that no commit has written. */
static uint64_t commit_of(const uint64_t *words, uint64_t name)
{
    uint64_t commit = words[1];

    for (size_t i = 0; i < page_size / sizeof(*words); i += 2) {
        CHECK(words[i] == (commit == 0 ? 0 : name));
        CHECK(words[i + 1] == commit);
    }
    return commit;
}

/* ---- the writer ---- */

static int no_sync(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

static mpg_pager *open_writer(const char *path)
{
    mpg_pager *pager;

    CHECK(mpgi_open_with(&pager, path, NULL, false,
                         with_sync ? &mpgi_io_system : &system_without_sync, NULL) == 0);
    return pager;
}

/* A regular page is written once and stays: whoever sees it allocated sees its content. */
static void add_regular(mpg_txn *txn)
{
    uint64_t words[MOST_PAGE_SIZE / sizeof(uint64_t)];
    mpg_page_id id;

    CHECK(mpg_txn_alloc(&id, txn, 0) == 0);
    fill(words, id.value, UINT64_MAX);
    CHECK(mpg_txn_page_write(txn, id, words, 0, page_size) == 0);
}

/* Commits may follow each other faster than a reader can look at a state. */
static void let_a_reader_finish(void)
{
    uint64_t whole = board->whole;

    while (!board->end && board->whole == whole)
        (void)usleep(100);
}

static void write_pages(const char *path)
{
    mpg_pager *pager = open_writer(path);
    uint64_t words[MOST_PAGE_SIZE / sizeof(uint64_t)];
    mpg_protected_id passing[2];
    unsigned regular = 0;

    for (uint64_t commit = 1; !board->end; commit++) {
        mpg_txn *txn;

        board->begun = commit;
        CHECK(mpg_txn_begin(&txn, pager) == 0);
        for (uint64_t i = 0; i < PAIR + 1; i++) {
            mpg_protected_id id = {i < PAIR ? i : PAIR + commit % SINGLE};

            fill(words, id.value, commit);
            CHECK(mpg_txn_protected_write(txn, id, words, 0, page_size) == 0);
        }
        if (commit % 4 == 0 && regular++ < MOST_REGULAR)
            add_regular(txn);
        CHECK(mpg_txn_commit(txn, 0) == 0);
        board->committed = commit;
        /* Pages come and go, and what was one's copy becomes another's. */
        if (commit % 8 == 3)
            CHECK(mpg_alloc_protected_bulk(passing, pager, 2) == 0);
        if (commit % 8 == 7)
            CHECK(mpg_free_protected_bulk(pager, passing, 2) == 0);
        if (commit % BREATH == 0)
            let_a_reader_finish();
    }
    CHECK(mpg_close(pager) == 0);
}

/* ---- a reader ---- */

static int read_page(const mpg_pager *pager, uint64_t id, uint64_t *commit)
{
    uint64_t words[MOST_PAGE_SIZE / sizeof(uint64_t)];
    mpg_protected_id name = {id};
    int result = mpg_protected_read(words, pager, name);

    if (result == 0)
        *commit = commit_of(words, id);
    return result;
}

/* All protected pages of one state: none is missing, each can be read. */
static int look_at_protected(const mpg_pager *pager, uint64_t pair)
{
    mpg_protected_id id = {0};
    mpg_protected_iter iter;
    uint64_t expected = 0;
    int more;

    mpg_protected_iter_begin(&iter, pager, id);
    while ((more = mpg_protected_iter_next(&id, &iter)) > 0) {
        uint64_t commit;
        int result = read_page(pager, id.value, &commit);

        if (result != 0)
            return result;
        CHECK(commit <= pair);
        if (expected < PAIR + SINGLE)
            CHECK(id.value == expected++);
    }
    if (more == 0)
        CHECK(expected == PAIR + SINGLE);
    return more;
}

static int look_at_regular(const mpg_pager *pager)
{
    uint64_t words[MOST_PAGE_SIZE / sizeof(uint64_t)];
    mpg_page_id id = {0};
    mpg_page_iter iter;
    int more;

    mpg_page_iter_begin(&iter, pager, id);
    while ((more = mpg_page_iter_next(&id, &iter)) > 0) {
        const void *mapped;
        int result = mpg_page_get(&mapped, pager, id);

        if (result != 0)
            return result;
        CHECK(commit_of(mapped, id.value) == UINT64_MAX);
        result = mpg_page_read(words, pager, id, 0, page_size);
        if (result != 0)
            return result;
        CHECK(commit_of(words, id.value) == UINT64_MAX);
    }
    return more;
}

/* Looks at one state. `last` is the commit of the state before. */
static int look(const mpg_pager *pager, uint64_t *last, uint64_t least)
{
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_check_result checked;
    uint64_t commit[PAIR];
    int result = read_page(pager, 0, &commit[0]);

    if (result == 0)
        result = read_page(pager, 1, &commit[1]);
    if (result != 0)
        return result;
    CHECK(commit[0] == commit[1]);
    CHECK(commit[0] >= least && commit[0] >= *last && commit[0] <= board->begun);
    *last = commit[0];
    CHECK(mpg_stat(&st, pager) == 0);
    CHECK(st.total_pages == st.free_pages + st.regular_pages + st.metadata_pages +
                                (st.format == MPG_FORMAT_1 ? 1 : 2) * st.protected_pages);
    result = look_at_protected(pager, commit[0]);
    if (result == 0)
        result = look_at_regular(pager);
    if (result == 0)
        result = mpg_check(&checked, pager, NULL);
    if (result == 0)
        CHECK(checked.faults == 0);
    return result;
}

static void read_pages(const char *path)
{
    const mpg_pager *pager;
    uint64_t last = 0;

    CHECK(mpg_open_readonly(&pager, path, NULL) == 0);
    while (!board->end) {
        uint64_t least = board->committed;
        int result = mpg_refresh(pager);

        if (result == 0)
            result = look(pager, &last, least);
        CHECK(result == 0 || result == MPG_E_STALE);
        if (result == 0)
            board->whole++;
        else
            board->stale++;
        if (last % 16 == 0) { /* opened anew it is no worse */
            CHECK(mpg_close(pager) == 0);
            CHECK(mpg_open_readonly(&pager, path, NULL) == 0);
        }
    }
    CHECK(mpg_close(pager) == 0);
}

/* One of many threads on a pager that another thread refreshes. */
static void *read_beside(void *argument)
{
    const mpg_pager *pager = argument;
    uint64_t last = 0;

    for (uint64_t round = 0; !board->end; round++) {
        mpg_check_result checked;
        uint64_t commit = last;
        int result = read_page(pager, round % PAIR, &commit);

        CHECK(result == 0 || result == MPG_E_STALE);
        CHECK(commit >= last); /* the state never goes back */
        last = commit;
        result = look_at_regular(pager);
        CHECK(result == 0 || result == MPG_E_STALE);
        if (round % 8 == 0) {
            result = mpg_check(&checked, pager, NULL);
            CHECK(result == MPG_E_STALE || (result == 0 && checked.faults == 0));
        }
    }
    return NULL;
}

static void read_with_threads(const char *path)
{
    const mpg_pager *pager;
    pthread_t threads[THREADS];

    CHECK(mpg_open_readonly(&pager, path, NULL) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        union {
            const mpg_pager *constant;
            void *variable;
        } argument = {pager};

        CHECK(pthread_create(&threads[i], NULL, read_beside, argument.variable) == 0);
    }
    while (!board->end) {
        int result = mpg_refresh(pager);

        CHECK(result == 0 || result == MPG_E_STALE);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(mpg_close(pager) == 0);
}

/* ---- a run ---- */

static pid_t start(void (*work)(const char *path), const char *path)
{
    pid_t child;

    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(path);
        _exit(0);
    }
    return child;
}

static void create(const struct scratch *scratch)
{
    mpg_protected_id ids[PAIR + SINGLE];
    mpg_options options = scratch_options(scratch, page_size);
    mpg_pager *pager;

    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, PAIR + SINGLE), 0);
    assert_int_equal(mpg_close(pager), 0);
}

static void run_processes(const struct scratch *scratch)
{
    const char *text = getenv("MPG_TEST_SECONDS");
    long seconds = text != NULL ? strtol(text, NULL, 10) : 0;
    struct timespec duration = {seconds / 2, seconds > 0 ? 0 : 400000000};
    pid_t children[READERS + 2];
    int status;

    memset(board, 0, sizeof(*board));
    create(scratch);
    children[0] = start(write_pages, scratch->path);
    for (unsigned i = 0; i < READERS; i++)
        children[1 + i] = start(read_pages, scratch->path);
    children[READERS + 1] = start(read_with_threads, scratch->path);
    (void)nanosleep(&duration, NULL);
    /* However slow this machine is, they must have met. */
    while (!board->end && (board->committed < 5 || board->whole < 3))
        (void)usleep(1000);
    board->end = true;
    for (unsigned i = 0; i < READERS + 2; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    print_message("%llu commits, %llu states seen whole, %llu overtaken\n",
                  (unsigned long long)board->committed, (unsigned long long)board->whole,
                  (unsigned long long)board->stale);
    check_and_close(scratch_open(scratch));
}

static void readers_see_whole_commits_of_a_writer(void **state)
{
    page_size = 1024;
    with_sync = true;
    run_processes(*state);
}

/* Without syncs, commits follow each other hundreds of times faster. */
static void also_when_syncs_take_no_time(void **state)
{
    page_size = MOST_PAGE_SIZE;
    with_sync = false;
    run_processes(*state);
}

/* ---- who keeps whom out ---- */

static void a_second_writer_is_refused(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *first, *second;
    const mpg_pager *reader;

    page_size = 1024;
    create(scratch);
    first = scratch_open(scratch);
    assert_int_equal(mpg_open(&second, scratch->path, NULL), MPG_E_BUSY);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    assert_int_equal(mpg_open(&second, scratch->path, NULL), MPG_E_BUSY);
    assert_int_equal(mpg_close(reader), 0);
    assert_int_equal(mpg_close(first), 0);
    second = scratch_open(scratch);
    assert_int_equal(mpg_close(second), 0);
}

static void shared_readers_keep_writers_out(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options shared = MPG_OPTIONS_INIT;
    const mpg_pager *readers[3];
    mpg_pager *writer;

    shared.flags = MPG_LOCK_SHARED;
    page_size = 1024;
    create(scratch);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mpg_open_readonly(&readers[i], scratch->path, &shared), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mpg_open(&writer, scratch->path, NULL), MPG_E_BUSY);
        assert_int_equal(mpg_close(readers[i]), 0);
    }
    writer = scratch_open(scratch);
    assert_int_equal(mpg_open_readonly(&readers[0], scratch->path, &shared), MPG_E_BUSY);
    assert_int_equal(mpg_close(writer), 0);
}

/* The lock belongs to the open file, and goes with the process, however that ends. */
static void a_killed_writer_leaves_no_lock(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager;
    pid_t child;
    int status;

    memset(board, 0, sizeof(*board));
    page_size = 1024;
    with_sync = true;
    create(scratch);
    child = start(write_pages, scratch->path);
    while (board->committed < 20)
        (void)usleep(1000);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_BUSY);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    pager = scratch_open(scratch);
    for (uint64_t i = 0; i < PAIR; i++) {
        uint64_t commit = 0;

        assert_int_equal(read_page(pager, i, &commit), 0);
        assert_in_range(commit, board->committed, board->begun);
    }
    check_and_close(pager);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(readers_see_whole_commits_of_a_writer),
        SCRATCH_TEST(also_when_syncs_take_no_time),
        SCRATCH_TEST(a_second_writer_is_refused),
        SCRATCH_TEST(shared_readers_keep_writers_out),
        SCRATCH_TEST(a_killed_writer_leaves_no_lock),
    };

    system_without_sync = mpgi_io_system;
    system_without_sync.fdatasync = no_sync;
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 99;
    (void)alarm(600); /* a process that died would be waited for */
    return SCRATCH_RUN("processes", tests);
}
