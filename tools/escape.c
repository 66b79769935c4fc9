/* SPDX-License-Identifier: MIT */

#include "escape.h"

#include <stdlib.h>

size_t escape_utf8(const char *text, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = bytes[0] < 0x80             ? 1
                    : (bytes[0] & 0xe0) == 0xc0 ? 2
                    : (bytes[0] & 0xf0) == 0xe0 ? 3
                    : (bytes[0] & 0xf8) == 0xf0 ? 4
                                                : 0;
    uint32_t point = length > 1 ? bytes[0] & (0x7fu >> length) : bytes[0];

    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (bytes[i] & 0x3fu);
    }
    if (length == 0 || point < least[length] || point > 0x10ffff ||
        (point >= 0xd800 && point <= 0xdfff)) {
        return 0;
    }
    *character = point;
    return length;
}

bool escape_is_plain(uint32_t character)
{
    static const struct {
        uint32_t first, last;
    } harmful[] = {
        {0x0000, 0x001f},   /* C0 */
        {0x007f, 0x009f},   /* DEL and C1 */
        {0x061c, 0x061c},   /* Arabic letter mark */
        {0x200e, 0x200f},   /* marks of direction */
        {0x2028, 0x202e},   /* separators of lines and paragraphs; embeddings and overrides */
        {0x2066, 0x206f},   /* isolates, and other formatting that is not seen */
        {0xfeff, 0xfeff},   /* byte order mark */
        {0xfff9, 0xfffb},   /* annotations */
        {0xe0000, 0xe007f}, /* tags */
    };

    for (size_t i = 0; i < sizeof harmful / sizeof harmful[0]; i++) {
        if (character >= harmful[i].first && character <= harmful[i].last) {
            return false;
        }
    }
    return true;
}

void escape_print(FILE *out, const char *text)
{
    while (*text != '\0') {
        uint32_t character = 0;
        size_t length = escape_utf8(text, &character);

        if (*text == '\\') {
            fputs("\\\\", out);
        } else if (length > 0 && escape_is_plain(character)) {
            fwrite(text, 1, length, out);
        } else {
            for (size_t i = 0; i < length + (length == 0); i++) {
                fprintf(out, "\\x%02x", (unsigned char)text[i]);
            }
        }
        text += length + (length == 0);
    }
}

void escape_vprintf(FILE *out, const char *format, va_list arguments)
{
    char *text;

    if (vasprintf(&text, format, arguments) < 0) {
        fputs("(out of memory)", out);
        return;
    }
    escape_print(out, text);
    free(text);
}

void escape_printf(FILE *out, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    escape_vprintf(out, format, arguments);
    va_end(arguments);
}

char *escape_copy(const char *text)
{
    char *copy = NULL;
    size_t length;
    FILE *stream = open_memstream(&copy, &length);

    if (stream == NULL) {
        return NULL;
    }
    escape_print(stream, text);
    if (fclose(stream) != 0) {
        free(copy);
        return NULL;
    }
    return copy;
}
