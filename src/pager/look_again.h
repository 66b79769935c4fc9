/* SPDX-License-Identifier: MIT */
/* Rule 12: the lock is no proof that the file is still what this pager left. */
#ifndef MPGI_LOOK_AGAIN_H
#define MPGI_LOOK_AGAIN_H

#include "pager/pager.h"

/* CHANGED where it was seen before that the file is not this pager's any more. Any thread. */
int mpgi_check_not_changed(mpg_pager *pager, const char *operation);

/*
 * Looks whether the file is as long as it was left and shows the durable root; before anything is
 * written aside from a commit. Called with the lock held.
 */
int mpgi_look_again(mpg_pager *pager);

/*
 * The same before content of regular pages is written, which no commit covers. The length is looked
 * at each time, so that nothing makes a file long again that was cut; the root not if this was
 * called, and nothing committed, within the last LOOK_PAUSE. Called without the lock, which it
 * takes where it looks at more than the length.
 */
int mpgi_look_again_often(mpg_pager *pager);

/*
 * The same for the committing thread, without the lock. `bytes` is how long the file was when the
 * batch was sealed: what others have made of it since is theirs to do.
 */
int mpgi_look_again_committing(mpg_pager *pager, uint64_t bytes, enum look look);

/*
 * TRUNCATED where the file ends before a page does, so that its address would be a fault. For where
 * that costs nothing, or is known to be needed. Called with the lock held.
 */
int mpgi_check_page_is_there(const mpg_pager *pager, uint64_t page);

#endif
