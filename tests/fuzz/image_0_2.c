/* SPDX-License-Identifier: MIT */
/* Sealing images of format 0.2. */
#include <stdbool.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "fuzz/image_parts.h"
#include "support/harness.h"

enum { KEEP_A = 1, KEEP_B = 2, KEEP_METADATA = 4, KEEP_INDEX = 8 };

static void seal_trailer(const struct image *image, unsigned char *page, uint32_t first)
{
    put_u32(page + image->page_size - 4, crc_of(page + first, image->page_size - 4 - first));
}

static void seal_block(const struct image *image, unsigned char *block)
{
    uint32_t most = (image->page_size - 12) / 30;

    image_note(image, block, 4, FIELD_COUNT);
    image_note(image, block + 4, 1, FIELD_BYTE);
    image_note(image, block + 5, 1, FIELD_BYTE);
    for (uint32_t i = 0; i < most; i++) {
        unsigned char *entry = block + 8 + i * 30;

        image_note(image, entry, 1, FIELD_SMALL);
        if (entry[0] == 0)
            continue;
        image_note(image, entry + 1, 8, FIELD_PAGE);
        image_note(image, entry + 9, 8, FIELD_PAGE);
        image_note(image, entry + 17, 1, FIELD_SMALL);
        image_note(image, entry + 18, 8, FIELD_GENERATION);
        if (block[5] != UNSEALED)
            put_u32(entry + 26, image_content_crc(image, get_u64(entry + (entry[17] ? 9 : 1)),
                                                  get_u32(entry + 26)));
    }
    if (block[4] != UNSEALED)
        seal_trailer(image, block, 0);
}

static void seal_metadata(const struct image *image, unsigned char *metadata, bool keep)
{
    for (unsigned at = 0; at < 24; at += 8)
        image_note(image, metadata + at, 8, at == 8 ? FIELD_GENERATION : FIELD_COUNT);
    for (unsigned i = 0; i < image->size / image->page_size / 8 + 1 && i < 64; i++)
        image_note(image, metadata + 24 + i, 1, FIELD_BYTE);
    if (!keep)
        seal_trailer(image, metadata, 0);
}

/* What a spare copy of page 0 says that it goes with: checksums that stand at the ends of pages. */
static uint32_t spare_check(const struct image *image, const unsigned char *metadata,
                            const unsigned char *spare)
{
    size_t end = image->page_size - 4;
    uint64_t count = min_u64(get_u32(spare + 20), (image->page_size - 28) / 17);
    uint32_t crc = crc_extend(crc_of(metadata + end, 4), spare + end, 4);

    for (uint64_t i = 0; i < 2 * count; i++) {
        const unsigned char *page = image_page(image, get_u64(spare + 24 + i / 2 * 17 + i % 2 * 8));

        if (page != NULL)
            crc = crc_extend(crc, page + end, 4);
    }
    return crc;
}

/* Spare copies of page 0 belong to the newer metadata. */
static void seal_spares(const struct image *image, const unsigned char *metadata)
{
    for (uint64_t page = 3; page < image->size / image->page_size; page++) {
        unsigned char *spare = image_page(image, page);

        if (memcmp(spare, "MPSP", 4) != 0)
            continue;
        image_note(image, spare + 4, 8, FIELD_GENERATION);
        image_note(image, spare + 20, 4, FIELD_COUNT);
        image_note(image, spare + 24, 8, FIELD_PAGE);
        image_note(image, spare + 32, 8, FIELD_PAGE);
        seal_trailer(image, spare, 20);
        put_u32(spare + 12, spare_check(image, metadata, spare));
        put_u32(spare + 16, crc_of(spare, 16));
    }
}

void image_seal_0_2(const struct image *image)
{
    unsigned char *page = image->bytes;
    unsigned char *metadata[2] = {image_page(image, 1), image_page(image, 2)};
    uint64_t count = min_u64(get_u32(page + 20), (image->page_size - 28) / 17);
    unsigned keep = page[13];

    if (metadata[0] == NULL || metadata[1] == NULL)
        return;
    image_note(image, page + 12, 1, FIELD_SMALL);
    image_note(image, page + 13, 1, FIELD_SMALL);
    image_note(image, page + 20, 4, FIELD_COUNT);
    seal_metadata(image, metadata[0], keep & KEEP_A);
    seal_metadata(image, metadata[1], keep & KEEP_B);
    for (unsigned i = 0; i < count; i++) {
        unsigned char *reference = page + 24 + i * 17;

        image_note(image, reference, 8, FIELD_PAGE);
        image_note(image, reference + 8, 8, FIELD_PAGE);
        image_note(image, reference + 16, 1, FIELD_SMALL);
        for (unsigned copy = 0; copy < 2; copy++) {
            uint64_t number = get_u64(reference + copy * 8);

            if (number >= 3 && image_page(image, number) != NULL)
                seal_block(image, image_page(image, number));
        }
    }
    if ((keep & KEEP_METADATA) == 0)
        put_u32(page + 16, crc_of(metadata[page[12] & 1], image->page_size));
    if ((keep & KEEP_INDEX) == 0)
        seal_trailer(image, page, 20);
    seal_spares(image, metadata[get_u64(metadata[1] + 8) > get_u64(metadata[0] + 8)]);
}
