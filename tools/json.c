/* SPDX-License-Identifier: MIT */

#include "json.h"

#include <inttypes.h>
#include <stddef.h>

/* Brackets nested up to here begin a line for each of their values; deeper ones stay on a line. */
#define DEPTH_OF_LINES 2

/* What parts a value from what stands before it, and its key if it has one. */
static void begin_value(struct json *json, const char *key)
{
    if (!json->empty) {
        fputc(',', json->out);
    }
    if (json->depth > DEPTH_OF_LINES) {
        if (!json->empty) {
            fputc(' ', json->out);
        }
    } else {
        fprintf(json->out, "\n%*s", (int)(2 * json->depth), "");
    }
    if (key != NULL) {
        fprintf(json->out, "\"%s\": ", key);
    }
    json->empty = false;
}

void json_begin(struct json *json, FILE *out)
{
    json->out = out;
    json->depth = 1;
    json->empty = true;
    fputc('{', out);
}

void json_end(struct json *json)
{
    fputs("\n}\n", json->out);
}

void json_open(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    fputc(bracket, json->out);
    json->depth++;
    json->empty = true;
}

void json_close(struct json *json, char bracket)
{
    if (json->depth <= DEPTH_OF_LINES && !json->empty) {
        fprintf(json->out, "\n%*s", (int)(2 * (json->depth - 1)), "");
    }
    fputc(bracket, json->out);
    json->depth--;
    json->empty = false;
}

/* The length of the well-formed UTF-8 sequence at `text`, or 0 if there is none. */
static size_t utf8_length(const unsigned char *text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80             ? 1
                    : (text[0] & 0xe0) == 0xc0 ? 2
                    : (text[0] & 0xf0) == 0xe0 ? 3
                    : (text[0] & 0xf8) == 0xf0 ? 4
                                               : 0;
    uint32_t point = length > 1 ? text[0] & (0x7fu >> length) : text[0];

    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (text[i] & 0x3fu);
    }
    if (length == 0 || point < least[length] || point > 0x10ffff ||
        (point >= 0xd800 && point <= 0xdfff)) {
        return 0;
    }
    return length;
}

void json_string(struct json *json, const char *key, const char *text)
{
    const unsigned char *c = (const unsigned char *)text;

    begin_value(json, key);
    fputc('"', json->out);
    while (*c != '\0') {
        size_t length = utf8_length(c);

        if (length == 0) {
            fputs("\\ufffd", json->out);
            c++;
        } else if (*c == '"' || *c == '\\') {
            fprintf(json->out, "\\%c", *c++);
        } else if (*c < 0x20 || *c == 0x7f) {
            fprintf(json->out, "\\u%04x", *c++);
        } else {
            fwrite(c, 1, length, json->out);
            c += length;
        }
    }
    fputc('"', json->out);
}

void json_number(struct json *json, const char *key, uint64_t number)
{
    begin_value(json, key);
    fprintf(json->out, "%" PRIu64, number);
}

void json_boolean(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->out);
}

void json_crc(struct json *json, const char *key, uint32_t crc)
{
    begin_value(json, key);
    fprintf(json->out, "\"%08" PRIx32 "\"", crc);
}
