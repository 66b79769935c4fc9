/* SPDX-License-Identifier: MIT */
/*
 * Changing the label, which is in page 0, of which there is one. So only its first sector is
 * written, which a crash cannot tear: four bytes behind the label are chosen such that the
 * checksum, sectors away, stays what it is.
 */
#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format_1/state.h"

/* What is written in one go, or not at all. */
#define SECTOR 512
#define BITS 32

static_assert(SB_BALANCE + 4 <= SECTOR, "label and balance are in one sector");

/* A set of bits of the balance, and what changing them does to the checksum. */
struct effect {
    uint32_t bits, crc;
};

/*
 * Which bits to change for the checksum to change by `wanted`. Each bit's effect is its own,
 * whatever else is there, and no set of bits of four bytes in a row goes without any; so there is
 * one answer, by elimination.
 */
static uint32_t solve(struct effect *effects, uint32_t wanted)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < BITS; i++) {
        uint32_t lead = effects[i].crc & (~effects[i].crc + 1); /* its lowest bit */

        for (unsigned j = i + 1; j < BITS; j++) {
            if ((effects[j].crc & lead) != 0) {
                effects[j].crc ^= effects[i].crc;
                effects[j].bits ^= effects[i].bits;
            }
        }
        if ((wanted & lead) != 0) {
            wanted ^= effects[i].crc;
            bits ^= effects[i].bits;
        }
    }
    return bits;
}

/* Chooses the balance of a superblock for its checksum to be `crc`. */
static void balance(unsigned char *page, uint32_t size, uint32_t crc)
{
    struct effect effects[BITS];
    uint32_t found;

    put_u32(page + SB_BALANCE, 0);
    found = crc_of(page, size - SB_CRC_SIZE);
    for (unsigned i = 0; i < BITS; i++) {
        put_u32(page + SB_BALANCE, UINT32_C(1) << i);
        effects[i].bits = UINT32_C(1) << i;
        effects[i].crc = crc_of(page, size - SB_CRC_SIZE) ^ found;
    }
    put_u32(page + SB_BALANCE, solve(effects, crc ^ found));
}

int mpgi_label_write_1(struct format *format, const char *label)
{
    struct superblock *superblock = &format_1_of(format)->superblock;
    unsigned char page[NODE_SIZE_MAX], before[SECTOR];
    uint32_t size = node_size_of(superblock->page_size);
    mpg_error_info info;
    int error = mpgi_superblock_bytes(page, superblock, format->file);

    if (error != 0)
        return error;
    memcpy(before, page, SECTOR);
    memset(page + SB_LABEL, 0, LABEL_SIZE);
    memcpy(page + SB_LABEL, label, strlen(label));
    balance(page, size, get_u32(page + size - SB_CRC_SIZE));
    error = mpgi_file_write(format->file, page, SECTOR, 0, 0);
    if (error == 0)
        return 0;
    (void)mpg_last_error(&info);
    (void)mpgi_file_write(format->file, before, SECTOR, 0, 0);
    return mpgi_fail_again(&info);
}

void mpgi_label_written_1(struct format *format, const char *label)
{
    char *own = format_1_of(format)->superblock.label;

    memset(own, 0, LABEL_SIZE);
    memcpy(own, label, strlen(label));
}
