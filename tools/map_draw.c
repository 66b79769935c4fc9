/* SPDX-License-Identifier: MIT */
/* Draws a page file as text and as SVG. */

#include "escape.h"
#include "map.h"
#include "output.h"

#include <inttypes.h>
#include <stdlib.h>

/* The same colours in both, light and dark paper alike. */
static const struct {
    const char *terminal; /* the number of a colour of 256 */
    const char *svg;
} colours_of[MAP_KINDS] = {
    [MAP_FREE] = {"245", "#b8c0c8"},     [MAP_REGULAR] = {"33", "#2f81f7"},
    [MAP_PROTECTED] = {"35", "#2da44e"}, [MAP_OTHER] = {"108", "#7fc08f"},
    [MAP_METADATA] = {"172", "#d4863a"},
};

/*
 * How full a cell is: without colours the letter says what of, and a small one that it is not full.
 */
static const char *const shades[] = {"░", "▒", "▓", "█"};
#define MOST_SHADE ((size_t)3)
static const char letters[MAP_KINDS][2] = {
    [MAP_FREE] = {'.', '.'},  [MAP_REGULAR] = {'r', 'R'},  [MAP_PROTECTED] = {'p', 'P'},
    [MAP_OTHER] = {'o', 'O'}, [MAP_METADATA] = {'m', 'M'},
};

static double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static void draw_cell(FILE *out, const struct map_cell *cell, bool colours)
{
    enum map_kind kind = map_kind_of(cell);
    double used = map_used_part(cell);

    if (!colours) {
        fputc(letters[kind][used >= 1], out);
    } else if (kind == MAP_FREE) {
        fprintf(out, "\033[38;5;%sm·", colours_of[kind].terminal);
    } else {
        fprintf(out, "\033[38;5;%sm%s", colours_of[kind].terminal,
                shades[used >= 1 ? MOST_SHADE : (size_t)(used * (double)MOST_SHADE)]);
    }
}

/* Other copies are only told of where there are such. */
static bool is_shown(const struct map *map, int kind)
{
    return kind != MAP_OTHER || map->sum.pages[kind] > 0;
}

static void draw_legend(FILE *out, const struct map *map, bool colours)
{
    for (int kind = MAP_KINDS - 1; kind >= 0; kind--) {
        if (!is_shown(map, kind)) {
            continue;
        }
        if (colours) {
            fprintf(out, "\033[38;5;%sm%s\033[0m ", colours_of[kind].terminal,
                    kind == MAP_FREE ? "·" : "█");
        } else {
            fprintf(out, "%c ", letters[kind][1]);
        }
        fprintf(out, "%-10s %12" PRIu64 "  %5.1f %%\n", map_kind_name((enum map_kind)kind),
                map->sum.pages[kind], percent(map->sum.pages[kind], map->total));
    }
}

static void draw_runs(FILE *out, const struct map *map)
{
    if (map->sum.pages[MAP_FREE] == 0) {
        fputs("\nNo page is free.\n", out);
        return;
    }
    fprintf(out, "\nFree pages lie in runs, the longest of %" PRIu64 ":\n", map->longest_run);
    fputs("       length        runs       pages\n", out);
    for (unsigned class = 0; class < MAP_RUN_CLASSES; class ++) {
        if (map->runs[class] > 0) {
            fprintf(out, "%12" PRIu64 "+ %10" PRIu64 "  %10" PRIu64 "  %5.1f %%\n",
                    UINT64_C(1) << class, map->runs[class], map->run_pages[class],
                    percent(map->run_pages[class], map->sum.pages[MAP_FREE]));
        }
    }
}

void map_draw_text(FILE *out, const struct map *map, size_t columns, bool colours)
{
    int digits = snprintf(NULL, 0, "%" PRIu64, map->total);

    for (size_t i = 0; i < map->cell_count; i++) {
        if (i % columns == 0) {
            fprintf(out, "%*" PRIu64 "  ", digits, i * map->per_cell);
        }
        draw_cell(out, &map->cells[i], colours);
        if ((i + 1) % columns == 0 || i + 1 == map->cell_count) {
            fputs(colours ? "\033[0m\n" : "\n", out);
        }
    }
    fprintf(out, "\n%" PRIu64 " pages, %" PRIu64 " to a cell\n\n", map->total, map->per_cell);
    draw_legend(out, map, colours);
    draw_runs(out, map);
}

/* ---- SVG ---- */

#define SVG_COLUMNS 96
#define CELL 8
#define MARGIN 16
#define TITLE_HEIGHT 30
#define LEGEND_HEIGHT 56

static void print_xml(FILE *out, const char *title)
{
    char *escaped = escape_copy(title);

    for (const char *text = escaped != NULL ? escaped : ""; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
    free(escaped);
}

static void draw_svg_cells(FILE *out, const struct map *map, size_t columns)
{
    for (size_t i = 0; i < map->cell_count; i++) {
        enum map_kind kind = map_kind_of(&map->cells[i]);
        double used = map_used_part(&map->cells[i]);

        fprintf(out, "<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"%s\"",
                MARGIN + i % columns * CELL, MARGIN + TITLE_HEIGHT + i / columns * CELL, CELL - 1,
                CELL - 1, colours_of[kind].svg);
        fprintf(out, " fill-opacity=\"%.2f\"/>\n", kind == MAP_FREE ? 0.35 : 0.3 + 0.7 * used);
    }
}

static void draw_svg_legend(FILE *out, const struct map *map, size_t top)
{
    size_t x = MARGIN;

    for (int kind = MAP_KINDS - 1; kind >= 0; kind--) {
        if (!is_shown(map, kind)) {
            continue;
        }
        fprintf(out, "<rect x=\"%zu\" y=\"%zu\" width=\"10\" height=\"10\" fill=\"%s\"/>\n", x, top,
                colours_of[kind].svg);
        fprintf(out, "<text x=\"%zu\" y=\"%zu\">%s %" PRIu64 " (%.1f %%)</text>\n", x + 16,
                top + 10, map_kind_name((enum map_kind)kind), map->sum.pages[kind],
                percent(map->sum.pages[kind], map->total));
        x += map->sum.pages[MAP_OTHER] > 0 ? 155 : 185;
    }
    fprintf(out,
            "<text x=\"%d\" y=\"%zu\">%" PRIu64 " pages, %" PRIu64
            " to a cell; the longest run of free pages has %" PRIu64 "</text>\n",
            MARGIN, top + 30, map->total, map->per_cell, map->longest_run);
}

void map_draw_svg(FILE *out, const struct map *map, const char *title)
{
    size_t columns = map_columns(map, SVG_COLUMNS);
    size_t rows = (map->cell_count + columns - 1) / columns;
    size_t width = 2 * MARGIN + SVG_COLUMNS * CELL;
    size_t height = 2 * MARGIN + TITLE_HEIGHT + rows * CELL + LEGEND_HEIGHT;

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\" "
            "viewBox=\"0 0 %zu %zu\">\n",
            width, height, width, height);
    fputs("<style>text{font:12px sans-serif;fill:#57606a}"
          "@media(prefers-color-scheme:dark){text{fill:#9aa4af}}</style>\n",
          out);
    fprintf(out, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">", MARGIN, MARGIN + 12);
    print_xml(out, title);
    fputs("</text>\n", out);
    draw_svg_cells(out, map, columns);
    draw_svg_legend(out, map, MARGIN + TITLE_HEIGHT + rows * CELL + 16);
    fputs("</svg>\n", out);
}
