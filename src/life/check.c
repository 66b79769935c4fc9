/* SPDX-License-Identifier: MIT */
/*
 * Checks a whole file. Whatever metadata and directory say they occupy is noted in a bitmap, which
 * takes memory where bits are set; what the space says is internal must then be noted there, and
 * nothing twice.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/sheet.h"
#include "pager/look_again.h"
#include "pager/pager.h"
#include "pager/protected_write.h"

/* Pages whose use is looked at are counted by so many, for a protected page takes as long as these. */
#define SPACE_STEPS(pages) ((pages) / 512)

struct check {
    const mpg_pager *pager;
    uint64_t total;
    struct sheet *claimed; /* one bit a page */
    bool no_memory;        /* some claim could not be noted */
    mpg_check_result result;
    mpg_check_options options;
    bool stale;          /* a writer overwrote what a reader was checking */
    uint64_t generation; /* the state whose structure was checked */
    uint64_t done,
        steps; /* for the progress: protected pages twice, and pages in the space thrice */
};

static void report(void *context, const char *name, int code, uint64_t page, const char *message)
{
    struct check *check = context;
    mpg_fault fault = {code, page, message, name};

    if (code == MPG_E_STALE) {
        check->stale = true;
        return;
    }
    if (code == 0)
        check->result.warnings++;
    else
        check->result.faults++;
    if (check->options.report != NULL)
        check->options.report(check->options.context, &fault);
}

/* So many steps more are done. CANCELLED where that is to be all. */
static int advance(struct check *check, uint64_t steps)
{
    check->done += steps;
    if (check->options.progress == NULL ||
        check->options.progress(check->options.context, check->done,
                                max_u64(check->steps, check->done)))
        return 0;
    return mpgi_fail(MPG_E_CANCELLED, "check", MPG_NO_PAGE, "%s: cancelled",
                     check->pager->file.path);
}

/* Reports this thread's last failure. */
static void report_last_error(struct check *check)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    report(check, mpg_fault_name(info.code), info.code, info.page, info.message);
}

static bool is_claimed(const struct check *check, uint64_t page)
{
    const unsigned char *bits = mpgi_sheet_chunk(check->claimed, page / 8 / SHEET_CHUNK);

    return (bits[page / 8 % SHEET_CHUNK] >> page % 8 & 1) != 0;
}

static void note_claim(struct check *check, uint64_t page)
{
    unsigned char *bits = mpgi_sheet_edit(check->claimed, page / 8 / SHEET_CHUNK);

    if (bits == NULL)
        check->no_memory = true;
    else
        bits[page / 8 % SHEET_CHUNK] |= (unsigned char)(1u << page % 8);
}

/* Notes that a page is occupied by something, which the space must agree with. */
static void claim(struct check *check, uint64_t page, enum mpg_page_use expected, const char *what)
{
    static const char *const names[] = {"free", "regular", "a protected copy", "metadata"};
    const struct format_ops *ops = check->pager->ops;
    enum mpg_page_use use;
    char message[160];

    if (page < FIRST_USER_PAGE || page >= check->total) {
        (void)snprintf(message, sizeof(message),
                       "%s is at page %" PRIu64 ", which is not a page for it", what, page);
        report(check, "misplaced", MPG_E_CORRUPT_METADATA, page, message);
        return;
    }
    if (is_claimed(check, page)) {
        (void)snprintf(message, sizeof(message),
                       "page %" PRIu64 " is used twice, the second time by %s", page, what);
        report(check, "page-twice", MPG_E_CORRUPT_METADATA, page, message);
    }
    note_claim(check, page);
    if (ops->get_use(check->pager->format, VERSION_DURABLE, page, &use) != 0) {
        mpg_error_info info;

        (void)mpg_last_error(&info);
        report(check, mpg_fault_name(info.code), info.code, page, info.message);
    } else if (use != expected) {
        (void)snprintf(message, sizeof(message),
                       "page %" PRIu64 " is used by %s, but the space says it is %s", page, what,
                       names[use]);
        report(check, "use", MPG_E_CORRUPT_METADATA, page, message);
    }
}

static void claim_metadata(void *context, uint64_t page)
{
    claim(context, page, MPG_USE_METADATA, "metadata");
}

/* Pages that a protected page has. */
static unsigned copies_of(const mpg_pager *pager)
{
    return pager->ops->copies == 0 ? 1 : pager->ops->copies;
}

/* Notes the copies of all protected pages; their number must be the counted one. */
static int check_directory(struct check *check, const struct mpg_stat *st)
{
    const mpg_pager *pager = check->pager;
    uint64_t count = 0, told = 0;

    for (uint64_t first = 0; first != UINT64_MAX;) {
        uint64_t bits[MPG_ITER_WORDS], next;
        int result = pager->ops->scan_entries(pager->format, VERSION_DURABLE, first, bits,
                                              MPG_ITER_WORDS, &next);

        if (result != 0)
            return result;
        for (unsigned i = 0; i < 64 * MPG_ITER_WORDS; i++) {
            struct entry entry;
            char what[48];

            if ((bits[i / 64] >> i % 64 & 1) == 0)
                continue;
            result = pager->ops->get_entry(pager->format, VERSION_DURABLE, first + i, &entry);
            if (result != 0)
                return result;
            (void)snprintf(what, sizeof(what), "protected page %" PRIu64, first + i);
            for (unsigned copy = 0; copy < copies_of(pager); copy++)
                claim(check, entry.page[copy], MPG_USE_PROTECTED, what);
            count++;
        }
        first = next;
        result = advance(check, count - told);
        if (result != 0)
            return result;
        told = count;
    }
    if (count != st->protected_pages) {
        char message[120];

        (void)snprintf(message, sizeof(message),
                       "%" PRIu64 " protected pages are in use, but %" PRIu64 " are counted", count,
                       st->protected_pages);
        report(check, "count", MPG_E_CORRUPT_PROTECTED_DIRECTORY, MPG_NO_PAGE, message);
    }
    return 0;
}

/* Reports pages of an internal use that nothing has claimed: they are lost to everybody. */
static int check_leaks(struct check *check, enum mpg_page_use use, uint64_t *count)
{
    const mpg_pager *pager = check->pager;

    for (uint64_t first = 0; first != UINT64_MAX;) {
        uint64_t bits[MPG_ITER_WORDS], next;
        int result = pager->ops->scan_use(pager->format, VERSION_DURABLE, use, first, bits,
                                          MPG_ITER_WORDS, &next);

        if (result != 0)
            return result;
        for (unsigned i = 0; i < 64 * MPG_ITER_WORDS; i++) {
            uint64_t page = first + i;
            char message[96];

            if ((bits[i / 64] >> i % 64 & 1) == 0)
                continue;
            (*count)++;
            if (use == MPG_USE_REGULAR || page < FIRST_USER_PAGE || is_claimed(check, page))
                continue;
            (void)snprintf(message, sizeof(message),
                           "page %" PRIu64 " is marked as in internal use, but nothing uses it",
                           page);
            report(check, "leak", MPG_E_CORRUPT_METADATA, page, message);
        }
        result =
            advance(check, SPACE_STEPS(min_u64(next, check->total) - min_u64(first, check->total)));
        if (result != 0)
            return result;
        first = next;
    }
    return 0;
}

static void check_count(struct check *check, const char *what, uint64_t counted, uint64_t recorded)
{
    char message[120];

    if (counted == recorded)
        return;
    (void)snprintf(message, sizeof(message),
                   "%" PRIu64 " pages are %s, but %" PRIu64 " are recorded", counted, what,
                   recorded);
    report(check, "count", MPG_E_CORRUPT_METADATA, MPG_NO_PAGE, message);
}

/* Whether the file is what the pager believes. Called with the lock held. */
static int check_file(struct check *check)
{
    mpg_pager *pager = unconst(check->pager);
    int result = pager->read_only ? mpgi_check_page_is_there(pager, check->total - 1)
                                  : mpgi_look_again(pager);

    if (result != MPG_E_CHANGED && result != MPG_E_TRUNCATED)
        return result;
    report_last_error(check);
    return 0;
}

/* Structure and counts. Called with the lock held, so that it looks at one state. */
static int check_structure(struct check *check)
{
    const mpg_pager *pager = check->pager;
    uint64_t regular = 0, protected_copies = 0, metadata = 0;
    struct mpg_stat st;
    int result = check_file(check);

    if (result == 0)
        result = pager->ops->walk(pager->format, check, claim_metadata, report);
    pager->ops->facts(pager->format, VERSION_DURABLE, &st);
    check->generation = st.generation;
    check->steps = 2 * st.protected_pages + 3 * SPACE_STEPS(st.total_pages);
    if (result == 0)
        result = advance(check, 0);
    if (result == 0)
        result = check_directory(check, &st);
    if (result == 0)
        result = check_leaks(check, MPG_USE_PROTECTED, &protected_copies);
    if (result == 0)
        result = check_leaks(check, MPG_USE_METADATA, &metadata);
    if (result == 0)
        result = check_leaks(check, MPG_USE_REGULAR, &regular);
    if (result != 0)
        return result;
    check_count(check, "free", st.total_pages - regular - protected_copies - metadata,
                st.free_pages);
    check_count(check, "in use for metadata", metadata, st.metadata_pages);
    check_count(check, "contents of protected pages", protected_copies,
                copies_of(pager) * st.protected_pages);
    check->result.pages_checked = st.total_pages;
    return 0;
}

/* The content of every protected page against its checksum. */
static int check_contents(struct check *check)
{
    mpg_protected_id id = {0};
    mpg_protected_iter iter;
    int result;

    mpg_protected_iter_begin(&iter, check->pager, id);
    while ((result = mpg_protected_iter_next(&id, &iter)) > 0) {
        int read = mpgi_protected_read(NULL, check->pager, id);

        check->result.protected_checked++;
        if (read != 0 && read != MPG_E_NOT_ALLOCATED)
            report_last_error(check);
        result = advance(check, 1);
        if (result != 0)
            return result;
    }
    return result;
}

/* What looks like damage to a reader may be the work of a writer that went on meanwhile. */
static int check_stale(const struct check *check)
{
    const mpg_pager *pager = check->pager;
    int result = 0;

    if (check->result.faults > 0) {
        struct mpg_stat st;

        pager_lock(pager);
        pager->ops->facts(pager->format, VERSION_DURABLE, &st);
        if (pager->read_only && st.generation != check->generation)
            result = MPG_E_STALE; /* another thread has refreshed */
        else
            result = mpgi_explain_damage(pager, MPG_E_CORRUPT_METADATA);
        pager_unlock(pager);
    }
    if (!check->stale && result != MPG_E_STALE)
        return 0;
    return mpgi_fail(MPG_E_STALE, "check", MPG_NO_PAGE,
                     "%s: a writer has overwritten the state that was being checked; refresh",
                     pager->file.path);
}

int mpg_check(mpg_check_result *result, const mpg_pager *pager, const mpg_check_options *options)
{
    struct check check = {.pager = pager, .options = MPG_CHECK_OPTIONS_INIT};
    int outcome;

    if (options != NULL && options->size != sizeof(*options))
        return mpgi_fail(MPG_E_INVALID, "check", MPG_NO_PAGE,
                         "options of %zu bytes are not of this version (%zu)", options->size,
                         sizeof(*options));
    if (options != NULL)
        check.options = *options;
    pager_lock(pager);
    check.total = pager->ops->total_pages(pager->format, VERSION_DURABLE);
    check.claimed = mpgi_sheet_new();
    outcome = check.claimed != NULL ? check_structure(&check) : mpgi_fail_memory("check");
    pager_unlock(pager);
    mpgi_sheet_free(check.claimed);
    if (check.no_memory)
        outcome = mpgi_fail_memory("check");
    if (outcome == 0)
        outcome = check_contents(&check);
    if (mpg_is_damage(outcome)) {
        report_last_error(&check);
        outcome = 0;
    }
    if (outcome == 0)
        outcome = check_stale(&check);
    if (outcome == 0)
        *result = check.result;
    return outcome;
}
