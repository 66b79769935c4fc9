/* SPDX-License-Identifier: MIT */
/*
 * Everything that may take long tells how far it is by one type of callback, never backwards nor
 * beyond its end, and ends with MPG_E_CANCELLED where that says so, leaving nothing behind.
 */
#include "format_1/layout.h"
#include "mappedpages_compact.h"
#include "mappedpages_copy.h"
#include "mappedpages_repair.h"
#include "support/api.h"

#define PAGES 600u
#define PAGE_SIZE 1024u

struct telling {
    uint64_t calls_left, calls;
    uint64_t done;
};

static bool tell(void *context, uint64_t done, uint64_t total)
{
    struct telling *telling = context;

    assert_true(done <= total);
    assert_true(done >= telling->done);
    telling->done = done;
    telling->calls++;
    return telling->calls_left-- > 0;
}

/* One of the functions, on the scratch file. */
typedef int run_function(const struct scratch *scratch, const char *other, mpg_progress progress,
                         void *context);

static int run_check(const struct scratch *scratch, const char *other, mpg_progress progress,
                     void *context)
{
    mpg_check_options options = MPG_CHECK_OPTIONS_INIT;
    mpg_check_result result;
    const mpg_pager *pager;
    int error;

    (void)other;
    options.progress = progress;
    options.context = context;
    assert_int_equal(mpg_open_readonly(&pager, scratch->path, NULL), 0);
    error = mpg_check(&result, pager, &options);
    assert_int_equal(mpg_close(pager), 0);
    return error;
}

static int run_copy(const struct scratch *scratch, const char *other, mpg_progress progress,
                    void *context)
{
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;

    options.progress = progress;
    options.context = context;
    return mpg_copy(NULL, scratch->path, other, &options);
}

static int run_compact(const struct scratch *scratch, const char *other, mpg_progress progress,
                       void *context)
{
    mpg_compact_options options = MPG_COMPACT_OPTIONS_INIT;
    mpg_pager *pager = scratch_open(scratch);
    int error;

    (void)other;
    options.progress = progress;
    options.context = context;
    error = mpg_compact(NULL, pager, &options);
    assert_int_equal(mpg_close(pager), 0);
    return error;
}

static int run_rescue(const struct scratch *scratch, const char *other, mpg_progress progress,
                      void *context)
{
    mpg_rescue_options options = MPG_RESCUE_OPTIONS_INIT;
    mpg_rescue_result result;

    options.progress = progress;
    options.context = context;
    return mpg_rescue(&result, scratch->path, other, &options);
}

static bool agree(void *context, const mpg_rescue_note *note)
{
    (void)context;
    (void)note;
    return true;
}

static int run_repair(const struct scratch *scratch, const char *other, mpg_progress progress,
                      void *context)
{
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;
    mpg_repair_result result;

    options.undo = other;
    options.consent = agree;
    options.progress = progress;
    options.context = context;
    return mpg_repair(&result, scratch->path, &options);
}

/* Protected pages whose contents lie behind what is free, so that compacting has to move them. */
static void make_file(const struct scratch *scratch)
{
    mpg_pager *pager = scratch_create(scratch, PAGE_SIZE);
    mpg_page_id first[PAGES];
    unsigned char page[PAGE_SIZE];
    mpg_protected_id id;
    mpg_txn *txn;

    assert_int_equal(mpg_alloc_bulk(first, pager, PAGES, 0), 0);
    memset(page, 7, sizeof(page));
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (unsigned i = 0; i < PAGES; i++) {
        assert_int_equal(mpg_txn_alloc_protected(&id, txn), 0);
        assert_int_equal(mpg_txn_protected_write(txn, id, page, 0, sizeof(page)), 0);
    }
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(mpg_free_bulk(pager, first, PAGES), 0);
    check_and_close(pager);
}

/* Zeros the last page of metadata, so that a repair has to look through the file. */
static void damage_file(const struct scratch *scratch)
{
    static const unsigned char zeros[PAGE_SIZE];
    const mpg_pager *pager;
    uint64_t page;
    int fd;

    assert_int_equal(mpg_open_readonly(&pager, scratch->path, NULL), 0);
    page = stat_of(pager).total_pages - 1;
    while (page > 2 && use_of(pager, page) != MPG_USE_METADATA)
        page--;
    assert_true(page > 2);
    assert_int_equal(mpg_close(pager), 0);
    fd = open(scratch->path, O_RDWR | O_CLOEXEC);
    for (unsigned slot = 0; slot < 2; slot++)
        assert_int_equal(pwrite(fd, zeros, sizeof(zeros),
                                (off_t)((page - slot * slot_distance(PAGE_SIZE)) * PAGE_SIZE)),
                         sizeof(zeros));
    assert_int_equal(close(fd), 0);
}

/* Cancelled at the first call, and not at all. */
static void tells_and_is_cancelled(const struct scratch *scratch, run_function *run)
{
    struct telling telling = {.calls_left = UINT64_MAX};
    char other[80];

    snprintf(other, sizeof(other), "%s.other", scratch->path);
    telling.calls_left = 0;
    assert_error(run(scratch, other, tell, &telling), MPG_E_CANCELLED);
    assert_int_equal(telling.calls, 1);
    assert_int_equal(access(other, F_OK), -1);
    telling = (struct telling){.calls_left = UINT64_MAX};
    assert_int_equal(run(scratch, other, tell, &telling), 0);
    (void)unlink(other);
    assert_true(telling.calls > 0);
}

static void a_check_tells(void **state)
{
    make_file(*state);
    tells_and_is_cancelled(*state, run_check);
}

static void a_copy_tells(void **state)
{
    make_file(*state);
    tells_and_is_cancelled(*state, run_copy);
}

static void compacting_tells(void **state)
{
    make_file(*state);
    tells_and_is_cancelled(*state, run_compact);
}

static void a_rescue_tells(void **state)
{
    make_file(*state);
    tells_and_is_cancelled(*state, run_rescue);
}

static void a_repair_tells(void **state)
{
    make_file(*state);
    damage_file(*state);
    tells_and_is_cancelled(*state, run_repair);
}

static void options_of_another_size_are_refused(void **state)
{
    struct scratch *scratch = *state;
    mpg_check_options options = MPG_CHECK_OPTIONS_INIT;
    mpg_pager *pager = scratch_create(scratch, PAGE_SIZE);
    mpg_check_result result = {.faults = 77};

    options.size--;
    assert_error(mpg_check(&result, pager, &options), MPG_E_INVALID);
    assert_int_equal(result.faults, 77);
    check_and_close(pager);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_check_tells),    SCRATCH_TEST(a_copy_tells),
        SCRATCH_TEST(compacting_tells), SCRATCH_TEST(a_rescue_tells),
        SCRATCH_TEST(a_repair_tells),   SCRATCH_TEST(options_of_another_size_are_refused),
    };

    return SCRATCH_RUN("progress", tests);
}
