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

static void count(struct map *map, struct run *run, uint64_t first, const unsigned char *uses,
                  size_t pages)
{
    for (size_t i = 0; i < pages; i++) {
        map->cells[(first + i) / map->per_cell].pages[uses[i]]++;
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
    for (size_t i = 0; i < map->cell_count; i++) {
        for (int kind = 0; kind < MAP_KINDS; kind++) {
            map->sum.pages[kind] += map->cells[i].pages[kind];
        }
    }
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
    uint64_t used =
        cell->pages[MAP_REGULAR] + cell->pages[MAP_PROTECTED] + cell->pages[MAP_METADATA];

    return used == 0 ? 0 : (double)used / (double)(used + cell->pages[MAP_FREE]);
}

const char *map_kind_name(enum map_kind kind)
{
    static const char *const names[MAP_KINDS] = {"free", "regular", "protected", "metadata"};

    return names[kind];
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
