/* SPDX-License-Identifier: MIT */
/*
 * CRC32 (IEEE 802.3), as zlib computes it; by libdeflate, which does so faster, where there is one.
 */
#ifndef MPGI_CRC_H
#define MPGI_CRC_H

#include <stddef.h>
#include <stdint.h>

#ifdef MPG_WITH_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

/* The CRC of `length` bytes, continuing from `seed` (0 to begin). */
static inline uint32_t crc_extend(uint32_t seed, const void *data, size_t length)
{
#ifdef MPG_WITH_LIBDEFLATE
    return length == 0 ? seed : libdeflate_crc32(seed, data, length); /* NULL is 0 to it */
#else
    return length == 0 ? seed : (uint32_t)crc32_z(seed, data, length); /* as it is to zlib */
#endif
}

static inline uint32_t crc_of(const void *data, size_t length)
{
    return crc_extend(0, data, length);
}

/* The CRC of so many zeros more, without looking at any. */
uint32_t mpgi_crc_extend_zeros(uint32_t seed, uint64_t length);

#endif
