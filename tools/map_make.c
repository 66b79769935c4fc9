/* SPDX-License-Identifier: MIT */
/* Counts what a picture of a page file shows. Memory does not grow with the file. */

#include "map.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>

#define PAGES_AT_ONCE 65536

/* A run of free pages that was not seen to end yet. */
struct run {
    uint64_t length;
};

static void end_run(struct map *map, struct run *run)
{
    unsigned class;

    if (run->length == 0) {
        return;
    }
    class = 63u - (unsigned)__builtin_clzll(run->length);
    map->runs[class]++;
    map->run_pages[class] += run->length;
    if (run->length > map->longest_run) {
        map->longest_run = run->length;
    }
    run->length = 0;
}

static enum map_kind kind_of_use(unsigned char use)
{
    switch (use) {
    case MPG_USE_REGULAR:
        return MAP_REGULAR;
    case MPG_USE_PROTECTED:
        return MAP_PROTECTED;
    case MPG_USE_METADATA:
        return MAP_METADATA;
    default:
        return MAP_FREE;
    }
}

static void count(struct map *map, struct run *run, uint64_t first, const unsigned char *uses,
                  size_t pages)
{
    for (size_t i = 0; i < pages; i++) {
        map->cells[(first + i) / map->per_cell].pages[kind_of_use(uses[i])]++;
        if (uses[i] == MPG_USE_FREE) {
            run->length++;
        } else {
            end_run(map, run);
        }
    }
}

static int look(struct map *map, const mpg_pager *pager, unsigned char *uses)
{
    struct run run = {0};

    for (uint64_t at = 0; at < map->total; at += PAGES_AT_ONCE) {
        uint64_t left = map->total - at;
        size_t pages = left < PAGES_AT_ONCE ? (size_t)left : PAGES_AT_ONCE;
        int status = mpg_page_uses(uses, pager, at, pages);

        if (status != 0) {
            return status;
        }
        count(map, &run, at, uses, pages);
    }
    end_run(map, &run);
    return 0;
}

/*
 * Which copy of a protected page is the current one: only format 0.2 has two, and only it has so
 * few of them that each can be asked.
 */
static int tell_copies_apart(struct map *map, const mpg_pager *pager)
{
    mpg_protected_iter iter;
    mpg_protected_id id = {0};
    int status;

    mpg_protected_iter_begin(&iter, pager, id);
    while ((status = mpg_protected_iter_next(&id, &iter)) > 0) {
        mpg_protected_info info;
        uint64_t other;

        status = mpg_protected_stat(&info, pager, id);
        if (status != 0) {
            return status;
        }
        other = info.page[!info.current];
        if (other < map->total) {
            struct map_cell *cell = &map->cells[other / map->per_cell];

            /* It may have been freed since it was counted. */
            if (cell->pages[MAP_PROTECTED] > 0) {
                cell->pages[MAP_PROTECTED]--;
                cell->pages[MAP_OTHER]++;
            }
        }
    }
    return status;
}

static void sum_up(struct map *map)
{
    for (size_t i = 0; i < map->cell_count; i++) {
        for (int kind = 0; kind < MAP_KINDS; kind++) {
            map->sum.pages[kind] += map->cells[i].pages[kind];
        }
    }
}

int map_make(struct map *map, const mpg_pager *pager, size_t cells)
{
    struct mpg_stat st = {.size = sizeof st};
    unsigned char *uses;
    int status;

    memset(map, 0, sizeof *map);
    status = mpg_stat(&st, pager);
    if (status != 0) {
        return status;
    }
    map->total = st.total_pages;
    map->per_cell = (map->total + cells - 1) / cells;
    map->cell_count = (size_t)((map->total + map->per_cell - 1) / map->per_cell);
    map->cells = allocate(map->cell_count, sizeof *map->cells);
    memset(map->cells, 0, map->cell_count * sizeof *map->cells);
    uses = allocate(PAGES_AT_ONCE, 1);
    status = look(map, pager, uses);
    free(uses);
    if (status == 0 && st.format == MPG_FORMAT_0_2) {
        status = tell_copies_apart(map, pager);
    }
    sum_up(map);
    return status;
}

void map_free(struct map *map)
{
    free(map->cells);
    map->cells = NULL;
}

enum map_kind map_kind_of(const struct map_cell *cell)
{
    enum map_kind most = MAP_FREE;

    for (int kind = MAP_REGULAR; kind < MAP_KINDS; kind++) {
        if (cell->pages[kind] > 0 && (most == MAP_FREE || cell->pages[kind] > cell->pages[most])) {
            most = (enum map_kind)kind;
        }
    }
    return most;
}

double map_used_part(const struct map_cell *cell)
{
    uint64_t used = 0;

    for (int kind = MAP_REGULAR; kind < MAP_KINDS; kind++) {
        used += cell->pages[kind];
    }
    return used == 0 ? 0 : (double)used / (double)(used + cell->pages[MAP_FREE]);
}

static const struct {
    const char *name, *key;
} kinds[MAP_KINDS] = {
    [MAP_FREE] = {"free", "free"},
    [MAP_REGULAR] = {"regular", "regular"},
    [MAP_PROTECTED] = {"protected", "protected"},
    [MAP_OTHER] = {"other copy", "other_copies"},
    [MAP_METADATA] = {"metadata", "metadata"},
};

const char *map_kind_name(enum map_kind kind)
{
    return kinds[kind].name;
}

const char *map_kind_key(enum map_kind kind)
{
    return kinds[kind].key;
}

size_t map_columns(const struct map *map, size_t most)
{
    size_t columns = 1;

    /* A small file is about four times as wide as it is high. */
    while (columns < most && columns * columns < 4 * map->cell_count) {
        columns++;
    }
    return columns;
}
