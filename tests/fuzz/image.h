/* SPDX-License-Identifier: MIT */
/*
 * Images of page files that are wrong in interesting ways: sealing puts the right checksums on
 * whatever an image claims, so that the claim is believed as far as a checksum goes; mutating
 * changes what it claims, field by field.
 *
 * Bytes that the formats leave zero tell the sealer what to leave alone, so a broken checksum can
 * be had as well. See fuzz_image.c.
 */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* An image is no larger than this. */
#define FUZZ_IMAGE_MAX ((size_t)256 << 10)

enum field_kind { FIELD_PAGE, FIELD_SLOT, FIELD_COUNT, FIELD_GENERATION, FIELD_SMALL, FIELD_BYTE };

/* A place in the image that has a meaning. */
struct field {
    uint32_t offset;
    uint8_t width; /* bytes: 1, 4 or 8 */
    uint8_t kind;  /* enum field_kind */
};

#define FUZZ_FIELDS_MAX 4096

struct field_list {
    struct field fields[FUZZ_FIELDS_MAX];
    unsigned count;
};

/* Seals an image and, where `list` is not NULL, notes its fields. */
void image_seal(unsigned char *bytes, size_t size, struct field_list *list);

/*
 * Changes some fields and seals again; `seed` determines which. Returns the new size, at most
 * `capacity`.
 */
size_t image_mutate(unsigned char *bytes, size_t size, size_t capacity, uint64_t seed);

#endif
