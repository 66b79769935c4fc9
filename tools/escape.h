/* SPDX-License-Identifier: MIT */
/*
 * Text that came from elsewhere (a label in a file, a path, the name of a process, a message with
 * one of these in it), made harmless to show: it could steer a terminal, or show something else
 * than it is. Command and driver pass all such text through here.
 */
#ifndef ESCAPE_H
#define ESCAPE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The length of the well-formed UTF-8 sequence at `text`, which ends with a zero, and the
 * character; or 0 if there is none.
 */
size_t escape_utf8(const char *text, uint32_t *character);

/*
 * Whether a character may be shown as it is. Not so are controls (C0, C1, DEL), what separates
 * lines and paragraphs, and what changes the direction of writing or is not seen at all.
 */
bool escape_is_plain(uint32_t character);

/*
 * Writes text; what may not be shown, and what is not UTF-8, byte by byte as \xNN, and a backslash
 * as two.
 */
void escape_print(FILE *out, const char *text);

/* Writes what printf would, escaped as a whole: the format has no line breaks. */
void escape_printf(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void escape_vprintf(FILE *out, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* What escape_print would write, as a string that the caller frees; NULL if memory ran out. */
char *escape_copy(const char *text);

#endif
