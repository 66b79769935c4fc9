/* SPDX-License-Identifier: MIT */
/*
 * Rule 1: what was found in a file that is opened for writing may exist in the page cache alone,
 * and is made durable before anything is built on it.
 *
 * On a disk so full that not even that can be written (rule 13) the file can be opened all the
 * same. It can be read then, and each call that changes something tries to make up for it first.
 */
#ifndef MPGI_SETTLE_H
#define MPGI_SETTLE_H

#include "pager/pager.h"

/* While opening. */
int mpgi_settle_found(mpg_pager *pager);

/*
 * Before a change, with the lock held: NO_SPACE while there is no room. After any other error the
 * pager is unavailable.
 */
int mpgi_settle_late(mpg_pager *pager);

#endif
