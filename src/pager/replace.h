/* SPDX-License-Identifier: MIT */
/* New contents for regular pages that are in use, for transactions. */
#ifndef MPGI_REPLACE_H
#define MPGI_REPLACE_H

#include "pager/pager.h"

/* Whether a page could get a new content of that length, as far as it is not about the page. */
int mpgi_replace_check(mpg_pager *pager, uint64_t page, size_t length, const char *operation);

/* Commits a transaction that has new contents for pages in use. Without the lock. */
int mpgi_replace_commit(mpg_txn *txn, bool ordered);

#endif
