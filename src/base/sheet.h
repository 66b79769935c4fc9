/* SPDX-License-Identifier: MIT */
/*
 * A long array of bytes of which only what is not zero takes memory: chunks, sorted by number, that
 * copies of the sheet share until one of them changes. What was never put there reads as zero,
 * however far out it is.
 *
 * Copying, editing and freeing need one lock for all sheets that share chunks. A sheet that nobody
 * edits may be read without it meanwhile.
 */
#ifndef MPGI_SHEET_H
#define MPGI_SHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As large as a block of most filesystems, so that a hole in a file is a hole here. */
#define SHEET_CHUNK 4096u

struct sheet_chunk {
    size_t references; /* sheets that have it */
    _Alignas(8) unsigned char bytes[SHEET_CHUNK];
};

struct sheet_part {
    uint64_t number; /* bytes [number * SHEET_CHUNK, (number + 1) * SHEET_CHUNK) */
    struct sheet_chunk *chunk;
};

struct sheet {
    struct sheet_part *parts; /* by ascending number; owned */
    size_t count;
    size_t capacity;
};

/* All zero; or NULL. */
struct sheet *mpgi_sheet_new(void);
/* The same content, sharing its chunks; or NULL. */
struct sheet *mpgi_sheet_copy(const struct sheet *sheet);
void mpgi_sheet_free(struct sheet *sheet);

/* The SHEET_CHUNK bytes of a chunk; a chunk of zeros where none is held. */
const unsigned char *mpgi_sheet_chunk(const struct sheet *sheet, uint64_t number);
/* The lowest number >= `number` of a chunk that is held, or UINT64_MAX. */
uint64_t mpgi_sheet_next(const struct sheet *sheet, uint64_t number);
/* The bytes of a chunk, to be changed, of this sheet alone from now on; or NULL. */
unsigned char *mpgi_sheet_edit(struct sheet *sheet, uint64_t number);

/* A sheet as an array of bits. Setting: false if memory ran out. */
bool mpgi_sheet_bit(const struct sheet *sheet, uint64_t number);
/*
 * The lowest number >= `number` of a bit that is set, or UINT64_MAX; in time proportional to what
 * is held.
 */
uint64_t mpgi_sheet_next_bit(const struct sheet *sheet, uint64_t number);
bool mpgi_sheet_set_bit(struct sheet *sheet, uint64_t number, bool value);

void mpgi_sheet_read(const struct sheet *sheet, void *data, uint64_t at, size_t length);
/* Makes the chunks of a range this sheet's own, so that writing there cannot fail. */
bool mpgi_sheet_own(struct sheet *sheet, uint64_t at, size_t length);
/* False, with nothing written, if memory ran out. */
bool mpgi_sheet_write(struct sheet *sheet, const void *data, uint64_t at, size_t length);
bool mpgi_sheet_equal(const struct sheet *a, const struct sheet *b);
/* The CRC of bytes [first, end), in time proportional to what is held. */
uint32_t mpgi_sheet_crc(const struct sheet *sheet, uint64_t first, uint64_t end);

uint32_t mpgi_sheet_u32(const struct sheet *sheet, uint64_t at);
uint64_t mpgi_sheet_u64(const struct sheet *sheet, uint64_t at);
/* For chunks that are this sheet's own: mpgi_sheet_own. */
void mpgi_sheet_put_u32(struct sheet *sheet, uint64_t at, uint32_t value);
void mpgi_sheet_put_u64(struct sheet *sheet, uint64_t at, uint64_t value);

#endif
