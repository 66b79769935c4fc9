/* SPDX-License-Identifier: MIT */
/* Which regular pages there are, for those that do something with one. */
#ifndef MPGI_REGULAR_H
#define MPGI_REGULAR_H

#include "pager/pager.h"

/* Whether a page is a regular one, of the version that readers see. Called with the lock held. */
int mpgi_check_regular(const mpg_pager *pager, uint64_t page, const char *operation);

#endif
