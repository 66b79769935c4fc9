/* SPDX-License-Identifier: MIT */
/*
 * Giving the disk space of free pages back.
 *
 * A page may lose what it holds when it may be written (rule 2): it is free in the durable version,
 * in that of the commit in flight and in the newest, it does not rest, no view shows it and no
 * transaction holds it. While the filesystem works on it nobody may take it, and nobody should wait
 * for the filesystem: so its run is held as a transaction would, and the lock given up. A page
 * handed out afterwards gets disk space again first (rule 14): that it may have none is noted
 * before it can be had.
 *
 * Format 0.2 writes the spare copy of page 0 also into a page that is held, so there the lock is
 * kept, and no commit is in flight.
 *
 * What contents of protected pages and the records of commits need keeps its space: so many free
 * pages with the highest numbers, which those are put into first. So commits hardly ever need disk
 * space after a trim that they had before; where they do and there is none, they fail as any that
 * the disk has no room for (rule 13).
 */
#include "pager/give_back.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "os/grow.h"
#include "pager/look_again.h"
#include "pager/settle.h"

/* Pages looked at, and bytes given back, in one step. */
#define WINDOW_WORDS 64
#define WINDOW_PAGES (WINDOW_WORDS * UINT64_C(64))
#define STEP_BYTES (UINT64_C(8) << 20)

/* What filesystems give back: pages smaller than this only with their neighbours. */
#define BLOCK_SIZE 4096u

/* The pages [first, end). */
struct run {
    uint64_t first, end;
};

/* Takes the pages out of `free` that have another use in a version. Bit 0 is page `base`. */
static int mask_version(uint64_t *free, const mpg_pager *pager, enum version version, uint64_t base)
{
    uint64_t bits[WINDOW_WORDS];

    for (int use = MPG_USE_REGULAR; use <= MPG_USE_METADATA; use++) {
        uint64_t at = base;

        while (at < base + WINDOW_PAGES) {
            uint64_t from = at & ~UINT64_C(63);
            int result = pager->ops->scan_use(pager->format, version, (enum mpg_page_use)use, from,
                                              bits, WINDOW_WORDS, &at);

            if (result != 0)
                return result;
            for (uint64_t w = 0; w < WINDOW_WORDS && (from - base) / 64 + w < WINDOW_WORDS; w++)
                free[(from - base) / 64 + w] &= ~bits[w];
        }
    }
    return 0;
}

/* Which of the pages of a window are free whatever becomes of the commit in flight. */
static int find_free_pages(uint64_t *free, const mpg_pager *pager, uint64_t base)
{
    int result = 0;

    for (unsigned w = 0; w < WINDOW_WORDS; w++)
        free[w] = UINT64_MAX;
    for (int version = VERSION_DURABLE; version <= VERSION_NEWEST && result == 0; version++)
        result = mask_version(free, pager, (enum version)version, base);
    return result;
}

/* Whether a page that is free must stay as it is all the same. */
static int is_kept(bool *kept, const mpg_pager *pager, uint64_t page)
{
    *kept = page < FIRST_USER_PAGE || mpgi_id_map_find(&pager->reserved, page) != NULL ||
            mpgi_id_map_find(&pager->lingering, page) != NULL || mpgi_is_pinned(pager, page);
    return *kept ? 0 : pager->ops->rests(pager->format, page, kept);
}

/* How many pages there are to spare: one more is not given back. */
static uint64_t spare_pages(const mpg_pager *pager)
{
    struct mpg_stat st;
    int64_t spare;

    if (pager->ops->spare == NULL) {
        pager->ops->facts(pager->format, VERSION_NEWEST, &st);
        return st.free_pages;
    }
    spare = pager->ops->spare(pager->format) - (int64_t)pager->reserved.count;
    return spare > 0 ? (uint64_t)spare : 0;
}

/* How many pages a step may hold: so few that those who allocate meanwhile find others. */
static uint64_t most_pages(const mpg_pager *pager)
{
    uint64_t most = min_u64(max_u64(STEP_BYTES / pager->page_size, 1), WINDOW_PAGES);

    return pager->ops->copies != 0 ? most : min_u64(most, spare_pages(pager) / 2);
}

/* Cuts a run down to whole blocks of the filesystem. */
static void align(struct run *run, const mpg_pager *pager)
{
    uint64_t pages = pager->page_size < BLOCK_SIZE ? BLOCK_SIZE / pager->page_size : 1;

    run->first = round_up(run->first, pages);
    run->end = max_u64(run->first, run->end / pages * pages);
}

/*
 * The first run from *at on, below `end`, of what is free; empty if there is none in its window.
 * *at moves on.
 */
static int find_run(struct run *run, mpg_pager *pager, uint64_t *at, uint64_t end, uint64_t least)
{
    uint64_t base = *at & ~UINT64_C(63);
    uint64_t stop = min_u64(end, base + WINDOW_PAGES);
    uint64_t most = most_pages(pager);
    uint64_t free[WINDOW_WORDS];
    int result = find_free_pages(free, pager, base);

    *run = (struct run){0, 0};
    while (result == 0 && *at < stop && most > 0) {
        bool kept = true;

        if ((free[(*at - base) / 64] >> (*at - base) % 64 & 1) != 0)
            result = is_kept(&kept, pager, *at);
        if (result == 0 && !kept) {
            if (run->end == 0)
                run->first = *at;
            run->end = *at + 1;
        }
        if (run->end != 0 && (kept || *at + 1 == stop || run->end - run->first == most)) {
            align(run, pager);
            if (run->end - run->first >= max_u64(least, 1)) {
                ++*at;
                return 0;
            }
            *run = (struct run){0, 0};
        }
        ++*at;
    }
    if (most == 0)
        *at = end;
    return result;
}

static void let_go(mpg_pager *pager, const struct run *run)
{
    for (uint64_t page = run->first; page < run->end; page++) {
        mpgi_id_map_remove(&pager->reserved, page);
        if (pager->ops->let_go != NULL)
            pager->ops->let_go(pager->format, page);
    }
    pager_search_page(pager, run->first);
    pager->given_back = NULL;
    (void)pthread_cond_broadcast(&pager->settled);
}

/* Nobody is to take the pages. False: no memory. */
static bool hold(mpg_pager *pager, const struct run *run)
{
    if (!mpgi_id_map_reserve(&pager->reserved, run->end - run->first))
        return false;
    for (uint64_t page = run->first; page < run->end; page++)
        (void)mpgi_id_map_put(&pager->reserved, page);
    return true;
}

/* Lock held; given up meanwhile where the format leaves alone what is held. */
static int punch(mpg_pager *pager, const struct run *run)
{
    uint64_t offset = offset_of_page(pager, run->first);
    uint64_t length = offset_of_page(pager, run->end) - offset;
    uint64_t held[2] = {run->first, run->end};
    bool alone = pager->ops->copies != 0;
    int result;

    if (!hold(pager, run))
        return mpgi_fail_memory("trim");
    pager->given_back = held;
    if (!alone)
        pager_unlock(pager);
    result = mpgi_file_punch(&pager->file, offset, length, run->first);
    if (!alone)
        pager_lock(pager);
    mpgi_file_unback(&pager->file, offset, length);
    pager->unsynced_zeros = true;
    let_go(pager, run);
    return result;
}

/* One at a time, and where it must be, with no commit under way. */
static void wait_for_turn(mpg_pager *pager)
{
    while (pager->given_back != NULL || (pager->ops->copies != 0 && pager->in_flight != NULL))
        (void)pthread_cond_wait(&pager->settled, &pager->lock);
}

static int check_writable(mpg_pager *pager)
{
    if (pager->read_only)
        return mpgi_fail(MPG_E_READ_ONLY, "trim", MPG_NO_PAGE, "%s: opened read-only",
                         pager->file.path);
    if (pager->unavailable)
        return mpgi_fail(MPG_E_UNAVAILABLE, "trim", MPG_NO_PAGE,
                         "%s: an earlier sync failed; close it and open it again",
                         pager->file.path);
    return pager->unsettled ? mpgi_settle_late(pager) : mpgi_check_not_changed(pager, "trim");
}

/* Lock held. */
static int step(uint64_t *pages, mpg_pager *pager, uint64_t *at, uint64_t end, uint64_t least)
{
    struct run run = {0, 0};
    int result = check_writable(pager);

    if (result != 0)
        return result;
    end = min_u64(end, pager->ops->total_pages(pager->format, VERSION_DURABLE));
    if (*at >= end)
        *at = UINT64_MAX;
    else
        result = find_run(&run, pager, at, end, least);
    result = mpgi_explain_damage(pager, result);
    if (result == 0 && run.end != 0)
        result = mpgi_look_again(pager); /* rule 12: not where somebody else works */
    if (result == 0 && run.end != 0)
        result = punch(pager, &run);
    if (result == 0)
        *pages = run.end - run.first;
    return result;
}

int mpgi_give_back_step(uint64_t *pages, mpg_pager *pager, uint64_t *at, uint64_t end,
                        uint64_t least)
{
    int result;

    *pages = 0;
    pager_lock(pager);
    wait_for_turn(pager);
    result = step(pages, pager, at, end, least);
    pager_unlock(pager);
    return result;
}

/* ---- what keeps its space ---- */

/* Free pages for the records of commits, beside those for contents: so many, or so many bytes. */
#define KEPT_PAGES 131
#define KEPT_BYTES (UINT64_C(1) << 20)

/*
 * Where the last `kept` free pages of the window before *end begin; *kept is how many are left to
 * find.
 */
static int count_down(uint64_t *end, uint64_t *kept, const mpg_pager *pager)
{
    uint64_t base = (*end - 1) / WINDOW_PAGES * WINDOW_PAGES;
    uint64_t free[WINDOW_WORDS];
    int result = find_free_pages(free, pager, base);

    if (result != 0)
        return result;
    while (*end > base && *kept > 0) {
        uint64_t index = --*end - base;

        *kept -= free[index / 64] >> index % 64 & 1;
    }
    return 0;
}

int mpgi_find_trim_end(uint64_t *end, mpg_pager *pager)
{
    struct mpg_stat st;
    uint64_t kept;
    int result = 0;

    pager_lock(pager);
    pager->ops->facts(pager->format, VERSION_DURABLE, &st);
    pager_unlock(pager);
    *end = st.total_pages;
    kept = pager->ops->copies != 0
               ? 0
               : st.protected_pages + min_u64(KEPT_PAGES, KEPT_BYTES / pager->page_size);
    while (result == 0 && kept > 0 && *end > FIRST_USER_PAGE) {
        pager_lock(pager);
        result = mpgi_explain_damage(pager, count_down(end, &kept, pager));
        pager_unlock(pager);
    }
    return result;
}

/* ---- MPG_DISCARD ---- */

/* Beyond so many, pages are no longer noted: mpg_trim finds them. */
#define MOST_NOTED 65536

void mpgi_note_freed(mpg_pager *pager, uint64_t page)
{
    struct id_map *freed = &pager->gathering->freed;

    if (pager->discard && page != 0 && freed->count < MOST_NOTED)
        (void)mpgi_id_map_put(freed, page);
}

void mpgi_note_durable(mpg_pager *pager, struct batch *batch)
{
    for (size_t i = 0; i < batch->freed.capacity && pager->freed.count < MOST_NOTED; i++) {
        if (batch->freed.slots[i].used)
            (void)mpgi_id_map_put(&pager->freed, batch->freed.slots[i].id);
    }
    mpgi_id_map_clear(&batch->freed);
}

/*
 * Takes the list of what was noted, in ascending order; NULL if it is empty, or there is no memory.
 */
static uint64_t *take_noted(mpg_pager *pager, size_t *count)
{
    uint64_t *noted = NULL;

    pager_lock(pager);
    *count = 0;
    if (pager->freed.count > 0)
        noted = malloc(pager->freed.count * sizeof(*noted));
    for (size_t i = 0; noted != NULL && i < pager->freed.capacity; i++) {
        if (pager->freed.slots[i].used)
            noted[(*count)++] = pager->freed.slots[i].id;
    }
    mpgi_id_map_clear(&pager->freed);
    pager_unlock(pager);
    if (noted != NULL)
        qsort(noted, *count, sizeof(*noted), compare_u64);
    return noted;
}

void mpgi_give_back_freed(mpg_pager *pager)
{
    uint64_t around = pager->page_size < BLOCK_SIZE ? BLOCK_SIZE / pager->page_size : 1;
    mpg_error_info error;
    size_t count;
    uint64_t *noted = take_noted(pager, &count);
    int result = 0;

    for (size_t i = 0; i < count && result == 0;) {
        uint64_t at = noted[i] / around * around;
        uint64_t end = round_up(noted[i] + 1, around);
        uint64_t pages;

        for (i++; i < count && noted[i] <= end; i++)
            end = round_up(noted[i] + 1, around);
        while (at < end && result == 0)
            result = mpgi_give_back_step(&pages, pager, &at, end, 1);
    }
    free(noted);
    /* Where the filesystem cannot, it is of no use to ask again. */
    if (result != 0 && mpg_last_error(&error) == MPG_E_IO && error.system_errno == EOPNOTSUPP) {
        pager_lock(pager);
        pager->discard = false;
        pager_unlock(pager);
    }
}
