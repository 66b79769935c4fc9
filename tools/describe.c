/* SPDX-License-Identifier: MIT */

#include "describe.h"

#include "escape.h"

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
static void describe_format_1(FILE *out, const struct mpg_stat *st)
{
    char uuid[UUID_TEXT_SIZE];

    format_uuid(uuid, st->uuid);
    fact(out, "uuid", "%s", uuid);
    fact(out, "label", "%s", st->label);
    describe_time(out, st->created);
    fact(out, "space tree", "height %u", st->space_height);
    fact(out, "directory tree", "height %u", st->directory_height);
    if ((st->features[0] | st->features[1] | st->features[2]) != 0) {
        fact(out, "features",
             "compatible %#" PRIx64 ", read-only compatible %#" PRIx64 ", incompatible %#" PRIx64,
             st->features[0], st->features[1], st->features[2]);
    }
}

void describe_file(FILE *out, const struct mpg_stat *st)
{
    fact(out, "format", "%s (version %d.%d.%d.%d)", format_name(st->format), st->version[0],
         st->version[1], st->version[2], st->version[3]);
    fact(out, "page size", "%" PRIu32 " bytes", st->page_size);
    fact(out, "file size", "%" PRIu64 " bytes", st->file_bytes);
    fact(out, "pages", "%" PRIu64, st->total_pages);
    fact(out, "free pages", "%" PRIu64, st->free_pages);
    fact(out, "regular pages", "%" PRIu64, st->regular_pages);
    fact(out, "protected pages", "%" PRIu64 " (%" PRIu64 " pages of the file)", st->protected_pages,
         2 * st->protected_pages);
    fact(out, "metadata pages", "%" PRIu64, st->metadata_pages);
    fact(out, "most pages", "%" PRIu64, st->max_pages);
    fact(out, "most protected", "%" PRIu64, st->max_protected);
    fact(out, "generation", "%" PRIu64, st->generation);
    if (st->format == MPG_FORMAT_1) {
        describe_format_1(out, st);
    }
}
