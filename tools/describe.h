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

/* Writes a line for each fact: its name, a colon, spaces up to a column, its value. */
void describe_file(FILE *out, const struct mpg_stat *st);

#endif
