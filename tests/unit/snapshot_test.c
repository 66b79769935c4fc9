/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: what they show while others commit, and what becomes of the pages that they keep.
 *
 *     MPG_ROUNDS     random histories (default 60)
 *     MPG_SNAPSHOTS  snapshots that are read beside threads that commit (default 12)
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/rules.h"
#include "mappedpages_snapshot.h"
#include "pager/open.h"
#include "support/harness.h"
#include "support/memory_disk.h"
#include "support/scratch_file.h"

#define PAGE_SIZE 1024u
#define CAPACITY (1u << 22)

int mpgi_broken_rule;

static struct memory_disk disk;

static mpg_pager *create(size_t capacity, unsigned flags)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager = NULL;

    options.page_size = PAGE_SIZE;
    options.format = MPG_FORMAT_1;
    options.flags = flags;
    options.address_space = CAPACITY;
    memory_disk_init(&disk, capacity);
    assert_int_equal(mpgi_create_with(&pager, "file", &options, &memory_disk_io, &disk), 0);
    return pager;
}

/* The file is sound and can be closed. */
static void end(mpg_pager *pager)
{
    disk.fault = NULL;
    check_and_close(pager);
    memory_disk_destroy(&disk);
}

static int put(mpg_pager *pager, uint64_t id, uint64_t value)
{
    uint64_t words[PAGE_SIZE / 8];
    mpg_writer *writer;
    int result = mpg_writer_open(&writer, pager, (mpg_protected_id){id});

    if (result != 0)
        return result;
    for (size_t i = 0; i < PAGE_SIZE / 8; i++)
        words[i] = value;
    memcpy(mpg_writer_data(writer), words, PAGE_SIZE);
    result = mpg_writer_commit(writer);
    if (result != 0)
        mpg_writer_discard(writer);
    return result;
}

/* The number that a page is full of, or an error. */
static int64_t value_in(const mpg_snapshot *snapshot, uint64_t id)
{
    uint64_t words[PAGE_SIZE / 8];
    int result = mpg_snapshot_read(words, snapshot, (mpg_protected_id){id});

    if (result != 0)
        return result;
    assert_int_equal(mpg_snapshot_read(NULL, snapshot, (mpg_protected_id){id}), 0);
    for (size_t i = 0; i < PAGE_SIZE / 8; i++)
        assert_int_equal(words[i], words[0]);
    return (int64_t)words[0];
}

static mpg_snapshot_info info_of(const mpg_snapshot *snapshot)
{
    mpg_snapshot_info info;

    mpg_snapshot_stat(&info, snapshot);
    return info;
}

static uint64_t total_of(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, pager), 0);
    return st.total_pages;
}

static void alloc(mpg_pager *pager, size_t count)
{
    static mpg_protected_id ids[4096];

    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, count), 0);
}

/* ---- what it shows ---- */

static void it_shows_what_was_committed_when_it_was_opened(void **state)
{
    mpg_pager *pager = create(CAPACITY, 0);
    mpg_snapshot *older, *newer;
    mpg_protected_info then, now;
    mpg_txn *txn;

    (void)state;
    alloc(pager, 4);
    for (uint64_t id = 0; id < 4; id++)
        assert_int_equal(put(pager, id, 100 + id), 0);
    assert_int_equal(mpg_snapshot_open(&older, pager), 0);
    assert_int_equal(mpg_snapshot_protected_stat(&then, older, (mpg_protected_id){0}), 0);
    assert_int_equal(put(pager, 0, 200), 0);
    assert_int_equal(put(pager, 0, 201), 0);
    assert_int_equal(mpg_snapshot_open(&newer, pager), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_free_protected(txn, (mpg_protected_id){1}), 0);
    assert_int_equal(mpg_txn_alloc_protected_at(txn, (mpg_protected_id){7}), 0);
    assert_int_equal(mpg_txn_protected_write(txn, (mpg_protected_id){0}, "x", 0, 1), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(mpg_alloc_protected_at(pager, (mpg_protected_id){1}), 0);

    assert_int_equal(value_in(older, 0), 100);
    assert_int_equal(value_in(newer, 0), 201);
    for (uint64_t id = 1; id < 4; id++) {
        assert_int_equal(value_in(older, id), 100 + id);
        assert_int_equal(value_in(newer, id), 100 + id);
    }
    assert_int_equal(value_in(older, 7), MPG_E_NOT_ALLOCATED);
    assert_int_equal(value_in(newer, 7), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_snapshot_protected_stat(&now, older, (mpg_protected_id){0}), 0);
    assert_true(now.page[0] == then.page[0] && now.generation == then.generation &&
                now.crc == then.crc);
    assert_int_equal(info_of(older).protected_pages, 4);
    assert_true(info_of(older).generation < info_of(newer).generation);
    assert_int_equal(info_of(older).replaced, 3); /* 0, 1 and 7 */
    assert_int_equal(info_of(older).held, 3);     /* of 0 two contents, of 1 one */
    mpg_snapshot_close(older);
    assert_int_equal(info_of(newer).held, 2);
    assert_int_equal(value_in(newer, 0), 201);
    mpg_snapshot_close(newer);
    mpg_snapshot_close(NULL);
    end(pager);
}

static void what_is_put_off_is_not_in_it(void **state)
{
    mpg_pager *pager = create(CAPACITY, MPG_DEFER_ALLOCATION);
    mpg_snapshot *snapshot;
    mpg_protected_id id;

    (void)state;
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
    assert_int_equal(value_in(snapshot, id.value), MPG_E_NOT_ALLOCATED);
    assert_int_equal(mpg_sync(pager), 0);
    assert_int_equal(value_in(snapshot, id.value), MPG_E_NOT_ALLOCATED);
    mpg_snapshot_close(snapshot);
    assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
    assert_int_equal(mpg_free_protected(pager, id), 0);
    assert_int_equal(value_in(snapshot, id.value), 0);
    mpg_snapshot_close(snapshot);
    end(pager);
}

static mpg_pager *opened_by_fault;
static mpg_snapshot *in_flight;

/* A snapshot is opened while the sync of a commit is under way. */
static int open_at_sync(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    (void)length;
    if (call != CALL_FDATASYNC || in_flight != NULL)
        return 0;
    return mpg_snapshot_open(&in_flight, opened_by_fault) == 0 ? 0 : EIO;
}

static void a_commit_in_flight_is_not_in_it(void **state)
{
    mpg_pager *pager = create(CAPACITY, 0);

    (void)state;
    alloc(pager, 20);
    for (int record = 0; record < 3; record++) {
        assert_int_equal(put(pager, 3, 10), 0);
        opened_by_fault = pager;
        in_flight = NULL;
        disk.fault = open_at_sync;
        assert_int_equal(put(pager, 3, 11), 0);
        disk.fault = NULL;
        assert_int_equal(value_in(in_flight, 3), 10);
        for (uint64_t i = 0; i < 200; i++)
            assert_int_equal(put(pager, i % 20, 1000 + i), 0);
        assert_int_equal(value_in(in_flight, 3), 10);
        assert_int_equal(value_in(in_flight, 4), record == 0 ? 0 : 1184);
        mpg_snapshot_close(in_flight);
    }
    end(pager);
}

/* It meets each of its pages once, whether there are neighbours left or not. */
static void it_is_walked_as_it_was(void **state)
{
    static const uint64_t ids[] = {0, 5, 63, 64, 1023, 1024, 1025, 4000, 65536, 70000, 70001};
    enum { COUNT = sizeof(ids) / sizeof(ids[0]) };
    mpg_pager *pager = create(CAPACITY, 0);
    mpg_snapshot_iter iter;
    mpg_snapshot *snapshot;
    mpg_protected_id id;
    size_t met = 0;

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(mpg_alloc_protected_at(pager, (mpg_protected_id){ids[i]}), 0);
    assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(mpg_free_protected(pager, (mpg_protected_id){ids[i]}), 0);
        assert_int_equal(mpg_alloc_protected_at(pager, (mpg_protected_id){ids[i] + 7}), 0);
    }
    mpg_snapshot_iter_begin(&iter, snapshot, (mpg_protected_id){1});
    while (mpg_snapshot_iter_next(&id, &iter) == 1) {
        met++;
        assert_true(met < COUNT);
        assert_int_equal(id.value, ids[met]);
        assert_int_equal(value_in(snapshot, id.value), 0);
    }
    assert_int_equal(mpg_snapshot_iter_next(&id, &iter), 0);
    assert_int_equal(met, COUNT - 1);
    mpg_snapshot_iter_begin(&iter, snapshot, (mpg_protected_id){UINT64_MAX});
    assert_int_equal(mpg_snapshot_iter_next(&id, &iter), 0);
    mpg_snapshot_close(snapshot);
    end(pager);
}

static void others_have_none(void **state)
{
    struct scratch *scratch = *state;
    mpg_pager *pager = scratch_create(scratch, PAGE_SIZE);
    const mpg_pager *reader;
    mpg_snapshot *snapshot = NULL;

    if (scratch->format == MPG_FORMAT_0_2)
        assert_int_equal(mpg_snapshot_open(&snapshot, pager), MPG_E_UNSUPPORTED);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    assert_int_equal(mpg_snapshot_open(&snapshot, (mpg_pager *)(uintptr_t)reader), MPG_E_READ_ONLY);
    assert_null(snapshot);
    assert_int_equal(mpg_close(reader), 0);
    check_and_close(pager);
}

/* ---- the pages that are kept ---- */

static void what_was_kept_is_used_again(void **state)
{
    mpg_pager *pager = create(CAPACITY, 0);
    mpg_snapshot *snapshot;
    uint64_t total;

    (void)state;
    alloc(pager, 100);
    assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(put(pager, i % 100, i), 0);
    /* However often each was committed. */
    assert_int_equal(info_of(snapshot).replaced, 100);
    assert_int_equal(info_of(snapshot).held, 100);
    total = total_of(pager);
    mpg_snapshot_close(snapshot);
    for (uint64_t round = 0; round < 10; round++) {
        assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
        assert_int_equal(info_of(snapshot).held, 0);
        for (uint64_t i = 0; i < 300; i++)
            assert_int_equal(put(pager, i % 100, i), 0);
        mpg_snapshot_close(snapshot);
    }
    assert_int_equal(total_of(pager), total);
    end(pager);
}

/* Whichever of the two ends last. */
static void a_view_of_the_same_page_keeps_it(void **state)
{
    mpg_pager *pager = create(CAPACITY, 0);
    mpg_snapshot *snapshot;
    const void *view;
    uint64_t first;

    (void)state;
    alloc(pager, 3);
    for (int last = 0; last < 2; last++) {
        assert_int_equal(put(pager, 1, 77), 0);
        assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
        assert_int_equal(mpg_protected_view(&view, pager, (mpg_protected_id){1}), 0);
        for (uint64_t i = 0; i < 50; i++)
            assert_int_equal(put(pager, 1, i), 0);
        if (last == 0) {
            mpg_protected_release(pager, view);
            for (uint64_t i = 0; i < 300; i++)
                assert_int_equal(put(pager, i % 3, i), 0);
            assert_int_equal(value_in(snapshot, 1), 77);
            mpg_snapshot_close(snapshot);
        } else {
            mpg_snapshot_close(snapshot);
            for (uint64_t i = 0; i < 300; i++)
                assert_int_equal(put(pager, i % 3, i), 0);
            memcpy(&first, view, sizeof(first));
            assert_int_equal(first, 77);
            mpg_protected_release(pager, view);
        }
        assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
        assert_int_equal(info_of(snapshot).held, 0);
        mpg_snapshot_close(snapshot);
    }
    end(pager);
}

static void a_page_that_it_shows_is_not_to_be_had(void **state)
{
    mpg_pager *pager = create(CAPACITY, 0);
    mpg_protected_info before, after;
    mpg_snapshot *snapshot;

    (void)state;
    alloc(pager, 10);
    assert_int_equal(put(pager, 4, 44), 0);
    assert_int_equal(mpg_protected_stat(&before, pager, (mpg_protected_id){4}), 0);
    assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){before.page[0]}, 0), MPG_E_BUSY);
    assert_int_equal(put(pager, 4, 45), 0);
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){before.page[0]}, 0), MPG_E_BUSY);
    /* The content that came after it goes elsewhere. */
    assert_int_equal(mpg_protected_stat(&after, pager, (mpg_protected_id){4}), 0);
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){after.page[0]}, 0), 0);
    assert_int_equal(value_in(snapshot, 4), 44);
    mpg_snapshot_close(snapshot);
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){before.page[0]}, 0), 0);
    end(pager);
}

static void where_the_file_cannot_grow_commits_are_refused_until_it_is_closed(void **state)
{
    mpg_pager *pager = create(100 * PAGE_SIZE, 0);
    mpg_snapshot *snapshot;
    uint64_t done = 0;
    mpg_page_id page;
    int result;

    (void)state;
    alloc(pager, 20);
    while (mpg_alloc(&page, pager, 0) == 0)
        continue;
    assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
    while ((result = put(pager, done % 20, 500 + done)) == 0 && done < 100)
        done++;
    assert_int_equal(result, MPG_E_BUSY);
    assert_true(done >= 10);
    for (uint64_t id = 0; id < 20; id++)
        assert_int_equal(value_in(snapshot, id), 0);
    mpg_snapshot_close(snapshot);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(put(pager, i % 20, i), 0);
    end(pager);
}

static unsigned writes_to_fail;

static int failing_write(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    (void)length;
    return call == CALL_PWRITE && writes_to_fail > 0 && writes_to_fail-- > 0 ? EIO : 0;
}

static void a_commit_that_fails_changes_nothing(void **state)
{
    mpg_pager *pager = create(CAPACITY, 0);
    mpg_protected_info before;
    mpg_snapshot *snapshot;

    (void)state;
    alloc(pager, 10);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(put(pager, i % 10, i), 0);
    assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
    assert_int_equal(mpg_protected_stat(&before, pager, (mpg_protected_id){2}), 0);
    disk.fault = failing_write;
    writes_to_fail = 1;
    assert_int_equal(put(pager, 2, 99), MPG_E_IO);
    disk.fault = NULL;
    assert_int_equal(info_of(snapshot).held, 0);
    assert_int_equal(value_in(snapshot, 2), 12);
    assert_int_equal(put(pager, 2, 100), 0);
    assert_int_equal(info_of(snapshot).held, 1);
    for (uint64_t i = 0; i < 300; i++)
        assert_int_equal(put(pager, i % 10, i), 0);
    assert_int_equal(value_in(snapshot, 2), 12);
    mpg_snapshot_close(snapshot);
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){before.page[0]}, 0), 0);
    end(pager);
}

static void damage_is_found(void **state)
{
    mpg_pager *pager = create(CAPACITY, 0);
    mpg_protected_info info;
    mpg_snapshot *snapshot;

    (void)state;
    alloc(pager, 2);
    assert_int_equal(put(pager, 1, 5), 0);
    assert_int_equal(mpg_snapshot_open(&snapshot, pager), 0);
    assert_int_equal(put(pager, 1, 6), 0);
    assert_int_equal(mpg_snapshot_protected_stat(&info, snapshot, (mpg_protected_id){1}), 0);
    disk.cache[info.page[0] * PAGE_SIZE + 9] ^= 1;
    assert_int_equal(value_in(snapshot, 1), MPG_E_CORRUPT_PAGE);
    mpg_snapshot_close(snapshot);
    end(pager);
}

/* ---- whatever happens ---- */

#define IDS 60
#define SNAPSHOTS 4

struct model {
    mpg_pager *pager;
    uint64_t random;
    int64_t now[IDS]; /* the number in a page, or NOT_ALLOCATED */
    struct {
        mpg_snapshot *snapshot;
        int64_t then[IDS];
    } open[SNAPSHOTS];
};

static void look_at(struct model *model, unsigned slot)
{
    const mpg_snapshot *snapshot = model->open[slot].snapshot;
    mpg_snapshot_iter iter;
    mpg_protected_id id = {0};
    uint64_t next = 0, pages = 0;

    mpg_snapshot_iter_begin(&iter, snapshot, id);
    while (mpg_snapshot_iter_next(&id, &iter) == 1) {
        for (; next < id.value; next++)
            assert_int_equal(model->open[slot].then[next], MPG_E_NOT_ALLOCATED);
        assert_int_equal(value_in(snapshot, next), model->open[slot].then[next]);
        next++;
        pages++;
    }
    for (; next < IDS; next++)
        assert_int_equal(value_in(snapshot, next), model->open[slot].then[next]);
    assert_int_equal(info_of(snapshot).protected_pages, pages);
}

static void open_or_close(struct model *model, unsigned slot)
{
    if (model->open[slot].snapshot == NULL) {
        assert_int_equal(mpg_snapshot_open(&model->open[slot].snapshot, model->pager), 0);
        memcpy(model->open[slot].then, model->now, sizeof(model->now));
        return;
    }
    look_at(model, slot);
    mpg_snapshot_close(model->open[slot].snapshot);
    model->open[slot].snapshot = NULL;
}

/* Some pages change in one transaction. */
static void change_some(struct model *model)
{
    uint64_t words[PAGE_SIZE / 8];
    int64_t new[IDS];
    mpg_txn *txn;

    memcpy(new, model->now, sizeof(new));
    assert_int_equal(mpg_txn_begin(&txn, model->pager), 0);
    for (uint64_t n = 1 + random_below(&model->random, 12); n > 0; n--) {
        mpg_protected_id id = {random_below(&model->random, IDS)};
        bool was = model->now[id.value] != MPG_E_NOT_ALLOCATED;

        if (new[id.value] != model->now[id.value])
            continue;
        if (!was) {
            assert_int_equal(mpg_txn_alloc_protected_at(txn, id), 0);
            new[id.value] = 0;
        } else if (random_below(&model->random, 4) == 0) {
            assert_int_equal(mpg_txn_free_protected(txn, id), 0);
            new[id.value] = MPG_E_NOT_ALLOCATED;
            continue;
        }
        new[id.value] = (int64_t)(random_next(&model->random) >> 1);
        for (size_t i = 0; i < PAGE_SIZE / 8; i++)
            words[i] = (uint64_t) new[id.value];
        assert_int_equal(mpg_txn_protected_write(txn, id, words, 0, PAGE_SIZE), 0);
    }
    if (disk.fault != NULL)
        writes_to_fail = 1;
    if (mpg_txn_commit(txn, 0) == 0)
        memcpy(model->now, new, sizeof(new));
    else
        mpg_txn_abort(txn);
}

static void change_regular(struct model *model)
{
    mpg_page_id page = {3 + random_below(&model->random, total_of(model->pager))};
    int result = mpg_alloc_at(model->pager, page, 0);

    if (result == MPG_E_EXISTS)
        assert_int_equal(mpg_free(model->pager, page), 0);
    else
        assert_true(result == 0 || result == MPG_E_BUSY || result == MPG_E_NOT_REGULAR);
}

static void play(uint64_t seed)
{
    struct model model = {.pager = create(CAPACITY, 0), .random = seed};

    for (size_t i = 0; i < IDS; i++)
        model.now[i] = MPG_E_NOT_ALLOCATED;
    for (unsigned i = 0; i < 300; i++) {
        unsigned slot = (unsigned)random_below(&model.random, SNAPSHOTS);
        uint64_t what = random_below(&model.random, 10);

        disk.fault = random_below(&model.random, 20) == 0 ? failing_write : NULL;
        if (what < 6)
            change_some(&model);
        disk.fault = NULL;
        if (what == 6)
            change_regular(&model);
        else if (what > 7)
            open_or_close(&model, slot);
        else if (what == 7 && model.open[slot].snapshot != NULL)
            look_at(&model, slot);
    }
    for (unsigned slot = 0; slot < SNAPSHOTS; slot++) {
        if (model.open[slot].snapshot != NULL)
            open_or_close(&model, slot);
    }
    open_or_close(&model, 0);
    assert_int_equal(info_of(model.open[0].snapshot).held, 0);
    open_or_close(&model, 0);
    end(model.pager);
}

static void random_histories(void **state)
{
    uint64_t rounds = setting("MPG_ROUNDS", 60);

    (void)state;
    for (uint64_t seed = 1; seed <= rounds; seed++)
        play(seed);
}

/* ---- threads ---- */

#define WRITERS 4
#define GROUP 48 /* pages of a writer, all of which each of its transactions stamps */

struct stress {
    mpg_pager *pager;
    atomic_bool end;
    atomic_uint_fast64_t committed[WRITERS]; /* the last stamp that is durable */
    atomic_uint failures;
};

struct thread {
    pthread_t thread;
    struct stress *stress;
    unsigned number;
    uint64_t wanted; /* snapshots */
};

static int stamp_group(struct stress *stress, unsigned writer, uint64_t stamp)
{
    uint64_t words[PAGE_SIZE / 8];
    mpg_txn *txn;
    int result = mpg_txn_begin(&txn, stress->pager);

    for (size_t i = 0; i < PAGE_SIZE / 8; i++)
        words[i] = stamp;
    for (uint64_t i = 0; i < GROUP && result == 0; i++)
        result = mpg_txn_protected_write(txn, (mpg_protected_id){writer * GROUP + i}, words, 0,
                                         PAGE_SIZE);
    return result != 0 ? result : mpg_txn_commit(txn, 0);
}

static void *write_all_the_time(void *argument)
{
    struct thread *thread = argument;
    struct stress *stress = thread->stress;

    for (uint64_t stamp = 1; !atomic_load(&stress->end); stamp++) {
        if (stamp_group(stress, thread->number, stamp) != 0)
            atomic_fetch_add(&stress->failures, 1);
        atomic_store(&stress->committed[thread->number], stamp);
    }
    return NULL;
}

/* Everything is replaced a few times. */
static void wait_for_commits(struct stress *stress)
{
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        uint64_t begin = atomic_load(&stress->committed[writer]);

        while (atomic_load(&stress->committed[writer]) < begin + 4 &&
               atomic_load(&stress->failures) == 0)
            (void)sched_yield();
    }
}

/*
 * One stamp in all pages of each group, not older than what was durable, and the same when read
 * again.
 */
static bool is_one_state(struct stress *stress, const mpg_snapshot *snapshot,
                         const uint64_t *durable)
{
    for (unsigned look = 0; look < 2; look++) {
        if (look == 1)
            wait_for_commits(stress);
        for (unsigned writer = 0; writer < WRITERS; writer++) {
            uint64_t first = 0;

            for (uint64_t i = 0; i < GROUP; i++) {
                uint64_t words[PAGE_SIZE / 8];

                if (mpg_snapshot_read(words, snapshot, (mpg_protected_id){writer * GROUP + i}) != 0)
                    return false;
                first = i == 0 ? words[0] : first;
                if (words[0] != first || words[PAGE_SIZE / 8 - 1] != first ||
                    first < durable[writer])
                    return false;
            }
        }
    }
    return true;
}

static void *read_snapshots(void *argument)
{
    struct thread *thread = argument;
    struct stress *stress = thread->stress;

    for (uint64_t i = 0; i < thread->wanted; i++) {
        uint64_t durable[WRITERS];
        mpg_snapshot *snapshot;

        for (unsigned writer = 0; writer < WRITERS; writer++)
            durable[writer] = atomic_load(&stress->committed[writer]);
        if (mpg_snapshot_open(&snapshot, stress->pager) != 0) {
            atomic_fetch_add(&stress->failures, 1);
            return NULL;
        }
        if (!is_one_state(stress, snapshot, durable))
            atomic_fetch_add(&stress->failures, 1);
        mpg_snapshot_close(snapshot);
    }
    return NULL;
}

/*
 * Snapshots that are read beside threads that commit, by two threads, so many each. How often one
 * showed what it should not.
 */
static unsigned read_beside_writers(const struct scratch *scratch, uint64_t snapshots)
{
    struct stress stress = {.failures = 0};
    struct thread writers[WRITERS], readers[2];
    static const uint64_t none[WRITERS];
    mpg_snapshot *lasting;

    stress.pager = scratch_create(scratch, PAGE_SIZE);
    alloc(stress.pager, WRITERS * GROUP);
    assert_int_equal(mpg_sync(stress.pager), 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct thread){.stress = &stress, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all_the_time, &writers[i]),
                         0);
    }
    for (unsigned i = 0; i < 2; i++) {
        readers[i] = (struct thread){.stress = &stress, .wanted = snapshots};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_snapshots, &readers[i]), 0);
    }
    assert_int_equal(mpg_snapshot_open(&lasting, stress.pager), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(readers[i].thread, NULL);
    if (!is_one_state(&stress, lasting, none))
        atomic_fetch_add(&stress.failures, 1);
    mpg_snapshot_close(lasting);
    atomic_store(&stress.end, true);
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    check_and_close(stress.pager);
    return stress.failures;
}

static void no_snapshot_is_a_mixture(void **state)
{
    struct scratch *scratch = *state;

    if (scratch->format == MPG_FORMAT_0_2)
        skip();
    assert_int_equal(read_beside_writers(scratch, setting("MPG_SNAPSHOTS", 12)), 0);
}

/* The same where what a snapshot shows is not kept for it: then it must be seen. */
static void without_what_is_kept_it_is_one(void **state)
{
    struct scratch *scratch = *state;

    if (scratch->format == MPG_FORMAT_0_2)
        skip();
    mpgi_broken_rule = RULE_PINS;
    assert_int_not_equal(read_beside_writers(scratch, 3), 0);
    mpgi_broken_rule = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_shows_what_was_committed_when_it_was_opened),
        cmocka_unit_test(what_is_put_off_is_not_in_it),
        cmocka_unit_test(a_commit_in_flight_is_not_in_it),
        cmocka_unit_test(it_is_walked_as_it_was),
        cmocka_unit_test(what_was_kept_is_used_again),
        cmocka_unit_test(a_view_of_the_same_page_keeps_it),
        cmocka_unit_test(a_page_that_it_shows_is_not_to_be_had),
        cmocka_unit_test(where_the_file_cannot_grow_commits_are_refused_until_it_is_closed),
        cmocka_unit_test(a_commit_that_fails_changes_nothing),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(random_histories),
    };
    const struct CMUnitTest on_files[] = {
        SCRATCH_TEST(others_have_none),
        SCRATCH_TEST(no_snapshot_is_a_mixture),
        SCRATCH_TEST(without_what_is_kept_it_is_one),
    };
    int failed = cmocka_run_group_tests_name("snapshots", tests, NULL, NULL);

    return SCRATCH_RUN("snapshots on files", on_files) != 0 || failed != 0;
}
