/* SPDX-License-Identifier: MIT */
#include "base/crc.h"

/*
 * The polynomial of the CRC without its highest power, and x^8; the lowest power is the highest
 * bit.
 */
#define POLYNOMIAL UINT32_C(0xedb88320)
#define ONE_BYTE UINT32_C(0x00800000)

/* a * b modulo the polynomial, with coefficients of one bit. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (unsigned bit = 32; bit-- > 0;) {
        if (a >> bit & 1)
            product ^= b;
        b = b >> 1 ^ (b & 1 ? POLYNOMIAL : 0);
    }
    return product;
}

/* The register of the calculation is the CRC inverted, and a zero byte multiplies it by x^8. */
uint32_t mpgi_crc_extend_zeros(uint32_t seed, uint64_t length)
{
    uint32_t state = ~seed, power = ONE_BYTE;

    for (; length > 0; length >>= 1) {
        if (length & 1)
            state = multiply(power, state);
        power = multiply(power, power);
    }
    return ~state;
}
