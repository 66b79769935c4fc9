/* SPDX-License-Identifier: MIT */
/*
 * The facts of a page file as text. Needs the public header only, so that a mount can show it too.
 */
#ifndef DESCRIBE_H
#define DESCRIBE_H

#include "mappedpages.h"

#include <stdio.h>

/* The file's format: "0.2" or "1". */
const char *format_name(int format);

/* A UUID in its usual form: 36 characters and a terminator. */
#define UUID_TEXT_SIZE 37
void format_uuid(char text[UUID_TEXT_SIZE], const uint8_t uuid[16]);

/*
 * The facts of a file, one a line: a name and a colon, then, at the same column, its value. Not
 * `all`: without what is empty, and without limits that nobody meets.
 */
void describe_file(FILE *out, const struct mpg_stat *st, bool all);

/* The same, all of it, as a JSON object; members are named as the fields of struct mpg_stat. */
void describe_json(FILE *out, const char *path, const struct mpg_stat *st);

#endif
