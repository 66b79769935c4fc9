/* SPDX-License-Identifier: MIT */
/*
 * CRC32 of long data by multiplication without carries, where the processor can do that; the rest is
 * zlib's.
 *
 * Data is a polynomial over GF(2), and its CRC what is left of it modulo P. Bits that lie D further
 * on weigh x^D as much, so 16 bytes A may be taken away when A * x^D mod P is added D bits further
 * on. Four such folds run side by side, D = 512; then the four are folded into one, D = 128. The 16
 * bytes that are left have the CRC of all of it.
 */
#include "crc.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* Shorter data is not worth it. */
#define FOLD_MIN 256

/*
 * The halves of 16 bytes weigh x^(D+32) and x^(D-32) mod P; 32 for how a product of mirrored numbers
 * comes to lie, which is also why these are mirrored and shifted by one.
 */
#define BY_512 _mm_set_epi64x(0x1c6e41596, 0x154442bd4)
#define BY_128 _mm_set_epi64x(0x0ccaa009e, 0x1751997d0)

__attribute__((target("pclmul,sse2"))) static inline __m128i fold(__m128i from, __m128i by,
                                                                  __m128i onto)
{
    __m128i low = _mm_clmulepi64_si128(from, by, 0x00);
    __m128i high = _mm_clmulepi64_si128(from, by, 0x11);

    return _mm_xor_si128(_mm_xor_si128(low, high), onto);
}

__attribute__((target("pclmul,sse2"))) static inline __m128i load(const unsigned char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

__attribute__((target("pclmul,sse2"))) static uint32_t
extend_by_folding(uint32_t seed, const unsigned char *at, size_t length)
{
    __m128i lanes[4], one;
    unsigned char left[16];

    for (int i = 0; i < 4; i++)
        lanes[i] = load(at + 16 * i);
    /* What came before continues into the first bytes. */
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128((int)~seed));
    for (at += 64, length -= 64; length >= 64; at += 64, length -= 64)
        for (int i = 0; i < 4; i++)
            lanes[i] = fold(lanes[i], BY_512, load(at + 16 * i));
    one = lanes[0];
    for (int i = 1; i < 4; i++)
        one = fold(one, BY_128, lanes[i]);
    for (; length >= 16; at += 16, length -= 16)
        one = fold(one, BY_128, load(at));
    _mm_storeu_si128((__m128i *)(void *)left, one);
    /* This seed is the one with which nothing came before: zlib inverts it. */
    seed = (uint32_t)crc32_z(UINT32_MAX, left, sizeof(left));
    return (uint32_t)crc32_z(seed, at, length);
}

uint32_t mpgi_crc_extend(uint32_t seed, const void *data, size_t length)
{
    if (length >= FOLD_MIN && __builtin_cpu_supports("pclmul"))
        return extend_by_folding(seed, data, length);
    return (uint32_t)crc32_z(seed, data, length);
}

#else

uint32_t mpgi_crc_extend(uint32_t seed, const void *data, size_t length)
{
    return (uint32_t)crc32_z(seed, data, length);
}

#endif
