/* SPDX-License-Identifier: MIT */
#include "base/id_map.h"

#include <stdlib.h>

static size_t home_of(const struct id_map *map, uint64_t id)
{
    /* Fibonacci hashing: neighbouring ids land far apart. */
    return (size_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (map->capacity - 1);
}

static struct id_slot *slot_of(const struct id_map *map, uint64_t id)
{
    size_t at = home_of(map, id);

    while (map->slots[at].used && map->slots[at].id != id)
        at = (at + 1) & (map->capacity - 1);
    return &map->slots[at];
}

union id_value *mpgi_id_map_find(const struct id_map *map, uint64_t id)
{
    struct id_slot *slot;

    if (map->count == 0)
        return NULL;
    slot = slot_of(map, id);
    return slot->used ? &slot->value : NULL;
}

bool mpgi_id_map_reserve(struct id_map *map, size_t more)
{
    struct id_map bigger = {NULL, map->capacity == 0 ? 16 : map->capacity, map->count};

    /* At most three quarters full, so that probes stay short. */
    while (bigger.capacity / 4 * 3 < map->count + more)
        bigger.capacity *= 2;
    if (bigger.capacity == map->capacity)
        return true;
    bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].used)
            *slot_of(&bigger, map->slots[i].id) = map->slots[i];
    free(map->slots);
    *map = bigger;
    return true;
}

union id_value *mpgi_id_map_put(struct id_map *map, uint64_t id)
{
    struct id_slot *slot;

    if (!mpgi_id_map_reserve(map, 1))
        return NULL;
    slot = slot_of(map, id);
    if (!slot->used) {
        slot->used = true;
        slot->id = id;
        slot->value.pointer = NULL;
        map->count++;
    }
    return &slot->value;
}

void mpgi_id_map_remove(struct id_map *map, uint64_t id)
{
    size_t mask = map->capacity - 1, hole, at;
    struct id_slot *slot;

    if (map->count == 0)
        return;
    slot = slot_of(map, id);
    if (!slot->used)
        return;
    /* Moves back what the hole would cut off from its home. */
    hole = (size_t)(slot - map->slots);
    for (at = (hole + 1) & mask; map->slots[at].used; at = (at + 1) & mask) {
        size_t home = home_of(map, map->slots[at].id);

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].used = false;
    map->count--;
}

void mpgi_id_map_clear(struct id_map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->capacity = 0;
    map->count = 0;
}
