/* SPDX-License-Identifier: MIT */
/*
 * Tells AddressSanitizer and Valgrind what of the map nobody may touch.
 *
 * A page can be touched from when its address was given out (mpg_page_get, a view) until it is
 * freed or its last view is released; everything else in the map is marked. Nothing of this is left
 * in the program unless it is built with -fsanitize=address, or configured --with-valgrind.
 *
 * Only the first MOST_POISONED bytes are marked: marks cost an eighth of what they cover in memory.
 */
#ifndef MPGI_POISON_H
#define MPGI_POISON_H

#include <stdint.h>

#include "base/bytes.h"
#include "os/address_map.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISON_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_WITH_ASAN 1
#endif
#endif

#if defined(POISON_WITH_ASAN)
#include <sanitizer/asan_interface.h>
#define POISON_MARKS 1
#define MARK_UNTOUCHABLE(address, length) __asan_poison_memory_region(address, length)
#define MARK_TOUCHABLE(address, length) __asan_unpoison_memory_region(address, length)
#elif defined(MPG_WITH_VALGRIND)
#include <valgrind/memcheck.h>
#define POISON_MARKS 1
#define MARK_UNTOUCHABLE(address, length) ((void)VALGRIND_MAKE_MEM_NOACCESS(address, length))
#define MARK_TOUCHABLE(address, length) ((void)VALGRIND_MAKE_MEM_DEFINED(address, length))
#else
#define POISON_MARKS 0
#define MARK_UNTOUCHABLE(address, length) ((void)(address), (void)(length))
#define MARK_TOUCHABLE(address, length) ((void)(address), (void)(length))
#endif

#define MOST_POISONED (UINT64_C(256) << 20)

/* Of `length` bytes of the file from an offset on, how many are marked at all. */
static inline size_t poison_length(uint64_t offset, uint64_t length)
{
    return offset < MOST_POISONED ? (size_t)min_u64(length, MOST_POISONED - offset) : 0;
}

/* Bytes [from, from + length) of a segment, which begins at `base` with the byte `start`. */
static inline void poison_bytes(unsigned char *base, uint64_t start, uint64_t from, uint64_t length)
{
    size_t marked = poison_length(start + from, length);

    if (POISON_MARKS && marked > 0)
        MARK_UNTOUCHABLE(base + from, marked);
}

static inline void unpoison_bytes(unsigned char *base, uint64_t start, uint64_t from,
                                  uint64_t length)
{
    size_t marked = poison_length(start + from, length);

    if (POISON_MARKS && marked > 0)
        MARK_TOUCHABLE(base + from, marked);
}

/* Bytes of the file that nobody may touch through the map, where it is mapped. */
static inline void poison(const struct address_map *map, uint64_t offset, uint64_t length)
{
    unsigned char *data = NULL;
    uint64_t piece;

    if (!POISON_MARKS)
        return;
    while (length > 0 && (piece = mpgi_map_piece(&data, map, offset, length)) > 0) {
        poison_bytes(data, offset, 0, piece);
        offset += piece;
        length -= piece;
    }
}

/* Bytes of the file whose address is given out. */
static inline void unpoison(const struct address_map *map, uint64_t offset, uint64_t length)
{
    unsigned char *data = NULL;
    uint64_t piece;

    if (!POISON_MARKS)
        return;
    while (length > 0 && (piece = mpgi_map_piece(&data, map, offset, length)) > 0) {
        unpoison_bytes(data, offset, 0, piece);
        offset += piece;
        length -= piece;
    }
}

#endif
