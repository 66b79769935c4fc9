/* SPDX-License-Identifier: MIT */
/*
 * The library's CRC32, whoever computes it, is that of the definition, bit by bit, and zlib's: at
 * every length and alignment, in one piece or in several.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/crc.h"

#define LENGTH_MAX 9000

static unsigned char bytes[LENGTH_MAX + 64];

static uint32_t by_definition(uint32_t seed, const unsigned char *data, size_t length)
{
    uint32_t crc = ~seed;

    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xEDB88320) : 0);
    }
    return ~crc;
}

static void fill(uint32_t number)
{
    for (size_t i = 0; i < sizeof(bytes); i++) {
        number = number * 1664525 + 1013904223;
        bytes[i] = (unsigned char)(number >> 24);
    }
}

static void it_is_that_of_the_definition(void **state)
{
    (void)state;
    assert_int_equal(crc_of("123456789", 9), 0xCBF43926);
    for (size_t length = 0; length < 600; length++)
        for (size_t at = 0; at < 17; at++)
            assert_int_equal(crc_of(bytes + at, length), by_definition(0, bytes + at, length));
}

static void it_is_that_of_zlib(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < 50; number++) {
        fill(number);
        for (size_t length = 0; length <= LENGTH_MAX; length += 97)
            assert_int_equal(crc_of(bytes + number, length), crc32_z(0, bytes + number, length));
    }
}

static void pieces_make_the_whole(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= LENGTH_MAX; cut += 31) {
        uint32_t crc = crc_extend(0, bytes, cut);

        assert_int_equal(crc_extend(crc, bytes + cut, LENGTH_MAX - cut), crc_of(bytes, LENGTH_MAX));
    }
}

/* Zeros need not be there to be counted. */
static void zeros_are_counted_without_being_looked_at(void **state)
{
    static const unsigned char zeros[100000];

    (void)state;
    for (size_t length = 0; length <= sizeof(zeros); length = length * 3 + 1) {
        uint32_t crc = crc_of("begin", 5);

        assert_int_equal(mpgi_crc_extend_zeros(crc, length), crc_extend(crc, zeros, length));
        assert_int_equal(mpgi_crc_extend_zeros(0, length), crc_of(zeros, length));
    }
}

static void nothing_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(crc_of(NULL, 0), 0);
    assert_int_equal(crc_extend(0x12345678, NULL, 0), 0x12345678);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_that_of_the_definition),
        cmocka_unit_test(it_is_that_of_zlib),
        cmocka_unit_test(pieces_make_the_whole),
        cmocka_unit_test(zeros_are_counted_without_being_looked_at),
        cmocka_unit_test(nothing_changes_nothing),
    };

    fill(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
