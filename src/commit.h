/* SPDX-License-Identifier: MIT */
/* Floor 4: how a batch becomes durable. See doc/durability.md for the rules named in commit.c. */
#ifndef MPGI_COMMIT_H
#define MPGI_COMMIT_H

#include "batch.h"

/*
 * Waits until the batch is done, committing it in this thread if no other does. Called with the
 * lock held, which is given up meanwhile. Returns the batch's result.
 */
int mpgi_commit_wait(mpg_pager *pager, struct batch *batch);

/*
 * Commits what has gathered for as long as somebody wants that and no other thread does it. Called
 * without the lock.
 */
void mpgi_commit_wanted(mpg_pager *pager);

#endif
