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
#include "format/salvage.h"
#include "life/rescue.h"
#include "pager/look_again.h"
#include "pager/pager.h"
#include "pager/protected_write.h"

/*
 * Pages whose use is looked at are counted by so many, for a protected page takes as long as these.
 */
#define SPACE_STEPS(pages) ((pages) / 512)

struct check {
    const mpg_pager *pager;
    uint64_t total;
    struct sheet *claimed; /* one bit a page */
    struct salvage_ranges
        lost; /* ids of protected pages of which nothing is known, ascending; owned */
    struct salvage_ranges lost_pages; /* pages of the use of which nothing is known; likewise */
    bool no_memory;                   /* something could not be noted */
    bool blind;                       /* the use of a page that is claimed could not be looked at */
    mpg_check_result result;
    mpg_check_options options;
    bool root_lost;      /* one of the roots of format 1 */
    bool stale;          /* a writer overwrote what a reader was checking */
    uint64_t generation; /* the state whose structure was checked */
    uint64_t done,
        steps; /* for the progress: protected pages twice, and pages in the space thrice */
};

static void hear(void *context, const mpg_fault *fault)
{
    struct check *check = context;

    if (fault->code == MPG_E_STALE) {
        check->stale = true;
        return;
    }
    if (fault->code == 0)
        check->result.warnings++;
    else
        check->result.faults++;
    check->root_lost |= strcmp(fault->name, "root") == 0;
    check->result.pages_unchecked += fault->pages_end - fault->pages_first;
    if (mpgi_salvage_doubt(&check->lost, fault->protected_first, fault->protected_end) != 0 ||
        mpgi_salvage_doubt(&check->lost_pages, fault->pages_first, fault->pages_end) != 0)
        check->no_memory = true;
    if (check->options.report != NULL)
        check->options.report(check->options.context, fault);
}

static void report(struct check *check, const char *name, int code, uint64_t page,
                   const char *message)
{
    mpg_fault fault = {code, page, message, name, 0, 0, 0, 0};

    hear(check, &fault);
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
        check->blind = true; /* the node that would say it is told of by whoever follows the tree */
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

/* ---- What is in use, past what is lost ----------------------------------------------------- */

/* Behind what is lost at a number, or the number. */
static uint64_t behind(const struct salvage_ranges *lost, uint64_t number)
{
    for (size_t i = 0; i < lost->count; i++) {
        if (number >= lost->ranges[i].first && number < lost->ranges[i].end)
            number = lost->ranges[i].end;
    }
    return number;
}

/* Of the ids from `first` on, one by one, as far as they are not lost. */
static int scan_around(struct check *check, uint64_t first, uint64_t *bits, uint64_t *next)
{
    const mpg_pager *pager = check->pager;
    uint64_t end = first + 64 * MPG_ITER_WORDS;

    memset(bits, 0, MPG_ITER_WORDS * sizeof(*bits));
    for (uint64_t id = behind(&check->lost, first); id < end; id = behind(&check->lost, id + 1)) {
        struct entry entry;
        int result = pager->ops->get_entry(pager->format, VERSION_DURABLE, id, &entry);

        if (result != 0 && result != MPG_E_NOT_ALLOCATED)
            return result;
        if (result == 0)
            bits[(id - first) / 64] |= UINT64_C(1) << (id - first) % 64;
    }
    *next = max_u64(end, behind(&check->lost, end) / 64 * 64);
    return 0;
}

/* The next ids in use. The lock is held. */
static int scan_ids(struct check *check, uint64_t first, uint64_t *bits, uint64_t *next)
{
    const mpg_pager *pager = check->pager;
    int result =
        pager->ops->scan_entries(pager->format, VERSION_DURABLE, first, bits, MPG_ITER_WORDS, next);

    if (result == 0 || check->lost.count == 0 || first > UINT64_MAX / 2)
        return result;
    return scan_around(check, first, bits, next);
}

static int check_entry(struct check *check, uint64_t id)
{
    const mpg_pager *pager = check->pager;
    struct entry entry;
    char what[48];
    int result = pager->ops->get_entry(pager->format, VERSION_DURABLE, id, &entry);

    if (result != 0)
        return result;
    (void)snprintf(what, sizeof(what), "protected page %" PRIu64, id);
    for (unsigned copy = 0; copy < copies_of(pager); copy++)
        claim(check, entry.page[copy], MPG_USE_PROTECTED, what);
    return 0;
}

/* How many there are, against how many are counted. */
static void check_number(struct check *check, uint64_t count, uint64_t counted)
{
    char message[120];

    if (check->lost.count > 0 && count <= counted) {
        check->result.protected_unchecked = counted - count;
        return;
    }
    if (count == counted)
        return;
    (void)snprintf(message, sizeof(message),
                   "%" PRIu64 " protected pages are in use, but %" PRIu64 " are counted", count,
                   counted);
    report(check, "count", MPG_E_CORRUPT_PROTECTED_DIRECTORY, MPG_NO_PAGE, message);
}

/* Notes the copies of all protected pages; their number must be the counted one. */
static int check_directory(struct check *check, const struct mpg_stat *st)
{
    uint64_t count = 0, told = 0;

    for (uint64_t first = 0; first != UINT64_MAX;) {
        uint64_t bits[MPG_ITER_WORDS], next;
        int result = scan_ids(check, first, bits, &next);

        for (unsigned i = 0; i < 64 * MPG_ITER_WORDS && result == 0; i++) {
            if ((bits[i / 64] >> i % 64 & 1) == 0)
                continue;
            result = check_entry(check, first + i);
            count++;
        }
        if (result == 0)
            result = advance(check, count - told);
        if (result != 0)
            return result;
        told = count;
        first = next;
    }
    check_number(check, count, st->protected_pages);
    return 0;
}

/* Reports pages of an internal use that nothing has claimed: they are lost to everybody. */
static int check_leaks(struct check *check, enum mpg_page_use use, uint64_t *count)
{
    const mpg_pager *pager = check->pager;
    /* What is behind a lost node claims nothing. */
    bool may_leak = use != MPG_USE_REGULAR && check->lost.count == 0 &&
                    (use == MPG_USE_PROTECTED || check->lost_pages.count == 0);

    for (uint64_t first = 0; first != UINT64_MAX;) {
        uint64_t bits[MPG_ITER_WORDS], next;
        int result = pager->ops->scan_use(pager->format, VERSION_DURABLE, use, first, bits,
                                          MPG_ITER_WORDS, &next);

        uint64_t known = behind(&check->lost_pages, first);

        if (result != 0 && known > first) {
            first = known < check->total ? known : UINT64_MAX;
            continue;
        }
        if (result != 0)
            return result;
        for (unsigned i = 0; i < 64 * MPG_ITER_WORDS; i++) {
            uint64_t page = first + i;
            char message[96];

            if ((bits[i / 64] >> i % 64 & 1) == 0)
                continue;
            (*count)++;
            if (!may_leak || page < FIRST_USER_PAGE || is_claimed(check, page))
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
        result = pager->ops->walk(pager->format, check, claim_metadata, hear);
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
    check->result.pages_checked = st.total_pages - check->result.pages_unchecked;
    if (result != 0 || check->lost_pages.count > 0)
        return result;
    if (check->blind)
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "check", MPG_NO_PAGE,
                         "%s: what pages are used for cannot be looked at", pager->file.path);
    check_count(check, "free", st.total_pages - regular - protected_copies - metadata,
                st.free_pages);
    check_count(check, "in use for metadata", metadata, st.metadata_pages);
    check_count(check, "contents of protected pages", protected_copies,
                copies_of(pager) * st.protected_pages);
    return 0;
}

static int next_ids(struct check *check, uint64_t first, uint64_t *bits, uint64_t *next)
{
    int result;

    pager_lock(check->pager);
    result = mpgi_explain_damage(check->pager, scan_ids(check, first, bits, next));
    pager_unlock(check->pager);
    return result;
}

/* The content of every protected page against its checksum. */
static int check_contents(struct check *check)
{
    int result = 0;

    for (uint64_t first = 0, next; first != UINT64_MAX && result == 0; first = next) {
        uint64_t bits[MPG_ITER_WORDS];

        result = next_ids(check, first, bits, &next);
        for (unsigned i = 0; i < 64 * MPG_ITER_WORDS && result == 0; i++) {
            int read;

            if ((bits[i / 64] >> i % 64 & 1) == 0)
                continue;
            read = mpgi_protected_read(NULL, check->pager, (mpg_protected_id){first + i});
            check->result.protected_checked++;
            if (read != 0 && read != MPG_E_NOT_ALLOCATED)
                report_last_error(check);
            result = advance(check, 1);
        }
    }
    return result;
}

/*
 * The root that is lost may have been the newer one. A writer at work makes newer parts, too:
 * check_stale sees that.
 */
static int check_newest(struct check *check)
{
    const mpg_pager *pager = check->pager;
    struct newer_parts parts = {0};
    int result = 0;

    if (check->root_lost && pager->read_only)
        result = mpgi_rescue_find_newer(&parts, &unconst(pager)->file);
    if (parts.lost && parts.surely)
        report(check, "record", MPG_E_CORRUPT_METADATA, MPG_NO_PAGE, parts.message);
    else if (parts.lost)
        report(check, "unfinished", 0, MPG_NO_PAGE, parts.message);
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
        outcome = check_newest(&check);
    if (outcome == 0)
        outcome = check_stale(&check);
    free(check.lost.ranges);
    free(check.lost_pages.ranges);
    if (outcome == 0)
        *result = check.result;
    return outcome;
}
