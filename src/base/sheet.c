/* SPDX-License-Identifier: MIT */
#include "base/sheet.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/crc.h"

struct sheet *mpgi_sheet_new(void)
{
    return calloc(1, sizeof(struct sheet));
}

static void release(struct sheet_chunk *chunk)
{
    if (--chunk->references == 0)
        free(chunk);
}

void mpgi_sheet_free(struct sheet *sheet)
{
    if (sheet == NULL)
        return;
    for (size_t i = 0; i < sheet->count; i++)
        release(sheet->parts[i].chunk);
    free(sheet->parts);
    free(sheet);
}

struct sheet *mpgi_sheet_copy(const struct sheet *sheet)
{
    struct sheet *copy = mpgi_sheet_new();

    if (copy == NULL || sheet->count == 0)
        return copy;
    copy->parts = malloc(sheet->count * sizeof(*copy->parts));
    if (copy->parts == NULL) {
        free(copy);
        return NULL;
    }
    memcpy(copy->parts, sheet->parts, sheet->count * sizeof(*copy->parts));
    copy->count = copy->capacity = sheet->count;
    for (size_t i = 0; i < copy->count; i++)
        copy->parts[i].chunk->references++;
    return copy;
}

/* Which part is the first with a number >= this one; count if none is. */
static size_t find(const struct sheet *sheet, uint64_t number)
{
    size_t low = 0, high = sheet->count;

    /* Where nothing is left out, as in any small page, it is at its own place. */
    if (number < high && sheet->parts[number].number == number)
        return (size_t)number;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (sheet->parts[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct sheet *sheet, size_t at, uint64_t number)
{
    return at < sheet->count && sheet->parts[at].number == number;
}

const unsigned char *mpgi_sheet_chunk(const struct sheet *sheet, uint64_t number)
{
    static const unsigned char zeros[SHEET_CHUNK];
    size_t at = find(sheet, number);

    return is_at(sheet, at, number) ? sheet->parts[at].chunk->bytes : zeros;
}

uint64_t mpgi_sheet_next(const struct sheet *sheet, uint64_t number)
{
    size_t at = find(sheet, number);

    return at < sheet->count ? sheet->parts[at].number : UINT64_MAX;
}

static unsigned char *insert(struct sheet *sheet, size_t at, uint64_t number)
{
    struct sheet_part *parts =
        mpgi_array_room(sheet->parts, sheet->count, &sheet->capacity, sizeof(*parts), 4);
    struct sheet_chunk *chunk;

    if (parts == NULL)
        return NULL;
    sheet->parts = parts;
    chunk = calloc(1, sizeof(*chunk));
    if (chunk == NULL)
        return NULL;
    chunk->references = 1;
    memmove(&sheet->parts[at + 1], &sheet->parts[at], (sheet->count - at) * sizeof(*sheet->parts));
    sheet->parts[at].number = number;
    sheet->parts[at].chunk = chunk;
    sheet->count++;
    return chunk->bytes;
}

unsigned char *mpgi_sheet_edit(struct sheet *sheet, uint64_t number)
{
    size_t at = find(sheet, number);
    struct sheet_chunk *shared, *made;

    if (!is_at(sheet, at, number))
        return insert(sheet, at, number);
    shared = sheet->parts[at].chunk;
    if (shared->references == 1)
        return shared->bytes;
    made = malloc(sizeof(*made));
    if (made == NULL)
        return NULL;
    made->references = 1;
    memcpy(made->bytes, shared->bytes, SHEET_CHUNK);
    release(shared);
    sheet->parts[at].chunk = made;
    return made->bytes;
}

/* How many of the bytes from `at` on, `length` or fewer, are in the same chunk. */
static size_t in_chunk(uint64_t at, uint64_t length)
{
    return (size_t)min_u64(length, SHEET_CHUNK - at % SHEET_CHUNK);
}

void mpgi_sheet_read(const struct sheet *sheet, void *data, uint64_t at, size_t length)
{
    unsigned char *to = data;

    while (length > 0) {
        size_t piece = in_chunk(at, length);

        memcpy(to, mpgi_sheet_chunk(sheet, at / SHEET_CHUNK) + at % SHEET_CHUNK, piece);
        to += piece;
        at += piece;
        length -= piece;
    }
}

bool mpgi_sheet_own(struct sheet *sheet, uint64_t at, size_t length)
{
    while (length > 0) {
        size_t piece = in_chunk(at, length);

        if (mpgi_sheet_edit(sheet, at / SHEET_CHUNK) == NULL)
            return false;
        at += piece;
        length -= piece;
    }
    return true;
}

bool mpgi_sheet_write(struct sheet *sheet, const void *data, uint64_t at, size_t length)
{
    const unsigned char *from = data;

    if (!mpgi_sheet_own(sheet, at, length))
        return false;
    while (length > 0) {
        size_t piece = in_chunk(at, length);
        unsigned char *chunk = mpgi_sheet_edit(sheet, at / SHEET_CHUNK);

        if (chunk == NULL)
            return false;
        memcpy(chunk + at % SHEET_CHUNK, from, piece);
        from += piece;
        at += piece;
        length -= piece;
    }
    return true;
}

bool mpgi_sheet_equal(const struct sheet *a, const struct sheet *b)
{
    uint64_t number = 0;

    for (;;) {
        number = min_u64(mpgi_sheet_next(a, number), mpgi_sheet_next(b, number));
        if (number == UINT64_MAX)
            return true;
        if (memcmp(mpgi_sheet_chunk(a, number), mpgi_sheet_chunk(b, number), SHEET_CHUNK) != 0)
            return false;
        number++;
    }
}

uint32_t mpgi_sheet_crc(const struct sheet *sheet, uint64_t first, uint64_t end)
{
    uint32_t crc = 0;

    while (first < end) {
        uint64_t held = mpgi_sheet_next(sheet, first / SHEET_CHUNK);
        uint64_t begin = held > end / SHEET_CHUNK ? end : held * SHEET_CHUNK;
        size_t piece;

        if (begin > first) {
            begin = min_u64(begin, end);
            crc = mpgi_crc_extend_zeros(crc, begin - first);
            first = begin;
            continue;
        }
        piece = in_chunk(first, end - first);
        crc = crc_extend(crc, mpgi_sheet_chunk(sheet, held) + first % SHEET_CHUNK, piece);
        first += piece;
    }
    return crc;
}

uint32_t mpgi_sheet_u32(const struct sheet *sheet, uint64_t at)
{
    unsigned char bytes[4];

    mpgi_sheet_read(sheet, bytes, at, sizeof(bytes));
    return get_u32(bytes);
}

uint64_t mpgi_sheet_u64(const struct sheet *sheet, uint64_t at)
{
    unsigned char bytes[8];

    mpgi_sheet_read(sheet, bytes, at, sizeof(bytes));
    return get_u64(bytes);
}

void mpgi_sheet_put_u32(struct sheet *sheet, uint64_t at, uint32_t value)
{
    unsigned char bytes[4];

    put_u32(bytes, value);
    (void)mpgi_sheet_write(sheet, bytes, at, sizeof(bytes));
}

void mpgi_sheet_put_u64(struct sheet *sheet, uint64_t at, uint64_t value)
{
    unsigned char bytes[8];

    put_u64(bytes, value);
    (void)mpgi_sheet_write(sheet, bytes, at, sizeof(bytes));
}

bool mpgi_sheet_bit(const struct sheet *sheet, uint64_t number)
{
    const unsigned char *bits = mpgi_sheet_chunk(sheet, number / 8 / SHEET_CHUNK);

    return (bits[number / 8 % SHEET_CHUNK] >> number % 8 & 1) != 0;
}

/* The lowest bit >= `number` that is set within its chunk, or UINT64_MAX. */
static uint64_t next_bit_in(const unsigned char *chunk, uint64_t number)
{
    uint64_t at = number / 8 % SHEET_CHUNK;
    unsigned bits = chunk[at] >> number % 8 << number % 8;

    while (bits == 0) {
        if (++at == SHEET_CHUNK)
            return UINT64_MAX;
        bits = chunk[at];
    }
    return number / 8 / SHEET_CHUNK * SHEET_CHUNK * 8 + at * 8 + (unsigned)__builtin_ctz(bits);
}

uint64_t mpgi_sheet_next_bit(const struct sheet *sheet, uint64_t number)
{
    for (;;) {
        uint64_t chunk = mpgi_sheet_next(sheet, number / 8 / SHEET_CHUNK);
        uint64_t found;

        if (chunk == UINT64_MAX)
            return UINT64_MAX;
        number = max_u64(number, chunk * SHEET_CHUNK * 8);
        found = next_bit_in(mpgi_sheet_chunk(sheet, chunk), number);
        if (found != UINT64_MAX)
            return found;
        number = (chunk + 1) * SHEET_CHUNK * 8;
    }
}

bool mpgi_sheet_set_bit(struct sheet *sheet, uint64_t number, bool value)
{
    unsigned char *bits;

    if (mpgi_sheet_bit(sheet, number) == value)
        return true;
    bits = mpgi_sheet_edit(sheet, number / 8 / SHEET_CHUNK);
    if (bits == NULL)
        return false;
    bits[number / 8 % SHEET_CHUNK] ^= (unsigned char)(1u << number % 8);
    return true;
}
