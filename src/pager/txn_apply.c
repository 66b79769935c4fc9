/* SPDX-License-Identifier: MIT */
/* A transaction's changes, applied in one edit: frees, allocations, then contents. */
#include "base/shared.h"
#include "pager/pager.h"
#include "pager/txn.h"

static int apply_page(struct edit *edit, const struct txn_page *held)
{
    mpg_pager *pager = edit->pager;
    bool zero = (held->flags & MPG_ZERO) != 0 && held->content == NULL;
    int result = mpgi_apply_alloc_held(edit, held->page, zero);

    if (result != 0 || held->content == NULL)
        return result;
    /* Rule 5: no checksum covers it, so it must be on the disk before the page is reachable. */
    pager->gathering->ordered = true;
    return mpgi_edit_stage(edit, held->page, mpgi_shared_hold(held->content));
}

static int apply_allocations(mpg_txn *txn, struct edit *edit)
{
    int result = 0;

    for (size_t i = 0; i < txn->pages.capacity && result == 0; i++)
        if (txn->pages.slots[i].used)
            result = apply_page(edit, txn->pages.slots[i].value.pointer);
    for (size_t i = 0; i < txn->protected_pages.capacity && result == 0; i++) {
        const struct txn_protected *record = txn->protected_pages.slots[i].value.pointer;

        if (txn->protected_pages.slots[i].used && record->allocated)
            result = mpgi_apply_alloc_protected(edit, record->write.id);
    }
    return result;
}

static int apply_frees(mpg_txn *txn, struct edit *edit)
{
    int result = 0;

    for (size_t i = 0; i < txn->freed.capacity && result == 0; i++)
        if (txn->freed.slots[i].used)
            result = mpgi_apply_free(edit, txn->freed.slots[i].id);
    for (size_t i = 0; i < txn->freed_protected.capacity && result == 0; i++)
        if (txn->freed_protected.slots[i].used)
            result = mpgi_apply_free_protected(edit, txn->freed_protected.slots[i].id);
    return result;
}

static int apply_writes(mpg_txn *txn, struct edit *edit)
{
    int result = 0;

    for (size_t i = 0; i < txn->protected_pages.capacity && result == 0; i++) {
        struct txn_protected *record = txn->protected_pages.slots[i].value.pointer;

        if (txn->protected_pages.slots[i].used && record->write.overlay.count > 0)
            result = mpgi_apply_protected_write(edit, &record->write);
    }
    return result;
}

void mpgi_txn_prepare(mpg_txn *txn)
{
    for (size_t i = 0; i < txn->protected_pages.capacity; i++) {
        struct txn_protected *record = txn->protected_pages.slots[i].value.pointer;

        if (txn->protected_pages.slots[i].used && record->write.overlay.count > 0)
            mpgi_protected_write_prepare(&record->write, txn->pager);
    }
}

struct txn_size mpgi_txn_size(const mpg_txn *txn)
{
    return (struct txn_size){
        .contents = txn->protected_pages.count,
        .changes = txn->pages.count + txn->freed.count + txn->freed_protected.count,
    };
}

int mpgi_txn_apply(mpg_txn *txn, struct edit *edit)
{
    /* Frees first: a page that somebody else freed meanwhile may be among the allocations. */
    int result = apply_frees(txn, edit);

    if (result == 0)
        result = apply_allocations(txn, edit);
    if (result == 0)
        result = apply_writes(txn, edit);
    return result;
}
