/* SPDX-License-Identifier: MIT */
/*
 * Reading: by pointer, by view and by copy, from one thread and from several, with nothing else
 * going on and beside a thread that commits as fast as it can. Beside it what an engine could do
 * without this library: LMDB, and a plain map of the file with a check of bounds, with and without
 * a lock for readers and writers around it and a count of references, which is how the Rust crate
 * looks from C.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc.h"
#include "library.h"
#include "reading.h"

#define REGULAR 1000000u
#define PROTECTED 1000u
#define KEYS 20000u     /* of LMDB */
#define SAMPLES 100000u /* calls that are timed each by itself */

#ifndef WITH_LMDB
const struct other_store lmdb_store = {.name = NULL};
#endif

/* ---- what is read ---- */

struct library {
    mpg_pager *pager;
    char *path;
    unsigned char *copies;      /* PROTECTED pages, for memcpy */
    const unsigned char *plain; /* the map of the file; all of it is one piece */
    uint64_t plain_pages;
    pthread_rwlock_t plain_lock;
    atomic_uint_least64_t references;
    void *lmdb; /* or NULL */
};

static uint64_t draw(struct lane *lane, uint64_t below)
{
    return ((next_random(&lane->random) >> 32) * below) >> 32;
}

/*
 * One of nearly half a million regular pages all over the file. Where a leaf of the space tree
 * ends, each 16,256 pages of such a file, a few are metadata: those are left out.
 */
#define STRETCH 16256u
#define STRETCHES 60u

static uint64_t draw_regular(struct lane *lane)
{
    uint64_t drawn = draw(lane, STRETCHES * 8192u);

    return (drawn / 8192 + 1) * STRETCH + STRETCH / 4 + drawn % 8192;
}

static void run_draw(struct lane *lane, unsigned operations)
{
    for (unsigned i = 0; i < operations; i++)
        lane->sum += draw_regular(lane);
}

static void run_plain(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;

    for (unsigned i = 0; i < operations; i++) {
        uint64_t id = draw_regular(lane);

        if (id >= library->plain_pages)
            die_errno("no such page");
        lane->sum += (uintptr_t)(library->plain + id * PAGE_SIZE_USED);
    }
}

static void run_plain_locked(struct lane *lane, unsigned operations)
{
    struct library *library = lane->context;

    for (unsigned i = 0; i < operations; i++) {
        uint64_t id = draw_regular(lane);

        atomic_fetch_add(&library->references, 1);
        (void)pthread_rwlock_rdlock(&library->plain_lock);
        if (id >= library->plain_pages)
            die_errno("no such page");
        lane->sum += (uintptr_t)(library->plain + id * PAGE_SIZE_USED);
        (void)pthread_rwlock_unlock(&library->plain_lock);
        atomic_fetch_sub(&library->references, 1);
    }
}

static void run_get(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;

    for (unsigned i = 0; i < operations; i++) {
        mpg_page_id id = {draw_regular(lane)};
        const void *data;

        must(mpg_page_get(&data, library->pager, id), "get");
        lane->sum += (uintptr_t)data;
    }
}

static void run_get_mut(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;

    for (unsigned i = 0; i < operations; i++) {
        mpg_page_id id = {draw_regular(lane)};
        void *data;

        must(mpg_page_get_mut(&data, library->pager, id), "get_mut");
        lane->sum += (uintptr_t)data;
    }
}

static void run_use(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;

    for (unsigned i = 0; i < operations; i++) {
        enum mpg_page_use use;

        must(mpg_page_use(&use, library->pager, draw_regular(lane)), "page_use");
        lane->sum += (unsigned)use;
    }
}

/* Different threads take different pages. */
static mpg_protected_id draw_protected(struct lane *lane)
{
    uint64_t each = PROTECTED / lane->lanes;
    mpg_protected_id id = {lane->number * each + draw(lane, each)};

    return id;
}

static void run_view(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;

    for (unsigned i = 0; i < operations; i++) {
        const void *data;

        must(mpg_protected_view(&data, library->pager, draw_protected(lane)), "view");
        lane->sum += (uintptr_t)data;
        mpg_protected_release(library->pager, data);
    }
}

static void run_stat(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;

    for (unsigned i = 0; i < operations; i++) {
        mpg_protected_info info;

        must(mpg_protected_stat(&info, library->pager, draw_protected(lane)), "stat");
        lane->sum += info.crc;
    }
}

static void run_read(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;

    for (unsigned i = 0; i < operations; i++) {
        must(mpg_protected_read(lane->page, library->pager, draw_protected(lane)), "read");
        lane->sum += lane->page[0];
    }
}

static void run_copy(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;

    for (unsigned i = 0; i < operations; i++) {
        size_t at = draw_protected(lane).value * (size_t)PAGE_SIZE_USED;

        memcpy(lane->page, library->copies + at, PAGE_SIZE_USED);
        lane->sum += crc_of(lane->page, PAGE_SIZE_USED);
    }
}

/* What copying takes that tells of an error of the disk: each thread by a descriptor of its own. */
static void run_pread(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;
    int fd = open(library->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        die_errno("open");
    for (unsigned i = 0; i < operations; i++) {
        off_t at = (off_t)draw_protected(lane).value * PAGE_SIZE_USED;

        if (pread(fd, lane->page, PAGE_SIZE_USED, at) != PAGE_SIZE_USED)
            die_errno("pread");
        lane->sum += crc_of(lane->page, PAGE_SIZE_USED);
    }
    (void)close(fd);
}

static void run_lmdb(struct lane *lane, unsigned operations)
{
    if (lane->reader == NULL)
        lane->reader = lmdb_store.read_begin(((struct library *)lane->context)->lmdb);
    for (unsigned i = 0; i < operations; i++)
        lane->sum += (uintptr_t)lmdb_store.read(lane->reader, draw(lane, KEYS));
}

static void run_iterate(struct lane *lane, unsigned operations)
{
    const struct library *library = lane->context;

    for (unsigned left = operations; left > 0;) {
        mpg_page_iter iter;
        mpg_page_id id, first = {0};

        mpg_page_iter_begin(&iter, library->pager, first);
        for (; left > 0 && mpg_page_iter_next(&id, &iter) == 1; left--)
            lane->sum += id.value;
    }
}

/* ---- a thread that commits ---- */

struct committer {
    pthread_t thread;
    struct library *library;
    atomic_bool over;
    uint64_t commits, ns;
};

static void *commit(void *argument)
{
    struct committer *committer = argument;
    uint64_t random = 7, begin = now_ns();
    unsigned char content[PAGE_SIZE_USED];

    while (!atomic_load(&committer->over)) {
        mpg_protected_id id = {next_random(&random) % PROTECTED};
        mpg_txn *txn;

        memset(content, (int)(committer->commits % 256), sizeof(content));
        must(mpg_txn_begin(&txn, committer->library->pager), "txn_begin");
        must(mpg_txn_protected_write(txn, id, content, 0, sizeof(content)), "write");
        must(mpg_txn_commit(txn, 0), "txn_commit");
        committer->commits++;
    }
    committer->ns = now_ns() - begin;
    return NULL;
}

/* ---- the table ---- */

enum { DRAW, PLAIN, LOCKED, LMDB, GET, GET_MUT, USE, VIEW, STAT, READ, PREAD, COPY, ITERATE, ROWS };
enum { ALONE, TOGETHER, BESIDE, WAYS };

static const struct reading rows[ROWS] = {
    [DRAW] = {"drawing a number, which is in each row below", run_draw, 200000},
    [PLAIN] = {"map of the file, check of bounds", run_plain, 200000},
    [LOCKED] = {"… under a rwlock, references counted", run_plain_locked, 100000},
    [LMDB] = {"LMDB: mdb_get, transaction open", run_lmdb, 50000},
    [GET] = {"mpg_page_get", run_get, 200000},
    [GET_MUT] = {"mpg_page_get_mut", run_get_mut, 200000},
    [USE] = {"mpg_page_use", run_use, 200000},
    [VIEW] = {"mpg_protected_view, release", run_view, 200000},
    [STAT] = {"mpg_protected_stat", run_stat, 200000},
    [READ] = {"mpg_protected_read", run_read, 10000},
    [PREAD] = {"pread and CRC", run_pread, 10000},
    [COPY] = {"memcpy and CRC", run_copy, 10000},
    [ITERATE] = {"an id of mpg_page_iter_next", run_iterate, REGULAR},
};

static void print_head(unsigned threads)
{
    char many[32];

    (void)snprintf(many, sizeof(many), "%u threads", threads);
    printf("\nReading, pages of 4 KiB; nanoseconds a call, medians of rounds\n");
    printf("%-45s | %-15s | %-18s | %-15s | %s\n", "", "1 thread", many, "beside commits",
           "beside /");
    printf("%-45s | %6s  %7s | %6s  %10s | %6s  %7s | %s\n", "what", "ns", "p99.9", "ns",
           "M/s in all", "ns", "p99.9", "1 thread");
    printf("----------------------------------------------|-----------------|--------------------|-"
           "----------------|---------\n");
}

static void print_row(const char *name, const struct figures *figures, unsigned threads)
{
    printf("%-45s | %6.1f  %7.0f | %6.1f  %10.1f | %6.1f  %7.0f | %6.2f x\n", name,
           figures[ALONE].ns, figures[ALONE].p999, figures[TOGETHER].ns,
           threads * 1000 / figures[TOGETHER].ns, figures[BESIDE].ns, figures[BESIDE].p999,
           figures[BESIDE].ns / figures[ALONE].ns);
    (void)fflush(stdout);
}

static void print_targets(struct figures figures[ROWS][WAYS], unsigned threads, bool lmdb)
{
    double times_view = threads * figures[VIEW][ALONE].ns / figures[VIEW][TOGETHER].ns;
    double times_get = threads * figures[GET][ALONE].ns / figures[GET][TOGETHER].ns;
    double times_read = threads * figures[READ][ALONE].ns / figures[READ][TOGETHER].ns;
    static const int steady[] = {GET, GET_MUT, VIEW, READ};

    report_title("Reading: what was to be reached");
    report("pointer to a regular page", figures[GET][ALONE].ns, "ns", AT_MOST, 10);
    report("… several threads / 1", times_get, "x", AT_LEAST, 0.9 * threads);
    if (lmdb)
        report("… / LMDB's mdb_get", figures[LMDB][ALONE].ns / figures[GET][ALONE].ns, "x",
               AT_LEAST, 8);
    report("view and release", figures[VIEW][ALONE].ns, "ns", AT_MOST, 20);
    report("… several threads / 1", times_view, "x", AT_LEAST, 0.85 * threads);
    report("read, time / (memcpy + CRC)", figures[READ][ALONE].ns / figures[COPY][ALONE].ns, "x",
           AT_MOST, 1);
    report("… / (pread + CRC)", figures[READ][ALONE].ns / figures[PREAD][ALONE].ns, "x", NO_TARGET,
           0);
    report("… several threads / 1", times_read, "x", AT_LEAST, 0.85 * threads);
    report("… of memcpy + CRC", threads * figures[COPY][ALONE].ns / figures[COPY][TOGETHER].ns, "x",
           NO_TARGET, 0);
    for (size_t i = 0; i < sizeof(steady) / sizeof(steady[0]); i++) {
        char what[64];

        (void)snprintf(what, sizeof(what), "%s, beside commits / without", rows[steady[i]].name);
        report(what, figures[steady[i]][BESIDE].ns / figures[steady[i]][ALONE].ns, "x", AT_MOST,
               1.1);
    }
    report("iterate, million pages a second", 1000 / figures[ITERATE][ALONE].ns, "M/s", AT_LEAST,
           300);
}

/* ---- all together ---- */

static void fill_protected(struct library *library)
{
    mpg_protected_id protected[PROTECTED];
    uint64_t random = 1;

    must(mpg_alloc_protected_bulk(protected, library->pager, PROTECTED), "alloc_protected_bulk");
    library->copies = must_alloc(PROTECTED * (size_t)PAGE_SIZE_USED);
    for (size_t i = 0; i < PROTECTED * (size_t)PAGE_SIZE_USED; i++)
        library->copies[i] = (unsigned char)next_random(&random);
    for (int copy = 0; copy < 2; copy++) {
        mpg_txn *txn;

        must(mpg_txn_begin(&txn, library->pager), "txn_begin");
        for (size_t i = 0; i < PROTECTED; i++)
            must(mpg_txn_protected_write(txn, protected[i], library -> copies + i * PAGE_SIZE_USED,
                                         0, PAGE_SIZE_USED),
                 "txn_protected_write");
        must(mpg_txn_commit(txn, 0), "txn_commit");
    }
}

static void library_open(struct library *library, const struct place *place)
{
    mpg_page_id *ids = must_alloc(REGULAR * sizeof(*ids));
    mpg_page_id first = {STRETCH + 16};
    const void *data;

    library->pager =
        fresh_pager(place, "reading", 0, REGULAR + REGULAR / 8, MPG_SPARSE, &library->path);
    must(mpg_alloc_bulk(ids, library->pager, REGULAR, 0), "alloc_bulk");
    free(ids);
    fill_protected(library);
    must(mpg_page_get(&data, library->pager, first), "get");
    library->plain = (const unsigned char *)data - first.value * PAGE_SIZE_USED;
    library->plain_pages = REGULAR;
    (void)pthread_rwlock_init(&library->plain_lock, NULL);
    if (lmdb_store.read_begin != NULL)
        library->lmdb = lmdb_store.open(place, KEYS);
}

static void library_close(struct library *library)
{
    if (library->lmdb != NULL)
        lmdb_store.close(library->lmdb);
    (void)pthread_rwlock_destroy(&library->plain_lock);
    forget(library->pager, library->path);
    free(library->copies);
}

static void end_readers(struct team *team)
{
    for (unsigned i = 0; i < team->count; i++) {
        if (team->lanes[i].reader != NULL)
            lmdb_store.read_end(team->lanes[i].reader);
        team->lanes[i].reader = NULL;
    }
}

void bench_reading(const struct place *place)
{
    unsigned threads = place->threads != 0 ? place->threads : 2;
    unsigned rounds = place->quick ? 3 : 15;
    struct library library = {.lmdb = NULL};
    struct committer committer = {.library = &library};
    struct figures figures[ROWS][WAYS] = {{{0}}}, walks;
    struct team one, many;
    bool lmdb;

    library_open(&library, place);
    lmdb = library.lmdb != NULL;
    team_begin(&one, 1, &library);
    team_begin(&many, threads, &library);
    for (int row = 0; row < ROWS; row++) {
        if (row == LMDB && !lmdb)
            continue;
        team_measure(&figures[row][ALONE], &one, &rows[row], rounds, SAMPLES);
        team_measure(&figures[row][TOGETHER], &many, &rows[row], rounds, 0);
    }
    if (pthread_create(&committer.thread, NULL, commit, &committer) != 0)
        die_errno("thread");
    for (int row = 0; row < ROWS; row++) {
        if (row != LMDB || lmdb)
            team_measure(&figures[row][BESIDE], &one, &rows[row], rounds, SAMPLES);
    }
    team_measure(&walks, &many, &rows[ITERATE], rounds, 0);
    atomic_store(&committer.over, true);
    (void)pthread_join(committer.thread, NULL);
    print_head(threads);
    for (int row = 0; row < ROWS; row++)
        if (row != LMDB || lmdb)
            print_row(rows[row].name, figures[row], threads);
    report_note("p99.9 is of calls timed each by itself, which takes %.0f ns", clock_ns());
    report_note("%u threads that iterate beside commits: %.0f million ids a second in all", threads,
                threads * 1000 / walks.ns);
    report_note("beside commits: %llu of them, %.0f us each", (unsigned long long)committer.commits,
                committer.commits > 0 ? (double)committer.ns / 1000 / (double)committer.commits
                                      : 0);
    print_targets(figures, threads, lmdb);
    end_readers(&one);
    end_readers(&many);
    team_end(&one);
    team_end(&many);
    library_close(&library);
}
