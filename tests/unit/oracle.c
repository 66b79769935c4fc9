/* SPDX-License-Identifier: MIT */
/* The oracle's knowledge, and comparing it with what the library shows. */
#include "unit/oracle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pager/open.h"
#include "support/harness.h"

void oracle_fail(struct oracle *oracle, const char *format, ...)
{
    char what[160];
    va_list arguments;

    if (oracle->failed)
        return;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    snprintf(oracle->why, sizeof(oracle->why), "%s: %s", oracle->operation, what);
    oracle->failed = true;
}

bool oracle_expect2(struct oracle *oracle, int result, int wanted, int also)
{
    mpg_error_info info;

    if (result != wanted && result != also) {
        (void)mpg_last_error(&info);
        oracle_fail(oracle, "\"%s\", not \"%s\" (%s)", mpg_strerror(result), mpg_strerror(wanted),
                    result < 0 ? info.message : "");
        return false;
    }
    if (result < 0 && (mpg_last_error(&info) != result || info.message[0] == '\0'))
        oracle_fail(oracle, "no details of \"%s\"", mpg_strerror(result));
    return true;
}

bool oracle_expect(struct oracle *oracle, int result, int wanted)
{
    return oracle_expect2(oracle, result, wanted, wanted);
}

uint64_t oracle_any(struct oracle *oracle, uint64_t below)
{
    return random_below(&oracle->random, below);
}

bool oracle_once_in(struct oracle *oracle, uint64_t times)
{
    return oracle_any(oracle, times) == 0;
}

void oracle_fill(struct oracle *oracle, unsigned char *bytes, size_t length)
{
    uint64_t word = random_next(&oracle->random);

    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(word >> (i % 8 * 8)) ^ (unsigned char)(i >> 3);
}

void oracle_range(struct oracle *oracle, size_t *offset, size_t *length)
{
    *offset = 0;
    *length = oracle->page_size;
    if (oracle_once_in(oracle, 3))
        return;
    *offset = (size_t)oracle_any(oracle, oracle->page_size + 1);
    *length = (size_t)oracle_any(oracle, oracle->page_size - *offset + 1);
}

/* ---- begin and end ---- */

static void open_pager(struct oracle *oracle)
{
    must(mpgi_open_with(&oracle->pager, "pages", &oracle->options, false, &memory_disk_io,
                        &oracle->disk) == 0);
}

void oracle_begin(struct oracle *oracle, const mpg_options *options, uint64_t capacity,
                  uint64_t most_live, uint64_t seed)
{
    struct mpg_stat st = {.size = sizeof(st)};

    memset(oracle, 0, sizeof(*oracle));
    oracle->options = *options;
    oracle->page_size = options->page_size;
    oracle->capacity = capacity;
    oracle->most_live = most_live;
    oracle->random = seed;
    oracle->operation = "create";
    oracle->pages = calloc(capacity, sizeof(*oracle->pages));
    oracle->guarded = calloc(MOST_GUARDED, sizeof(*oracle->guarded));
    oracle->buffer = malloc(oracle->page_size);
    oracle->other = malloc(oracle->page_size);
    must(oracle->pages && oracle->guarded && oracle->buffer && oracle->other);
    for (uint64_t page = 0; page < capacity; page++)
        oracle->pages[page].holder = NOBODY;
    for (uint64_t id = 0; id < MOST_GUARDED; id++)
        oracle->guarded[id].holder = NOBODY;
    memory_disk_init(&oracle->disk, capacity * oracle->page_size);
    must(mpgi_create_with(&oracle->pager, "pages", options, &memory_disk_io, &oracle->disk) == 0);
    must(mpg_stat(&st, oracle->pager) == 0);
    oracle->max_pages = st.max_pages;
    oracle->max_guarded = st.max_protected;
    oracle->generation = st.generation;
    oracle->total = st.total_pages;
}

static void end_handles(struct oracle *oracle)
{
    for (unsigned i = 0; i < MOST_VIEWS; i++) {
        struct known_view *view = &oracle->views[i];

        if (view->data == NULL)
            continue;
        mpg_protected_release(oracle->pager, view->data);
        oracle->guarded[view->id].pins[view->copy]--;
        free(view->content);
        view->data = NULL;
    }
    for (unsigned i = 0; i < MOST_WRITERS; i++) {
        if (oracle->writers[i].writer == NULL)
            continue;
        mpg_writer_discard(oracle->writers[i].writer);
        oracle->guarded[oracle->writers[i].id].has_writer = false;
        oracle->writers[i].writer = NULL;
    }
    oracle_close_snapshots(oracle);
    oracle_abort_all(oracle);
}

void oracle_end(struct oracle *oracle)
{
    end_handles(oracle);
    (void)mpg_close(oracle->pager);
    for (uint64_t page = 0; page < oracle->capacity; page++)
        free(oracle->pages[page].content);
    for (uint64_t id = 0; id < MOST_GUARDED; id++)
        free(oracle->guarded[id].content);
    free(oracle->pages);
    free(oracle->guarded);
    free(oracle->buffer);
    free(oracle->other);
    memory_disk_destroy(&oracle->disk);
}

void oracle_reopen(struct oracle *oracle)
{
    static const size_t cache_sizes[] = {0, 1, 16384};

    oracle->operation = "reopen";
    end_handles(oracle);
    oracle_expect(oracle, mpg_close(oracle->pager), 0);
    oracle->options.cache_size = cache_sizes[oracle_any(oracle, 3)];
    open_pager(oracle);
    oracle_count(oracle);
    /* What was freed before is free in every state that is left; nothing rests any more. */
    for (uint64_t page = 0; page < oracle->capacity; page++)
        oracle->pages[page].freed = 0;
}

/* ---- what happened ---- */

void oracle_now_regular(struct oracle *oracle, uint64_t page, bool zero)
{
    struct known_page *known = &oracle->pages[page];

    known->regular = true;
    known->content = malloc(oracle->page_size);
    must(known->content);
    oracle->regular_count++;
    if (mpg_page_read(known->content, oracle->pager, (mpg_page_id){page}, 0, oracle->page_size) < 0)
        oracle_fail(oracle, "page %llu is not there", (unsigned long long)page);
    for (size_t i = 0; zero && i < oracle->page_size; i++)
        if (known->content[i] != 0) {
            oracle_fail(oracle, "page %llu is not zero", (unsigned long long)page);
            break;
        }
}

void oracle_now_free(struct oracle *oracle, uint64_t page, uint64_t commit)
{
    struct known_page *known = &oracle->pages[page];

    free(known->content);
    known->content = NULL;
    known->regular = false;
    known->freed = commit;
    oracle->regular_count--;
}

void oracle_now_guarded(struct oracle *oracle, uint64_t id)
{
    struct known_guarded *known = &oracle->guarded[id];
    mpg_protected_info info = {{0, 0}, 0, 0, 0};

    known->in_use = true;
    known->content = calloc(1, oracle->page_size);
    must(known->content);
    oracle->guarded_count++;
    if (mpg_protected_stat(&info, oracle->pager, (mpg_protected_id){id}) < 0)
        oracle_fail(oracle, "protected page %llu is not there", (unsigned long long)id);
    else
        memcpy(known->page, info.page, sizeof(known->page));
    known->current = info.current;
}

void oracle_now_unguarded(struct oracle *oracle, uint64_t id, uint64_t commit)
{
    struct known_guarded *known = &oracle->guarded[id];

    known->in_use = false;
    free(known->content);
    known->content = NULL;
    known->freed = commit;
    if (!oracle_moves(oracle)) {
        oracle->pages[known->page[0]].freed = commit;
        oracle->pages[known->page[1]].freed = commit;
    }
    oracle->guarded_count--;
}

static enum mpg_page_use use_now(struct oracle *oracle, uint64_t page)
{
    enum mpg_page_use use = MPG_USE_FREE;

    if (page < oracle->total && mpg_page_use(&use, oracle->pager, page) < 0)
        oracle_fail(oracle, "no use of page %llu", (unsigned long long)page);
    return use;
}

/*
 * Pages are given out lowest first. One may be passed over that another transaction holds, that the
 * file itself took, or that the commit before last still needs; in format 0.2 also the page where
 * the copy of page 0 lies.
 */
void oracle_check_choice(struct oracle *oracle, uint64_t page, uint32_t holder)
{
    bool one_spare = oracle->options.format == MPG_FORMAT_0_2;
    /*
     * In format 1: records of this chain and the one before it, what views show, and a few places.
     */
    uint64_t resting = oracle_moves(oracle)
                           ? 2 * (oracle->total / 16 + 4) + MOST_VIEWS + 4 + oracle_held(oracle)
                           : 0;

    if (page < 3 || page >= oracle->capacity || oracle->pages[page].regular ||
        oracle->pages[page].holder != NOBODY) {
        oracle_fail(oracle, "page %llu was not free", (unsigned long long)page);
        return;
    }
    for (uint64_t lower = 3; lower < page && lower < oracle->total; lower++) {
        const struct known_page *known = &oracle->pages[lower];

        if (known->regular || known->holder != NOBODY || known->freed + 1 > oracle->generation ||
            use_now(oracle, lower) != MPG_USE_FREE || oracle_is_taken_after_all(oracle, lower))
            continue;
        if (one_spare || resting > 0) {
            one_spare = false;
            resting -= resting > 0;
            continue;
        }
        oracle_fail(oracle, "page %llu, though %llu is free", (unsigned long long)page,
                    (unsigned long long)lower);
        return;
    }
    oracle->pages[page].holder = holder;
}

bool oracle_may_be_shown(struct oracle *oracle, uint64_t page)
{
    bool any = false;

    for (unsigned i = 0; i < MOST_VIEWS; i++)
        any |= oracle->views[i].data != NULL;
    for (unsigned i = 0; i < MOST_SNAPSHOTS; i++)
        any |= oracle->snapshots[i].snapshot != NULL;
    return any && oracle_moves(oracle) && page < oracle->total &&
           (use_now(oracle, page) == MPG_USE_PROTECTED || use_now(oracle, page) == MPG_USE_FREE);
}

bool oracle_is_taken_after_all(struct oracle *oracle, uint64_t page)
{
    oracle_expect(oracle, mpg_sync(oracle->pager), 0);
    return use_now(oracle, page) >= MPG_USE_PROTECTED;
}

/* ---- ids ---- */

uint64_t oracle_some_page(struct oracle *oracle)
{
    uint64_t page;

    switch (oracle_any(oracle, 12)) {
    case 0:
        return oracle_any(oracle, 4);
    case 1:
        return oracle->total + oracle_any(oracle, 40);
    case 2:
        return oracle->max_pages + oracle_any(oracle, 3);
    case 3:
        return UINT64_MAX - oracle_any(oracle, 3);
    case 4:
    case 5:
        return oracle_any(oracle, oracle->total);
    default:
        page = oracle_any(oracle, oracle->total);
        for (uint64_t i = 0; i < oracle->total; i++, page = (page + 1) % oracle->total)
            if (oracle->pages[page].regular)
                return page;
        return page;
    }
}

uint64_t oracle_some_guarded(struct oracle *oracle)
{
    uint64_t id = oracle_any(oracle, 64);

    if (oracle_once_in(oracle, 10))
        return oracle->max_guarded - 1 + oracle_any(oracle, 3);
    if (oracle_once_in(oracle, 6))
        return id;
    for (uint64_t i = 0; i < MOST_GUARDED; i++, id = (id + 1) % MOST_GUARDED)
        if (oracle->guarded[id].in_use)
            return id;
    return id;
}

void oracle_check_guarded(struct oracle *oracle, uint64_t id, const struct known_txn *txn)
{
    for (uint64_t lower = 0; lower <= id && lower < MOST_GUARDED; lower++) {
        const struct known_guarded *known = &oracle->guarded[lower];
        bool staged = false;

        for (unsigned i = 0; txn != NULL && i < txn->count; i++)
            if (txn->items[i].kind == ITEM_GUARDED_WRITE && txn->items[i].id == lower)
                staged = true;
        if (known->in_use || known->holder != NOBODY || staged) {
            if (lower == id)
                oracle_fail(oracle, "protected page %llu was not free", (unsigned long long)id);
        } else if (lower < id && known->freed <= oracle->generation) {
            oracle_fail(oracle, "%llu, though %llu is free", (unsigned long long)id,
                        (unsigned long long)lower);
        }
    }
}

int oracle_answer_free(struct oracle *oracle, uint64_t page)
{
    if (page < 3)
        return MPG_E_RESERVED_PAGE;
    if (page >= oracle->total)
        return MPG_E_OUT_OF_BOUNDS;
    if (oracle->pages[page].regular)
        return 0;
    return use_now(oracle, page) == MPG_USE_FREE ? MPG_E_DOUBLE_FREE : MPG_E_NOT_REGULAR;
}

int oracle_answer_alloc_at(struct oracle *oracle, uint64_t page)
{
    if (page < 3)
        return MPG_E_RESERVED_PAGE;
    if (page >= oracle->max_pages)
        return MPG_E_FILE_FULL;
    if (page >= oracle->capacity)
        return 0; /* there is no such disk; not to be tried */
    if (oracle->pages[page].regular)
        return MPG_E_EXISTS;
    if (use_now(oracle, page) == MPG_USE_PROTECTED && oracle_moves(oracle))
        return 0; /* the content goes elsewhere */
    if (use_now(oracle, page) != MPG_USE_FREE)
        return MPG_E_NOT_REGULAR;
    return oracle->pages[page].holder != NOBODY ? MPG_E_BUSY : 0;
}

int oracle_answer_content(struct oracle *oracle, uint64_t page)
{
    int answer = oracle_answer_free(oracle, page);

    return answer == MPG_E_DOUBLE_FREE ? MPG_E_NOT_ALLOCATED : answer;
}

/* ---- comparing ---- */

void oracle_count(struct oracle *oracle)
{
    struct mpg_stat st = {.size = sizeof(st)};

    must(mpg_stat(&st, oracle->pager) == 0);
    if (st.regular_pages != oracle->regular_count || st.protected_pages != oracle->guarded_count)
        oracle_fail(oracle, "%llu regular pages, not %llu; %llu protected, not %llu",
                    (unsigned long long)st.regular_pages, (unsigned long long)oracle->regular_count,
                    (unsigned long long)st.protected_pages,
                    (unsigned long long)oracle->guarded_count);
    if (st.free_pages + st.regular_pages + st.metadata_pages +
            (st.format == MPG_FORMAT_1 ? 1 : 2) * st.protected_pages !=
        st.total_pages)
        oracle_fail(oracle, "counts do not add up");
    if (st.total_pages < oracle->total || st.generation < oracle->generation)
        oracle_fail(oracle, "the file went back");
    oracle->total = st.total_pages;
    oracle->generation = st.generation;
}

static void verify_iterators(struct oracle *oracle)
{
    uint64_t from = oracle_any(oracle, oracle->total + 2), next = from;
    mpg_page_iter pages;
    mpg_protected_iter guarded;
    mpg_page_id page;
    mpg_protected_id id;

    mpg_page_iter_begin(&pages, oracle->pager, (mpg_page_id){from});
    while (mpg_page_iter_next(&page, &pages) == 1) {
        while (next < oracle->capacity && !oracle->pages[next].regular)
            next++;
        if (page.value != next++)
            oracle_fail(oracle, "the iterator came to page %llu", (unsigned long long)page.value);
    }
    for (; next < oracle->capacity; next++)
        if (oracle->pages[next].regular)
            oracle_fail(oracle, "the iterator left out page %llu", (unsigned long long)next);
    next = from = oracle_any(oracle, 80);
    mpg_protected_iter_begin(&guarded, oracle->pager, (mpg_protected_id){from});
    while (mpg_protected_iter_next(&id, &guarded) == 1) {
        while (next < MOST_GUARDED && !oracle->guarded[next].in_use)
            next++;
        if (id.value != next++)
            oracle_fail(oracle, "the iterator came to protected page %llu",
                        (unsigned long long)id.value);
    }
    for (; next < MOST_GUARDED; next++)
        if (oracle->guarded[next].in_use)
            oracle_fail(oracle, "the iterator left out protected page %llu",
                        (unsigned long long)next);
}

static void verify_contents(struct oracle *oracle, const mpg_pager *pager)
{
    for (uint64_t page = 0; page < oracle->capacity; page++) {
        if (!oracle->pages[page].regular)
            continue;
        if (mpg_page_read(oracle->buffer, pager, (mpg_page_id){page}, 0, oracle->page_size) != 0 ||
            memcmp(oracle->buffer, oracle->pages[page].content, oracle->page_size) != 0)
            oracle_fail(oracle, "page %llu: another content", (unsigned long long)page);
    }
    for (uint64_t id = 0; id < MOST_GUARDED; id++) {
        if (!oracle->guarded[id].in_use)
            continue;
        if (mpg_protected_read(oracle->buffer, pager, (mpg_protected_id){id}) != 0 ||
            memcmp(oracle->buffer, oracle->guarded[id].content, oracle->page_size) != 0)
            oracle_fail(oracle, "protected page %llu: another content", (unsigned long long)id);
    }
}

static void verify_pointers(struct oracle *oracle)
{
    for (uint64_t page = 0; page < oracle->capacity; page++) {
        const void *data;

        if (!oracle->pages[page].regular)
            continue;
        if (mpg_page_get(&data, oracle->pager, (mpg_page_id){page}) != 0 ||
            memcmp(data, oracle->pages[page].content, oracle->page_size) != 0)
            oracle_fail(oracle, "a pointer to page %llu: another content",
                        (unsigned long long)page);
    }
    for (unsigned i = 0; i < MOST_VIEWS; i++)
        if (oracle->views[i].data != NULL &&
            memcmp(oracle->views[i].data, oracle->views[i].content, oracle->page_size) != 0)
            oracle_fail(oracle, "a view of protected page %llu changed",
                        (unsigned long long)oracle->views[i].id);
}

/* Every page of the file is what the model, or the directory, says it is. */
static void verify_uses(struct oracle *oracle)
{
    uint64_t copies = 0;

    for (uint64_t page = 0; page < oracle->total; page++) {
        enum mpg_page_use use = use_now(oracle, page);

        copies += use == MPG_USE_PROTECTED;
        if ((use == MPG_USE_REGULAR) != oracle->pages[page].regular)
            oracle_fail(oracle, "page %llu has use %d", (unsigned long long)page, (int)use);
    }
    for (uint64_t id = 0; id < MOST_GUARDED; id++) {
        mpg_protected_info info;

        if (!oracle->guarded[id].in_use)
            continue;
        must(mpg_protected_stat(&info, oracle->pager, (mpg_protected_id){id}) == 0);
        copies += oracle_moves(oracle) && info.page[0] == 0; /* it is given a page by its commit */
        for (unsigned i = 0; i < (oracle_moves(oracle) ? 1u : 2u); i++)
            if ((info.page[i] != 0 || !oracle_moves(oracle)) &&
                use_now(oracle, info.page[i]) != MPG_USE_PROTECTED)
                oracle_fail(oracle, "a copy of protected page %llu is not marked so",
                            (unsigned long long)id);
        if (!oracle_moves(oracle) && info.current != oracle->guarded[id].current)
            oracle_fail(oracle, "the other copy of protected page %llu is current",
                        (unsigned long long)id);
    }
    if (copies != (oracle_moves(oracle) ? 1 : 2) * oracle->guarded_count)
        oracle_fail(oracle, "%llu pages are copies", (unsigned long long)copies);
}

/*
 * Somebody who opens the file beside the writer sees the same. Only by copy: the disk gives both
 * the same addresses, and what one marks as not to be touched is the other's, too.
 */
static void verify_as_reader(struct oracle *oracle)
{
    mpg_pager *reader;

    if ((oracle->options.flags & MPG_DEFER_ALLOCATION) != 0 &&
        !oracle_expect(oracle, mpg_sync(oracle->pager), 0))
        return;
    if (!oracle_expect(oracle,
                       mpgi_open_with(&reader, "pages", &oracle->options, true, &memory_disk_io,
                                      &oracle->disk),
                       0))
        return;
    verify_contents(oracle, reader);
    (void)mpg_close(reader);
}

static void note_fault(void *context, const mpg_fault *fault)
{
    if (fault->code != 0)
        oracle_fail(context, "%s", fault->message);
}

void oracle_verify(struct oracle *oracle)
{
    mpg_check_result result;

    oracle->operation = "verify";
    oracle_count(oracle);
    verify_iterators(oracle);
    verify_contents(oracle, oracle->pager);
    verify_pointers(oracle);
    oracle_verify_snapshots(oracle);
    verify_uses(oracle);
    if (oracle_once_in(oracle, 2))
        verify_as_reader(oracle);
    oracle->operation = "check";
    oracle_expect(oracle,
                  mpg_check(&result, oracle->pager,
                            &(mpg_check_options){.size = sizeof(mpg_check_options),
                                                 .report = note_fault,
                                                 .context = oracle}),
                  0);
    oracle_count(oracle);
}
