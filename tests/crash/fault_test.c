/* SPDX-License-Identifier: MIT */
/*
 * The n-th call of each kind fails, for all n until a run passes: a system call with an error, a
 * short read or write, an interruption; an allocation of memory. Each time the operation must
 * report it, change nothing that it did not say, and leave a pager that works on, or one that is
 * unavailable and a file that opens.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crash/state.h"
#include "mappedpages_compact.h"
#include "mappedpages_snapshot.h"
#include "pager/open.h"
#include "support/harness.h"
#include "support/memory_disk.h"

#define PAGE_SIZE 1024u
#define CAPACITY (4u << 20)
#define BULK 70

/* ---- What fails ----------------------------------------------------------------------------- */

enum manner { FAIL_CALL, FAIL_SHORT, FAIL_MEMORY };

static struct {
    enum manner manner;
    enum disk_call call; /* which calls are counted */
    int error;
    bool armed;         /* the library is at work */
    uint64_t countdown; /* calls until it happens; 0: it has happened, or never will */
    bool happened;
} fault;

static bool is_now(void)
{
    if (!fault.armed || fault.countdown == 0 || --fault.countdown > 0)
        return false;
    fault.happened = true;
    return true;
}

static int disk_fault(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    if (fault.manner == FAIL_MEMORY || call != fault.call || !is_now())
        return 0;
    if (fault.manner == FAIL_CALL)
        return fault.error;
    *length = *length > 1 ? *length / 2 : *length;
    return 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);
char *__wrap_strdup(const char *text);

static bool memory_runs_out(void)
{
    if (fault.manner != FAIL_MEMORY || !is_now())
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return memory_runs_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_runs_out() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *data, size_t size)
{
    return memory_runs_out() ? NULL : __real_realloc(data, size);
}

char *__wrap_strdup(const char *text)
{
    return memory_runs_out() ? NULL : __real_strdup(text);
}

/* ---- The work ------------------------------------------------------------------------------- */

static struct memory_disk disk;
static mpg_pager *pager;
static mpg_snapshot *snapshot; /* of it, or NULL */
static mpg_options options;
static unsigned flags; /* of the options */
static struct state before, now;
static unsigned char buffer[PAGE_SIZE];
static mpg_page_id bulk_ids[BULK];
static mpg_protected_id protected_ids[BULK];

/* Calls the library with the fault armed. */
#define CALL(call) (fault.armed = true, result = (call), fault.armed = false, result)

static int open_file(void)
{
    int result;

    return CALL(mpgi_open_with(&pager, "file", &options, false, &memory_disk_io, &disk));
}

static int step_create(void)
{
    int result;

    return CALL(mpgi_create_with(&pager, "file", &options, &memory_disk_io, &disk));
}

static int step_alloc_at(void)
{
    int result;

    page_set_add(&now.regular, 10, CONTENT_ZERO);
    return CALL(mpg_alloc_at(pager, (mpg_page_id){10}, MPG_ZERO));
}

static int step_alloc_protected(void)
{
    int result;

    page_set_add(&now.protected_pages, 3, CONTENT_ZERO);
    return CALL(mpg_alloc_protected_at(pager, (mpg_protected_id){3}));
}

static int write_protected(unsigned content)
{
    mpg_writer *writer;
    int result;

    page_set_find(&now.protected_pages, 3)->content = content;
    if (CALL(mpg_writer_open(&writer, pager, (mpg_protected_id){3})) != 0)
        return result;
    memcpy(mpg_writer_data(writer), pool_content(content), PAGE_SIZE);
    if (CALL(mpg_writer_commit(writer)) != 0)
        mpg_writer_discard(writer);
    return result;
}

static int step_write_protected(void)
{
    return write_protected(5);
}

static int step_snapshot(void)
{
    int result;

    (void)CALL(mpg_snapshot_open(&snapshot, pager));
    return result == MPG_E_UNSUPPORTED && options.format != MPG_FORMAT_1 ? 0 : result;
}

static int step_write_beside_it(void)
{
    return write_protected(8);
}

/* It shows what was there before, every page of it, however often reading it fails. */
static int step_read_snapshot(void)
{
    mpg_snapshot_iter iter;
    mpg_protected_id id;
    uint64_t pages = 0;
    int result;

    if (snapshot == NULL) /* the pager that it was of had enough */
        return 0;
    mpg_snapshot_iter_begin(&iter, snapshot, (mpg_protected_id){0});
    while (CALL(mpg_snapshot_iter_next(&id, &iter)) == 1) {
        pages++;
        if (CALL(mpg_snapshot_read(buffer, snapshot, id)) != 0)
            return result;
        if (id.value == 3)
            assert_memory_equal(buffer, pool_content(5), PAGE_SIZE);
    }
    if (result != 0)
        return result;
    assert_int_equal(pages, before.protected_pages.count);
    mpg_snapshot_close(snapshot);
    snapshot = NULL;
    return 0;
}

static int step_write_and_sync(void)
{
    int result;

    page_set_find(&before.regular, 10)->content = CONTENT_ANY;
    page_set_find(&now.regular, 10)->content = 6;
    if (CALL(mpg_page_write(pager, (mpg_page_id){10}, pool_content(6), 0, PAGE_SIZE)) != 0)
        return result;
    return CALL(mpg_sync(pager));
}

static int fill_transaction(mpg_txn *txn)
{
    int result;

    if (CALL(mpg_txn_free(txn, (mpg_page_id){10})) != 0 ||
        CALL(mpg_txn_alloc_at(txn, (mpg_page_id){12}, 0)) != 0 ||
        CALL(mpg_txn_page_write(txn, (mpg_page_id){12}, pool_content(7), 0, PAGE_SIZE)) != 0 ||
        CALL(mpg_txn_alloc_protected_at(txn, (mpg_protected_id){4})) != 0 ||
        CALL(mpg_txn_protected_write(txn, (mpg_protected_id){3}, pool_content(8), 0, PAGE_SIZE)) !=
            0 ||
        CALL(mpg_txn_protected_read(buffer, txn, (mpg_protected_id){3})) != 0 ||
        CALL(mpg_txn_protected_write(txn, (mpg_protected_id){4}, pool_content(9), 0, PAGE_SIZE)) !=
            0)
        return result;
    return 0;
}

static int step_transaction(void)
{
    mpg_txn *txn;
    int result;

    page_set_remove(&now.regular, 10);
    page_set_add(&now.regular, 12, 7);
    page_set_find(&now.protected_pages, 3)->content = 8;
    page_set_add(&now.protected_pages, 4, 9);
    if (CALL(mpg_txn_begin(&txn, pager)) != 0)
        return result;
    result = fill_transaction(txn);
    if (result == 0)
        result = CALL(mpg_txn_commit(txn, 0));
    if (result != 0)
        mpg_txn_abort(txn);
    return result;
}

/* Ids are given lowest first, so what a bulk allocation gives is known. */
static int step_alloc_bulk(void)
{
    int result;

    (void)CALL(mpg_alloc_bulk(bulk_ids, pager, BULK, 0));
    if (result == 0)
        for (size_t i = 0; i < BULK; i++)
            page_set_add(&now.regular, bulk_ids[i].value, CONTENT_ANY);
    return result;
}

static int step_free_bulk(void)
{
    mpg_page_id ids[BULK / 2];
    int result;

    for (size_t i = 0; i < BULK / 2; i++) {
        ids[i] = bulk_ids[2 * i];
        page_set_remove(&now.regular, ids[i].value);
    }
    return CALL(mpg_free_bulk(pager, ids, BULK / 2));
}

static int step_alloc_protected_bulk(void)
{
    int result;

    (void)CALL(mpg_alloc_protected_bulk(protected_ids, pager, 40));
    if (result == 0)
        for (size_t i = 0; i < 40; i++)
            page_set_add(&now.protected_pages, protected_ids[i].value, CONTENT_ZERO);
    return result;
}

static int step_free_protected_bulk(void)
{
    int result;

    for (size_t i = 0; i < 20; i++)
        page_set_remove(&now.protected_pages, protected_ids[i].value);
    return CALL(mpg_free_protected_bulk(pager, protected_ids, 20));
}

/* What it shows stays. */
static int step_compact(void)
{
    int result;

    return CALL(mpg_compact(NULL, pager, NULL));
}

static int step_look(void)
{
    mpg_check_result checked;
    const void *view;
    void *address;
    int result;

    if (CALL(mpg_check(&checked, pager, NULL)) != 0 ||
        CALL(mpg_protected_view(&view, pager, (mpg_protected_id){4})) != 0)
        return result;
    mpg_protected_release(pager, view);
    return CALL(mpg_page_get_mut(&address, pager, (mpg_page_id){12}));
}

static int step_reopen(void)
{
    mpg_pager *old = pager;
    int result;

    pager = NULL;
    if (CALL(mpg_close(old)) != 0)
        return result;
    return open_file();
}

static int step_close(void)
{
    mpg_pager *old = pager;
    int result;

    pager = NULL;
    return CALL(mpg_close(old));
}

struct step {
    const char *name;
    int (*run)(void);
    bool learns_ids; /* what is now is known only after success */
};

static const struct step steps[] = {
    {"create", step_create, false},
    {"alloc_at", step_alloc_at, false},
    {"alloc_protected_at", step_alloc_protected, false},
    {"writer_commit", step_write_protected, false},
    {"page_write and sync", step_write_and_sync, false},
    {"transaction", step_transaction, false},
    {"reopen", step_reopen, false},
    {"alloc_bulk", step_alloc_bulk, true},
    {"alloc_protected_bulk", step_alloc_protected_bulk, true},
    {"writer_commit again", step_write_protected, false},
    {"snapshot", step_snapshot, false},
    {"writer_commit beside it", step_write_beside_it, false},
    {"read the snapshot", step_read_snapshot, false},
    {"free_bulk", step_free_bulk, false},
    {"look", step_look, false},
    {"free_protected_bulk", step_free_protected_bulk, false},
    {"compact", step_compact, false},
    {"reopen again", step_reopen, false},
    {"close", step_close, false},
};
#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

/* ---- After a fault -------------------------------------------------------------------------- */

static char context[200];

static void expect(bool condition, const char *what)
{
    if (!condition)
        fail_msg("%s: %s", context, what);
}

static bool shows(const struct state *state)
{
    char why[256];

    if (state_matches(state, pager, buffer, why, sizeof(why)))
        return true;
    if (getenv("MPG_FAULT_WHY"))
        print_message("%s: %s\n", context, why);
    return false;
}

static void expect_sound(void)
{
    char why[256];

    if (!file_is_sound(pager, why, sizeof(why)))
        fail_msg("%s: %s", context, why);
}

/* Whether the pager has had enough. */
static bool is_unavailable(void)
{
    return mpg_sync(pager) == MPG_E_UNAVAILABLE;
}

/* The step failed. Returns whether what it was to do is there all the same. */
static bool recover(const struct step *step)
{
    if (step->run == step_create) {
        expect(!disk.exists, "a file is left behind");
        return false;
    }
    if (pager != NULL && !is_unavailable()) {
        expect(shows(&before), "a failed operation changed something");
        expect_sound();
        return false;
    }
    if (pager != NULL) {
        mpg_pager *old = pager;

        expect(shows(&before), "the unavailable pager shows something else");
        pager = NULL;
        mpg_snapshot_close(snapshot);
        snapshot = NULL;
        (void)mpg_close(old);
    }
    expect(memory_disk_is_idle(&disk), "something is left open");
    expect(open_file() == 0, "the file does not open again");
    expect_sound();
    if (shows(&before))
        return false;
    expect(step->learns_ids || shows(&now), "the file shows neither state");
    return true;
}

/* All steps, with the fault as it is set. Returns whether it happened. */
static bool run_steps(const char *name, uint64_t n, bool must_pass)
{
    pager = NULL;
    state_free(&before);
    state_free(&now);
    memory_disk_init(&disk, CAPACITY);
    disk.touched_capacity = 1 << 16;
    disk.touched = must_realloc(NULL, disk.touched_capacity * sizeof(disk.touched[0]));
    disk.fault = disk_fault;
    fault.countdown = n;
    fault.happened = false;
    for (size_t i = 0; i < STEP_COUNT; i++) {
        int error;

        snprintf(context, sizeof(context), "%s number %" PRIu64 ", %s", name, n, steps[i].name);
        disk.touched_count = 0;
        error = steps[i].run();
        if (error != 0) {
            expect(fault.happened, "an error without a fault");
            expect(!must_pass, "an error that should have been overcome");
            if (steps[i].run == step_close || steps[i].run == step_reopen) {
                if (pager == NULL)
                    expect(open_file() == 0, "the file does not open again");
                if (steps[i].run == step_close)
                    expect(step_close() == 0, "it does not close");
            } else if (!recover(&steps[i])) {
                state_copy(&now, &before);
                expect(steps[i].run() == 0, "it does not work the second time");
            } else if (steps[i].learns_ids) {
                /* Which ids it got was never said: take the run as ended. */
                (void)step_close();
                break;
            }
        }
        state_copy(&before, &now);
        if (pager != NULL)
            expect(shows(&now), "another state");
    }
    expect(pager == NULL, "the pager is still there");
    if (pager == NULL)
        expect(memory_disk_is_idle(&disk), "something is left open at the end");
    memory_disk_destroy(&disk);
    return fault.happened;
}

/* Each n until there is no n-th call any more. */
static void run_all(const char *name, bool must_pass)
{
    static const int formats[] = {MPG_FORMAT_0_2, MPG_FORMAT_1};

    for (size_t f = 0; f < 2; f++) {
        mpg_options initial = MPG_OPTIONS_INIT;
        uint64_t n = 1;

        options = initial;
        options.page_size = PAGE_SIZE;
        options.format = formats[f];
        options.address_space = CAPACITY;
        options.cache_size = 8192;
        options.flags = flags;
        while (run_steps(name, n, must_pass))
            n++;
        print_message("%s, format %s: %" PRIu64 " faults\n", name,
                      formats[f] == MPG_FORMAT_1 ? "1" : "0.2", n - 1);
    }
}

static void call_fails(enum disk_call call, int error)
{
    fault.manner = FAIL_CALL;
    fault.call = call;
    fault.error = error;
    flags = call == CALL_TRUNCATE ? MPG_SPARSE : 0;
    run_all(disk_call_names[call], error == EINTR && call != CALL_FDATASYNC);
}

static void every_call_can_fail(void **state)
{
    static const enum disk_call calls[] = {
        CALL_OPEN,      CALL_LOCK,     CALL_SIZE, CALL_PREAD,     CALL_PWRITE, CALL_ALLOCATE,
        CALL_FDATASYNC, CALL_TRUNCATE, CALL_LINK, CALL_SYNC_NAME, CALL_CLOSE,  CALL_MAP,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        call_fails(calls[i], EIO);
}

static void the_disk_can_be_full(void **state)
{
    (void)state;
    call_fails(CALL_PWRITE, ENOSPC);
    call_fails(CALL_ALLOCATE, ENOSPC);
    call_fails(CALL_FDATASYNC, ENOSPC);
}

static void interrupted_calls_are_repeated(void **state)
{
    (void)state;
    call_fails(CALL_OPEN, EINTR);
    call_fails(CALL_LOCK, EINTR);
    call_fails(CALL_PREAD, EINTR);
    call_fails(CALL_PWRITE, EINTR);
    call_fails(CALL_ALLOCATE, EINTR);
    call_fails(CALL_TRUNCATE, EINTR);
    call_fails(CALL_CLOSE, EINTR);
}

static void an_interrupted_sync_is_a_failure(void **state)
{
    (void)state;
    call_fails(CALL_FDATASYNC, EINTR);
}

static void short_counts_are_completed(void **state)
{
    (void)state;
    flags = 0;
    fault.manner = FAIL_SHORT;
    fault.call = CALL_PREAD;
    run_all("short pread", true);
    fault.call = CALL_PWRITE;
    run_all("short pwrite", true);
}

static void memory_can_run_out(void **state)
{
    (void)state;
    flags = 0;
    fault.manner = FAIL_MEMORY;
    run_all("memory", false);
}

static int set_up(void **state)
{
    (void)state;
    pool_init(PAGE_SIZE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pool_free();
    state_free(&before);
    state_free(&now);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_can_fail),
        cmocka_unit_test(the_disk_can_be_full),
        cmocka_unit_test(interrupted_calls_are_repeated),
        cmocka_unit_test(an_interrupted_sync_is_a_failure),
        cmocka_unit_test(short_counts_are_completed),
        cmocka_unit_test(memory_can_run_out),
    };

    return cmocka_run_group_tests_name("faults", tests, set_up, tear_down);
}
