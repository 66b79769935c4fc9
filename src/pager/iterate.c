/* SPDX-License-Identifier: MIT */
/*
 * Iterators. A bitmap of the next ids is taken under the lock, then handed out without it.
 */
#include "pager/iterate.h"

typedef int (*scanner)(const mpg_pager *pager, uint64_t first, uint64_t *bits, uint64_t *next);

static int scan_regular(const mpg_pager *pager, uint64_t first, uint64_t *bits, uint64_t *next)
{
    return pager->ops->scan_use(pager->format, visible_version(pager), MPG_USE_REGULAR, first, bits,
                                MPG_ITER_WORDS, next);
}

static int scan_protected(const mpg_pager *pager, uint64_t first, uint64_t *bits, uint64_t *next)
{
    return pager->ops->scan_entries(pager->format, visible_version(pager), first, bits,
                                    MPG_ITER_WORDS, next);
}

/* Takes the next ids into iter->bits. Returns 1, 0 at the end, or an error. */
static int refill(mpg_page_iter *iter, scanner scan)
{
    uint64_t bits[MPG_ITER_WORDS] = {0};
    uint64_t next = UINT64_MAX;
    int result;

    if (iter->next == UINT64_MAX)
        return 0;
    pager_lock(iter->pager);
    result = mpgi_explain_damage(iter->pager, scan(iter->pager, iter_base(iter), bits, &next));
    pager_unlock(iter->pager);
    if (result != 0)
        return result;
    iter_fill(iter, bits, next);
    return 1;
}

static inline int next_id(uint64_t *id, mpg_page_iter *iter, scanner scan)
{
    while (!iter_take(id, iter)) {
        int result = refill(iter, scan);

        if (result <= 0)
            return result;
    }
    return 1;
}

void mpg_page_iter_begin(mpg_page_iter *iter, const mpg_pager *pager, mpg_page_id from)
{
    iter_begin(iter, pager, from.value);
}

void mpg_protected_iter_begin(mpg_protected_iter *iter, const mpg_pager *pager,
                              mpg_protected_id from)
{
    iter_begin(&iter->ids, pager, from.value);
}

int mpg_page_iter_next(mpg_page_id *id, mpg_page_iter *iter)
{
    return next_id(&id->value, iter, scan_regular);
}

int mpg_protected_iter_next(mpg_protected_id *id, mpg_protected_iter *iter)
{
    return next_id(&id->value, &iter->ids, scan_protected);
}
