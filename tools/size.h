/* SPDX-License-Identifier: MIT */
/* Sizes as people write and read them (4096, 4K, 4KiB, 1M), and counts. Shared with the driver. */
#ifndef SIZE_H
#define SIZE_H

#include <stdbool.h>
#include <stdint.h>

enum size_fault {
    SIZE_GOOD,
    SIZE_NO_SIZE,   /* no whole number, a zero before it that means nothing, or no known unit */
    SIZE_TOO_LARGE, /* 2^64 bytes or more */
};

/*
 * Bytes: a decimal number, and behind it nothing, B, or one of K, M, G, T, P (also small), to which
 * iB may be added, for 1024, 1024^2 and so on.
 */
enum size_fault size_parse(uint64_t *bytes, const char *text);

/* What a size is, for messages. */
#define SIZE_WORDS "a whole number of bytes, or of K, M, G or T (also KiB and so on)"

/* What "page" ends in where so many are counted: "", or "s". */
const char *plural(uint64_t count);

/*
 * Describes a size in at most four digits and a unit, "4 KiB", "1.5 GiB"; exact, or rounded down.
 */
#define SIZE_TEXT 16
void size_format(char text[SIZE_TEXT], uint64_t bytes);

#endif
