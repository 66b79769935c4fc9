/* SPDX-License-Identifier: MIT */
/* mappedpages info: the facts of a page file. */

#include "arguments.h"
#include "command.h"
#include "describe.h"
#include "file.h"
#include "json.h"
#include "output.h"

#include <stdio.h>

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_json_format_1(struct json *json, const struct mpg_stat *st)
{
    char uuid[UUID_TEXT_SIZE];

    format_uuid(uuid, st->uuid);
    json_string(json, "uuid", uuid);
    json_string(json, "label", st->label);
    json_number(json, "created", st->created);
    json_number(json, "space_height", st->space_height);
    json_number(json, "directory_height", st->directory_height);
    json_open(json, "features", '{');
    json_number(json, "compatible", st->features[0]);
    json_number(json, "read_only_compatible", st->features[1]);
    json_number(json, "incompatible", st->features[2]);
    json_close(json, '}');
}

/* The members are named as the fields of struct mpg_stat. */
static void print_json(const char *path, const struct mpg_stat *st)
{
    char version[64];
    struct json json;

    json_begin(&json, stdout);
    json_string(&json, "file", path);
    json_string(&json, "format", format_name(st->format));
    snprintf(version, sizeof version, "%d.%d.%d.%d", st->version[0], st->version[1], st->version[2],
             st->version[3]);
    json_string(&json, "version", version);
    json_number(&json, "page_size", st->page_size);
    json_number(&json, "file_bytes", st->file_bytes);
    json_number(&json, "total_pages", st->total_pages);
    json_number(&json, "free_pages", st->free_pages);
    json_number(&json, "regular_pages", st->regular_pages);
    json_number(&json, "protected_pages", st->protected_pages);
    json_number(&json, "metadata_pages", st->metadata_pages);
    json_number(&json, "max_pages", st->max_pages);
    json_number(&json, "max_protected", st->max_protected);
    json_number(&json, "generation", st->generation);
    if (st->format == MPG_FORMAT_1) {
        print_json_format_1(&json, st);
    }
    json_end(&json);
}

static int run(int argc, char **argv)
{
    struct mpg_stat st = {.size = sizeof st};
    struct patience patience = {0};
    const mpg_pager *pager;
    const char *path;
    bool json = false;
    int status;

    while (next_option(&command_info, argc, argv) != -1) {
        json = true;
    }
    expect_arguments(&command_info, argc, argv, 1, 1);
    path = argv[optind];
    if (open_reading(&pager, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    do {
        status = mpg_stat(&st, pager);
    } while (moved_on(&patience, pager, status));
    if (status != 0) {
        return fail_and_close(pager, path, json);
    }
    if (json) {
        print_json(path, &st);
    } else {
        describe_file(stdout, &st);
    }
    return close_file(pager, path, finish_output(STATUS_FINE));
}

const struct command command_info = {
    .name = "info",
    .summary = "Shows the format, sizes and counts of a page file",
    .usage = "[-j] FILE",
    .help = "Works also while the file is mounted or being written.\n\n"
            "  -j, --json  as a JSON object\n"
            "  -h, --help  this help\n",
    .options = options,
    .run = run,
};
