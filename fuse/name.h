/* SPDX-License-Identifier: MIT */
/* Names in /pages, /protected and /raw. */
#ifndef NAME_H
#define NAME_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum name_kind {
    NAME_NUMBER,  /* decimal, without leading zeros */
    NAME_HUGE,    /* such a number, but beyond any page */
    NAME_NEW,     /* "new": whichever page comes next */
    NAME_LAST,    /* "last": tells which one that was */
    NAME_DIGITS,  /* digits with a leading zero: nothing, so that 05 is not taken for page 5 */
    NAME_SCRATCH, /* anything else */
};

enum name_kind name_parse(const char *name, uint64_t *number);

/* Whether a name is longer than names may be, which is for the file system to say. */
bool name_is_too_long(const char *name);

/* Room for a name as name_show puts it. */
#define NAME_SHOWN_SIZE (NAME_MAX + 1)
/* Puts a name so that it can stand in a line of the log, whatever bytes it has; cut if need be. */
void name_show(char shown[NAME_SHOWN_SIZE], const char *name);

/* Room for any number of a page, and a terminator. */
#define NAME_NUMBER_SIZE 24
void name_print(char name[NAME_NUMBER_SIZE], uint64_t number);

#endif
