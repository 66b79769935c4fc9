/* SPDX-License-Identifier: MIT */

#include "page_put.h"

int page_put_is_missing(bool *missing, const mpg_pager *pager, const struct archived_page *page)
{
    enum mpg_page_use use = MPG_USE_FREE;
    mpg_protected_info info;
    int status;

    if (page->protected) {
        status = mpg_protected_stat(&info, pager, (mpg_protected_id){page->id});
        *missing = status == MPG_E_NOT_ALLOCATED;
        return *missing ? 0 : status;
    }
    status = mpg_page_use(&use, pager, page->id);
    *missing = status == MPG_E_OUT_OF_BOUNDS || use != MPG_USE_REGULAR;
    return status == MPG_E_OUT_OF_BOUNDS ? 0 : status;
}

int page_put_allocate(mpg_txn *txn, const struct archived_page *page, unsigned flags)
{
    return page->protected ? mpg_txn_alloc_protected_at(txn, (mpg_protected_id){page->id})
                           : mpg_txn_alloc_at(txn, (mpg_page_id){page->id}, flags);
}

int page_put_write(mpg_txn *txn, const struct archived_page *page, bool missing,
                   const void *content, size_t page_size)
{
    if (page->protected) {
        return mpg_txn_protected_write(txn, (mpg_protected_id){page->id}, content, 0, page_size);
    }
    return missing ? mpg_txn_page_write(txn, (mpg_page_id){page->id}, content, 0, page_size)
                   : mpg_txn_page_replace(txn, (mpg_page_id){page->id}, content, page_size);
}
