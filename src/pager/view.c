/* SPDX-License-Identifier: MIT */
/* Views of protected pages. */
#include "base/crc.h"
#include "base/error.h"
#include "os/poison.h"
#include "pager/edit.h"
#include "pager/look_again.h"
#include "pager/pager.h"
#include "pager/snapshots.h"
#include "pager/visible.h"

/*
 * Content once checked is not checked again: so many pages are remembered before all are forgotten.
 */
#define MOST_VERIFIED 65536

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
        return mpgi_fail_not_allocated(pager, id, "view");
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
    if (POISON_MARKS && !mpgi_is_pinned(pager, page))
        poison(&pager->map, offset_of_page(pager, page), pager->page_size);
}

/* Called with the lock held. */
static int pin(unsigned char **data, mpg_pager *pager, uint64_t id)
{
    struct entry entry;
    uint64_t page;
    bool fresh, stays;
    int result = mpgi_visible_entry(pager, id, &entry, &fresh, "view");

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
    stays = result == 0 && mpgi_entry_stays(pager, id, &entry);
    if (result == 0 && !mpgi_pins_take(&pager->pins, id, page, *data, stays))
        result = mpgi_fail_memory("view");
    if (stays)
        mpgi_entries_note(&pager->entries, id, &entry, *data);
    if (result != 0)
        poison_unpinned(pager, page);
    return result;
}

/* Under the lock. */
static int view(unsigned char **data, mpg_pager *pager, uint64_t id)
{
    int result;

    if (pager->read_only)
        return mpgi_fail(MPG_E_READ_ONLY, "view", id, "%s: a view needs a pager open for writing",
                         pager->file.path);
    for (;;) {
        pager_lock(pager);
        result = pin(data, pager, id);
        pager_unlock(pager);
        if (result != EDIT_RESTART)
            return result;
        result = mpgi_edit_sync(pager, "view");
        if (result != 0)
            return result;
    }
}

int mpg_protected_view(const void **data, mpg_pager *pager, mpg_protected_id id)
{
    const unsigned char *last = mpgi_entries_data(&pager->entries, id.value);
    unsigned char *at;
    int result;

    if (last != NULL && mpgi_pins_try(&pager->pins, id.value, last)) {
        *data = last;
        return 0;
    }
    result = view(&at, pager, id.value);
    if (result == 0)
        *data = at;
    return result;
}

/* The last view of a page may be gone. Lock held. */
static void let_go(mpg_pager *pager, uint64_t page)
{
    if (mpgi_id_map_find(&pager->lingering, page) == NULL || mpgi_is_pinned(pager, page) ||
        mpgi_snapshots_hold(pager, page))
        return;
    mpgi_id_map_remove(&pager->lingering, page);
    pager->ops->let_go(pager->format, page);
    pager_search_page(pager, page);
}

void mpg_protected_release(mpg_pager *pager, const void *data)
{
    enum unpinned unpinned;
    uint64_t page;

    if (data == NULL)
        return;
    unpinned = mpgi_pins_drop(&pager->pins, data);
    if (unpinned == UNPINNED)
        return;
    pager_lock(pager);
    page = page_at(pager, data);
    if (unpinned == UNPINNED_ELSEWHERE)
        mpgi_pins_drop_other(&pager->pins, page);
    let_go(pager, page);
    poison_unpinned(pager, page);
    pager_unlock(pager);
}
