/* SPDX-License-Identifier: MIT */
/*
 * What a crash leaves of the commits of several threads, which share batches.
 *
 * Each thread changes pairs of protected pages of its own, both of a pair in one transaction, and
 * takes and frees other pages. Of each pair it is known when which number was begun to be written,
 * and when the commit of it had returned, counted in what the disk had done by then. From each
 * moment images are made that a power cut could leave. In every one both pages of a pair must hold
 * the same number, whole: none older than what had been acknowledged, none that had not been begun.
 */
#include <pthread.h>

#include "pager/open.h"
#include "support/harness.h"
#include "support/locked_disk.h"
#include "support/scratch_file.h"

#define PAGE_SIZE 1024u
#define DISK_SIZE ((size_t)1 << 20)
#define THREADS 4
#define PAIRS 3    /* of each thread */
#define ROUNDS 60  /* of each thread */
#define SAMPLES 12 /* images of each moment */

static struct memory_disk disk;
static struct event_log done;

/* Slow enough that others gather meanwhile. */
static int slow_fdatasync(void *context, int fd)
{
    (void)usleep(200);
    return locked_disk_io.fdatasync(context, fd);
}

/* How much the disk has done. */
static size_t now(void)
{
    size_t count;

    locked_disk_lock();
    count = done.count;
    locked_disk_unlock();
    return count;
}

/* ---- the threads ---- */

/* When the numbers 0, 1, 2 … of a pair were begun and acknowledged. */
struct pair {
    size_t begun[ROUNDS + 1];
    size_t acknowledged[ROUNDS + 1];
    unsigned count;
};

static struct pair pairs[THREADS][PAIRS];

static uint64_t page_of(unsigned thread, unsigned pair, unsigned which)
{
    return (thread * PAIRS + pair) * 2 + which;
}

struct worker {
    pthread_t thread;
    unsigned number;
    mpg_pager *pager;
};

static void change_pair(mpg_pager *pager, unsigned thread, unsigned number)
{
    struct pair *pair = &pairs[thread][number];
    uint64_t words[PAGE_SIZE / sizeof(uint64_t)];
    unsigned next = pair->count;
    mpg_txn *txn;

    pair->begun[next] = now();
    must(mpg_txn_begin(&txn, pager) == 0);
    for (unsigned which = 0; which < 2; which++) {
        mpg_protected_id id = {page_of(thread, number, which)};

        for (size_t i = 0; i < PAGE_SIZE / sizeof(uint64_t); i++)
            words[i] = id.value << 32 | next;
        must(mpg_txn_protected_write(txn, id, words, 0, sizeof(words)) == 0);
    }
    must(mpg_txn_commit(txn, 0) == 0);
    pair->acknowledged[next] = now();
    pair->count++;
}

static void *work(void *context)
{
    const struct worker *worker = context;

    for (unsigned round = 0; round < ROUNDS; round++) {
        mpg_protected_id passing;
        mpg_page_id page;

        change_pair(worker->pager, worker->number, round % PAIRS);
        if (round % 5 == 0) {
            must(mpg_alloc(&page, worker->pager, round % 2 ? MPG_ZERO : 0) == 0);
            must(mpg_alloc_protected(&passing, worker->pager) == 0);
            must(mpg_free(worker->pager, page) == 0);
            must(mpg_free_protected(worker->pager, passing) == 0);
        }
    }
    return NULL;
}

/* ---- what a power cut leaves ---- */

static unsigned char *image, *base;
static uint64_t image_size, base_size;
static struct memory_disk cut; /* the disk that images are opened on */
static uint64_t images, whole_batches;

static uint64_t seed = 1;

/* The number that both pages of a pair hold. */
static unsigned number_in(const mpg_pager *pager, unsigned thread, unsigned pair)
{
    uint64_t words[2][PAGE_SIZE / sizeof(uint64_t)];

    for (unsigned which = 0; which < 2; which++) {
        mpg_protected_id id = {page_of(thread, pair, which)};

        assert_int_equal(mpg_protected_read(words[which], pager, id), 0);
        for (size_t i = 0; i < PAGE_SIZE / sizeof(uint64_t); i++)
            assert_int_equal(words[which][i], id.value << 32 | (words[0][0] & UINT32_MAX));
    }
    return (unsigned)(words[0][0] & UINT32_MAX);
}

/* The image was made from what the disk had done up to `moment`. */
static void look_at_image(size_t moment)
{
    mpg_check_result checked;
    mpg_pager *pager;

    cut.exists = cut.name_durable = true;
    memcpy(cut.cache, image, DISK_SIZE);
    memcpy(cut.mapped, image, DISK_SIZE);
    cut.size = image_size;
    assert_int_equal(mpgi_open_with(&pager, "cut", NULL, false, &memory_disk_io, &cut), 0);
    for (unsigned thread = 0; thread < THREADS; thread++) {
        for (unsigned number = 0; number < PAIRS; number++) {
            const struct pair *pair = &pairs[thread][number];
            unsigned found = number_in(pager, thread, number);

            assert_true(found < pair->count);
            assert_true(pair->begun[found] <= moment);
            if (found + 1 < pair->count)
                assert_true(pair->acknowledged[found + 1] > moment);
        }
    }
    assert_int_equal(mpg_check(&checked, pager, NULL), 0);
    assert_int_equal(checked.faults, 0);
    assert_int_equal(mpg_close(pager), 0);
    images++;
}

/* Some sectors of what was not synced are there, or nearly all, or nearly none. */
static void look_at_moment(size_t synced, size_t moment)
{
    for (unsigned sample = 0; sample < SAMPLES; sample++) {
        uint64_t part = sample == 0 ? 0 : sample == 1 ? 100 : random_below(&seed, 101);

        memcpy(image, base, DISK_SIZE);
        image_size = base_size;
        for (size_t i = synced; i < moment; i++) {
            const struct event *event = &done.events[i];

            for (size_t sector = 0; sector < event_sectors(event); sector++)
                if (random_below(&seed, 100) < part)
                    event_apply_sector(&done, event, sector, image, &image_size, DISK_SIZE);
        }
        look_at_image(moment);
    }
}

static void look_at_all(size_t from)
{
    size_t synced = 0;

    for (size_t i = 0; i < done.count; i++) {
        if (done.events[i].kind != EVENT_SYNC)
            continue;
        if (i >= from) {
            look_at_moment(synced, i);
            if (i > synced + 1)
                look_at_moment(synced, synced + 1 + random_below(&seed, i - synced - 1));
            whole_batches++;
        }
        for (; synced < i; synced++)
            event_apply(&done, &done.events[synced], base, &base_size, DISK_SIZE);
        synced = i + 1;
    }
}

/* ---- the test ---- */

static void crashes_leave_whole_commits_of_all_threads(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, PAGE_SIZE);
    struct worker workers[THREADS];
    struct io io = locked_disk_io;
    mpg_protected_id ids[THREADS * PAIRS * 2];
    mpg_pager *pager;
    size_t from;

    io.fdatasync = slow_fdatasync;
    options.initial_pages = 300;
    memset(pairs, 0, sizeof(pairs));
    memory_disk_init(&disk, DISK_SIZE);
    memory_disk_init(&cut, DISK_SIZE);
    memory_disk_record(&disk, &done);
    assert_int_equal(mpgi_create_with(&pager, "file", &options, &io, &disk), 0);
    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, THREADS * PAIRS * 2), 0);
    for (unsigned thread = 0; thread < THREADS; thread++)
        for (unsigned pair = 0; pair < PAIRS; pair++)
            change_pair(pager, thread, pair);
    from = now();
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].number = i;
        workers[i].pager = pager;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_int_equal(mpg_close(pager), 0);

    image = bytes_new(DISK_SIZE);
    base = bytes_new(DISK_SIZE);
    base_size = images = whole_batches = 0;
    look_at_all(from);
    print_message("%llu images of %llu syncs, for %u commits\n", (unsigned long long)images,
                  (unsigned long long)whole_batches, THREADS * ROUNDS);
    bytes_free(image, DISK_SIZE);
    bytes_free(base, DISK_SIZE);
    memory_disk_record(&disk, NULL);
    event_log_free(&done);
    memset(&done, 0, sizeof(done));
    memory_disk_destroy(&cut);
    memory_disk_destroy(&disk);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(crashes_leave_whole_commits_of_all_threads),
    };

    return SCRATCH_RUN("crashes of threads", tests);
}
