/* SPDX-License-Identifier: MIT */
/*
 * An application that tries again what it was doing when the power failed: the same contents, to
 * the same pages where it can have them. It may do only a part of it, or the same in another order.
 *
 * Where a commit that was cut short lacks only some of its bytes, this is who puts them there: the
 * file must not come to show a commit of which everybody was told that it never happened.
 */
#ifndef CRASH_AGAIN_H
#define CRASH_AGAIN_H

#include "crash/actor.h"

/* Does some of what leads from the actor's state to `wanted`. */
void actor_try_again(struct actor *actor, const struct state *wanted);

#endif
