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
#include "pager/visible.h"

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

/*
 * As visible_entry, without the lock where the entry is known. Not called with the lock held.
 */
static int look_up(const mpg_pager *pager, uint64_t id, struct entry *entry, bool *fresh,
                   const char *operation)
{
    int result;

    *fresh = false;
    if (mpgi_entries_find(entry, &pager->entries, id))
        return 0;
    pager_lock(pager);
    result = mpgi_visible_entry(pager, id, entry, fresh, operation);
    if (result == 0 && !*fresh && mpgi_entry_stays(pager, id, entry))
        mpgi_entries_note(&unconst(pager)->entries, id, entry, NULL);
    pager_unlock(pager);
    return result;
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
    result = mpgi_visible_entry(pager, id, &now, &fresh, "read");
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

        result = look_up(pager, id.value, &entry, &fresh, "read");
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
    int result = look_up(pager, id.value, &entry, &fresh, "stat");

    if (result == 0)
        mpgi_tell_entry(info, &entry);
    return result;
}
