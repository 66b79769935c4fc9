/* SPDX-License-Identifier: MIT */
/*
 * Many threads on one pager, each doing a random mix of everything the library offers.
 *
 * Each thread owns pages: it alone writes and frees them, so it knows at any time what they must
 * contain, and that nobody else is given them. Beside these are protected pages that all threads
 * write, each its own slice of bytes, and read. In the end what the threads know together must be
 * what the file has: nothing lost, nothing extra, before and after it is closed and opened again.
 *
 * MPG_TEST_SECONDS=n runs for so long instead of a fixed number of operations. MPG_TEST_SEED=n
 * repeats the choices (not the interleaving) of a run.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "mappedpages_async.h"
#include "support/scratch_file.h"

#define THREADS 16
#define STEPS 400       /* of each thread, without MPG_TEST_SECONDS */
#define MOST_OWN 24     /* pages of each kind that a thread owns */
#define SHARED 4        /* protected pages that all write */
#define PAGE_SIZE 1024u /* the smallest: the most pages to an operating system's page */
#define SLICE (PAGE_SIZE / THREADS)

/* Pages of one kind that a thread owns. */
struct owned {
    uint64_t id[MOST_OWN];
    uint64_t seed[MOST_OWN]; /* what is in it: see fill() */
    unsigned count;
};

struct worker {
    pthread_t thread;
    unsigned number;
    mpg_pager *pager;
    mpg_queue *queue;
    uint64_t random;
    uint64_t last_seed; /* content that was never used before */
    struct owned regular;
    struct owned protected_pages;
    uint64_t shared[SHARED]; /* what its slice of each shared page has */
    /* What callbacks of the queue say. */
    unsigned completed;
    int result;
    uint64_t completed_id;
};

static mpg_protected_id shared_ids[SHARED];
static atomic_bool time_is_up;
static unsigned long base_seed = 1;
static long seconds; /* 0: a fixed number of steps */

/* cmocka's assertions work in the main thread only. */
#define CHECK(condition) ((condition) ? (void)0 : give_up(worker, __LINE__, #condition))

static _Noreturn void give_up(const struct worker *worker, int line, const char *condition)
{
    mpg_error_info error;

    (void)mpg_last_error(&error);
    fprintf(stderr, "threads_test.c:%d: thread %u, MPG_TEST_SEED=%lu: %s\nlast error: %d, %s\n",
            line, worker->number, base_seed, condition, error.code, error.message);
    abort();
}

/* ---- chance and content ---- */

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static unsigned choose(struct worker *worker, unsigned below)
{
    worker->random += UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(mix(worker->random) % below);
}

static uint64_t new_seed(struct worker *worker)
{
    return ++worker->last_seed * THREADS + worker->number;
}

/* The content that goes with a seed. Seed 0 is zeros. */
static void fill(void *data, size_t length, uint64_t seed)
{
    unsigned char *bytes = data;

    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t word = seed == 0 ? 0 : mix(seed + i);

        memcpy(bytes + i, &word, sizeof(word));
    }
}

static bool is_filled(const void *data, size_t length, uint64_t seed)
{
    unsigned char expected[PAGE_SIZE];

    fill(expected, length, seed);
    return memcmp(data, expected, length) == 0;
}

/* ---- owned pages ---- */

static bool has_room(const struct owned *owned, unsigned more)
{
    return owned->count + more <= MOST_OWN;
}

static void gain(struct worker *worker, struct owned *owned, uint64_t id, uint64_t seed)
{
    for (unsigned i = 0; i < owned->count; i++)
        CHECK(owned->id[i] != id); /* given out twice */
    owned->id[owned->count] = id;
    owned->seed[owned->count] = seed;
    owned->count++;
}

static void lose(struct owned *owned, unsigned at)
{
    owned->count--;
    owned->id[at] = owned->id[owned->count];
    owned->seed[at] = owned->seed[owned->count];
}

/* ---- regular pages ---- */

/* Writes new content over a page that is the thread's own, one way or the other. */
static uint64_t write_regular(struct worker *worker, mpg_page_id id)
{
    uint64_t seed = new_seed(worker);
    unsigned char content[PAGE_SIZE];
    void *mapped;

    fill(content, sizeof(content), seed);
    if (choose(worker, 2) == 0) {
        CHECK(mpg_page_get_mut(&mapped, worker->pager, id) == 0);
        memcpy(mapped, content, sizeof(content));
    } else {
        size_t cut = choose(worker, PAGE_SIZE);

        CHECK(mpg_page_write(worker->pager, id, content, 0, cut) == 0);
        CHECK(mpg_page_write(worker->pager, id, content + cut, cut, PAGE_SIZE - cut) == 0);
    }
    return seed;
}

static void read_regular(struct worker *worker, mpg_page_id id, uint64_t seed)
{
    unsigned char content[PAGE_SIZE];
    const void *mapped;
    enum mpg_page_use use;

    CHECK(mpg_page_get(&mapped, worker->pager, id) == 0);
    CHECK(is_filled(mapped, PAGE_SIZE, seed));
    CHECK(mpg_page_read(content, worker->pager, id, 0, PAGE_SIZE) == 0);
    CHECK(is_filled(content, PAGE_SIZE, seed));
    CHECK(mpg_page_use(&use, worker->pager, id.value) == 0);
    CHECK(use == MPG_USE_REGULAR);
}

static void alloc_regular(struct worker *worker)
{
    unsigned flags = choose(worker, 2) == 0 ? MPG_ZERO : 0;
    mpg_page_id id = {3 + choose(worker, 900)};
    int result;

    if (!has_room(&worker->regular, 1))
        return;
    if (choose(worker, 2) == 0) {
        result = mpg_alloc(&id, worker->pager, flags);
        CHECK(result == 0);
    } else {
        result = mpg_alloc_at(worker->pager, id, flags);
        CHECK(result == 0 || result == MPG_E_EXISTS || result == MPG_E_NOT_REGULAR ||
              result == MPG_E_BUSY);
    }
    if (result != 0)
        return;
    if (flags == MPG_ZERO)
        read_regular(worker, id, 0);
    gain(worker, &worker->regular, id.value, write_regular(worker, id));
}

static void alloc_regular_bulk(struct worker *worker)
{
    unsigned count = 1 + choose(worker, 8);
    mpg_page_id ids[8];

    if (!has_room(&worker->regular, count))
        return;
    CHECK(mpg_alloc_bulk(ids, worker->pager, count, 0) == 0);
    for (unsigned i = 0; i < count; i++)
        gain(worker, &worker->regular, ids[i].value, write_regular(worker, ids[i]));
}

static void free_regular(struct worker *worker)
{
    struct owned *own = &worker->regular;
    mpg_page_id ids[3];
    unsigned count = 1 + choose(worker, 3);

    if (own->count < count)
        return;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = choose(worker, own->count);

        ids[i].value = own->id[at];
        read_regular(worker, ids[i], own->seed[at]);
        lose(own, at);
    }
    CHECK(mpg_free_bulk(worker->pager, ids, count) == 0);
}

static void change_regular(struct worker *worker)
{
    struct owned *own = &worker->regular;

    if (own->count > 0) {
        unsigned at = choose(worker, own->count);
        mpg_page_id id = {own->id[at]};

        read_regular(worker, id, own->seed[at]);
        own->seed[at] = write_regular(worker, id);
        if (choose(worker, 8) == 0)
            CHECK(mpg_page_sync(worker->pager, id) == 0);
    }
}

/* ---- protected pages ---- */

static void read_protected(struct worker *worker, mpg_protected_id id, uint64_t seed)
{
    unsigned char content[PAGE_SIZE];

    CHECK(mpg_protected_read(content, worker->pager, id) == 0);
    CHECK(is_filled(content, PAGE_SIZE, seed));
}

static void alloc_protected(struct worker *worker)
{
    struct owned *own = &worker->protected_pages;
    mpg_protected_id ids[3];
    unsigned count = 1 + choose(worker, 3);

    if (!has_room(own, count))
        return;
    if (choose(worker, 3) == 0) {
        int result;

        ids[0].value = choose(worker, 500);
        count = 1;
        result = mpg_alloc_protected_at(worker->pager, ids[0]);
        CHECK(result == 0 || result == MPG_E_EXISTS || result == MPG_E_BUSY);
        if (result != 0)
            return;
    } else {
        CHECK(mpg_alloc_protected_bulk(ids, worker->pager, count) == 0);
    }
    for (unsigned i = 0; i < count; i++) {
        read_protected(worker, ids[i], 0);
        gain(worker, own, ids[i].value, 0);
    }
}

static void free_protected(struct worker *worker)
{
    struct owned *own = &worker->protected_pages;

    if (own->count > 0) {
        unsigned at = choose(worker, own->count);
        mpg_protected_id id = {own->id[at]};

        read_protected(worker, id, own->seed[at]);
        lose(own, at);
        CHECK(mpg_free_protected(worker->pager, id) == 0);
    }
}

static void change_protected(struct worker *worker)
{
    struct owned *own = &worker->protected_pages;

    if (own->count > 0) {
        unsigned at = choose(worker, own->count);
        mpg_protected_id id = {own->id[at]};
        uint64_t seed = new_seed(worker);
        mpg_writer *writer, *second;

        CHECK(mpg_writer_open(&writer, worker->pager, id) == 0);
        CHECK(is_filled(mpg_writer_data(writer), PAGE_SIZE, own->seed[at]));
        CHECK(mpg_writer_open(&second, worker->pager, id) == MPG_E_BUSY);
        fill(mpg_writer_data(writer), PAGE_SIZE, seed);
        if (choose(worker, 4) == 0) {
            mpg_writer_discard(writer);
        } else {
            CHECK(mpg_writer_commit(writer) == 0);
            own->seed[at] = seed;
        }
        read_protected(worker, id, own->seed[at]);
    }
}

/* Whether a new content goes to another page each time. */
static bool moves(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    return mpg_stat(&st, pager) == 0 && st.format == MPG_FORMAT_1;
}

/* A view shows the same while its page is committed anew, in format 1 as often as one likes. */
static void view_protected(struct worker *worker)
{
    struct owned *own = &worker->protected_pages;

    if (own->count > 0) {
        unsigned at = choose(worker, own->count);
        mpg_protected_id id = {own->id[at]};
        uint64_t old = own->seed[at], seed = new_seed(worker);
        const void *view;
        mpg_writer *writer;

        CHECK(mpg_protected_view(&view, worker->pager, id) == 0);
        CHECK(is_filled(view, PAGE_SIZE, old));
        CHECK(mpg_writer_open(&writer, worker->pager, id) == 0);
        fill(mpg_writer_data(writer), PAGE_SIZE, seed);
        CHECK(mpg_writer_commit(writer) == 0);
        own->seed[at] = seed;
        CHECK(mpg_writer_open(&writer, worker->pager, id) == 0);
        if (mpg_writer_commit(writer) != 0) {
            CHECK(!moves(worker->pager));
            mpg_writer_discard(writer);
            CHECK(mpg_free_protected(worker->pager, id) == MPG_E_BUSY);
        } else {
            CHECK(moves(worker->pager));
        }
        CHECK(is_filled(view, PAGE_SIZE, old));
        mpg_protected_release(worker->pager, view);
        read_protected(worker, id, seed);
    }
}

/* ---- pages that all write ---- */

/* Every slice is whole, and the thread's own is what it committed. */
static void check_shared(struct worker *worker, unsigned which, const unsigned char *content)
{
    for (unsigned i = 0; i < THREADS; i++) {
        uint64_t first, word;

        memcpy(&first, content + i * SLICE, sizeof(first));
        for (unsigned at = 0; at < SLICE; at += sizeof(word)) {
            memcpy(&word, content + i * SLICE + at, sizeof(word));
            CHECK(word == first);
        }
        if (i == worker->number)
            CHECK(first == worker->shared[which]);
    }
}

static void read_shared(struct worker *worker)
{
    unsigned which = choose(worker, SHARED);
    unsigned char content[PAGE_SIZE];
    const void *view;

    if (choose(worker, 2) == 0) {
        CHECK(mpg_protected_read(content, worker->pager, shared_ids[which]) == 0);
        check_shared(worker, which, content);
    } else {
        CHECK(mpg_protected_view(&view, worker->pager, shared_ids[which]) == 0);
        check_shared(worker, which, view);
        mpg_protected_release(worker->pager, view);
    }
}

/* ---- transactions ---- */

static void transact(struct worker *worker)
{
    struct owned regular = worker->regular, protected_pages = worker->protected_pages;
    uint64_t shared[SHARED], content[PAGE_SIZE / sizeof(uint64_t)];
    unsigned which = choose(worker, SHARED);
    int result = -1;
    mpg_txn *txn;

    memcpy(shared, worker->shared, sizeof(shared));
    CHECK(mpg_txn_begin(&txn, worker->pager) == 0);
    for (unsigned i = choose(worker, 3); i > 0 && has_room(&regular, 1); i--) {
        uint64_t seed = new_seed(worker);
        mpg_page_id id;

        CHECK(mpg_txn_alloc(&id, txn, 0) == 0);
        fill(content, sizeof(content), seed);
        CHECK(mpg_txn_page_write(txn, id, content, 0, sizeof(content)) == 0);
        gain(worker, &regular, id.value, seed);
    }
    if (worker->regular.count > 0 && choose(worker, 2) == 0) {
        mpg_page_id id = {worker->regular.id[0]};

        CHECK(mpg_txn_free(txn, id) == 0);
        lose(&regular, 0);
    }
    if (has_room(&protected_pages, 1) && choose(worker, 2) == 0) {
        uint64_t seed = new_seed(worker);
        mpg_protected_id id;

        CHECK(mpg_txn_alloc_protected(&id, txn) == 0);
        fill(content, sizeof(content), seed);
        CHECK(mpg_txn_protected_write(txn, id, content, 0, sizeof(content)) == 0);
        gain(worker, &protected_pages, id.value, seed);
    }
    /* The same in the slices of two shared pages. */
    for (unsigned i = 0; i < 2; i++) {
        unsigned at = (which + i) % SHARED;

        shared[at] = new_seed(worker);
        for (unsigned word = 0; word < SLICE / sizeof(uint64_t); word++)
            content[word] = shared[at];
        CHECK(mpg_txn_protected_write(txn, shared_ids[at], content, worker->number * SLICE,
                                      SLICE) == 0);
    }
    CHECK(mpg_txn_protected_read(content, txn, shared_ids[which]) == 0);
    CHECK(content[worker->number * SLICE / sizeof(uint64_t)] == shared[which]);
    if (choose(worker, 5) > 0) {
        result = mpg_txn_commit(txn, choose(worker, 4) == 0 ? MPG_ORDERED : 0);
        CHECK(result == 0 || result == MPG_E_BUSY); /* somebody's view */
    }
    if (result != 0) {
        mpg_txn_abort(txn);
        return;
    }
    worker->regular = regular;
    worker->protected_pages = protected_pages;
    memcpy(worker->shared, shared, sizeof(shared));
}

/* ---- requests that do not wait ---- */

static void note(void *context, const mpg_completion *completion)
{
    struct worker *worker = context;

    worker->completed++;
    worker->result = completion->result;
    if (completion->pages != NULL)
        worker->completed_id = completion->pages[0].value;
}

static void await(struct worker *worker, unsigned wanted)
{
    while (worker->completed < wanted) {
        struct pollfd readable = {mpg_queue_fd(worker->queue), POLLIN, 0};

        CHECK(poll(&readable, 1, 60000) == 1);
        (void)mpg_dispatch(worker->queue);
    }
    CHECK(worker->result == 0);
}

static void request(struct worker *worker)
{
    struct owned *own = &worker->protected_pages;
    mpg_page_id id;

    worker->completed = 0;
    if (own->count > 0) {
        unsigned at = choose(worker, own->count);
        mpg_protected_id changed = {own->id[at]};
        mpg_writer *writer;

        own->seed[at] = new_seed(worker);
        CHECK(mpg_writer_open(&writer, worker->pager, changed) == 0);
        fill(mpg_writer_data(writer), PAGE_SIZE, own->seed[at]);
        CHECK(mpg_async_writer_commit(NULL, worker->queue, writer, note, worker) == 0);
        CHECK(mpg_async_sync(NULL, worker->queue, note, worker) == 0);
        await(worker, 2);
        read_protected(worker, changed, own->seed[at]);
    } else if (has_room(&worker->regular, 1)) {
        CHECK(mpg_async_alloc(NULL, worker->queue, MPG_ZERO, note, worker) == 0);
        await(worker, 1);
        id.value = worker->completed_id;
        read_regular(worker, id, 0);
        CHECK(mpg_async_free(NULL, worker->queue, id, note, worker) == 0);
        await(worker, 2);
    }
}

/* ---- looking around ---- */

static void iterate(struct worker *worker)
{
    const struct owned *own = &worker->regular;
    mpg_page_id id = {0}, from = {0};
    mpg_page_iter iter;
    uint64_t last = 0;
    unsigned met = 0;
    int result;

    mpg_page_iter_begin(&iter, worker->pager, from);
    while ((result = mpg_page_iter_next(&id, &iter)) > 0) {
        CHECK(id.value >= 3 && id.value > last);
        last = id.value;
        for (unsigned i = 0; i < own->count; i++)
            met += own->id[i] == id.value;
    }
    CHECK(result == 0);
    CHECK(met == own->count);
}

static void iterate_protected(struct worker *worker)
{
    const struct owned *own = &worker->protected_pages;
    mpg_protected_id id, from = {0};
    mpg_protected_iter iter;
    unsigned met = 0, met_shared = 0;
    int result;

    mpg_protected_iter_begin(&iter, worker->pager, from);
    while ((result = mpg_protected_iter_next(&id, &iter)) > 0) {
        for (unsigned i = 0; i < own->count; i++)
            met += own->id[i] == id.value;
        for (unsigned i = 0; i < SHARED; i++)
            met_shared += shared_ids[i].value == id.value;
    }
    CHECK(result == 0);
    CHECK(met == own->count && met_shared == SHARED);
}

static void look(struct worker *worker)
{
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_check_result checked;

    CHECK(mpg_stat(&st, worker->pager) == 0);
    CHECK(st.total_pages == st.free_pages + st.regular_pages + st.metadata_pages +
                                (st.format == MPG_FORMAT_1 ? 1 : 2) * st.protected_pages);
    if (choose(worker, 8) == 0) {
        CHECK(mpg_check(&checked, worker->pager, NULL) == 0);
        CHECK(checked.faults == 0);
    } else if (choose(worker, 4) == 0) {
        CHECK(mpg_sync(worker->pager) == 0);
    }
}

/* ---- a run ---- */

static void *work(void *argument)
{
    static void (*const steps[])(struct worker * worker) = {
        alloc_regular,  alloc_regular,    alloc_regular_bulk, free_regular,
        free_regular,   change_regular,   change_regular,     alloc_protected,
        free_protected, change_protected, change_protected,   view_protected,
        read_shared,    read_shared,      transact,           transact,
        request,        iterate,          iterate_protected,  look,
    };
    struct worker *worker = argument;

    CHECK(mpg_queue_open(&worker->queue, worker->pager) == 0);
    for (unsigned i = 0; seconds > 0 ? !time_is_up : i < STEPS; i++)
        steps[choose(worker, sizeof(steps) / sizeof(steps[0]))](worker);
    mpg_queue_close(worker->queue);
    return NULL;
}

/* What the threads know is what the file has. */
static void compare(struct worker *workers, mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};
    unsigned char content[PAGE_SIZE];
    uint64_t regular = 0, protected_pages = SHARED;

    for (unsigned i = 0; i < THREADS; i++) {
        struct worker *worker = &workers[i];

        worker->pager = pager;
        for (unsigned at = 0; at < worker->regular.count; at++) {
            mpg_page_id id = {worker->regular.id[at]};

            read_regular(worker, id, worker->regular.seed[at]);
        }
        for (unsigned at = 0; at < worker->protected_pages.count; at++) {
            mpg_protected_id id = {worker->protected_pages.id[at]};

            read_protected(worker, id, worker->protected_pages.seed[at]);
        }
        for (unsigned which = 0; which < SHARED; which++) {
            assert_int_equal(mpg_protected_read(content, pager, shared_ids[which]), 0);
            check_shared(worker, which, content);
        }
        regular += worker->regular.count;
        protected_pages += worker->protected_pages.count;
    }
    assert_int_equal(mpg_stat(&st, pager), 0);
    assert_int_equal(st.regular_pages, regular);
    assert_int_equal(st.protected_pages, protected_pages);
}

static void run_threads(const struct scratch *scratch, unsigned flags)
{
    mpg_options options = scratch_options(scratch, PAGE_SIZE);
    struct worker *workers = calloc(THREADS, sizeof(*workers));
    mpg_pager *pager;

    assert_non_null(workers);
    options.flags = flags;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_alloc_protected_bulk(shared_ids, pager, SHARED), 0);
    time_is_up = false;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].number = i;
        workers[i].pager = pager;
        workers[i].random = mix(base_seed * THREADS + i);
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    if (seconds > 0) {
        struct timespec end = {.tv_sec = seconds};

        (void)nanosleep(&end, NULL);
        time_is_up = true;
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    compare(workers, pager);
    check_and_close(pager);
    pager = scratch_open(scratch);
    compare(workers, pager);
    check_and_close(pager);
    free(workers);
}

static void every_thread_finds_what_it_left(void **state)
{
    run_threads(*state, 0);
}

static void also_with_deferred_allocation(void **state)
{
    run_threads(*state, MPG_DEFER_ALLOCATION);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(every_thread_finds_what_it_left),
        SCRATCH_TEST(also_with_deferred_allocation),
    };
    const char *text = getenv("MPG_TEST_SECONDS");
    const char *seed = getenv("MPG_TEST_SEED");

    seconds = text != NULL ? strtol(text, NULL, 10) : 0;
    base_seed = seed != NULL ? strtoul(seed, NULL, 10) : (unsigned long)time(NULL);
    return SCRATCH_RUN("threads", tests);
}
