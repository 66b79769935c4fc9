/* SPDX-License-Identifier: MIT */
/* How a batch becomes durable. See doc/durability.md for the rules named in commit.c. */
#ifndef MPGI_COMMIT_H
#define MPGI_COMMIT_H

#include "pager/batch.h"

/*
 * Waits until the batch, which gathers or is in flight, is done; commits it in this thread if no
 * other does. Called with the lock held, which is given up meanwhile. Returns the batch's result.
 */
int mpgi_commit_wait(mpg_pager *pager, struct batch *batch);

/*
 * Gets pages back that rest, where the format has such; what has gathered stays as it is. Nothing
 * is in flight. Called with the lock held, which is given up meanwhile.
 */
int mpgi_commit_make_room(mpg_pager *pager);

/* Waits likewise for what has gathered, if somebody wants it committed. Called without the lock. */
void mpgi_commit_wanted(mpg_pager *pager);

#endif
