/* SPDX-License-Identifier: MIT */
/* A map from 64-bit numbers to pointers or counts. Not thread-safe. */
#ifndef MPGI_ID_MAP_H
#define MPGI_ID_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

union id_value {
    void *pointer;
    uintptr_t number;
};

struct id_slot {
    uint64_t id;
    union id_value value;
    bool used;
};

/* All zero is an empty map. */
struct id_map {
    struct id_slot *slots; /* open addressing, a power of two of them, or NULL */
    size_t capacity;
    size_t count;
};

/* The value of an id, to read or change, or NULL. Valid until the next put or remove. */
union id_value *mpgi_id_map_find(const struct id_map *map, uint64_t id);
/* Makes room for `more` further ids, so that as many puts cannot fail. False: no memory. */
bool mpgi_id_map_reserve(struct id_map *map, size_t more);
/* The value of an id, zero if it is new. NULL: no memory. */
union id_value *mpgi_id_map_put(struct id_map *map, uint64_t id);
void mpgi_id_map_remove(struct id_map *map, uint64_t id);
void mpgi_id_map_clear(struct id_map *map);

#endif
