/* SPDX-License-Identifier: MIT */
/* Snapshots of all protected pages. */
#include <stdlib.h>

#include "base/error.h"
#include "pager/iterate.h"
#include "pager/pager.h"
#include "pager/protected_write.h"
#include "pager/snapshots.h"
#include "pager/visible.h"

/* ---- Beginning and end --------------------------------------------------------------------- */

static int check_kind(const mpg_pager *pager)
{
    if (pager->read_only)
        return mpgi_fail(MPG_E_READ_ONLY, "snapshot", MPG_NO_PAGE,
                         "%s: a snapshot needs a pager open for writing; what a reader shows is of "
                         "one state until it is refreshed",
                         pager->file.path);
    if (pager->ops->copies != 0)
        return mpgi_fail(MPG_E_UNSUPPORTED, "snapshot", MPG_NO_PAGE,
                         "%s: format 0.2 keeps a content in one of two pages, so that a snapshot "
                         "would stop commits: it has none",
                         pager->file.path);
    return 0;
}

int mpg_snapshot_open(mpg_snapshot **snapshot, mpg_pager *pager)
{
    struct mpg_snapshot *opened;
    struct mpg_stat facts = {0};
    int result = check_kind(pager);

    if (result != 0)
        return result;
    opened = calloc(1, sizeof(*opened));
    if (opened == NULL)
        return mpgi_fail_memory("snapshot");
    opened->pager = pager;
    pager_lock(pager);
    pager->ops->facts(pager->format, VERSION_DURABLE, &facts);
    opened->generation = facts.generation;
    opened->protected_pages = facts.protected_pages;
    result = mpgi_snapshot_keep(opened);
    if (result == 0) {
        opened->next = pager->snapshots;
        pager->snapshots = opened;
    } else {
        mpgi_snapshot_forget(opened);
    }
    pager_unlock(pager);
    if (result == 0)
        *snapshot = opened;
    else
        free(opened);
    return result;
}

void mpg_snapshot_close(mpg_snapshot *snapshot)
{
    mpg_pager *pager;
    struct mpg_snapshot **link;

    if (snapshot == NULL)
        return;
    pager = snapshot->pager;
    pager_lock(pager);
    for (link = &pager->snapshots; *link != snapshot; link = &(*link)->next)
        ;
    *link = snapshot->next;
    mpgi_snapshot_forget(snapshot);
    pager_unlock(pager);
    free(snapshot);
}

/* ---- What it shows ------------------------------------------------------------------------- */

void mpg_snapshot_stat(mpg_snapshot_info *info, const mpg_snapshot *snapshot)
{
    pager_lock(snapshot->pager);
    info->generation = snapshot->generation;
    info->protected_pages = snapshot->protected_pages;
    info->replaced = snapshot->kept.count;
    info->held = snapshot->pager->lingering.count;
    pager_unlock(snapshot->pager);
}

/* The entry of a page. */
static int look_up(struct entry *entry, const mpg_snapshot *snapshot, uint64_t id)
{
    const mpg_pager *pager = snapshot->pager;
    int result;

    pager_lock(pager);
    result = mpgi_snapshot_entry(snapshot, id, entry);
    if (result == MPG_E_NOT_ALLOCATED)
        result =
            mpgi_fail(MPG_E_NOT_ALLOCATED, "snapshot", id, "%s: there was no protected page %llu",
                      pager->file.path, (unsigned long long)id);
    else
        result = mpgi_explain_damage(pager, result);
    pager_unlock(pager);
    return result;
}

int mpg_snapshot_protected_stat(mpg_protected_info *info, const mpg_snapshot *snapshot,
                                mpg_protected_id id)
{
    struct entry entry;
    int result = look_up(&entry, snapshot, id.value);

    if (result == 0)
        mpgi_tell_entry(info, &entry);
    return result;
}

int mpg_snapshot_read(void *data, const mpg_snapshot *snapshot, mpg_protected_id id)
{
    const mpg_pager *pager = snapshot->pager;
    struct entry entry;
    int result = look_up(&entry, snapshot, id.value);

    /* Without the lock: the page is in use, or lingers. */
    if (result == 0)
        result = mpgi_read_entry(data, pager, id.value, &entry);
    if (!mpg_is_damage(result))
        return result;
    pager_lock(pager);
    result = mpgi_explain_damage(pager, result);
    pager_unlock(pager);
    return result;
}

/* ---- Walking it ---------------------------------------------------------------------------- */

void mpg_snapshot_iter_begin(mpg_snapshot_iter *iter, const mpg_snapshot *snapshot,
                             mpg_protected_id from)
{
    iter->snapshot = snapshot;
    iter_begin(&iter->ids, snapshot->pager, from.value);
}

/* Puts what the snapshot keeps over the bits of the ids [base, end). */
static void put_kept(const mpg_snapshot *snapshot, uint64_t base, uint64_t end, uint64_t *bits)
{
    uint64_t id;

    for (uint64_t from = base; mpgi_id_set_next(&snapshot->ids, from, &id) && id < end;
         from = id + 1) {
        const union id_value *kept = mpgi_id_map_find(&snapshot->kept, id);
        uint64_t bit = UINT64_C(1) << (id - base) % 64;

        if (kept == NULL)
            continue; /* there was no memory for it */
        if (((const struct entry *)kept->pointer)->in_use)
            bits[(id - base) / 64] |= bit;
        else
            bits[(id - base) / 64] &= ~bit;
    }
}

/* Takes the next ids into iter->ids. Returns 1, 0 at the end, or an error. */
static int refill(mpg_snapshot_iter *iter)
{
    const mpg_snapshot *snapshot = iter->snapshot;
    const mpg_pager *pager = snapshot->pager;
    uint64_t bits[MPG_ITER_WORDS] = {0};
    uint64_t base = iter_base(&iter->ids);
    uint64_t end = base + UINT64_C(64) * MPG_ITER_WORDS;
    uint64_t next = UINT64_MAX;
    uint64_t kept;
    int result;

    if (iter->ids.next > UINT64_MAX / 2) /* no format has such ids */
        return 0;
    pager_lock(pager);
    result =
        mpgi_explain_damage(pager, pager->ops->scan_entries(pager->format, VERSION_DURABLE, base,
                                                            bits, MPG_ITER_WORDS, &next));
    if (result == 0) {
        put_kept(snapshot, base, end, bits);
        /* Where there is nothing any more there may have been something. */
        if (next > end && mpgi_id_set_next(&snapshot->ids, end, &kept) && kept < next)
            next = kept;
    }
    pager_unlock(pager);
    if (result != 0)
        return result;
    iter_fill(&iter->ids, bits, next);
    return 1;
}

int mpg_snapshot_iter_next(mpg_protected_id *id, mpg_snapshot_iter *iter)
{
    while (!iter_take(&id->value, &iter->ids)) {
        int result = refill(iter);

        if (result <= 0)
            return result;
    }
    return 1;
}
