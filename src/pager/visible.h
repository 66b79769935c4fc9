/* SPDX-License-Identifier: MIT */
/* Which entry of the directory of protected pages readers see. */
#ifndef MPGI_VISIBLE_H
#define MPGI_VISIBLE_H

#include "pager/pager.h"

/* What mpg_protected_stat and its like say of an entry. */
void mpgi_tell_entry(mpg_protected_info *info, const struct entry *entry);

int mpgi_fail_not_allocated(const mpg_pager *pager, uint64_t id, const char *operation);

/*
 * The entry whose content readers see. *fresh: the page was allocated by a commit that is put off,
 * so its content is zeros and nothing of it need be on the disk. Called with the lock held.
 */
int mpgi_visible_entry(const mpg_pager *pager, uint64_t id, struct entry *entry, bool *fresh,
                       const char *operation);

/*
 * Whether an entry that is visible, and not fresh, may be known without the lock (invariant 6).
 * Lock held.
 */
bool mpgi_entry_stays(const mpg_pager *pager, uint64_t id, const struct entry *entry);

#endif
