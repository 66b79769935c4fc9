/* SPDX-License-Identifier: MIT */
/* Random operations on a page file, each with what must come of it. */
#ifndef CRASH_MODEL_H
#define CRASH_MODEL_H

#include "crash/actor.h"

/* A kind of file. */
struct model_kind {
    uint32_t page_size;
    unsigned flags;  /* of opening */
    unsigned divide; /* so much fewer seeds */
    unsigned steps;  /* operations of one seed */
};

#define MODEL_KINDS 7
extern const struct model_kind model_kinds[MODEL_KINDS];

/* Makes an actor for a file of that kind that is still to be created, and its disk. */
void model_begin(struct actor *actor, struct memory_disk *disk, const struct model_kind *kind,
                 int format, uint64_t seed);
/* One operation, or look, chosen at random; what must not be ends the actor's work. */
void model_step(struct actor *actor);

#endif
