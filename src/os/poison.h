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
#define MARK_UNTOUCHABLE(address, length) __asan_poison_memory_region(address, length)
#define MARK_TOUCHABLE(address, length) __asan_unpoison_memory_region(address, length)
#elif defined(MPG_WITH_VALGRIND)
#include <valgrind/memcheck.h>
#define MARK_UNTOUCHABLE(address, length) ((void)VALGRIND_MAKE_MEM_NOACCESS(address, length))
#define MARK_TOUCHABLE(address, length) ((void)VALGRIND_MAKE_MEM_DEFINED(address, length))
#else
#define MARK_UNTOUCHABLE(address, length) ((void)(address), (void)(length))
#define MARK_TOUCHABLE(address, length) ((void)(address), (void)(length))
#endif

#define MOST_POISONED (UINT64_C(256) << 20)

/* The mapped part of [offset, offset + length) that is marked at all. */
static inline size_t poison_length(const struct address_map *map, uint64_t offset, uint64_t length)
{
    uint64_t end = min_u64(map->mapped, MOST_POISONED);

    return offset < end ? (size_t)min_u64(length, end - offset) : 0;
}

/* Bytes of the file that nobody may touch through the map. */
static inline void poison(const struct address_map *map, uint64_t offset, uint64_t length)
{
    size_t marked = poison_length(map, offset, length);

    if (marked > 0)
        MARK_UNTOUCHABLE(map->base + offset, marked);
}

/* Bytes of the file whose address is given out. */
static inline void unpoison(const struct address_map *map, uint64_t offset, uint64_t length)
{
    size_t marked = poison_length(map, offset, length);

    if (marked > 0)
        MARK_TOUCHABLE(map->base + offset, marked);
}

#endif
