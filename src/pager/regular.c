/* SPDX-License-Identifier: MIT */
/* Regular pages. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "os/grow.h"
#include "os/poison.h"
#include "pager/apply.h"
#include "pager/edit.h"
#include "pager/look_again.h"
#include "pager/pager.h"
#include "pager/regular.h"
#include "pager/settle.h"

/* ---- allocation ---- */

int mpg_alloc_bulk(mpg_page_id *ids, mpg_pager *pager, size_t count, unsigned flags)
{
    struct page_runs runs = {NULL, 0, 0};
    struct edit edit;
    int result = mpgi_check_flags(flags, MPG_ZERO, "alloc");

    if (result != 0 || count == 0)
        return result;
    if (count > PTRDIFF_MAX / sizeof(*ids))
        return mpgi_fail_memory("alloc"); /* no array can be that long */
    result = mpgi_edit_begin(&edit, pager, "alloc");
    if (result != 0)
        return result;
    do {
        runs.count = 0;
        result = mpgi_apply_alloc_runs(&edit, &runs, count, flags);
    } while (mpgi_edit_again(&edit, &result, "alloc"));
    result = mpgi_edit_end(&edit, result, WAIT_UNLESS_DEFERRED);
    if (result == 0)
        mpgi_runs_expand(ids, &runs);
    free(runs.runs);
    return result;
}

int mpg_alloc(mpg_page_id *id, mpg_pager *pager, unsigned flags)
{
    return mpg_alloc_bulk(id, pager, 1, flags);
}

static int alloc_at(mpg_pager *pager, mpg_page_id id, unsigned flags)
{
    struct edit edit;
    int result = mpgi_check_flags(flags, MPG_ZERO, "alloc_at");

    if (result == 0)
        result = mpgi_edit_begin(&edit, pager, "alloc_at");
    if (result != 0)
        return result;
    do {
        result = mpgi_apply_alloc_at(&edit, id.value, flags);
    } while (mpgi_edit_again(&edit, &result, "alloc_at"));
    return mpgi_edit_end(&edit, result, WAIT_UNLESS_DEFERRED);
}

int mpg_alloc_at(mpg_pager *pager, mpg_page_id id, unsigned flags)
{
    int result = alloc_at(pager, id, flags);

    for (unsigned i = 0; i < MOST_EVICTIONS && result == EDIT_EVICT; i++) {
        result = mpgi_evict(pager, id.value);
        if (result == 0)
            result = alloc_at(pager, id, flags);
    }
    return result != EDIT_EVICT ? result : mpgi_fail_taken(pager, id.value);
}

int mpg_free_bulk(mpg_pager *pager, const mpg_page_id *ids, size_t count)
{
    struct edit edit;
    int result;

    if (count == 0)
        return 0;
    result = mpgi_edit_begin(&edit, pager, "free");
    if (result != 0)
        return result;
    for (size_t i = 0; i < count && result == 0; i++)
        result = mpgi_apply_free(&edit, ids[i].value);
    return mpgi_edit_end(&edit, result, WAIT_UNLESS_DEFERRED);
}

int mpg_free(mpg_pager *pager, mpg_page_id id)
{
    return mpg_free_bulk(pager, &id, 1);
}

/* ---- content ---- */

int mpgi_check_regular(const mpg_pager *pager, uint64_t page, const char *operation)
{
    enum mpg_page_use use;
    int result;

    if (page < FIRST_USER_PAGE)
        return mpgi_fail(MPG_E_RESERVED_PAGE, operation, page,
                         "%s: page %llu belongs to the file itself", pager->file.path,
                         (unsigned long long)page);
    if (page >= pager->ops->total_pages(pager->format, visible_version(pager)))
        return mpgi_fail(MPG_E_OUT_OF_BOUNDS, operation, page, "%s: there is no page %llu",
                         pager->file.path, (unsigned long long)page);
    result = pager->ops->get_use(pager->format, visible_version(pager), page, &use);
    if (result != 0)
        return mpgi_explain_damage(pager, result);
    if (use == MPG_USE_FREE)
        return mpgi_fail(MPG_E_NOT_ALLOCATED, operation, page, "%s: page %llu is not allocated",
                         pager->file.path, (unsigned long long)page);
    if (use != MPG_USE_REGULAR)
        return mpgi_fail(MPG_E_NOT_REGULAR, operation, page,
                         "%s: page %llu is in internal use (protected copy or metadata)",
                         pager->file.path, (unsigned long long)page);
    return 0;
}

/*
 * Whether a page that is regular in the version that readers see is so in every other. Lock held.
 */
static bool is_settled(const mpg_pager *pager, uint64_t page)
{
    const struct format_ops *ops = pager->ops;
    enum mpg_page_use use = MPG_USE_FREE;

    if (pager->in_flight == NULL && !ops->is_dirty(pager->format))
        return true;
    for (int version = VERSION_DURABLE; version <= VERSION_NEWEST; version++) {
        if (page >= ops->total_pages(pager->format, (enum version)version) ||
            ops->get_use(pager->format, (enum version)version, page, &use) != 0 ||
            use != MPG_USE_REGULAR)
            return false;
    }
    return true;
}

/*
 * What counts instead of what a page holds, in a file whose writer was cut short, until that is put
 * right; else NULL. Lock held.
 */
static unsigned char *find_redo(const mpg_pager *pager, uint64_t page)
{
    const struct format_redo *redo = &pager->format->redo;
    const uint64_t *found =
        redo->count == 0 ? NULL
                         : bsearch(&page, redo->pages, redo->count, sizeof(page), compare_u64);

    return found == NULL ? NULL : redo->contents + (size_t)(found - redo->pages) * pager->page_size;
}

/*
 * A page is regular, and, with `to_write`, has space behind it: the next time it takes no lock.
 * Lock held.
 */
static void note(mpg_pager *pager, uint64_t page, bool to_write)
{
    if (!is_settled(pager, page) || find_redo(pager, page) != NULL)
        return;
    mpgi_known_note(&pager->regular, page);
    if (to_write)
        mpgi_known_note(&pager->writable, page);
}

/*
 * The address of a page that is known to be regular and, with `to_write`, writable; or NULL.
 * Without the lock. Where marks are set for tools, that is done under it.
 */
static unsigned char *find(const mpg_pager *pager, uint64_t page, bool to_write)
{
    if (POISON_MARKS || !known_has(to_write ? &pager->writable : &pager->regular, page) ||
        atomic_load_explicit(&pager->file.changed, memory_order_relaxed) ||
        (to_write && atomic_load_explicit(&pager->file.scarce, memory_order_relaxed)))
        return NULL;
    return mpgi_map_look(&pager->map, offset_of_page(pager, page), pager->page_size);
}

/* Its address in the map. Lock held. */
static int locate_in_map(unsigned char **data, const mpg_pager *pager, uint64_t page, bool to_write)
{
    int result = pager->file.changed ? mpgi_check_page_is_there(pager, page) : 0;

    /* Rule 14: what is written through a pointer can report no full disk. */
    if (result == 0 && to_write)
        result = mpgi_file_back(&unconst(pager)->file, offset_of_page(pager, page),
                                pager->page_size, page, false);
    if (result == 0)
        result = mpgi_map_page(data, unconst(pager), page);
    if (result == 0 && to_write)
        result = mpgi_file_try_address(&pager->file, *data, pager->page_size, page);
    if (result == 0) {
        unpoison(&pager->map, offset_of_page(pager, page), pager->page_size);
        note(unconst(pager), page, to_write);
    }
    return result;
}

static int locate(unsigned char **data, const mpg_pager *pager, uint64_t page, bool to_write)
{
    int result;

    pager_lock(pager);
    result = mpgi_check_regular(pager, page, "get");
    if (result == 0 && to_write && find_redo(pager, page) != NULL)
        result = mpgi_settle_late(unconst(pager));
    if (result == 0) {
        *data = find_redo(pager, page);
        if (*data == NULL)
            result = locate_in_map(data, pager, page, to_write);
    }
    pager_unlock(pager);
    return result;
}

int mpg_page_get(const void **data, const mpg_pager *pager, mpg_page_id id)
{
    unsigned char *at = find(pager, id.value, false);
    int result = at != NULL ? 0 : locate(&at, pager, id.value, false);

    if (result == 0)
        *data = at;
    return result;
}

int mpg_page_get_mut(void **data, mpg_pager *pager, mpg_page_id id)
{
    unsigned char *at = find(pager, id.value, true);
    int result = 0;

    if (at == NULL)
        result = pager->read_only ? mpgi_fail(MPG_E_READ_ONLY, "get_mut", id.value,
                                              "%s: opened read-only", pager->file.path)
                                  : locate(&at, pager, id.value, true);
    if (result == 0)
        *data = at;
    return result;
}

/* *redo: see find_redo. */
static int check_range(const mpg_pager *pager, uint64_t page, size_t offset, size_t length,
                       const char *operation, const unsigned char **redo)
{
    int result;

    *redo = NULL;

    if (offset > pager->page_size || length > pager->page_size - offset)
        return mpgi_fail(MPG_E_OUT_OF_BOUNDS, operation, page,
                         "%s: %zu bytes at %zu are not within a page of %u bytes", pager->file.path,
                         length, offset, (unsigned)pager->page_size);
    if (known_has(&pager->regular, page))
        return 0;
    pager_lock(pager);
    result = mpgi_check_regular(pager, page, operation);
    if (result == 0) {
        note(unconst(pager), page, false);
        *redo = find_redo(pager, page);
    }
    pager_unlock(pager);
    return result;
}

int mpg_page_read(void *data, const mpg_pager *pager, mpg_page_id id, size_t offset, size_t length)
{
    const unsigned char *redo;
    int result = check_range(pager, id.value, offset, length, "read", &redo);

    if (result == 0 && redo != NULL && length > 0)
        memcpy(data, redo + offset, length);
    if (result != 0 || redo != NULL)
        return result;
    return mpgi_file_read(&pager->file, data, length, offset_of_page(pager, id.value) + offset,
                          id.value);
}

int mpg_page_write(mpg_pager *pager, mpg_page_id id, const void *data, size_t offset, size_t length)
{
    const unsigned char *redo = NULL;
    int result = pager->read_only ? mpgi_fail(MPG_E_READ_ONLY, "write", id.value,
                                              "%s: opened read-only", pager->file.path)
                                  : check_range(pager, id.value, offset, length, "write", &redo);

    if (result == 0 && redo != NULL) {
        pager_lock(pager);
        result = mpgi_settle_late(pager);
        pager_unlock(pager);
    }
    /*
     * Rule 12: writing beyond an end that somebody has moved would make zeros of what is missing.
     */
    if (result == 0)
        result = mpgi_look_again_often(pager);
    if (result != 0)
        return result;
    return mpgi_file_write(&pager->file, data, length, offset_of_page(pager, id.value) + offset,
                           id.value);
}

int mpg_page_sync(mpg_pager *pager, mpg_page_id id)
{
    const unsigned char *redo;
    int result = check_range(pager, id.value, 0, 0, "sync", &redo);

    return result != 0 ? result : mpgi_edit_sync(pager, "sync");
}

int mpg_sync(mpg_pager *pager)
{
    return mpgi_edit_sync(pager, "sync");
}

int mpg_raw_read(void *data, const mpg_pager *pager, uint64_t page)
{
    uint64_t total;

    pager_lock(pager);
    total = pager->ops->total_pages(pager->format, visible_version(pager));
    pager_unlock(pager);
    if (page >= total)
        return mpgi_fail(MPG_E_OUT_OF_BOUNDS, "raw_read", page, "%s: there is no page %llu",
                         pager->file.path, (unsigned long long)page);
    return mpgi_file_read(&pager->file, data, pager->page_size, offset_of_page(pager, page), page);
}
