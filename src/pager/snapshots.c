/* SPDX-License-Identifier: MIT */
#include "pager/snapshots.h"

#include <stdlib.h>

#include "base/error.h"
#include "pager/pager.h"

/* Counts a page that a snapshot needs. False: no memory. */
static bool hold(mpg_pager *pager, uint64_t page)
{
    union id_value *count = mpgi_id_map_put(&pager->held, page);

    if (count != NULL)
        count->number++;
    return count != NULL;
}

static void let_go(mpg_pager *pager, uint64_t page)
{
    union id_value *count = mpgi_id_map_find(&pager->held, page);

    if (count == NULL || --count->number > 0)
        return;
    mpgi_id_map_remove(&pager->held, page);
    if (mpgi_id_map_find(&pager->lingering, page) == NULL || mpgi_is_pinned(pager, page))
        return;
    mpgi_id_map_remove(&pager->lingering, page);
    pager->ops->let_go(pager->format, page);
    pager_search_page(pager, page);
}

static bool keep(struct mpg_snapshot *snapshot, const struct replaced_entry *replaced)
{
    uint64_t page = replaced->old.in_use ? entry_page(&replaced->old) : 0;
    struct entry *entry;

    if (mpgi_id_map_find(&snapshot->kept, replaced->id) != NULL)
        return true;
    if (!mpgi_id_map_reserve(&snapshot->kept, 1) || !mpgi_id_set_add(&snapshot->ids, replaced->id))
        return false;
    entry = malloc(sizeof(*entry));
    if (entry == NULL || (page != 0 && !hold(snapshot->pager, page))) {
        free(entry);
        return false;
    }
    *entry = replaced->old;
    mpgi_id_map_put(&snapshot->kept, replaced->id)->pointer = entry;
    return true;
}

int mpgi_snapshot_keep(struct mpg_snapshot *snapshot)
{
    const struct format *format = snapshot->pager->format;

    for (size_t i = 0; i < format->replaced_count; i++) {
        if (!keep(snapshot, &format->replaced_entries[i]))
            return mpgi_fail_memory("snapshot");
    }
    return 0;
}

int mpgi_snapshots_keep(mpg_pager *pager)
{
    int result = 0;

    for (struct mpg_snapshot *s = pager->snapshots; s != NULL && result == 0; s = s->next)
        result = mpgi_snapshot_keep(s);
    return result;
}

void mpgi_snapshot_forget(struct mpg_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->kept.capacity; i++) {
        const struct id_slot *slot = &snapshot->kept.slots[i];
        struct entry *entry = slot->used ? slot->value.pointer : NULL;

        if (entry != NULL && entry->in_use)
            let_go(snapshot->pager, entry_page(entry));
        free(entry);
    }
    mpgi_id_map_clear(&snapshot->kept);
    mpgi_id_set_clear(&snapshot->ids);
}

int mpgi_snapshot_entry(const struct mpg_snapshot *snapshot, uint64_t id, struct entry *entry)
{
    const mpg_pager *pager = snapshot->pager;
    const union id_value *kept = mpgi_id_map_find(&snapshot->kept, id);

    if (kept == NULL)
        return pager->ops->get_entry(pager->format, VERSION_DURABLE, id, entry);
    *entry = *(const struct entry *)kept->pointer;
    return entry->in_use ? 0 : MPG_E_NOT_ALLOCATED;
}

bool mpgi_snapshots_hold(const mpg_pager *pager, uint64_t page)
{
    return mpgi_id_map_find(&pager->held, page) != NULL;
}

bool mpgi_snapshots_show(const mpg_pager *pager, uint64_t id, uint64_t page)
{
    struct entry durable;

    if (pager->snapshots == NULL)
        return false;
    if (mpgi_snapshots_hold(pager, page))
        return true;
    if (pager->ops->get_entry(pager->format, VERSION_DURABLE, id, &durable) != 0 ||
        entry_page(&durable) != page)
        return false;
    for (const struct mpg_snapshot *s = pager->snapshots; s != NULL; s = s->next) {
        if (mpgi_id_map_find(&s->kept, id) == NULL)
            return true;
    }
    return false;
}
