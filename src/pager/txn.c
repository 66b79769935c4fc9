/* SPDX-License-Identifier: MIT */
/*
 * Transactions. Until its commit a transaction changes nothing that others see: it holds
 * the ids it allocates (the pager's `reserved` maps) and keeps on the heap what it is to write. The
 * commit applies all of it in one edit.
 */
#include "pager/txn.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/shared.h"
#include "pager/pager.h"
#include "pager/regular.h"
#include "pager/replace.h"

int mpg_txn_begin(mpg_txn **txn, mpg_pager *pager)
{
    mpg_txn *made;

    if (pager->read_only)
        return mpgi_fail(MPG_E_READ_ONLY, "begin", MPG_NO_PAGE, "%s: opened read-only",
                         pager->file.path);
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return mpgi_fail_memory("begin");
    made->pager = pager;
    *txn = made;
    return 0;
}

/* ---- regular pages ---- */

/* Makes a page the transaction's own. Called with the lock held. */
static int hold_page(mpg_txn *txn, uint64_t page, unsigned flags)
{
    struct txn_page *held = calloc(1, sizeof(*held));

    if (held == NULL || !mpgi_id_map_reserve(&txn->pages, 1) ||
        mpgi_id_map_put(&txn->pager->reserved, page) == NULL) {
        free(held);
        return mpgi_fail_memory("alloc");
    }
    held->page = page;
    held->flags = flags;
    mpgi_id_map_put(&txn->pages, page)->pointer = held;
    return 0;
}

int mpg_txn_alloc(mpg_page_id *id, mpg_txn *txn, unsigned flags)
{
    struct edit edit;
    uint64_t from = 0, page;
    int result = mpgi_check_flags(flags, MPG_ZERO, "alloc");

    if (result == 0)
        result = mpgi_edit_begin(&edit, txn->pager, "alloc");
    if (result != 0)
        return result;
    do {
        result = mpgi_choose_page(txn->pager, &from, &page);
    } while (mpgi_edit_again(&edit, &result, "alloc"));
    if (result == 0)
        result = hold_page(txn, page, flags);
    result = mpgi_edit_cancel(&edit, result);
    if (result == 0)
        id->value = page;
    return result;
}

static int txn_alloc_at(mpg_txn *txn, mpg_page_id id, unsigned flags)
{
    struct edit edit;
    int result = mpgi_check_flags(flags, MPG_ZERO, "alloc_at");

    if (result == 0)
        result = mpgi_edit_begin(&edit, txn->pager, "alloc_at");
    if (result != 0)
        return result;
    do {
        if (mpgi_id_map_find(&txn->pages, id.value) != NULL)
            result = mpgi_fail(MPG_E_EXISTS, "alloc_at", id.value,
                               "%s: page %llu is allocated by this transaction already",
                               txn->pager->file.path, (unsigned long long)id.value);
        else
            result = mpgi_check_not_held(txn->pager, id.value);
        if (result == 0)
            result = mpgi_check_alloc_at(txn->pager, id.value);
    } while (result == EDIT_GIVEN_BACK && mpgi_edit_again(&edit, &result, "alloc_at"));
    if (result == 0)
        result = hold_page(txn, id.value, flags);
    result = mpgi_edit_cancel(&edit, result);
    return result;
}

int mpg_txn_alloc_at(mpg_txn *txn, mpg_page_id id, unsigned flags)
{
    int result = txn_alloc_at(txn, id, flags);

    for (unsigned i = 0; i < MOST_EVICTIONS && result == EDIT_EVICT; i++) {
        result = mpgi_evict(txn->pager, id.value);
        if (result == 0)
            result = txn_alloc_at(txn, id, flags);
    }
    return result != EDIT_EVICT ? result : mpgi_fail_taken(txn->pager, id.value);
}

static void drop_page(mpg_txn *txn, struct txn_page *held)
{
    mpgi_id_map_remove(&txn->pager->reserved, held->page);
    if (txn->pager->ops->let_go != NULL)
        txn->pager->ops->let_go(txn->pager->format, held->page);
    pager_search_page(txn->pager, held->page);
    mpgi_id_map_remove(&txn->pages, held->page);
    mpgi_shared_drop(held->content);
    free(held);
}

static void drop_replaced(mpg_txn *txn, uint64_t page)
{
    const union id_value *content = mpgi_id_map_find(&txn->replaced, page);

    if (content != NULL)
        free(content->pointer);
    mpgi_id_map_remove(&txn->replaced, page);
}

int mpg_txn_free(mpg_txn *txn, mpg_page_id id)
{
    mpg_pager *pager = txn->pager;
    union id_value *own;
    int result = 0;

    pager_lock(pager);
    own = mpgi_id_map_find(&txn->pages, id.value);
    if (own != NULL)
        drop_page(txn, own->pointer);
    else if (mpgi_id_map_find(&txn->freed, id.value) != NULL)
        result = mpgi_fail(MPG_E_DOUBLE_FREE, "free", id.value,
                           "%s: page %llu is freed by this transaction already", pager->file.path,
                           (unsigned long long)id.value);
    else
        result = mpgi_explain_damage(pager, mpgi_check_free(pager, id.value));
    if (own == NULL && result == 0 && mpgi_id_map_put(&txn->freed, id.value) == NULL)
        result = mpgi_fail_memory("free");
    pager_unlock(pager);
    if (result == 0)
        drop_replaced(txn, id.value);
    return result;
}

static int check_range(const mpg_txn *txn, uint64_t id, size_t offset, size_t length)
{
    uint32_t page_size = txn->pager->page_size;

    if (offset <= page_size && length <= page_size - offset)
        return 0;
    return mpgi_fail(MPG_E_OUT_OF_BOUNDS, "write", id,
                     "%s: %zu bytes at %zu are not within a page of %u bytes",
                     txn->pager->file.path, length, offset, (unsigned)page_size);
}

/* Makes sure that there is a content, and nobody else holds it. */
static bool own_content(struct txn_page *held, uint32_t page_size)
{
    bool is_new = held->content == NULL;
    void *own = is_new ? mpgi_shared_new(page_size) : mpgi_shared_own(held->content, page_size);

    if (own == NULL)
        return false;
    if (is_new)
        memset(own, 0, page_size);
    held->content = own;
    return true;
}

int mpg_txn_page_write(mpg_txn *txn, mpg_page_id id, const void *data, size_t offset, size_t length)
{
    union id_value *own = mpgi_id_map_find(&txn->pages, id.value);
    struct txn_page *held;
    int result = check_range(txn, id.value, offset, length);

    if (result != 0)
        return result;
    if (own == NULL)
        return mpgi_fail(MPG_E_INVALID, "write", id.value,
                         "%s: page %llu was not allocated by this transaction, so it cannot be "
                         "written atomically",
                         txn->pager->file.path, (unsigned long long)id.value);
    held = own->pointer;
    if (!own_content(held, txn->pager->page_size))
        return mpgi_fail_memory("write");
    memcpy(held->content + offset, data, length);
    return 0;
}

/* Whether the page was there before the transaction, and goes on to be. */
static int check_in_use(mpg_txn *txn, uint64_t page)
{
    int result;

    if (mpgi_id_map_find(&txn->freed, page) != NULL || mpgi_id_map_find(&txn->pages, page) != NULL)
        return mpgi_fail(MPG_E_NOT_ALLOCATED, "replace", page,
                         "%s: page %llu is freed or allocated by this transaction",
                         txn->pager->file.path, (unsigned long long)page);
    pager_lock(txn->pager);
    result = mpgi_check_regular(txn->pager, page, "replace");
    pager_unlock(txn->pager);
    return result;
}

int mpg_txn_page_replace(mpg_txn *txn, mpg_page_id id, const void *data, size_t length)
{
    int result = mpgi_replace_check(txn->pager, id.value, length, "replace");
    union id_value *value;

    if (result == 0)
        result = check_in_use(txn, id.value);
    if (result != 0)
        return result;
    value = mpgi_id_map_put(&txn->replaced, id.value);
    if (value != NULL && value->pointer == NULL)
        value->pointer = malloc(txn->pager->page_size);
    if (value == NULL || value->pointer == NULL) {
        drop_replaced(txn, id.value);
        return mpgi_fail_memory("replace");
    }
    if (length > 0)
        memcpy(value->pointer, data, length);
    memset((unsigned char *)value->pointer + length, 0, txn->pager->page_size - length);
    return 0;
}

/* ---- protected pages ---- */

/* The transaction's record of a protected page, made if there is none. NULL: no memory. */
static struct txn_protected *record_of(mpg_txn *txn, uint64_t id)
{
    union id_value *value = mpgi_id_map_put(&txn->protected_pages, id);

    if (value == NULL)
        return NULL;
    if (value->pointer == NULL) {
        struct txn_protected *made = calloc(1, sizeof(*made));

        if (made == NULL) {
            mpgi_id_map_remove(&txn->protected_pages, id);
            return NULL;
        }
        made->write.id = id;
        value->pointer = made;
    }
    return value->pointer;
}

static void free_record(struct txn_protected *record)
{
    mpgi_protected_write_forget(&record->write);
    mpgi_overlay_free(&record->write.overlay);
    free(record);
}

static void release_protected(mpg_pager *pager, uint64_t id)
{
    mpgi_id_map_remove(&pager->reserved_protected, id);
    pager_search_protected(pager, id);
}

static void drop_record(mpg_txn *txn, struct txn_protected *record)
{
    if (record->allocated)
        release_protected(txn->pager, record->write.id);
    mpgi_id_map_remove(&txn->protected_pages, record->write.id);
    free_record(record);
}

/* Makes a protected id the transaction's own. Called with the lock held. */
static int hold_protected(mpg_txn *txn, uint64_t id)
{
    struct txn_protected *record;

    if (mpgi_id_map_put(&txn->pager->reserved_protected, id) == NULL)
        return mpgi_fail_memory("alloc_protected");
    record = record_of(txn, id);
    if (record == NULL) {
        release_protected(txn->pager, id);
        return mpgi_fail_memory("alloc_protected");
    }
    record->allocated = true;
    return 0;
}

int mpg_txn_alloc_protected(mpg_protected_id *id, mpg_txn *txn)
{
    struct edit edit;
    uint64_t from = 0, chosen;
    int result = mpgi_edit_begin(&edit, txn->pager, "alloc_protected");

    if (result != 0)
        return result;
    /* Not an id whose content it has staged: that page is gone, which the commit is to tell. */
    do {
        result = mpgi_choose_protected(txn->pager, &from, &chosen);
    } while (result == 0 && mpgi_id_map_find(&txn->protected_pages, chosen) != NULL);
    if (result == 0)
        result = hold_protected(txn, chosen);
    result = mpgi_edit_cancel(&edit, result);
    if (result == 0)
        id->value = chosen;
    return result;
}

int mpg_txn_alloc_protected_at(mpg_txn *txn, mpg_protected_id id)
{
    const union id_value *own;
    const struct txn_protected *record;
    struct edit edit;
    struct entry entry;
    int result = mpgi_edit_begin(&edit, txn->pager, "alloc_protected_at");

    if (result != 0)
        return result;
    own = mpgi_id_map_find(&txn->protected_pages, id.value);
    record = own != NULL ? own->pointer : NULL;
    if (record != NULL && record->allocated)
        result = mpgi_fail(MPG_E_EXISTS, "alloc_protected_at", id.value,
                           "%s: protected page %llu is allocated by this transaction already",
                           txn->pager->file.path, (unsigned long long)id.value);
    else
        result = mpgi_check_alloc_protected_at(txn->pager, id.value);
    if (result == 0) {
        result = txn->pager->ops->get_entry(txn->pager->format, VERSION_NEWEST, id.value, &entry);
        if (result == 0)
            result = mpgi_fail(MPG_E_EXISTS, "alloc_protected_at", id.value,
                               "%s: protected page %llu is allocated already",
                               txn->pager->file.path, (unsigned long long)id.value);
        else if (result == MPG_E_NOT_ALLOCATED && record != NULL)
            result = mpgi_fail(MPG_E_BUSY, "alloc_protected_at", id.value,
                               "%s: protected page %llu was written by this transaction before "
                               "it was freed",
                               txn->pager->file.path, (unsigned long long)id.value);
        else if (result == MPG_E_NOT_ALLOCATED)
            result = hold_protected(txn, id.value);
    }
    result = mpgi_edit_cancel(&edit, result);
    return result;
}

/* Whether the page is there for this transaction to write or free. */
static int check_there(mpg_txn *txn, uint64_t id, int error, const char *operation)
{
    mpg_pager *pager = txn->pager;
    struct entry entry;
    int result;

    if (mpgi_id_map_find(&txn->freed_protected, id) != NULL) {
        result = MPG_E_NOT_ALLOCATED;
    } else {
        pager_lock(pager);
        result = pager->ops->get_entry(pager->format, visible_version(pager), id, &entry);
        result = mpgi_explain_damage(pager, result);
        pager_unlock(pager);
    }
    if (result != MPG_E_NOT_ALLOCATED)
        return result;
    return mpgi_fail(error, operation, id, "%s: there is no protected page %llu", pager->file.path,
                     (unsigned long long)id);
}

int mpg_txn_free_protected(mpg_txn *txn, mpg_protected_id id)
{
    union id_value *own = mpgi_id_map_find(&txn->protected_pages, id.value);
    struct txn_protected *record = own != NULL ? own->pointer : NULL;
    bool allocated = record != NULL && record->allocated;
    int result = 0;

    if (!allocated) {
        pager_lock(txn->pager);
        result = mpgi_check_protected_id(txn->pager, id.value, "free_protected");
        pager_unlock(txn->pager);
    }
    if (result == 0 && !allocated)
        result = check_there(txn, id.value, MPG_E_DOUBLE_FREE, "free_protected");
    if (result == 0 && !allocated && mpgi_id_map_put(&txn->freed_protected, id.value) == NULL)
        result = mpgi_fail_memory("free_protected");
    if (result == 0 && record != NULL) {
        pager_lock(txn->pager);
        drop_record(txn, record);
        pager_unlock(txn->pager);
    }
    return result;
}

/* What the first write to a page that the transaction allocates leaves is zeros. */
static bool begin_content(struct txn_protected *record, uint32_t page_size)
{
    struct overlay *overlay = &record->write.overlay;
    unsigned char *zeros;
    bool done;

    if (!record->allocated || overlay->count > 0)
        return true;
    zeros = calloc(1, page_size);
    done = zeros != NULL && mpgi_overlay_write(overlay, page_size, zeros, 0, page_size);
    free(zeros);
    return done;
}

int mpg_txn_protected_write(mpg_txn *txn, mpg_protected_id id, const void *data, size_t offset,
                            size_t length)
{
    struct txn_protected *record;
    int result = check_range(txn, id.value, offset, length);

    if (result == 0 && mpgi_id_map_find(&txn->protected_pages, id.value) == NULL)
        result = check_there(txn, id.value, MPG_E_NOT_ALLOCATED, "write");
    if (result != 0 || length == 0)
        return result;
    record = record_of(txn, id.value);
    if (record == NULL || !begin_content(record, txn->pager->page_size) ||
        !mpgi_overlay_write(&record->write.overlay, txn->pager->page_size, data, offset, length))
        return mpgi_fail_memory("write");
    return 0;
}

int mpg_txn_protected_read(void *data, mpg_txn *txn, mpg_protected_id id)
{
    union id_value *own = mpgi_id_map_find(&txn->protected_pages, id.value);
    const struct txn_protected *record = own != NULL ? own->pointer : NULL;
    int result = 0;

    if (record != NULL && record->allocated) {
        memset(data, 0, txn->pager->page_size);
    } else {
        result = check_there(txn, id.value, MPG_E_NOT_ALLOCATED, "read");
        if (result == 0)
            result = mpg_protected_read(data, txn->pager, id);
    }
    if (result != 0 || record == NULL)
        return result;
    mpgi_overlay_apply(&record->write.overlay, data);
    return 0;
}

/* ---- the end ---- */

static int commit(mpg_txn *txn, bool ordered)
{
    struct edit edit;
    int result = mpgi_edit_begin(&edit, txn->pager, "commit");

    if (result != 0)
        return result;
    do {
        result = mpgi_txn_apply(txn, &edit);
    } while (mpgi_edit_again(&edit, &result, "commit"));
    if (result == 0 && ordered)
        txn->pager->gathering->ordered = true;
    return mpgi_edit_end(&edit, result, WAIT_DURABLE);
}

int mpg_txn_commit(mpg_txn *txn, unsigned flags)
{
    int result = mpgi_check_flags(flags, MPG_ORDERED, "commit");
    bool ordered = (flags & MPG_ORDERED) != 0;

    if (result != 0)
        return result;
    mpgi_txn_prepare(txn);
    result = txn->replaced.count > 0 ? mpgi_replace_commit(txn, ordered) : commit(txn, ordered);
    if (result == 0)
        mpg_txn_abort(txn);
    return result;
}

void mpgi_txn_free(mpg_txn *txn)
{
    while (txn->pages.count > 0)
        for (size_t i = 0; i < txn->pages.capacity; i++)
            if (txn->pages.slots[i].used)
                drop_page(txn, txn->pages.slots[i].value.pointer);
    while (txn->protected_pages.count > 0)
        for (size_t i = 0; i < txn->protected_pages.capacity; i++)
            if (txn->protected_pages.slots[i].used)
                drop_record(txn, txn->protected_pages.slots[i].value.pointer);
    while (txn->replaced.count > 0)
        for (size_t i = 0; i < txn->replaced.capacity; i++)
            if (txn->replaced.slots[i].used)
                drop_replaced(txn, txn->replaced.slots[i].id);
    mpgi_id_map_clear(&txn->replaced);
    mpgi_id_map_clear(&txn->pages);
    mpgi_id_map_clear(&txn->freed);
    mpgi_id_map_clear(&txn->protected_pages);
    mpgi_id_map_clear(&txn->freed_protected);
    free(txn);
}

void mpg_txn_abort(mpg_txn *txn)
{
    mpg_pager *pager;

    if (txn == NULL)
        return;
    pager = txn->pager;
    pager_lock(pager);
    mpgi_txn_free(txn);
    pager_unlock(pager);
}
