/* SPDX-License-Identifier: MIT */
/*
 * What the operations of an actor begin and end with. What it does with regular pages is in
 * actor_regular.c, with protected pages in actor_protected.c, the rest in actor.c.
 */
#ifndef CRASH_ACTOR_STEPS_H
#define CRASH_ACTOR_STEPS_H

#include "crash/actor.h"

/* Most pages of a bulk operation here. */
#define MOST_BULK 4096

bool actor_is_over(const struct actor *actor);

/* One of `count` things. */
size_t actor_any(struct actor *actor, size_t count);

/* A content for the next page that is written, its number in the pool. */
unsigned actor_new_content(struct actor *actor);

/* What every operation does at its end. Returns whether it went well. */
bool actor_done(struct actor *actor, const char *what, int error);

/* Tells that not all of `now` is durable. */
void actor_not_settled(struct actor *actor);

/* What an operation that syncs does at its end, when `now` is what it was to make durable. */
void actor_commit_done(struct actor *actor, const char *what, int error);

/* The same for one that gives regular pages new contents as a whole. */
void actor_end_replacing(struct actor *actor, const char *what, int error);

/* An operation on the allocation of pages has returned. */
void actor_allocation_done(struct actor *actor);

/* The library has given this page out. */
void actor_add_regular(struct actor *actor, uint64_t id, unsigned flags);

#endif
