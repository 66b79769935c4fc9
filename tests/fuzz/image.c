/* SPDX-License-Identifier: MIT */
/*
 * Sealing, format by format, after doc/format.md. Marks for the sealer, in bytes that are zero in a
 * good file: a node of format 1 whose byte 5, or an entry whose byte 29, is UNSEALED keeps its
 * checksum, a record by its byte 46, byte 47 for what it says of root and record before it, byte 21
 * of a directory delta, byte 12 of the name of a continuation; in format 0.2 byte 13 of page 0 has
 * a bit for each checksum to keep, and byte 4 of a block is UNSEALED for its own, byte 5 for those
 * of its entries.
 */
#include "fuzz/image.h"

#include <stdbool.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "fuzz/image_parts.h"
#include "support/harness.h"

#define PAGE_LOG2_MAX_HERE 16 /* larger pages leave no room for anything in an image */

void image_note(const struct image *image, const unsigned char *at, unsigned width,
                enum field_kind kind)
{
    struct field_list *list = image->list;

    if (list == NULL || list->count == FUZZ_FIELDS_MAX)
        return;
    list->fields[list->count++] =
        (struct field){(uint32_t)(at - image->bytes), (uint8_t)width, (uint8_t)kind};
}

unsigned char *image_page(const struct image *image, uint64_t page)
{
    return page < image->size / image->page_size ? image->bytes + page * image->page_size : NULL;
}

uint32_t image_content_crc(const struct image *image, uint64_t page, uint32_t otherwise)
{
    const unsigned char *content = image_page(image, page);

    return content != NULL ? crc_of(content, image->page_size) : otherwise;
}

void image_seal(unsigned char *bytes, size_t size, struct field_list *list)
{
    struct image image = {.bytes = bytes, .size = size, .list = list};
    uint32_t log2;

    if (list != NULL)
        list->count = 0;
    if (size < 16)
        return;
    log2 = get_u32(bytes + 8);
    image_note(&image, bytes + 4, 1, FIELD_SMALL);
    image_note(&image, bytes + 8, 4, FIELD_SMALL);
    if (memcmp(bytes, "MPPG", 4) != 0 || log2 < 10 || log2 > PAGE_LOG2_MAX_HERE)
        return;
    image.page_size = UINT32_C(1) << log2;
    if (size < 3 * (size_t)image.page_size)
        return;
    if (bytes[4] == 1)
        image_seal_1(&image);
    else if (bytes[4] == 0)
        image_seal_0_2(&image);
}
