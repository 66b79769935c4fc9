/* SPDX-License-Identifier: MIT */
/* Protected pages: allocation, reading, views. */
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/error.h"
#include "os/poison.h"
#include "pager/apply.h"
#include "pager/edit.h"
#include "pager/look_again.h"
#include "pager/pager.h"
#include "pager/protected_write.h"
#include "pager/snapshots.h"

/* ---- allocation ---- */

static int alloc_many(mpg_protected_id *ids, mpg_pager *pager, size_t count)
{
    struct edit edit;
    int result = mpgi_edit_begin(&edit, pager, "alloc_protected");

    if (result != 0)
        return result;
    do {
        result = mpgi_apply_alloc_protected_many(&edit, ids, count);
    } while (mpgi_edit_again(&edit, &result, "alloc_protected"));
    return mpgi_edit_end(&edit, result, WAIT_UNLESS_DEFERRED);
}

int mpg_alloc_protected(mpg_protected_id *id, mpg_pager *pager)
{
    mpg_protected_id one;
    int result = alloc_many(&one, pager, 1);

    if (result == 0)
        *id = one;
    return result;
}

int mpg_alloc_protected_bulk(mpg_protected_id *ids, mpg_pager *pager, size_t count)
{
    mpg_protected_id *found;
    int result;

    if (count == 0)
        return 0;
    found = count <= SIZE_MAX / sizeof(*found) ? malloc(count * sizeof(*found)) : NULL;
    if (found == NULL)
        return mpgi_fail_memory("alloc_protected");
    result = alloc_many(found, pager, count);
    if (result == 0)
        memcpy(ids, found, count * sizeof(*found));
    free(found);
    return result;
}

int mpg_alloc_protected_at(mpg_pager *pager, mpg_protected_id id)
{
    struct edit edit;
    int result = mpgi_edit_begin(&edit, pager, "alloc_protected_at");

    if (result != 0)
        return result;
    do {
        result = mpgi_check_alloc_protected_at(pager, id.value);
        if (result == 0)
            result = mpgi_apply_alloc_protected(&edit, id.value);
    } while (mpgi_edit_again(&edit, &result, "alloc_protected_at"));
    return mpgi_edit_end(&edit, result, WAIT_UNLESS_DEFERRED);
}

int mpg_free_protected_bulk(mpg_pager *pager, const mpg_protected_id *ids, size_t count)
{
    struct edit edit;
    int result;

    if (count == 0)
        return 0;
    result = mpgi_edit_begin(&edit, pager, "free_protected");
    if (result != 0)
        return result;
    for (size_t i = 0; i < count && result == 0; i++)
        result = mpgi_apply_free_protected(&edit, ids[i].value);
    return mpgi_edit_end(&edit, result, WAIT_UNLESS_DEFERRED);
}

int mpg_free_protected(mpg_pager *pager, mpg_protected_id id)
{
    return mpg_free_protected_bulk(pager, &id, 1);
}

/* ---- reading ---- */

static int fail_not_allocated(const mpg_pager *pager, uint64_t id, const char *operation)
{
    return mpgi_fail(MPG_E_NOT_ALLOCATED, operation, id, "%s: there is no protected page %llu",
                     pager->file.path, (unsigned long long)id);
}

static bool is_fresh(const struct batch *batch, uint64_t id)
{
    return batch != NULL && mpgi_id_map_find(&batch->fresh, id) != NULL;
}

/*
 * The entry whose content readers see. *fresh: the page was allocated by a commit that is put off,
 * so its content is zeros and nothing of it need be on the disk. Called with the lock held.
 */
static int visible_entry(const mpg_pager *pager, uint64_t id, struct entry *entry, bool *fresh,
                         const char *operation)
{
    struct entry newest;
    int result = pager->ops->get_entry(pager->format, VERSION_DURABLE, id, entry);

    *fresh = false;
    if (pager->deferred && (result == 0 || result == MPG_E_NOT_ALLOCATED)) {
        int now = pager->ops->get_entry(pager->format, VERSION_NEWEST, id, &newest);

        if (now == 0 && (is_fresh(pager->gathering, id) || is_fresh(pager->in_flight, id))) {
            *entry = newest;
            *fresh = true;
        }
        result = now;
    }
    if (result == MPG_E_NOT_ALLOCATED)
        return fail_not_allocated(pager, id, operation);
    return mpgi_explain_damage(pager, result);
}

/*
 * What it means that content read without the lock cannot be what its entry says: READ_AGAIN where
 * the page has another content by now; two commits may have passed, the second over the copy that
 * was being read. Otherwise `error`, or STALE.
 */
#define READ_AGAIN 1
static int explain_failure(const mpg_pager *pager, uint64_t id, const struct entry *entry,
                           int error)
{
    struct entry now;
    mpg_error_info info;
    bool fresh;
    int result;

    (void)mpg_last_error(&info);
    pager_lock(pager);
    result = visible_entry(pager, id, &now, &fresh, "read");
    if (result == 0 && (fresh || !mpgi_same_content(&now, entry)))
        result = READ_AGAIN;
    /* Under the same lock: another thread may refresh at any time. */
    if (result == 0) {
        (void)mpgi_fail_again(&info);
        result = mpgi_explain_damage(pager, error);
    }
    pager_unlock(pager);
    return result;
}

int mpgi_protected_read(void *data, const mpg_pager *pager, mpg_protected_id id)
{
    for (;;) {
        struct entry entry;
        bool fresh;
        int result;

        pager_lock(pager);
        result = visible_entry(pager, id.value, &entry, &fresh, "read");
        pager_unlock(pager);
        if (result != 0)
            return result;
        if (fresh && data != NULL)
            memset(data, 0, pager->page_size);
        if (fresh)
            return 0;
        result = mpgi_read_entry(data, pager, id.value, &entry);
        if (result == MPG_E_CORRUPT_PAGE || result == MPG_E_TRUNCATED)
            result = explain_failure(pager, id.value, &entry, result);
        if (result != READ_AGAIN)
            return result;
    }
}

int mpg_protected_read(void *data, const mpg_pager *pager, mpg_protected_id id)
{
    return mpgi_protected_read(data, pager, id);
}

int mpg_protected_stat(mpg_protected_info *info, const mpg_pager *pager, mpg_protected_id id)
{
    struct entry entry;
    bool fresh;
    int result;

    pager_lock(pager);
    result = visible_entry(pager, id.value, &entry, &fresh, "stat");
    pager_unlock(pager);
    if (result != 0)
        return result;
    info->page[0] = entry.page[0];
    info->page[1] = entry.page[1];
    info->current = entry.current;
    info->generation = entry.generation;
    info->crc = entry.crc;
    return 0;
}

/* ---- views ---- */

/*
 * Content once checked is not checked again: so many pages are remembered before all are forgotten.
 */
#define MOST_VERIFIED 65536

/* Pages without a view that may have a record of their pins. */
#define MOST_IDLE_PINS 4096

static int verify(mpg_pager *pager, uint64_t id, const struct entry *entry,
                  const unsigned char *data)
{
    uint64_t page = entry_page(entry);
    union id_value *seen = mpgi_id_map_find(&pager->verified, page);
    uint32_t found;

    /* Generations of a page never repeat until it is freed; +1 tells generation 0 from nothing. */
    if (seen != NULL && seen->number == (uintptr_t)(entry->generation + 1))
        return 0;
    if (mpgi_check_page_is_there(pager, page) != 0)
        return MPG_E_TRUNCATED;
    found = crc_of(data, pager->page_size);
    if (found != entry->crc)
        return mpgi_fail_crc(MPG_E_CORRUPT_PAGE, "view", id, entry->crc, found, pager->file.path,
                             "protected page");
    if (pager->verified.count >= MOST_VERIFIED)
        mpgi_id_map_clear(&pager->verified);
    seen = mpgi_id_map_put(&pager->verified, page);
    if (seen != NULL)
        seen->number = (uintptr_t)(entry->generation + 1);
    return 0;
}

/* What gathers or is in flight may be about to take the page away. Called with the lock held. */
static int check_stays(mpg_pager *pager, uint64_t id, const struct entry *entry)
{
    struct entry newest;

    /* Where contents move, what is shown lingers until nobody shows it any more. */
    if (pager->ops->copies == 0)
        return 0;
    if (pager->in_flight == NULL && !pager->ops->is_dirty(pager->format))
        return 0;
    /* A page that is being freed is gone for new views: its copies may soon be another's. */
    if (pager->ops->get_entry(pager->format, VERSION_NEWEST, id, &newest) != 0)
        return fail_not_allocated(pager, id, "view");
    /* It was freed, and its id given out again with other copies, by what is being committed. */
    return newest.page[0] == entry->page[0] ? 0 : EDIT_RESTART;
}

/* The page of the file that is mapped at an address. Lock held. */
static uint64_t page_at(const mpg_pager *pager, const void *data)
{
    /* A page size is a power of two. */
    return mpgi_map_offset_of(&pager->map, data) >> __builtin_ctz(pager->page_size);
}

/* Marks the page of a copy that no view shows. */
static void poison_unpinned(const mpg_pager *pager, uint64_t page)
{
    if (!mpgi_is_pinned(pager, page))
        poison(&pager->map, offset_of_page(pager, page), pager->page_size);
}

static int count_pin(mpg_pager *pager, uint64_t page)
{
    union id_value *pins = mpgi_id_map_put(&pager->pins, page);

    if (pins == NULL)
        return mpgi_fail_memory("view");
    pins->number++;
    unpoison(&pager->map, offset_of_page(pager, page), pager->page_size);
    return 0;
}

/* Called with the lock held. */
static int pin(unsigned char **data, mpg_pager *pager, uint64_t id)
{
    struct entry entry;
    uint64_t page;
    bool fresh;
    int result = visible_entry(pager, id, &entry, &fresh, "view");

    if (result == 0 && fresh)
        return EDIT_RESTART;
    if (result == 0)
        result = check_stays(pager, id, &entry);
    if (result == 0)
        result = mpgi_map_page(data, pager, entry_page(&entry));
    if (result != 0)
        return result;
    page = entry_page(&entry);
    unpoison(&pager->map, offset_of_page(pager, page), pager->page_size);
    result = mpgi_explain_damage(pager, verify(pager, id, &entry, *data));
    if (result == 0)
        result = count_pin(pager, page);
    if (result != 0)
        poison_unpinned(pager, page);
    return result;
}

/* As pin, for a page that was seen before, and no entry has changed since. */
static int pin_again(unsigned char **data, mpg_pager *pager, uint64_t id)
{
    struct seen_view *seen = &pager->seen[id % SEEN_VIEWS];
    int result;

    if (seen->id == id && seen->entry_changes == pager->entry_changes) {
        *data = seen->data;
        return count_pin(pager, page_at(pager, seen->data));
    }
    result = pin(data, pager, id);
    if (result == 0)
        *seen = (struct seen_view){id, pager->entry_changes, *data};
    return result;
}

int mpg_protected_view(const void **data, mpg_pager *pager, mpg_protected_id id)
{
    unsigned char *at;
    int result;

    if (pager->read_only)
        return mpgi_fail(MPG_E_READ_ONLY, "view", id.value,
                         "%s: a view needs a pager open for writing", pager->file.path);
    for (;;) {
        pager_lock(pager);
        result = pin_again(&at, pager, id.value);
        pager_unlock(pager);
        if (result != EDIT_RESTART)
            break;
        result = mpgi_edit_sync(pager, "view");
        if (result != 0)
            return result;
    }
    if (result == 0)
        *data = at;
    return result;
}

/* The last view of a page is gone. */
static void unpinned(mpg_pager *pager, uint64_t page)
{
    if (pager->pins.count > MOST_IDLE_PINS)
        mpgi_id_map_remove(&pager->pins, page);
    if (mpgi_id_map_find(&pager->lingering, page) == NULL || mpgi_snapshots_hold(pager, page))
        return;
    mpgi_id_map_remove(&pager->lingering, page);
    pager->ops->let_go(pager->format, page);
    pager_search_page(pager, page);
}

void mpg_protected_release(mpg_pager *pager, const void *data)
{
    union id_value *pins;
    uint64_t page;

    if (data == NULL)
        return;
    pager_lock(pager);
    page = page_at(pager, data);
    pins = mpgi_id_map_find(&pager->pins, page);
    /* A page viewed once is likely to be viewed again: some idle records stay. */
    if (pins != NULL && pins->number > 0 && --pins->number == 0)
        unpinned(pager, page);
    poison_unpinned(pager, page);
    pager_unlock(pager);
}
