/* SPDX-License-Identifier: MIT */
/*
 * What a commit of format 1 asks of the system in steady state, counted: one write, one sync, and
 * nothing that makes the sync write more than that.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "os/io.h"
#include "pager/open.h"
#include "support/scratch_file.h"

#define PROTECTED 5000u
#define SMALL 1024u
#define LARGE 4096u
#define MOST 512u

/* Of the process. */
static struct calls {
    unsigned writes, syncs, starts;
    atomic_uint reads, sizes, locks; /* those who do not commit make such calls, too */
    unsigned written;                /* writes since the last sync */
    unsigned of_one_write;           /* syncs after a single write */
    unsigned roots;                  /* writes to pages 1 and 2 */
    uint64_t bytes;
    /* What was written and not started: where, and how much. */
    uint64_t waiting_from, waiting_end, waiting;
    uint64_t left_to_sync; /* so much of it when the sync came */
} calls;

static void reset(void)
{
    memset(&calls, 0, sizeof(calls));
}

static void count_write(uint64_t offset, uint64_t bytes)
{
    calls.writes++;
    calls.written++;
    calls.roots += offset < 3 * SMALL;
    calls.bytes += bytes;
    if (calls.waiting == 0 || offset < calls.waiting_from)
        calls.waiting_from = offset;
    if (calls.waiting == 0 || offset + bytes > calls.waiting_end)
        calls.waiting_end = offset + bytes;
    calls.waiting += bytes;
}

static ssize_t counted_pwrite(void *context, int fd, const void *data, size_t length,
                              uint64_t offset)
{
    count_write(offset, length);
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

static ssize_t counted_pwritev(void *context, int fd, const struct iovec *pieces, int count,
                               uint64_t offset)
{
    ssize_t put = mpgi_io_system.pwritev(context, fd, pieces, count, offset);

    count_write(offset, put > 0 ? (uint64_t)put : 0);
    return put;
}

static ssize_t counted_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    calls.reads++;
    return mpgi_io_system.pread(context, fd, data, length, offset);
}

static void counted_start(void *context, int fd, uint64_t offset, uint64_t length)
{
    calls.starts++;
    assert_true(offset >= calls.waiting_from && offset + length == calls.waiting_end);
    calls.waiting = 0;
    mpgi_io_system.start(context, fd, offset, length);
}

static int counted_fdatasync(void *context, int fd)
{
    calls.syncs++;
    calls.of_one_write += calls.written == 1;
    calls.written = 0;
    calls.left_to_sync = calls.waiting;
    calls.waiting = 0;
    return mpgi_io_system.fdatasync(context, fd);
}

static int counted_size(void *context, int fd, uint64_t *bytes)
{
    calls.sizes++;
    return mpgi_io_system.size(context, fd, bytes);
}

static int counted_lock_range(void *context, int fd, uint64_t first, uint64_t length,
                              enum io_lock lock)
{
    calls.locks++;
    return mpgi_io_system.lock_range(context, fd, first, length, lock);
}

static bool counted_find_lock(void *context, int fd, uint64_t first, uint64_t length, uint64_t *at,
                              uint64_t *end)
{
    calls.locks++;
    return mpgi_io_system.find_lock(context, fd, first, length, at, end);
}

static mpg_pager *open_counted(const struct scratch *scratch)
{
    static struct io io;
    mpg_pager *pager;

    io = mpgi_io_system;
    io.pwrite = counted_pwrite;
    io.pwritev = counted_pwritev;
    io.pread = counted_pread;
    io.start = counted_start;
    io.fdatasync = counted_fdatasync;
    io.size = counted_size;
    io.lock_range = counted_lock_range;
    io.find_lock = counted_find_lock;
    assert_int_equal(mpgi_open_with(&pager, scratch->path, NULL, false, &io, NULL), 0);
    return pager;
}

/* ---- Commits ------------------------------------------------------------------------------- */

struct work {
    mpg_pager *pager;
    mpg_protected_id ids[PROTECTED];
    uint64_t random;
    unsigned stamp;
    unsigned used_in[PROTECTED]; /* the commit that wrote it last */
    unsigned commit;
    uint32_t page_size;
};

static unsigned choose(struct work *work)
{
    unsigned chosen;

    do {
        work->random ^= work->random << 13;
        work->random ^= work->random >> 7;
        work->random ^= work->random << 17;
        chosen = (unsigned)(work->random % PROTECTED);
    } while (work->used_in[chosen] == work->commit);
    work->used_in[chosen] = work->commit;
    return chosen;
}

/* Commits new contents of so many pages, chosen at random. */
static void commit(struct work *work, unsigned count)
{
    unsigned char content[LARGE];
    mpg_txn *txn;

    work->commit++;
    memset(content, 0x5a, sizeof(content));
    assert_int_equal(mpg_txn_begin(&txn, work->pager), 0);
    for (unsigned i = 0; i < count; i++) {
        work->stamp++;
        memcpy(content, &work->stamp, sizeof(work->stamp));
        assert_int_equal(
            mpg_txn_protected_write(txn, work->ids[choose(work)], content, 0, work->page_size), 0);
    }
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
}

/* A file whose free pages are as scattered as commits of some pages leave them. */
static struct work *steady(const struct scratch *scratch)
{
    struct work *work = calloc(1, sizeof(*work));
    mpg_options options = scratch_options(scratch, SMALL);

    assert_non_null(work);
    work->random = 2463534242u;
    work->page_size = SMALL;
    assert_int_equal(mpg_create(&work->pager, scratch->path, &options), 0);
    assert_int_equal(mpg_alloc_protected_bulk(work->ids, work->pager, PROTECTED), 0);
    assert_int_equal(mpg_close(work->pager), 0);
    work->pager = open_counted(scratch);
    for (unsigned i = 0; i < 3 * PROTECTED / MOST; i++)
        commit(work, MOST);
    for (unsigned i = 0; i < 150; i++)
        commit(work, 8);
    return work;
}

static void end(struct work *work)
{
    assert_int_equal(mpg_close(work->pager), 0);
    free(work);
}

static void a_commit_of_a_page_is_one_write_and_one_sync(void **state)
{
    struct work *work = steady(*state);
    unsigned commits = 0, in_one_write = 0;

    while (commits < 200) {
        reset();
        commit(work, 1);
        assert_int_equal(calls.syncs, 1);
        if (calls.roots > 0) /* a checkpoint, or the first commit after one */
            continue;
        commits++;
        in_one_write += calls.writes == 1 && calls.bytes == 2 * SMALL;
        assert_true(calls.writes <= 2);
        assert_int_equal(calls.starts, 0);
    }
    /* Where no two free pages are side by side it takes two. */
    assert_true(in_one_write >= commits * 9 / 10);
    end(work);
}

/*
 * A file whose times somebody asked for gets new ones with the next write, and its inode has to be
 * written, too: one more place in each sync.
 */
static void a_commit_does_not_ask_for_the_times_of_the_file(void **state)
{
    struct work *work = steady(*state);

    reset();
    for (unsigned i = 0; i < 100; i++)
        commit(work, 1);
    assert_int_equal(calls.sizes, 0);
    end(work);
}

/*
 * What is looked at again around a commit (rule 12), and the gate that copies use: so much and no
 * more.
 */
static void a_commit_looks_again_at_little(void **state)
{
    struct work *work = steady(*state);

    for (unsigned i = 0; i < 100; i++) {
        reset();
        commit(work, 1);
        assert_true(calls.reads <= 6);
        assert_true(calls.locks <= 3);
    }
    end(work);
}

/* Nodes that commit after commit changes are written once for many of them. */
static void large_commits_share_checkpoints(void **state)
{
    struct work *work = steady(*state);
    unsigned roots = 0;

    for (unsigned i = 0; i < 40; i++) {
        reset();
        commit(work, MOST);
        assert_int_equal(calls.syncs, 1);
        roots += calls.roots;
    }
    /* One checkpoint is due at most, and its root is written twice. */
    assert_true(roots <= 2);
    end(work);
}

/*
 * The disk is at work while the rest of a commit is still being written, and the sync finds little
 * left to do.
 */
static void the_disk_begins_before_the_sync(void **state)
{
    struct work *work = steady(*state);

    for (unsigned i = 0; i < 10; i++) {
        reset();
        commit(work, MOST);
        assert_int_equal(calls.syncs, 1);
        assert_true(calls.starts >= 4);
        assert_true(calls.left_to_sync <= calls.bytes / 4);
    }
    end(work);
}

/* ---- Every operation ----------------------------------------------------------------------- */

#define TIMES 60u
#define TEAM 8u

/* Commits of `times` operations that have just ended: one sync each, and one write but for few. */
static void expect_one_write_each(unsigned times)
{
    /* One in 64 is a checkpoint, and the next one writes its root again. */
    assert_int_equal(calls.syncs, times);
    assert_true(calls.of_one_write >= times - times / 10);
    reset();
}

static void every_operation_is_one_write_and_one_sync(void **state)
{
    struct work *work = steady(*state);
    mpg_protected_id ids[TIMES];
    mpg_page_id pages[TIMES];

    assert_int_equal(mpg_alloc(&pages[0], work->pager, 0), 0);
    reset();
    for (unsigned i = 1; i < TIMES; i++)
        assert_int_equal(mpg_alloc(&pages[i], work->pager, 0), 0);
    expect_one_write_each(TIMES - 1);
    for (unsigned i = 0; i < TIMES; i++)
        assert_int_equal(mpg_free(work->pager, pages[i]), 0);
    expect_one_write_each(TIMES);
    for (unsigned i = 0; i < TIMES; i++)
        assert_int_equal(mpg_alloc_protected(&ids[i], work->pager), 0);
    expect_one_write_each(TIMES);
    for (unsigned i = 0; i < TIMES; i++) {
        mpg_writer *writer;

        assert_int_equal(mpg_writer_open(&writer, work->pager, ids[i]), 0);
        memset(mpg_writer_data(writer), (int)i + 1, SMALL);
        assert_int_equal(mpg_writer_commit(writer), 0);
    }
    expect_one_write_each(TIMES);
    for (unsigned i = 0; i < TIMES; i++)
        assert_int_equal(mpg_free_protected(work->pager, ids[i]), 0);
    expect_one_write_each(TIMES);
    end(work);
}

/*
 * Where the file has room in one piece; 65 pages with the record, which holds so many changes in
 * pages of 4096 bytes.
 */
static void a_commit_of_64_pages_is_one_write_where_there_is_room(void **state)
{
    const struct scratch *scratch = *state;
    struct work *work = calloc(1, sizeof(*work));
    mpg_options options = scratch_options(scratch, LARGE);

    assert_non_null(work);
    work->random = 1;
    work->page_size = LARGE;
    options.initial_pages = 8 * PROTECTED;
    assert_int_equal(mpg_create(&work->pager, scratch->path, &options), 0);
    assert_int_equal(mpg_alloc_protected_bulk(work->ids, work->pager, PROTECTED), 0);
    assert_int_equal(mpg_close(work->pager), 0);
    work->pager = open_counted(scratch);
    for (unsigned i = 0; i < 3; i++)
        commit(work, 64); /* two are roots, and the third writes that once more */
    reset();
    commit(work, 64);
    assert_int_equal(calls.writes, 1);
    assert_int_equal(calls.syncs, 1);
    assert_int_equal(calls.bytes, 65 * LARGE);
    end(work);
}

struct member {
    struct work *work;
    unsigned first; /* of its pages */
};

static void *commit_alone(void *argument)
{
    const struct member *member = argument;

    for (unsigned i = 0; i < TIMES; i++) {
        mpg_writer *writer;

        assert_int_equal(
            mpg_writer_open(&writer, member->work->pager, member->work->ids[member->first + i]), 0);
        memset(mpg_writer_data(writer), (int)i + 7, SMALL);
        assert_int_equal(mpg_writer_commit(writer), 0);
    }
    return NULL;
}

/* Threads that commit at the same time share writes and syncs. */
static void a_batch_of_many_threads_is_one_write_and_one_sync(void **state)
{
    struct work *work = steady(*state);
    struct member team[TEAM];
    pthread_t threads[TEAM];

    reset();
    for (unsigned i = 0; i < TEAM; i++) {
        team[i] = (struct member){work, i * TIMES};
        assert_int_equal(pthread_create(&threads[i], NULL, commit_alone, &team[i]), 0);
    }
    for (unsigned i = 0; i < TEAM; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(calls.syncs <= TEAM * TIMES);
    /*
     * A batch of eight takes two runs now and then; and some are checkpoints, or the first after
     * one.
     */
    assert_true(calls.of_one_write >= calls.syncs / 4);
    end(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_commit_of_a_page_is_one_write_and_one_sync),
        SCRATCH_TEST(a_commit_does_not_ask_for_the_times_of_the_file),
        SCRATCH_TEST(a_commit_looks_again_at_little),
        SCRATCH_TEST(large_commits_share_checkpoints),
        SCRATCH_TEST(the_disk_begins_before_the_sync),
        SCRATCH_TEST(every_operation_is_one_write_and_one_sync),
        SCRATCH_TEST(a_commit_of_64_pages_is_one_write_where_there_is_room),
        SCRATCH_TEST(a_batch_of_many_threads_is_one_write_and_one_sync),
    };

    scratch_format = MPG_FORMAT_1;
    return cmocka_run_group_tests_name("calls of a commit", tests, NULL, NULL);
}
