/* SPDX-License-Identifier: MIT */
/* Open addressing with linear probing; a removal moves later slots of the run back. */
#include "map.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST 64

static size_t home(const struct map *map, uint64_t key)
{
    key *= UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(key >> 32) & (map->size - 1);
}

/* The slot of a key, or the empty one where it would go. There is always an empty slot. */
static struct map_slot *probe(const struct map *map, uint64_t key)
{
    size_t i = home(map, key);

    while (map->slots[i].key != 0 && map->slots[i].key != key) {
        i = (i + 1) & (map->size - 1);
    }
    return &map->slots[i];
}

uint64_t *map_find(const struct map *map, uint64_t key)
{
    struct map_slot *slot;

    if (map->used == 0) {
        return NULL;
    }
    slot = probe(map, key);
    return slot->key == key ? slot->value : NULL;
}

/* Returns whether there was memory; without it the map stays as it was. */
static int resize(struct map *map, size_t size)
{
    struct map bigger = {calloc(size, sizeof(struct map_slot)), size, map->used};

    if (bigger.slots == NULL) {
        return 0;
    }
    for (size_t i = 0; i < map->size; i++) {
        if (map->slots[i].key != 0) {
            *probe(&bigger, map->slots[i].key) = map->slots[i];
        }
    }
    free(map->slots);
    *map = bigger;
    return 1;
}

uint64_t *map_put(struct map *map, uint64_t key)
{
    uint64_t *found = map_find(map, key);
    struct map_slot *slot;

    if (found != NULL) {
        return found;
    }
    if (map->used + 1 > map->size / 4 * 3 &&
        !resize(map, map->size == 0 ? SMALLEST : map->size * 2)) {
        return NULL;
    }
    slot = probe(map, key);
    memset(slot, 0, sizeof(*slot));
    slot->key = key;
    map->used++;
    return slot->value;
}

void map_remove(struct map *map, uint64_t key)
{
    struct map_slot *slot;
    size_t hole, i;

    if (map->used == 0) {
        return;
    }
    slot = probe(map, key);
    if (slot->key != key) {
        return;
    }
    hole = (size_t)(slot - map->slots);
    for (i = (hole + 1) & (map->size - 1); map->slots[i].key != 0; i = (i + 1) & (map->size - 1)) {
        size_t from = home(map, map->slots[i].key);

        /* A slot may move back into the hole unless its home lies behind the hole. */
        if (((i - from) & (map->size - 1)) >= ((i - hole) & (map->size - 1))) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole].key = 0;
    map->used--;
    if (map->size > SMALLEST && map->used < map->size / 8) {
        (void)resize(map, map->size / 2);
    }
}

void map_free(struct map *map)
{
    free(map->slots);
    memset(map, 0, sizeof(*map));
}
