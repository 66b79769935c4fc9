/* SPDX-License-Identifier: MIT */
#include "crash/chain_promises.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pager/open.h"
#include "support/harness.h"
#include "support/memory_disk.h"

#define PAGE_SIZE 1024u
#define CAPACITY (1u << 20)

/* Where a root has its generation. */
#define GENERATION_AT 16

static struct memory_disk disk;

/* ---- Faults -------------------------------------------------------------------------------- */

static struct {
    bool dead; /* the process makes no calls any more */
    enum disk_call call;
    unsigned in;        /* at the in-th call of that kind, from 1; 0: never */
    unsigned failures;  /* … so many of them fail */
    void (*hook)(void); /* … and this happens at the first; or NULL */
} plan;

static int follow_plan(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    (void)length;
    if (plan.dead)
        return EIO;
    if (call != plan.call || plan.in == 0 || --plan.in > 0)
        return 0;
    if (plan.hook != NULL) {
        void (*hook)(void) = plan.hook;

        plan.hook = NULL;
        hook();
    }
    if (plan.failures == 0)
        return 0;
    if (--plan.failures > 0)
        plan.in = 1;
    return EIO;
}

static void die(void)
{
    plan.dead = true;
}

/* The process has died: what it still tries does not get through. */
static void bury(mpg_pager *pager)
{
    plan.dead = true;
    (void)mpg_close(pager);
    memset(&plan, 0, sizeof(plan));
}

/* ---- Files --------------------------------------------------------------------------------- */

static mpg_options options_of(unsigned flags, uint64_t pages)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.page_size = PAGE_SIZE;
    options.format = MPG_FORMAT_1;
    options.address_space = CAPACITY;
    options.flags = flags;
    options.initial_pages = pages;
    return options;
}

static mpg_pager *create(size_t capacity, unsigned flags, uint64_t pages)
{
    mpg_options options = options_of(flags, pages);
    mpg_pager *pager;

    memset(&plan, 0, sizeof(plan));
    memory_disk_init(&disk, capacity);
    disk.fault = follow_plan;
    must(mpgi_create_with(&pager, "file", &options, &memory_disk_io, &disk) == 0);
    return pager;
}

static int open_file(mpg_pager **pager, bool read_only)
{
    mpg_options options = options_of(0, 0);

    return mpgi_open_with(pager, "file", &options, read_only, &memory_disk_io, &disk);
}

static int open_reader(const mpg_pager **reader)
{
    mpg_pager *pager = NULL;
    int result = open_file(&pager, true);

    *reader = pager;
    return result;
}

/* A commit that needs no looking at when the file is opened. */
static int put_ordered(mpg_pager *pager, uint64_t id, unsigned char value)
{
    unsigned char data[PAGE_SIZE];
    mpg_txn *txn;
    int result = mpg_txn_begin(&txn, pager);

    memset(data, value, sizeof(data));
    if (result == 0)
        result = mpg_txn_protected_write(txn, (mpg_protected_id){id}, data, 0, sizeof(data));
    return result != 0 ? result : mpg_txn_commit(txn, MPG_ORDERED);
}

static int put(mpg_pager *pager, uint64_t id, unsigned char value)
{
    mpg_writer *writer;
    int result = mpg_writer_open(&writer, pager, (mpg_protected_id){id});

    if (result != 0)
        return result;
    memset(mpg_writer_data(writer), value, PAGE_SIZE);
    result = mpg_writer_commit(writer);
    if (result != 0)
        mpg_writer_discard(writer);
    return result;
}

/* The byte that fills a page, or an error. */
static int value_of(const mpg_pager *pager, uint64_t id)
{
    unsigned char data[PAGE_SIZE];
    int result = mpg_protected_read(data, pager, (mpg_protected_id){id});

    return result != 0 ? result : data[0];
}

static void alloc_protected(mpg_pager *pager, size_t count)
{
    static mpg_protected_id ids[512];

    must(mpg_alloc_protected_bulk(ids, pager, count) == 0);
}

static uint64_t page_of(const mpg_pager *pager, uint64_t id)
{
    mpg_protected_info info;

    must(mpg_protected_stat(&info, pager, (mpg_protected_id){id}) == 0);
    return info.page[0];
}

static uint64_t number_at(uint64_t page, unsigned offset)
{
    uint64_t number = 0;

    for (unsigned i = 8; i > 0; i--)
        number = number << 8 | disk.cache[page * PAGE_SIZE + offset + i - 1];
    return number;
}

/* The page of the record with the highest generation. */
static uint64_t last_record(void)
{
    uint64_t last = 0;

    for (uint64_t page = 3; page < disk.size / PAGE_SIZE; page++)
        if (memcmp(disk.cache + page * PAGE_SIZE, "MPGL", 4) == 0 &&
            (last == 0 || number_at(page, 8) > number_at(last, 8)))
            last = page;
    must(last != 0);
    return last;
}

/* The root of the higher generation. */
static uint64_t newer_root(void)
{
    return number_at(1, GENERATION_AT) > number_at(2, GENERATION_AT) ? 1 : 2;
}

static uint64_t root_generation(void)
{
    return number_at(newer_root(), GENERATION_AT);
}

static void spoil(uint64_t page)
{
    memset(disk.cache + page * PAGE_SIZE, 0xaa, PAGE_SIZE);
}

/* What a page shows to who opens the file; an error, if it cannot be opened. */
static int value_when_opened(bool read_only)
{
    mpg_pager *pager;
    int value, result = open_file(&pager, read_only);

    if (result != 0)
        return result;
    value = value_of(pager, 0);
    (void)mpg_close(pager);
    return value;
}

static bool fail(char *why, size_t size, const char *what, int64_t number)
{
    snprintf(why, size, "%s: %" PRId64, what, number);
    return false;
}

/* ---- Damage that comes later --------------------------------------------------------------- */

/* `commits` one after the other; then the file is closed, and the last content goes bad. */
static bool is_closed_whole(unsigned char commits, char *why, size_t size)
{
    mpg_pager *pager = create(CAPACITY, 0, 0);
    bool fine = true;
    uint64_t page;
    mpg_txn *txn;

    must(mpg_txn_begin(&txn, pager) == 0);
    must(mpg_txn_alloc_protected_at(txn, (mpg_protected_id){0}) == 0);
    must(mpg_txn_protected_write(txn, (mpg_protected_id){0}, "", 0, 1) == 0);
    must(mpg_txn_commit(txn, 0) == 0);
    for (unsigned char i = 1; i <= commits; i++)
        must(put(pager, 0, i) == 0);
    page = page_of(pager, 0);
    must(mpg_close(pager) == 0);
    spoil(page);
    for (int reader = 1; reader >= 0 && fine; reader--) {
        int value = value_when_opened(reader != 0);

        if (value >= 0)
            fine = fail(why, size, "the last content of a closed file is bad, and another is shown",
                        value);
    }
    memory_disk_destroy(&disk);
    return fine;
}

bool promise_closed(char *why, size_t size)
{
    return is_closed_whole(0, why, size) && is_closed_whole(1, why, size) &&
           is_closed_whole(5, why, size);
}

/* Dies with a content on the disk that goes to a page which an old chain may still need. */
static void write_over(mpg_pager *pager, uint64_t page)
{
    static const unsigned char content[PAGE_SIZE] = {1};
    mpg_txn *txn;

    must(mpg_txn_begin(&txn, pager) == 0);
    if (mpg_txn_alloc_at(txn, (mpg_page_id){page}, 0) == 0 &&
        mpg_txn_page_write(txn, (mpg_page_id){page}, content, 0, PAGE_SIZE) == 0) {
        plan.call = CALL_FDATASYNC;
        plan.in = 1;
        plan.hook = die;
        must(mpg_txn_commit(txn, 0) != 0);
    }
    plan.dead = true;
    mpg_txn_abort(txn);
    bury(pager);
}

bool promise_clean_opening(char *why, size_t size)
{
    mpg_pager *pager = create(CAPACITY, 0, 0);
    uint64_t record;
    int value;

    alloc_protected(pager, 3);
    for (unsigned char i = 1; i <= 20; i++)
        must(put(pager, 0, i) == 0);
    record = last_record();
    bury(pager);
    /* Opening is cut when the new root is there once: behind the third sync. */
    plan.call = CALL_FDATASYNC;
    plan.in = 3;
    plan.hook = die;
    if (open_file(&pager, false) == 0)
        bury(pager);
    memset(&plan, 0, sizeof(plan));
    must(open_file(&pager, false) == 0 && value_of(pager, 0) == 20);
    write_over(pager, record);
    spoil(newer_root());
    value = value_when_opened(true);
    memory_disk_destroy(&disk);
    return value < 0 || value == 20 ||
           fail(why, size, "a root is bad, and an older state is shown", value);
}

bool promise_old_chain(char *why, size_t size)
{
    mpg_pager *pager = create(CAPACITY, 0, 0);
    unsigned char count = 0;
    uint64_t record, root;
    int value;

    alloc_protected(pager, 3);
    must(put(pager, 0, ++count) == 0 && put(pager, 0, ++count) == 0);
    do { /* until a commit is a root */
        record = last_record();
        root = root_generation();
        must(put(pager, 0, ++count) == 0 && count < 200);
    } while (root_generation() == root);
    write_over(pager, record);
    spoil(newer_root());
    value = value_when_opened(true);
    memory_disk_destroy(&disk);
    return value < 0 || value >= count - 1 ||
           fail(why, size, "a root is bad, and not even the state before it is shown", value);
}

/* ---- The pool ------------------------------------------------------------------------------ */

/* A file without a page to spare: `guarded` protected ones, the rest regular, but for the pool. */
static mpg_pager *create_full(uint64_t pages, size_t guarded, unsigned flags)
{
    mpg_pager *pager = create(pages * PAGE_SIZE, flags, pages);
    mpg_page_id id;

    alloc_protected(pager, guarded);
    while (mpg_alloc(&id, pager, 0) == 0)
        continue;
    must(mpg_sync(pager) == 0);
    return pager;
}

static bool rewrite_all(mpg_pager *pager, size_t guarded, unsigned char value)
{
    unsigned char data[PAGE_SIZE];
    mpg_txn *txn;

    memset(data, value, sizeof(data));
    must(mpg_txn_begin(&txn, pager) == 0);
    for (size_t i = 0; i < guarded; i++)
        must(mpg_txn_protected_write(txn, (mpg_protected_id){i}, data, 0, sizeof(data)) == 0);
    if (mpg_txn_commit(txn, 0) == 0)
        return true;
    mpg_txn_abort(txn);
    return false;
}

bool promise_pool(char *why, size_t size)
{
    mpg_pager *pager = create_full(60, 6, 0);
    bool fine = true;

    for (unsigned char i = 1; i < 20 && fine; i++)
        fine = rewrite_all(pager, 6, i);
    (void)mpg_close(pager);
    memory_disk_destroy(&disk);
    return fine || fail(why, size, "a full file does not commit", 0);
}

bool promise_pool_frees(char *why, size_t size)
{
    mpg_pager *pager = create_full(60, 6, MPG_DEFER_ALLOCATION);
    mpg_page_iter iter;
    mpg_page_id id;
    bool fine = true;

    for (unsigned char i = 1; i < 10 && fine; i++) {
        mpg_page_iter_begin(&iter, pager, (mpg_page_id){0});
        for (int k = 0; k < 4; k++)
            must(mpg_page_iter_next(&id, &iter) == 1 && mpg_free(pager, id) == 0);
        for (int k = 0; k < 4; k++)
            (void)(mpg_alloc(&id, pager, 0) == 0);
        fine = rewrite_all(pager, 6, i);
    }
    (void)mpg_close(pager);
    memory_disk_destroy(&disk);
    return fine || fail(why, size, "a batch was taken that finds no room for its contents", 0);
}

bool promise_pins(char *why, size_t size)
{
    mpg_pager *pager = create(40 * PAGE_SIZE, 0, 40);
    const unsigned char *view;
    const void *data;
    bool fine = true;

    alloc_protected(pager, 4);
    must(put(pager, 0, 77) == 0 && mpg_protected_view(&data, pager, (mpg_protected_id){0}) == 0);
    view = data;
    for (unsigned char i = 1; i < 70 && fine; i++) {
        must(put(pager, i % 4, i) == 0);
        fine = view[0] == 77 && view[PAGE_SIZE - 1] == 77;
    }
    mpg_protected_release(pager, data);
    (void)mpg_close(pager);
    memory_disk_destroy(&disk);
    return fine || fail(why, size, "a page changes that a view shows", 0);
}

/* ---- Continuations ------------------------------------------------------------------------- */

#define MANY 90 /* more contents than a record of a page of 1 KiB names */

static bool shows_one_value(const mpg_pager *pager, int older, int newer)
{
    int first = value_of(pager, 0);
    mpg_check_result checked;

    for (uint64_t id = 1; id < MANY; id++)
        if (value_of(pager, id) != first)
            return false;
    return (first == older || first == newer) && mpg_check(&checked, pager, NULL) == 0 &&
           checked.faults == 0;
}

/*
 * What is left where one sector is missing of what was written between two syncs, the events
 * [first, end).
 */
static bool is_whole_without(const struct event_log *log, size_t end, const unsigned char *base,
                             uint64_t base_size, const struct event *missing, size_t sector)
{
    mpg_pager *pager;
    bool fine = false;

    memset(disk.cache, 0, CAPACITY);
    memcpy(disk.cache, base, base_size);
    disk.size = base_size;
    for (size_t i = 0; i < end; i++) {
        const struct event *event = &log->events[i];

        for (size_t k = 0; event->kind != EVENT_SYNC && k < event_sectors(event); k++)
            if (event != missing || k != sector)
                event_apply_sector(log, event, k, disk.cache, &disk.size, disk.capacity);
    }
    if (open_file(&pager, false) == 0) {
        fine = shows_one_value(pager, 1, 2);
        (void)mpg_close(pager);
    }
    return fine;
}

/* Each sector in turn of all that was logged; those behind it up to the next sync are there. */
static bool is_whole_without_any(const struct event_log *log, const unsigned char *base,
                                 uint64_t base_size, char *why, size_t size)
{
    for (size_t i = 0, end = 0; i < log->count; i++) {
        const struct event *event = &log->events[i];

        for (end = i; end < log->count && log->events[end].kind != EVENT_SYNC;)
            end++;
        for (size_t k = 0; event->kind == EVENT_WRITE && k < event_sectors(event); k++)
            if (!is_whole_without(log, end, base, base_size, event, k))
                return fail(why, size, "no state is shown that may be without sector",
                            (int64_t)(event->offset / SECTOR_SIZE + k));
    }
    return true;
}

/* What a commit of many contents writes; or what closing does after it. */
static bool is_whole_when_cut(bool closing, char *why, size_t size)
{
    mpg_pager *pager = create(CAPACITY, 0, 600);
    unsigned char *base = must_realloc(NULL, CAPACITY);
    struct event_log log = {0};
    uint64_t base_size;
    bool fine;

    alloc_protected(pager, MANY);
    must(put(pager, 0, 1) == 0 && rewrite_all(pager, MANY, 1));
    if (closing)
        must(rewrite_all(pager, MANY, 2));
    base_size = disk.size;
    memcpy(base, disk.cache, base_size);
    memory_disk_record(&disk, &log);
    if (closing)
        must(mpg_close(pager) == 0);
    else
        must(rewrite_all(pager, MANY, 2));
    memory_disk_record(&disk, NULL);
    if (!closing)
        bury(pager);
    fine = is_whole_without_any(&log, base, base_size, why, size);
    event_log_free(&log);
    free(base);
    memory_disk_destroy(&disk);
    return fine;
}

bool promise_parts(char *why, size_t size)
{
    return is_whole_when_cut(false, why, size);
}

bool promise_fold(char *why, size_t size)
{
    return is_whole_when_cut(true, why, size);
}

/* ---- Readers ------------------------------------------------------------------------------- */

static mpg_pager *writer;
static unsigned char durable; /* what page 0 was when a reader began, or later */
static unsigned commits_meanwhile;

static void commit_meanwhile(void)
{
    for (unsigned i = 0; i < commits_meanwhile; i++)
        must(put(writer, 0, ++durable) == 0);
}

/* The page of the last record gets another content, for which the chain is folded. */
static void write_over_record(void)
{
    static const unsigned char content[PAGE_SIZE] = {1};
    mpg_page_id page = {last_record()};
    mpg_txn *txn;

    must(mpg_txn_begin(&txn, writer) == 0 && mpg_txn_alloc_at(txn, page, 0) == 0);
    must(mpg_txn_page_write(txn, page, content, 0, PAGE_SIZE) == 0 && mpg_txn_commit(txn, 0) == 0);
}

/* A reader that is held up at its n-th read, when that happens; *over: it did not get there. */
static bool is_not_late(unsigned n, void (*hook)(void), bool *over, char *why, size_t size)
{
    unsigned char before = durable;
    const mpg_pager *reader;
    int value, result;

    plan.call = CALL_PREAD;
    plan.in = n;
    plan.hook = hook;
    result = open_reader(&reader);
    *over = plan.hook != NULL;
    plan.in = 0;
    plan.hook = NULL;
    if (result != 0)
        return result == MPG_E_STALE || fail(why, size, "a reader cannot open the file", result);
    value = value_of(reader, 0);
    (void)mpg_close(reader);
    return value == MPG_E_STALE || value >= before ||
           fail(why, size, "a reader shows what was replaced before it began", value);
}

/*
 * The reader begins when there were some commits, in a file of so many pages, and is held up at any
 * read.
 */
static bool is_never_late(uint64_t pages, unsigned char commits, void (*hook)(void), bool ordered,
                          char *why, size_t size)
{
    bool fine = true, over = false;

    for (unsigned n = 1; !over && fine; n++) {
        writer = create(pages * PAGE_SIZE, 0, pages);
        alloc_protected(writer, 1);
        for (durable = 0; durable < commits;) {
            durable++;
            must((ordered ? put_ordered : put)(writer, 0, durable) == 0);
        }
        fine = is_not_late(n, hook, &over, why, size);
        (void)mpg_close(writer);
        memory_disk_destroy(&disk);
    }
    return fine;
}

bool promise_reader(char *why, size_t size)
{
    for (unsigned char commits = 2; commits < 9; commits++)
        if (!is_never_late(40, commits, write_over_record, true, why, size))
            return false;
    return true;
}

bool promise_reader_of_full_file(char *why, size_t size)
{
    for (commits_meanwhile = 1; commits_meanwhile < 3; commits_meanwhile++)
        for (uint64_t pages = 7; pages < 12; pages++)
            for (unsigned char commits = 1; commits < 5; commits++)
                if (!is_never_late(pages, commits, commit_meanwhile, false, why, size))
                    return false;
    return true;
}

/* ---- A number that comes again ------------------------------------------------------------- */

static const mpg_pager *late_reader;

static void open_late_reader(void)
{
    must(open_reader(&late_reader) == 0);
}

/*
 * Three commits whose contents cannot be written, and which are taken back. If the page that the
 * last one was to have holds that content already, it looks whole for a moment; then a reader opens
 * the file. Bit i of `apart` says whether the i-th content is written with a call of its own: else
 * it is tried once more. False: not so here.
 */
static bool fail_three_times(unsigned char value, unsigned apart)
{
    bool failed = true;

    late_reader = NULL;
    for (unsigned i = 0; i < 3 && failed; i++) {
        plan.call = CALL_PWRITE;
        plan.in = 2; /* behind the record */
        plan.failures = apart >> i & 1 ? 1 : 2;
        plan.hook = i == 2 ? open_late_reader : NULL;
        failed = put(writer, 0, value) == MPG_E_IO;
    }
    memset(&plan, 0, sizeof(plan));
    return failed && late_reader != NULL && value_of(late_reader, 0) == value;
}

/*
 * The writer died; the next one makes a commit of the same number, and somebody gets the page that
 * the reader sees.
 */
static int value_of_late_reader(unsigned char value, bool *tried)
{
    struct mpg_stat then = {.size = sizeof(then)}, now = {.size = sizeof(now)};
    uint64_t page = page_of(late_reader, 0);
    enum mpg_page_use use;

    must(mpg_stat(&then, late_reader) == 0);
    must(open_file(&writer, false) == 0 && put(writer, 1, 99) == 0);
    must(mpg_stat(&now, writer) == 0 && mpg_page_use(&use, writer, page) == 0);
    if (use == MPG_USE_FREE)
        spoil(page);
    *tried = now.generation == then.generation && disk.cache[page * PAGE_SIZE] != value;
    return value_of(late_reader, 0);
}

/* *tried: it has come to that. */
static bool is_told(unsigned char value, unsigned apart, bool *tried, char *why, size_t size)
{
    int shown = MPG_E_STALE;

    writer = create(CAPACITY, 0, 600);
    alloc_protected(writer, 2);
    for (unsigned char i = 1; i < 6; i++)
        must(put(writer, 0, i) == 0);
    *tried = fail_three_times(value, apart);
    bury(writer);
    if (*tried) {
        shown = value_of_late_reader(value, tried);
        must(mpg_close(writer) == 0);
    }
    (void)mpg_close(late_reader);
    memory_disk_destroy(&disk);
    return !*tried || shown == MPG_E_STALE ||
           fail(why, size, "a reader of a commit that was taken back is not told so", shown);
}

bool promise_identity(char *why, size_t size)
{
    for (unsigned apart = 0; apart < 8; apart++) {
        for (unsigned char value = 0; value < 5; value++) {
            bool tried;

            if (!is_told(value, apart, &tried, why, size))
                return false;
            if (tried)
                return true;
        }
    }
    must(!"it has come to that");
    return false;
}
