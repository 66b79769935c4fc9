/* SPDX-License-Identifier: MIT */

#include "json.h"

#include "escape.h"

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
    if (json->depth > DEPTH_OF_LINES || json->line) {
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
    json->line = false;
    fputc('{', out);
}

void json_begin_line(struct json *json, FILE *out)
{
    json_begin(json, out);
    json->line = true;
}

void json_end(struct json *json)
{
    fputs(json->line ? "}\n" : "\n}\n", json->out);
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
    if (json->depth <= DEPTH_OF_LINES && !json->empty && !json->line) {
        fprintf(json->out, "\n%*s", (int)(2 * (json->depth - 1)), "");
    }
    fputc(bracket, json->out);
    json->depth--;
    json->empty = false;
}

/* \uNNNN, for characters beyond the first 65536 as two of them. */
static void escape_character(struct json *json, uint32_t character)
{
    if (character > 0xffff) {
        character -= 0x10000;
        fprintf(json->out, "\\u%04x", 0xd800 + (unsigned)(character >> 10));
        character = 0xdc00 + (character & 0x3ff);
    }
    fprintf(json->out, "\\u%04x", (unsigned)character);
}

void json_string(struct json *json, const char *key, const char *text)
{
    begin_value(json, key);
    fputc('"', json->out);
    while (*text != '\0') {
        uint32_t character = 0;
        size_t length = escape_utf8(text, &character);

        if (length == 0) {
            fputs("\\ufffd", json->out);
            length = 1;
        } else if (character == '"' || character == '\\') {
            fprintf(json->out, "\\%c", *text);
        } else if (!escape_is_plain(character)) {
            escape_character(json, character);
        } else {
            fwrite(text, 1, length, json->out);
        }
        text += length;
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

/* Up to three bytes as four characters. */
static void put_group(FILE *out, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t group = (uint32_t)bytes[0] << 16 | (count > 1 ? (uint32_t)bytes[1] << 8 : 0) |
                     (count > 2 ? bytes[2] : 0);

    putc(digits[group >> 18], out);
    putc(digits[group >> 12 & 63], out);
    putc(count > 1 ? digits[group >> 6 & 63] : '=', out);
    putc(count > 2 ? digits[group & 63] : '=', out);
}

void json_base64(struct json *json, const char *key, const void *data, size_t length)
{
    const unsigned char *bytes = data;

    begin_value(json, key);
    fputc('"', json->out);
    for (size_t at = 0; at < length; at += 3) {
        put_group(json->out, bytes + at, length - at < 3 ? length - at : 3);
    }
    fputc('"', json->out);
}

void json_crc(struct json *json, const char *key, uint32_t crc)
{
    begin_value(json, key);
    fprintf(json->out, "\"%08" PRIx32 "\"", crc);
}
