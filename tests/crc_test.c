/* SPDX-License-Identifier: MIT */
/* The library's CRC32 is zlib's, for every length, alignment and beginning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include <cmocka.h>

#include "crc.h"

static unsigned char data[70000];

static void make_data(void)
{
    uint64_t state = 1;

    for (size_t i = 0; i < sizeof(data); i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        data[i] = (unsigned char)(state >> 56);
    }
}

static void test_crc_of_every_short_length(void **state)
{
    (void)state;
    for (size_t length = 0; length < 1200; length++)
        for (size_t offset = 0; offset < 17; offset++)
            assert_int_equal(crc_of(data + offset, length), crc32_z(0, data + offset, length));
}

static void test_crc_of_long_data(void **state)
{
    (void)state;
    for (size_t length = 1000; length < sizeof(data) - 16; length += 997)
        assert_int_equal(crc_of(data + length % 16, length),
                         crc32_z(0, data + length % 16, length));
}

static void test_crc_continues(void **state)
{
    uint32_t whole = (uint32_t)crc32_z(0, data, 8192);

    (void)state;
    for (size_t first = 0; first <= 8192; first += 31)
        assert_int_equal(crc_extend(crc_of(data, first), data + first, 8192 - first), whole);
    assert_int_equal(crc_extend(UINT32_MAX, data, 4096), crc32_z(UINT32_MAX, data, 4096));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc_of_every_short_length),
        cmocka_unit_test(test_crc_of_long_data),
        cmocka_unit_test(test_crc_continues),
    };

    make_data();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
