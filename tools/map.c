/* SPDX-License-Identifier: MIT */
/* mappedpages map: a picture of what the pages of a file are used for. */

#include "map.h"
#include "arguments.h"
#include "command.h"
#include "file.h"
#include "json.h"
#include "output.h"
#include "recognize.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_WITHOUT_TERMINAL 80
#define COLUMNS_MIN 20
#define ROWS_MOST 24
#define NUMBER_WIDTH 18 /* for the number at the beginning of a line */

static const struct option options[] = {
    {"svg", required_argument, NULL, 's'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Colours, and blocks that are not ASCII: of a terminal that is one, and where nobody objects. */
static bool wants_colours(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0') && terminal != NULL &&
           *terminal != '\0' && strcmp(terminal, "dumb") != 0 && setlocale(LC_CTYPE, "") != NULL &&
           strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static size_t width_of_output(void)
{
    struct winsize size;

    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col > COLUMNS_MIN ? size.ws_col : COLUMNS_MIN;
    }
    return COLUMNS_WITHOUT_TERMINAL;
}

/* Looks until it has seen all of one state. */
static int make(struct map *map, const mpg_pager *pager, size_t cells)
{
    struct patience patience = {0};
    int status;

    for (;;) {
        status = map_make(map, pager, cells);
        if (!moved_on(&patience, pager, status)) {
            return status;
        }
        map_free(map);
    }
}

/* Returns an exit status. */
static int draw_file(const char *svg, const struct map *map, const char *title)
{
    bool failed;
    FILE *out;

    if (content_of(svg).kind == CONTENT_PAGES) {
        complain(svg, "it is a page file, which no picture is to take the place of");
        return STATUS_FAILED;
    }
    out = fopen(svg, "we");
    if (out == NULL) {
        complain(svg, "%s", strerror(errno));
        return STATUS_FAILED;
    }
    map_draw_svg(out, map, title);
    failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        complain(svg, "could not be written: %s", strerror(errno));
        return STATUS_FAILED;
    }
    return STATUS_FINE;
}

static void list_counts(struct json *json, const struct map *map)
{
    for (enum map_kind kind = 0; kind < MAP_KINDS; kind++) {
        json_number(json, map_kind_key(kind), map->sum.pages[kind]);
    }
}

static void list_free_runs(struct json *json, const struct map *map)
{
    json_open(json, "free_runs", '[');
    for (unsigned class = 0; class < MAP_RUN_CLASSES; class ++) {
        if (map->runs[class] > 0) {
            json_open(json, NULL, '{');
            json_number(json, "at_least", UINT64_C(1) << class);
            json_number(json, "runs", map->runs[class]);
            json_number(json, "pages", map->run_pages[class]);
            json_close(json, '}');
        }
    }
    json_close(json, ']');
}

static int tell(const struct map *map, const char *path)
{
    struct json json;

    json_begin(&json, stdout);
    json_string(&json, "file", path);
    json_number(&json, "total_pages", map->total);
    json_open(&json, "pages", '{');
    list_counts(&json, map);
    json_close(&json, '}');
    json_number(&json, "longest_free_run", map->longest_run);
    list_free_runs(&json, map);
    json_end(&json);
    return finish_output(STATUS_FINE);
}

static int draw(const struct map *map, const char *svg, const char *path, size_t columns)
{
    if (svg == NULL) {
        map_draw_text(stdout, map, map_columns(map, columns), wants_colours());
        return finish_output(STATUS_FINE);
    }
    if (strcmp(svg, "-") == 0) {
        map_draw_svg(stdout, map, path);
        return finish_output(STATUS_FINE);
    }
    return draw_file(svg, map, path);
}

static int run(int argc, char **argv)
{
    const mpg_pager *pager;
    const char *svg = NULL;
    const char *path;
    bool json = false;
    struct map map;
    size_t columns;
    int option;
    int status;

    while ((option = next_option(&command_map, argc, argv)) != -1) {
        json |= option == 'j';
        svg = option == 's' ? optarg : svg;
    }
    expect_arguments(&command_map, argc, argv, 1, 1);
    if (svg != NULL) {
        expect_name(&command_map, "the picture", svg);
    }
    if (json && svg != NULL) {
        usage_error(&command_map, "--json and --svg are two outputs: ask for one");
    }
    path = argv[optind];
    if (open_reading(&pager, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    columns = width_of_output() - (width_of_output() > 2 * NUMBER_WIDTH ? NUMBER_WIDTH : 0);
    status = make(&map, pager, svg != NULL ? 96 * 64 : columns * ROWS_MOST);
    if (status != 0) {
        map_free(&map);
        return fail_and_close(pager, path, json);
    }
    status = json ? tell(&map, path) : draw(&map, svg, path, columns);
    map_free(&map);
    return close_file(pager, path, status);
}

const struct command command_map = {
    .name = "map",
    .summary = "Draws what the pages of a file are used for",
    .usage = "[-s FILE | -j] FILE",
    .help =
        "Each cell of the picture stands for as many pages as make it fit: what most of those\n"
        "in use are is its colour, how many are in use its shade. Below it stands how many\n"
        "pages there are of each kind, and in runs of which length the free ones lie.\n"
        "Without a terminal, or with NO_COLOR set, letters stand for colours: R regular,\n"
        "P protected, O other copy of protected (format 0.2), M metadata, '.' free; small ones\n"
        "where the cell is not full.\n"
        "Works also while the file is mounted or being written.\n\n"
        "  -s, --svg FILE  as an SVG picture, to FILE, or to standard output for '-'\n"
        "  -j, --json      the counts as a JSON object\n"
        "  -h, --help      this help\n",
    .options = options,
    .run = run,
};
