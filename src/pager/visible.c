/* SPDX-License-Identifier: MIT */
#include "pager/visible.h"

#include "base/error.h"

void mpgi_tell_entry(mpg_protected_info *info, const struct entry *entry)
{
    info->page[0] = entry->page[0];
    info->page[1] = entry->page[1];
    info->current = entry->current;
    info->generation = entry->generation;
    info->crc = entry->crc;
}

int mpgi_fail_not_allocated(const mpg_pager *pager, uint64_t id, const char *operation)
{
    return mpgi_fail(MPG_E_NOT_ALLOCATED, operation, id, "%s: there is no protected page %llu",
                     pager->file.path, (unsigned long long)id);
}

static bool is_fresh(const struct batch *batch, uint64_t id)
{
    return batch != NULL && mpgi_id_map_find(&batch->fresh, id) != NULL;
}

int mpgi_visible_entry(const mpg_pager *pager, uint64_t id, struct entry *entry, bool *fresh,
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
        return mpgi_fail_not_allocated(pager, id, operation);
    return mpgi_explain_damage(pager, result);
}

static bool is_same_in(const mpg_pager *pager, enum version version, uint64_t id,
                       const struct entry *entry)
{
    struct entry other;

    return pager->ops->get_entry(pager->format, version, id, &other) == 0 &&
           other.page[0] == entry->page[0] && other.page[1] == entry->page[1] &&
           other.current == entry->current && other.generation == entry->generation &&
           other.crc == entry->crc;
}

bool mpgi_entry_stays(const mpg_pager *pager, uint64_t id, const struct entry *entry)
{
    if (mpgi_entries_last_until_published(pager) ||
        (pager->in_flight == NULL && !pager->ops->is_dirty(pager->format)))
        return true;
    return is_same_in(pager, VERSION_FROZEN, id, entry) &&
           is_same_in(pager, VERSION_NEWEST, id, entry);
}
