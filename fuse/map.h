/* SPDX-License-Identifier: MIT */
/* A table from numbers other than 0 to a few numbers each. Not locked: its user does that. */
#ifndef MAP_H
#define MAP_H

#include <stddef.h>
#include <stdint.h>

#define MAP_VALUES 3

struct map_slot {
    uint64_t key; /* 0: empty */
    uint64_t value[MAP_VALUES];
};

/* Zero-initialised is empty. */
struct map {
    struct map_slot *slots;
    size_t size; /* slots there are: 0 or a power of two */
    size_t used; /* of these */
};

/* The values of a key, or NULL. Valid until the next put or remove. */
uint64_t *map_find(const struct map *map, uint64_t key);
/* The values of a key, all zero if it was not there. NULL if memory ran out. */
uint64_t *map_put(struct map *map, uint64_t key);
/* Does nothing where the key is not there. */
void map_remove(struct map *map, uint64_t key);
void map_free(struct map *map);

#endif
