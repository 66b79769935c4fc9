/* SPDX-License-Identifier: MIT */
#include "size.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char units[] = "KMGTPE";

/* The shift that a unit stands for, or -1. */
static int shift_of(const char *unit)
{
    const char *letter;

    if (unit[0] == '\0' || strcmp(unit, "B") == 0) {
        return 0;
    }
    letter = strchr(units, unit[0] & ~0x20); /* the capital letter */
    if (letter == NULL || *letter == '\0' || (unit[1] != '\0' && strcasecmp(unit + 1, "iB") != 0)) {
        return -1;
    }
    return 10 * (int)(letter - units + 1);
}

enum size_fault size_parse(uint64_t *bytes, const char *text)
{
    uint64_t number = 0;
    const char *c = text;
    int shift;

    if (*c < '0' || *c > '9' || (*c == '0' && c[1] >= '0' && c[1] <= '9')) {
        return SIZE_NO_SIZE;
    }
    for (; *c >= '0' && *c <= '9'; c++) {
        unsigned digit = (unsigned)(*c - '0');

        if (number > (UINT64_MAX - digit) / 10) {
            return SIZE_TOO_LARGE;
        }
        number = number * 10 + digit;
    }
    shift = shift_of(c);
    if (shift < 0) {
        return SIZE_NO_SIZE;
    }
    if (number > UINT64_MAX >> shift) {
        return SIZE_TOO_LARGE;
    }
    *bytes = number << shift;
    return SIZE_GOOD;
}

void size_format(char text[SIZE_TEXT], uint64_t bytes)
{
    uint64_t tenths;
    unsigned unit = 0;

    if (bytes < 1024) {
        (void)snprintf(text, SIZE_TEXT, "%u bytes", (unsigned)bytes);
        return;
    }
    while (unit + 1 < sizeof(units) - 1 && bytes >> (10 * (unit + 2)) != 0) {
        unit++;
    }
    /* Of the unit below, which has ten more bits: no product of it overflows. */
    tenths = (bytes >> (10 * unit)) * 10 / 1024;
    if (tenths % 10 == 0 || tenths >= 1000) {
        (void)snprintf(text, SIZE_TEXT, "%u %ciB", (unsigned)(tenths / 10), units[unit]);
    } else {
        (void)snprintf(text, SIZE_TEXT, "%u.%u %ciB", (unsigned)(tenths / 10),
                       (unsigned)(tenths % 10), units[unit]);
    }
}

const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}
