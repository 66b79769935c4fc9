/* SPDX-License-Identifier: MIT */
/* Giving the disk space of free pages back to the filesystem. */
#ifndef MPGI_GIVE_BACK_H
#define MPGI_GIVE_BACK_H

#include "pager/pager.h"

/*
 * Gives back one run of pages, at most a few MiB, of at least `least` pages: the first such run
 * from *at on that is free in every version, that nobody holds and nothing needs yet. *at moves
 * behind it, or as far as was looked; *pages is how many they were, perhaps 0. Called without the
 * lock.
 */
int mpgi_give_back_step(uint64_t *pages, mpg_pager *pager, uint64_t *at, uint64_t end,
                        uint64_t least);

/*
 * From which page on the free ones keep their space, for commits to come. Called without the lock.
 */
int mpgi_find_trim_end(uint64_t *end, mpg_pager *pager);

/*
 * A page was freed by what gathers; with MPG_DISCARD it is given back when that is durable. Lock
 * held.
 */
void mpgi_note_freed(mpg_pager *pager, uint64_t page);
/* What the batch freed is durable. Lock held. */
void mpgi_note_durable(mpg_pager *pager, struct batch *batch);
/* Gives back what was noted and is free by now; what cannot be is left. Called without the lock. */
void mpgi_give_back_freed(mpg_pager *pager);

#endif
