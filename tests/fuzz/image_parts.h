/* SPDX-License-Identifier: MIT */
/* What the sealers of both formats share. */
#ifndef FUZZ_IMAGE_PARTS_H
#define FUZZ_IMAGE_PARTS_H

#include "fuzz/image.h"

/* In a byte that is zero in a good file: leave a checksum alone. See image.c. */
#define UNSEALED 0xee

struct image {
    unsigned char *bytes;
    size_t size;
    uint32_t page_size;
    struct field_list *list;
};

void image_note(const struct image *image, const unsigned char *at, unsigned width,
                enum field_kind kind);
/* The bytes of a page, or NULL if the image has not all of them. */
unsigned char *image_page(const struct image *image, uint64_t page);
/* The CRC of a page, or what else to say if there is none. */
uint32_t image_content_crc(const struct image *image, uint64_t page, uint32_t otherwise);

void image_seal_0_2(const struct image *image);
void image_seal_1(const struct image *image);

#endif
