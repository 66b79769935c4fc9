/* SPDX-License-Identifier: MIT */
/* mappedpages read: the content of one page, to standard output. */

#include "arguments.h"
#include "command.h"
#include "file.h"
#include "json.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {
    {"protected", no_argument, NULL, 'p'},
    {"hexdump", no_argument, NULL, 'x'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

#define BYTES_IN_LINE 16

static void dump_line(const unsigned char *bytes, size_t offset, size_t count)
{
    printf("%08zx ", offset);
    for (size_t i = 0; i < BYTES_IN_LINE; i++) {
        fputs(i == BYTES_IN_LINE / 2 ? " " : "", stdout);
        if (i < count) {
            printf(" %02x", bytes[i]);
        } else {
            fputs("   ", stdout);
        }
    }
    fputs("  |", stdout);
    for (size_t i = 0; i < count; i++) {
        putchar(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
    }
    fputs("|\n", stdout);
}

/* Lines that are the same as the one before are told by one asterisk, as hexdump -C does. */
static void dump(const unsigned char *bytes, size_t length)
{
    bool repeated = false;

    for (size_t at = 0; at < length; at += BYTES_IN_LINE) {
        size_t count = length - at < BYTES_IN_LINE ? length - at : BYTES_IN_LINE;

        if (at > 0 && count == BYTES_IN_LINE &&
            memcmp(bytes + at, bytes + at - BYTES_IN_LINE, BYTES_IN_LINE) == 0) {
            fputs(repeated ? "" : "*\n", stdout);
            repeated = true;
            continue;
        }
        repeated = false;
        dump_line(bytes + at, at, count);
    }
    printf("%08zx\n", length);
}

static int read_page(void *content, const mpg_pager *pager, uint64_t id, bool protected)
{
    struct patience patience = {0};
    int status;

    do {
        status = protected
                     ? mpg_protected_read(content, pager, (mpg_protected_id){id})
                     : mpg_page_read(content, pager, (mpg_page_id){id}, 0, mpg_page_size(pager));
    } while (moved_on(&patience, pager, status));
    return status;
}

static void print_json(const void *content, size_t length, uint64_t id, bool protected)
{
    struct json json;

    json_begin(&json, stdout);
    json_number(&json, protected ? "protected" : "regular", id);
    json_number(&json, "bytes", length);
    json_base64(&json, "base64", content, length);
    json_end(&json);
}

enum shape { AS_IT_IS, HEXDUMP, JSON };

/* Returns an exit status. */
static int print(const void *content, size_t length, uint64_t id, bool protected, enum shape shape)
{
    if (shape == AS_IT_IS) {
        return write_output(content, length, STATUS_FINE);
    }
    if (shape == HEXDUMP) {
        dump(content, length);
    } else {
        print_json(content, length, id, protected);
    }
    return finish_output(STATUS_FINE);
}

static int run(int argc, char **argv)
{
    const mpg_pager *pager;
    bool protected = false;
    bool as_dump = false;
    bool json = false;
    const char *path;
    void *content;
    uint64_t id;
    int option;
    int status;

    while ((option = next_option(&command_read, argc, argv)) != -1) {
        protected |= option == 'p';
        as_dump |= option == 'x';
        json |= option == 'j';
    }
    if (as_dump && json) {
        usage_error(&command_read, "--hexdump and --json do not go together");
    }
    expect_arguments(&command_read, argc, argv, 2, 2);
    path = argv[optind];
    id = parse_number(&command_read, "id", argv[optind + 1]);
    if (open_reading(&pager, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    content = allocate(1, mpg_page_size(pager));
    if (read_page(content, pager, id, protected) != 0) {
        status = report_failure(path, json);
    } else {
        status = print(content, mpg_page_size(pager), id, protected,
                       json      ? JSON
                       : as_dump ? HEXDUMP
                                 : AS_IT_IS);
    }
    free(content);
    return close_file(pager, path, status);
}

const struct command command_read = {
    .name = "read",
    .summary = "Writes the content of a page to standard output",
    .usage = "[-p] [-x | -j] FILE ID",
    .help =
        "Works also while the file is mounted or being written. Of a protected page it shows the\n"
        "last committed content.\n\n"
        "  -p, --protected  ID names a protected page\n"
        "  -x, --hexdump    in hexadecimal digits and characters\n"
        "  -j, --json       as a JSON object, the content in base64\n"
        "  -h, --help       this help\n",
    .options = options,
    .run = run,
};
