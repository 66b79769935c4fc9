/* SPDX-License-Identifier: MIT */
#include "pager/apply.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "os/grow.h"
#include "pager/give_back.h"
#include "pager/look_again.h"
#include "pager/pager.h"
#include "pager/protected_write.h"
#include "pager/snapshots.h"

/* ---- regular pages ---- */

/* The lowest page >= from that find_free offers and no open transaction holds. */
static int find_unreserved(mpg_pager *pager, uint64_t from, enum reuse reuse, uint64_t *page)
{
    uint64_t *search = &pager->search_page[reuse];
    uint64_t start = max_u64(from, *search);
    uint64_t found;

    for (;; start = found + 1) {
        int result = pager->ops->find_free(pager->format, start, reuse, &found);

        if (result != 0)
            return result;
        if (!mpgi_format_holds(pager->format, found))
            break;
    }
    if (from <= *search)
        *search = found;
    *page = found;
    return 0;
}

/*
 * Makes room for so many pages at once, growing the file if need be: where there is none, that is
 * found before anything is taken for those that would have fitted. `held`: of them a transaction
 * holds so many already.
 */
static int make_spare(mpg_pager *pager, uint64_t pages, uint64_t held)
{
    struct format *format = pager->format;
    struct mpg_stat st;
    int64_t spare;

    pager->ops->facts(format, VERSION_NEWEST, &st);
    /* What a file says of free pages may be more than it has. */
    spare = pager->ops->spare != NULL ? pager->ops->spare(format)
                                      : (int64_t)min_u64(st.free_pages, st.total_pages);
    spare += (int64_t)(held + format->taken) - (int64_t)pager->reserved.count;
    if (spare >= 0 && (uint64_t)spare >= pages)
        return 0;
    if (pages > st.max_pages)
        return mpgi_fail(MPG_E_FILE_FULL, "alloc", MPG_NO_PAGE,
                         "%s: file full: the format holds %llu pages, fewer than %llu",
                         pager->file.path, (unsigned long long)st.max_pages,
                         (unsigned long long)pages);
    return mpgi_format_grow(format, st.total_pages + (uint64_t)((int64_t)pages - spare));
}

int mpgi_choose_page(mpg_pager *pager, uint64_t *from, uint64_t *page)
{
    uint64_t total, chosen;
    int result = pager->ops->spare != NULL ? make_spare(pager, 1, 0) : 0;

    if (result != 0)
        return result;
    total = pager->ops->total_pages(pager->format, VERSION_NEWEST);
    result = find_unreserved(pager, *from, REUSE_SETTLED, &chosen);

    /*
     * Rule 2: pages freed by the last commit rest for one more, unless the file would have to grow.
     */
    if (result == MPG_E_FILE_FULL || (result == 0 && chosen >= total)) {
        uint64_t recent;
        int again = find_unreserved(pager, 0, REUSE_RECENT, &recent);

        if (again == 0 && recent < total) {
            chosen = recent;
            result = 0;
        }
    }
    if (result == 0)
        result = mpgi_format_check_lowest(pager->format, chosen);
    if (result == 0 && chosen >= total) {
        result = mpgi_format_grow(pager->format, chosen + 1);
        /* There are pages to spare, but they rest, or are shown. */
        if (result != 0 && pager->ops->spare != NULL)
            return EDIT_NEEDS_ROOM;
    }
    if (result != 0)
        return result;
    *page = chosen;
    *from = chosen + 1;
    return 0;
}

#define ZERO_CHUNK ((size_t)1 << 16)

/* Rule 12, for what an operation writes before its commit: once is enough. */
static int look_once(struct edit *edit)
{
    int result = edit->looked ? 0 : mpgi_look_again(edit->pager);

    edit->looked = result == 0;
    return result;
}

/*
 * Whether zeros that are read at an offset are on the disk as well. The commit that freed a page
 * made its content durable with it; not so that of a page that was given back before any sync. And
 * what was there when the file was opened may be left in the page cache by a process whose sync
 * failed: taken for clean, and never to be written (rule 6).
 */
static bool zeros_are_durable(const mpg_pager *pager, uint64_t offset)
{
    return !pager->unsynced_zeros && (offset >= pager->found_bytes || !RULE_HOLDS(RULE_5_ZEROS));
}

/*
 * Makes a free page read as zeros. That is safe at any time (invariant 3), and where it does so
 * already, on the disk too, there is nothing to write.
 */
static int make_zero(struct edit *edit, uint64_t page, bool *changed)
{
    static const unsigned char zeros[ZERO_CHUNK];
    mpg_pager *pager = edit->pager;
    uint64_t begin = offset_of_page(pager, page);
    size_t chunk = (size_t)min_u64(pager->page_size, ZERO_CHUNK);
    bool durable = zeros_are_durable(pager, begin);
    unsigned char *seen;
    int result = 0;

    if (!pager->unsynced_zeros && mpgi_file_is_hole(&pager->file, begin, pager->page_size))
        return 0;
    seen = malloc(chunk);
    if (seen == NULL)
        return mpgi_fail_memory("alloc");
    for (uint64_t at = begin; at < begin + pager->page_size && result == 0; at += chunk) {
        result = durable ? mpgi_file_read(&pager->file, seen, chunk, at, page) : 0;
        if (result != 0 || (durable && is_zero(seen, chunk)))
            continue;
        *changed = true;
        result = look_once(edit);
        if (result == 0)
            result = mpgi_file_write(&pager->file, zeros, chunk, at, page);
    }
    free(seen);
    return result;
}

/* Marks a chosen page allocated. `zero`: it reads as zeros. */
static int mark_allocated(struct edit *edit, uint64_t page, enum mpg_page_use use, bool zero)
{
    mpg_pager *pager = edit->pager;
    bool changed = false;
    /* Rule 14: a page given out has disk space behind it. */
    int result =
        mpgi_file_back(&pager->file, offset_of_page(pager, page), pager->page_size, page, true);

    if (result == 0 && zero)
        result = make_zero(edit, page, &changed);
    if (result != 0)
        return result;
    /* Rule 5: no checksum covers the zeros of a regular page. */
    if (changed && use == MPG_USE_REGULAR)
        pager->gathering->ordered = true;
    return mpgi_edit_use(edit, page, use);
}

/* How many pages from one just chosen can be had in one go, `most` or fewer. */
static unsigned run_from(const mpg_pager *pager, uint64_t page, uint64_t most)
{
    uint64_t total = pager->ops->total_pages(pager->format, VERSION_NEWEST);

    if (most == 1 || pager->ops->free_run == NULL || pager->reserved.count > 0)
        return 1;
    most = min_u64(most, total - page);
    return (unsigned)min_u64(pager->ops->free_run(pager->format, page), most);
}

static bool add_run(struct page_runs *runs, uint64_t first, uint64_t count)
{
    struct page_run *bigger =
        mpgi_array_room(runs->runs, runs->count, &runs->capacity, sizeof(*bigger), 64);

    if (bigger == NULL)
        return false;
    runs->runs = bigger;
    runs->runs[runs->count++] = (struct page_run){first, count};
    return true;
}

static int alloc_run(struct edit *edit, uint64_t page, unsigned count)
{
    mpg_pager *pager = edit->pager;
    uint64_t size = pager->page_size;
    int result = mpgi_file_back(&pager->file, page * size, count * size, page, true);

    return result != 0 ? result : mpgi_edit_use_run(edit, page, count, MPG_USE_REGULAR);
}

int mpgi_apply_alloc_runs(struct edit *edit, struct page_runs *runs, size_t count, unsigned flags)
{
    bool zero = (flags & MPG_ZERO) != 0;
    uint64_t from = 0;
    int result = 0;

    while (result == 0 && count > 0) {
        unsigned run = 1;
        uint64_t page = 0;

        result = make_spare(edit->pager, count, 0);
        if (result == 0)
            result = mpgi_choose_page(edit->pager, &from, &page);
        if (result == 0 && !zero)
            run = run_from(edit->pager, page, count);
        if (result == 0 && run > 1)
            result = alloc_run(edit, page, run);
        else if (result == 0)
            result = mark_allocated(edit, page, MPG_USE_REGULAR, zero);
        if (result == 0 && !add_run(runs, page, run))
            result = mpgi_fail_memory("alloc");
        count -= run;
        from = page + run;
    }
    return result;
}

void mpgi_runs_expand(mpg_page_id *ids, const struct page_runs *runs)
{
    for (size_t i = 0; i < runs->count; i++)
        for (uint64_t k = 0; k < runs->runs[i].count; k++)
            (ids++)->value = runs->runs[i].first + k;
}

int mpgi_apply_alloc_many(struct edit *edit, mpg_page_id *ids, size_t count, unsigned flags)
{
    struct page_runs runs = {NULL, 0, 0};
    int result = mpgi_apply_alloc_runs(edit, &runs, count, flags);

    if (result == 0)
        mpgi_runs_expand(ids, &runs);
    free(runs.runs);
    return result;
}

int mpgi_check_alloc_at(mpg_pager *pager, uint64_t page)
{
    enum mpg_page_use use = MPG_USE_FREE;
    struct mpg_stat st;
    int result;

    if (page < FIRST_USER_PAGE)
        return mpgi_fail(MPG_E_RESERVED_PAGE, "alloc_at", page,
                         "%s: page %llu belongs to the file itself", pager->file.path,
                         (unsigned long long)page);
    pager->ops->facts(pager->format, VERSION_NEWEST, &st);
    if (page >= st.max_pages)
        return mpgi_fail(MPG_E_FILE_FULL, "alloc_at", page,
                         "%s: page %llu is beyond the %llu pages that the format can hold",
                         pager->file.path, (unsigned long long)page,
                         (unsigned long long)st.max_pages);
    if (page >= st.total_pages)
        return 0;
    result = pager->ops->get_use(pager->format, VERSION_NEWEST, page, &use);
    if (result == 0 && mpgi_id_map_find(&pager->lingering, page) != NULL)
        return mpgi_fail(MPG_E_BUSY, "alloc_at", page,
                         "%s: a view or a snapshot shows what was in page %llu", pager->file.path,
                         (unsigned long long)page);
    if (result != 0 || use == MPG_USE_FREE)
        return result;
    if (use == MPG_USE_REGULAR)
        return mpgi_fail(MPG_E_EXISTS, "alloc_at", page, "%s: page %llu is allocated already",
                         pager->file.path, (unsigned long long)page);
    if (use == MPG_USE_PROTECTED && pager->ops->find_owner != NULL)
        return EDIT_EVICT;
    return mpgi_fail(MPG_E_NOT_REGULAR, "alloc_at", page,
                     "%s: page %llu is in internal use (protected copy or metadata)",
                     pager->file.path, (unsigned long long)page);
}

/*
 * Whether a page is free in every version: what keeps it from being given out is no commit under
 * way.
 */
static bool is_free_for_good(mpg_pager *pager, uint64_t page)
{
    static const enum version versions[] = {VERSION_DURABLE, VERSION_FROZEN, VERSION_NEWEST};
    enum mpg_page_use use = MPG_USE_FREE;

    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (page < pager->ops->total_pages(pager->format, versions[i]) &&
            (pager->ops->get_use(pager->format, versions[i], page, &use) != 0 ||
             use != MPG_USE_FREE))
            return false;
    }
    return true;
}

int mpgi_apply_alloc_held(struct edit *edit, uint64_t page, bool zero)
{
    mpg_pager *pager = edit->pager;
    uint64_t available;
    bool held = mpgi_id_map_find(&pager->reserved, page) != NULL;
    int result = mpgi_check_alloc_at(pager, page);

    if (result == 0 && pager->ops->spare != NULL)
        result = make_spare(pager, 1, held);
    if (result == 0 && page >= pager->ops->total_pages(pager->format, VERSION_NEWEST)) {
        result = mpgi_format_grow(pager->format, page + 1);
        if (result == 0)
            result = mpgi_check_alloc_at(pager, page); /* growing takes pages, too */
    }
    if (result != 0)
        return result;
    /* Rule 2: it may have been freed by a batch that is not durable yet. */
    result = pager->ops->find_free(pager->format, page, REUSE_RECENT, &available);
    if (result == MPG_E_FILE_FULL || (result == 0 && available != page))
        return is_free_for_good(pager, page) ? EDIT_NEEDS_ROOM : EDIT_RESTART;
    if (result == 0)
        result = mark_allocated(edit, page, MPG_USE_REGULAR, zero);
    if (result == 0)
        pager->format->taken += held;
    return result;
}

int mpgi_check_not_held(const mpg_pager *pager, uint64_t page)
{
    const uint64_t *given_back = pager->given_back;

    if (mpgi_id_map_find(&pager->reserved, page) == NULL)
        return 0;
    if (given_back != NULL && page >= given_back[0] && page < given_back[1])
        return EDIT_GIVEN_BACK;
    return mpgi_fail(MPG_E_BUSY, "alloc_at", page, "%s: page %llu is held by an open transaction",
                     pager->file.path, (unsigned long long)page);
}

int mpgi_apply_alloc_at(struct edit *edit, uint64_t page, unsigned flags)
{
    int result = mpgi_check_not_held(edit->pager, page);

    if (result != 0)
        return result;
    return mpgi_apply_alloc_held(edit, page, (flags & MPG_ZERO) != 0);
}

/* Whether the page of a content would linger once that has gone elsewhere. */
static bool is_shown(const mpg_pager *pager, uint64_t id, uint64_t page)
{
    return mpgi_is_pinned(pager, page) || mpgi_snapshots_show(pager, id, page);
}

/* The content that is in a page is written once more, and so goes to another one. */
static int move_content(struct edit *edit, uint64_t page)
{
    struct format *format = edit->pager->format;
    struct protected_write write = {0};
    int result = format->ops->find_owner(format, page, &write.id);

    if (result == MPG_E_NOT_ALLOCATED)
        return 0; /* it has gone already */
    if (result == 0 && is_shown(edit->pager, write.id, page) && RULE_HOLDS(RULE_PINS))
        return mpgi_fail(
            MPG_E_BUSY, "alloc_at", page,
            "%s: a view or a snapshot shows protected page %llu, which is in page %llu",
            edit->pager->file.path, (unsigned long long)write.id, (unsigned long long)page);
    return result != 0 ? result : mpgi_apply_protected_write(edit, &write);
}

int mpgi_fail_taken(const mpg_pager *pager, uint64_t page)
{
    return mpgi_fail(MPG_E_BUSY, "alloc_at", page,
                     "%s: contents of protected pages came to page %llu again and again",
                     pager->file.path, (unsigned long long)page);
}

int mpgi_evict(mpg_pager *pager, uint64_t page)
{
    struct edit edit;
    bool held;
    int result = mpgi_edit_begin(&edit, pager, "alloc_at");

    if (result != 0)
        return result;
    /* Nobody else's content may go there as soon as it is free. */
    held = mpgi_id_map_find(&pager->reserved, page) != NULL;
    if (!held && mpgi_id_map_put(&pager->reserved, page) == NULL)
        result = mpgi_fail_memory("alloc_at");
    if (result == 0) {
        do {
            result = move_content(&edit, page);
        } while (mpgi_edit_again(&edit, &result, "alloc_at"));
    }
    /* Rule P4: until this is durable a crash would bring the content back to where it was. */
    result = mpgi_edit_end(&edit, result, WAIT_DURABLE);
    if (!held) {
        pager_lock(pager);
        mpgi_id_map_remove(&pager->reserved, page);
        pager_unlock(pager);
    }
    return result;
}

int mpgi_check_free(mpg_pager *pager, uint64_t page)
{
    enum mpg_page_use use;
    int result;

    if (page < FIRST_USER_PAGE)
        return mpgi_fail(MPG_E_RESERVED_PAGE, "free", page,
                         "%s: page %llu belongs to the file itself", pager->file.path,
                         (unsigned long long)page);
    if (page >= pager->ops->total_pages(pager->format, VERSION_NEWEST))
        return mpgi_fail(MPG_E_OUT_OF_BOUNDS, "free", page, "%s: there is no page %llu",
                         pager->file.path, (unsigned long long)page);
    result = pager->ops->get_use(pager->format, VERSION_NEWEST, page, &use);
    if (result != 0)
        return result;
    if (use == MPG_USE_FREE)
        return mpgi_fail(MPG_E_DOUBLE_FREE, "free", page, "%s: page %llu is free already",
                         pager->file.path, (unsigned long long)page);
    if (use != MPG_USE_REGULAR)
        return mpgi_fail(MPG_E_NOT_REGULAR, "free", page,
                         "%s: page %llu is in internal use (protected copy or metadata)",
                         pager->file.path, (unsigned long long)page);
    return 0;
}

int mpgi_apply_free(struct edit *edit, uint64_t page)
{
    int result = mpgi_check_free(edit->pager, page);

    if (result == 0)
        mpgi_note_freed(edit->pager, page);
    return result != 0 ? result : mpgi_edit_use(edit, page, MPG_USE_FREE);
}

/* ---- protected pages ---- */

int mpgi_check_protected_id(const mpg_pager *pager, uint64_t id, const char *operation)
{
    struct mpg_stat st;

    pager->ops->facts(pager->format, VERSION_NEWEST, &st);
    if (id < st.max_protected)
        return 0;
    return mpgi_fail(MPG_E_OUT_OF_BOUNDS, operation, id,
                     "%s: the format holds %llu protected pages, %llu is beyond", pager->file.path,
                     (unsigned long long)st.max_protected, (unsigned long long)id);
}

int mpgi_check_alloc_protected_at(mpg_pager *pager, uint64_t id)
{
    struct mpg_stat st;

    pager->ops->facts(pager->format, VERSION_NEWEST, &st);
    if (id >= st.max_protected)
        return mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc_protected_at", id,
                         "%s: protected page %llu is beyond the %llu that the format can hold",
                         pager->file.path, (unsigned long long)id,
                         (unsigned long long)st.max_protected);
    if (mpgi_id_map_find(&pager->reserved_protected, id) != NULL)
        return mpgi_fail(MPG_E_BUSY, "alloc_protected_at", id,
                         "%s: protected page %llu is held by an open transaction", pager->file.path,
                         (unsigned long long)id);
    return 0;
}

int mpgi_choose_protected(mpg_pager *pager, uint64_t *from, uint64_t *id)
{
    uint64_t start = max_u64(*from, pager->search_protected);
    uint64_t found;

    for (;; start = found + 1) {
        int result = pager->ops->find_free_entry(pager->format, start, &found);

        if (result != 0)
            return result;
        if (mpgi_id_map_find(&pager->reserved_protected, found) == NULL)
            break;
    }
    if (*from <= pager->search_protected)
        pager->search_protected = found;
    *id = found;
    *from = found + 1;
    return 0;
}

int mpgi_apply_alloc_protected(struct edit *edit, uint64_t id)
{
    mpg_pager *pager = edit->pager;
    struct entry old = {{0, 0}, 0, 0, 0, false};
    struct entry entry = old;
    uint64_t from = 0;
    int result = pager->ops->get_entry(pager->format, VERSION_NEWEST, id, &old);

    if (result == 0)
        return mpgi_fail(MPG_E_EXISTS, "alloc_protected", id,
                         "%s: protected page %llu is allocated already", pager->file.path,
                         (unsigned long long)id);
    if (result != MPG_E_NOT_ALLOCATED)
        return result;
    result = pager->ops->spare != NULL ? make_spare(pager, 2, 0) : 0;
    if (result != 0)
        return result;
    for (unsigned copy = 0; copy < pager->ops->copies; copy++) {
        result = mpgi_choose_page(pager, &from, &entry.page[copy]);
        if (result == 0)
            result = mark_allocated(edit, entry.page[copy], MPG_USE_PROTECTED, copy == 0);
        if (result != 0)
            return result;
    }
    entry.in_use = true;
    entry.crc = pager->zero_crc;
    old.in_use = false;
    pager->gathering->protected_pages++;
    return mpgi_edit_entry(edit, id, &old, &entry);
}

int mpgi_apply_alloc_protected_many(struct edit *edit, mpg_protected_id *ids, size_t count)
{
    mpg_pager *pager = edit->pager;
    uint64_t from = 0;
    struct mpg_stat st;
    int result;

    pager->ops->facts(pager->format, VERSION_NEWEST, &st);
    if (count > st.max_protected - st.protected_pages)
        return mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc_protected", MPG_NO_PAGE,
                         "%s: directory full: there are %llu protected pages, and the format holds "
                         "%llu",
                         pager->file.path, (unsigned long long)st.protected_pages,
                         (unsigned long long)st.max_protected);
    result = make_spare(pager, 2 * (uint64_t)count, 0);
    for (size_t i = 0; i < count && result == 0; i++) {
        result = mpgi_choose_protected(pager, &from, &ids[i].value);
        if (result == 0)
            result = mpgi_apply_alloc_protected(edit, ids[i].value);
    }
    return result;
}

int mpgi_apply_free_protected(struct edit *edit, uint64_t id)
{
    mpg_pager *pager = edit->pager;
    struct entry old, freed;
    int result = mpgi_check_protected_id(pager, id, "free_protected");

    if (result == 0)
        result = pager->ops->get_entry(pager->format, VERSION_NEWEST, id, &old);
    if (result == MPG_E_NOT_ALLOCATED)
        return mpgi_fail(MPG_E_DOUBLE_FREE, "free_protected", id,
                         "%s: protected page %llu is free already", pager->file.path,
                         (unsigned long long)id);
    if (result != 0)
        return result;
    if ((pager->ops->copies != 0 &&
         (mpgi_is_pinned(pager, old.page[0]) || mpgi_is_pinned(pager, old.page[1]))) ||
        mpgi_id_map_find(&pager->writers, id) != NULL)
        return mpgi_fail(MPG_E_BUSY, "free_protected", id,
                         "%s: protected page %llu has a view or a writer open", pager->file.path,
                         (unsigned long long)id);
    for (unsigned copy = 0; copy < pager->ops->copies && result == 0; copy++) {
        mpgi_id_map_remove(&pager->verified, old.page[copy]);
        result = mpgi_edit_use(edit, old.page[copy], MPG_USE_FREE);
    }
    if (result != 0)
        return result;
    freed = old;
    freed.in_use = false;
    mpgi_note_freed(edit->pager, old.page[0]);
    mpgi_note_freed(edit->pager, old.page[1]);
    return mpgi_edit_entry(edit, id, &old, &freed);
}
