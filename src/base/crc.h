/* SPDX-License-Identifier: MIT */
/* CRC32 (IEEE 802.3), zlib's. */
#ifndef MPGI_CRC_H
#define MPGI_CRC_H

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

/* The CRC of `length` bytes, continuing from `seed` (0 to begin). */
static inline uint32_t crc_extend(uint32_t seed, const void *data, size_t length)
{
    return (uint32_t)crc32_z(seed, data, length);
}

static inline uint32_t crc_of(const void *data, size_t length)
{
    return crc_extend(0, data, length);
}

#endif
