/* SPDX-License-Identifier: MIT */
/* A set of 64-bit numbers that can be walked in ascending order. Not thread-safe. */
#ifndef MPGI_ID_SET_H
#define MPGI_ID_SET_H

#include "base/id_map.h"

/* A tree of masks: each level says which of the masks below are not empty. */
#define ID_SET_BITS 5
#define ID_SET_LEVELS 13

/* All zero is an empty set. */
struct id_set {
    struct id_map levels[ID_SET_LEVELS]; /* number of a mask → 2^ID_SET_BITS bits */
};

/* False: no memory. Then the number may be in the set or not. */
bool mpgi_id_set_add(struct id_set *set, uint64_t id);
/* The lowest number >= from. False: there is none. */
bool mpgi_id_set_next(const struct id_set *set, uint64_t from, uint64_t *id);
void mpgi_id_set_clear(struct id_set *set);

#endif
