/* SPDX-License-Identifier: MIT */
/* Names in /pages, /protected and /raw. */
#ifndef NAME_H
#define NAME_H

#include <stdint.h>

enum name_kind {
    NAME_NUMBER,  /* decimal, without leading zeros */
    NAME_HUGE,    /* such a number, but beyond any page */
    NAME_NEW,     /* "new": whichever page comes next */
    NAME_DIGITS,  /* digits with a leading zero: nothing, so that 05 is not taken for page 5 */
    NAME_SCRATCH, /* anything else */
};

enum name_kind name_parse(const char *name, uint64_t *number);

/* Room for any number of a page, and a terminator. */
#define NAME_NUMBER_SIZE 24
void name_print(char name[NAME_NUMBER_SIZE], uint64_t number);

#endif
