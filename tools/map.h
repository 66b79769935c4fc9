/* SPDX-License-Identifier: MIT */
/*
 * What a picture of a page file shows: the file in cells of as many pages each, and how its free
 * pages lie.
 */
#ifndef MAP_H
#define MAP_H

#include "mappedpages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What a cell counts. */
enum map_kind {
    MAP_FREE,
    MAP_REGULAR,
    MAP_PROTECTED, /* contents of protected pages, the current ones */
    MAP_OTHER,     /* in format 0.2: their other copies */
    MAP_METADATA,
    MAP_KINDS,
};

struct map_cell {
    uint64_t pages[MAP_KINDS];
};

/* Runs of free pages by their length: 2^i to 2^(i+1) - 1 pages. */
#define MAP_RUN_CLASSES 64

struct map {
    uint64_t total;    /* pages of the file */
    uint64_t per_cell; /* pages in a cell; the last cell may have fewer */
    size_t cell_count;
    struct map_cell *cells; /* owned */
    struct map_cell sum;
    uint64_t runs[MAP_RUN_CLASSES]; /* how many runs there are of each length */
    uint64_t run_pages[MAP_RUN_CLASSES];
    uint64_t longest_run;
};

/*
 * Looks at all pages, for at most `cells` cells. Returns 0 or the library's error; then free it,
 * too.
 */
int map_make(struct map *map, const mpg_pager *pager, size_t cells);
void map_free(struct map *map);

/* The kind that most of a cell's pages in use are of; MAP_FREE where none is. */
enum map_kind map_kind_of(const struct map_cell *cell);
/* The part of a cell's pages that is in use, 0 to 1. */
double map_used_part(const struct map_cell *cell);

/* What a kind is called in a legend, and in JSON. */
const char *map_kind_name(enum map_kind kind);
const char *map_kind_key(enum map_kind kind);
/* How many columns a picture of the file is wide, where up to `most` fit. */
size_t map_columns(const struct map *map, size_t most);

/* Draws it as text, `columns` cells wide, in the colours of a terminal if asked to. */
void map_draw_text(FILE *out, const struct map *map, size_t columns, bool colours);
/* Draws it as SVG, with a title above. */
void map_draw_svg(FILE *out, const struct map *map, const char *title);

#endif
