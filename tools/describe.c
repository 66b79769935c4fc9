/* SPDX-License-Identifier: MIT */

#include "describe.h"

#include "escape.h"
#include "json.h"
#include "size.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

const char *format_name(int format)
{
    return format == MPG_FORMAT_0_2 ? "0.2" : "1";
}

void format_uuid(char text[UUID_TEXT_SIZE], const uint8_t uuid[16])
{
    static const char digits[] = "0123456789abcdef";
    char *c = text;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *c++ = '-';
        }
        *c++ = digits[uuid[i] >> 4];
        *c++ = digits[uuid[i] & 15];
    }
    *c = '\0';
}

static void fact(FILE *out, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fact(FILE *out, const char *name, const char *format, ...)
{
    va_list arguments;

    fprintf(out, "%s:%*s", name, (int)(18 - strlen(name)), "");
    va_start(arguments, format);
    escape_vprintf(out, format, arguments);
    va_end(arguments);
    fputc('\n', out);
}

static void describe_time(FILE *out, uint64_t seconds)
{
    time_t created = (time_t)seconds;
    struct tm parts;
    char text[64];

    if (seconds > INT64_MAX || gmtime_r(&created, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        fact(out, "created", "%" PRIu64 " seconds after 1970", seconds);
        return;
    }
    fact(out, "created", "%s", text);
}

/* What only format 1 has. */
static void describe_format_1(FILE *out, const struct mpg_stat *st, bool all)
{
    char uuid[UUID_TEXT_SIZE];

    format_uuid(uuid, st->uuid);
    fact(out, "uuid", "%s", uuid);
    if (all || st->label[0] != '\0') {
        fact(out, "label", "%s", st->label);
    }
    describe_time(out, st->created);
    if (all) {
        fact(out, "space tree", "height %u", st->space_height);
        fact(out, "directory tree", "height %u", st->directory_height);
    }
    if (all || (st->features[0] | st->features[1] | st->features[2]) != 0) {
        fact(out, "features",
             "compatible %#" PRIx64 ", read-only compatible %#" PRIx64 ", incompatible %#" PRIx64,
             st->features[0], st->features[1], st->features[2]);
    }
}

/* Bytes, and beside them what a person reads, if that is not the same. */
static void describe_bytes(FILE *out, const char *name, uint64_t bytes)
{
    char size[SIZE_TEXT];

    size_format(size, bytes);
    if (bytes < 1024) {
        fact(out, name, "%s", size);
    } else {
        fact(out, name, "%" PRIu64 " bytes (%s)", bytes, size);
    }
}

void describe_file(FILE *out, const struct mpg_stat *st, bool all)
{
    uint64_t contents = st->total_pages - st->free_pages - st->regular_pages - st->metadata_pages;

    fact(out, "format", "%s (version %d.%d.%d.%d)", format_name(st->format), st->version[0],
         st->version[1], st->version[2], st->version[3]);
    describe_bytes(out, "page size", st->page_size);
    describe_bytes(out, "file size", st->file_bytes);
    fact(out, "pages", "%" PRIu64, st->total_pages);
    fact(out, "free pages", "%" PRIu64, st->free_pages);
    fact(out, "regular pages", "%" PRIu64, st->regular_pages);
    fact(out, "protected pages", "%" PRIu64 " (%" PRIu64 " page%s of the file)",
         st->protected_pages, contents, plural(contents));
    fact(out, "metadata pages", "%" PRIu64, st->metadata_pages);
    /* The other one's limits nobody meets. */
    if (all || st->format == MPG_FORMAT_0_2) {
        fact(out, "most pages", "%" PRIu64, st->max_pages);
        fact(out, "most protected", "%" PRIu64, st->max_protected);
    }
    fact(out, "generation", "%" PRIu64, st->generation);
    if (st->format == MPG_FORMAT_1) {
        describe_format_1(out, st, all);
    }
}

static void json_format_1(struct json *json, const struct mpg_stat *st)
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
void describe_json(FILE *out, const char *path, const struct mpg_stat *st)
{
    char version[64];
    struct json json;

    json_begin(&json, out);
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
        json_format_1(&json, st);
    }
    json_end(&json);
}
