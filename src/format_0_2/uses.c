/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2: what each page is used for, in memory. A chunk that is not held says that its pages
 * are all free, so that a bitmap with a hole costs nothing.
 */
#include "base/bytes.h"
#include "format/page_uses.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"

#define PAGES_PER_CHUNK ((uint64_t)SHEET_CHUNK * USES_PER_BYTE)
#define FIRST_CHUNK (USES_ARRAY / SHEET_CHUNK)

static const unsigned char *chunk_of(const struct sheet *uses, uint64_t page)
{
    return mpgi_sheet_chunk(uses, FIRST_CHUNK + page / PAGES_PER_CHUNK);
}

enum mpg_page_use mpgi_0_2_use(const struct sheet *uses, uint64_t page)
{
    return mpgi_uses_get(chunk_of(uses, page), page % PAGES_PER_CHUNK);
}

bool mpgi_0_2_set_use(struct sheet *uses, uint64_t page, enum mpg_page_use use)
{
    unsigned char *chunk = mpgi_sheet_edit(uses, FIRST_CHUNK + page / PAGES_PER_CHUNK);

    if (chunk != NULL)
        mpgi_uses_set(chunk, page % PAGES_PER_CHUNK, use);
    return chunk != NULL;
}

/* The first page of the lowest chunk that is held and begins at `page` or behind; or UINT64_MAX. */
static uint64_t next_held(const struct sheet *uses, uint64_t page)
{
    uint64_t from = FIRST_CHUNK + (page + PAGES_PER_CHUNK - 1) / PAGES_PER_CHUNK;
    uint64_t held = mpgi_sheet_next(uses, from);

    return held == UINT64_MAX ? UINT64_MAX : (held - FIRST_CHUNK) * PAGES_PER_CHUNK;
}

uint64_t mpgi_0_2_count_uses(const struct sheet *uses, uint64_t total, enum mpg_page_use use)
{
    uint64_t count = 0;

    for (uint64_t page = next_held(uses, 0); page < total;
         page = next_held(uses, page + PAGES_PER_CHUNK))
        count +=
            mpgi_uses_count(chunk_of(uses, page), 0, min_u64(total - page, PAGES_PER_CHUNK), use);
    return count;
}

bool mpgi_0_2_find_free(const struct sheet *const *versions, unsigned count, uint64_t from,
                        uint64_t end, uint64_t *page)
{
    const unsigned char *arrays[4];
    const size_t lengths[4] = {SHEET_CHUNK, SHEET_CHUNK, SHEET_CHUNK, SHEET_CHUNK};

    while (from < end) {
        uint64_t base = from - from % PAGES_PER_CHUNK;
        uint64_t index;

        for (unsigned i = 0; i < count; i++)
            arrays[i] = versions[i] != NULL ? chunk_of(versions[i], from) : NULL;
        if (mpgi_uses_find_free(arrays, lengths, count, from - base,
                                min_u64(end - base, PAGES_PER_CHUNK), 0, &index)) {
            *page = base + index;
            return true;
        }
        from = base + PAGES_PER_CHUNK;
    }
    return false;
}

void mpgi_0_2_scan_uses(const struct sheet *uses, uint64_t total, enum mpg_page_use use,
                        uint64_t first, uint64_t *bits, unsigned words, uint64_t *next)
{
    uint64_t behind = first + UINT64_C(64) * words;

    for (unsigned w = 0; w < words; w++, first += 64) {
        uint64_t base = first - first % PAGES_PER_CHUNK;

        bits[w] = 0;
        if (first < total)
            mpgi_uses_scan(chunk_of(uses, first), first - base,
                           min_u64(total - base, PAGES_PER_CHUNK), use, &bits[w], 1);
    }
    /* Pages of chunks that are not held are free. */
    if (use != MPG_USE_FREE && behind < total &&
        mpgi_sheet_next(uses, FIRST_CHUNK + behind / PAGES_PER_CHUNK) !=
            FIRST_CHUNK + behind / PAGES_PER_CHUNK)
        behind = next_held(uses, behind);
    *next = behind < total ? behind : UINT64_MAX;
}

/* ---- the bitmap ---- */

/*
 * The pages of one byte of the bitmap as two bytes of uses: bit i becomes the pair i, REGULAR or
 * FREE.
 */
static unsigned spread(unsigned byte)
{
    byte = (byte | byte << 4) & 0x0f0f;
    byte = (byte | byte << 2) & 0x3333;
    return (byte | byte << 1) & 0x5555;
}

static bool read_byte(struct sheet *uses, uint64_t first, unsigned byte)
{
    unsigned pairs = spread(byte);
    unsigned char *chunk = mpgi_sheet_edit(uses, FIRST_CHUNK + first / PAGES_PER_CHUNK);

    if (chunk == NULL)
        return false;
    chunk += first % PAGES_PER_CHUNK / USES_PER_BYTE;
    chunk[0] = (unsigned char)pairs;
    chunk[1] = (unsigned char)(pairs >> 8);
    return true;
}

bool mpgi_0_2_read_bitmap(struct sheet *uses, const struct sheet *metadata, uint32_t page_size,
                          uint64_t *allocated, bool *beyond)
{
    uint64_t total = mpgi_sheet_u64(metadata, METADATA_TOTAL);

    *allocated = 0;
    *beyond = false;
    for (uint64_t number = 0; (number = mpgi_sheet_next(metadata, number)) != UINT64_MAX;
         number++) {
        const unsigned char *chunk = mpgi_sheet_chunk(metadata, number);
        uint64_t base = number * SHEET_CHUNK;
        uint64_t end = min_u64(base + SHEET_CHUNK, page_size - TRAILER_SIZE);

        for (uint64_t at = max_u64(base, METADATA_BITMAP); at < end; at++) {
            uint64_t first = (at - METADATA_BITMAP) * 8;
            unsigned byte = chunk[at - base];

            if (byte == 0)
                continue;
            if (first + 8 > total) {
                unsigned valid = first < total ? (1u << (total - first)) - 1 : 0;

                *beyond |= (byte & ~valid) != 0;
                byte &= valid;
            }
            *allocated += (unsigned)__builtin_popcount(byte);
            if (byte != 0 && !read_byte(uses, first, byte))
                return false;
        }
    }
    return true;
}

struct sheet *mpgi_0_2_make_bitmap(const struct sheet *uses, const struct sheet *metadata,
                                   uint32_t page_size)
{
    uint64_t total = mpgi_sheet_u64(metadata, METADATA_TOTAL);
    struct sheet *made = mpgi_sheet_new();
    unsigned char head[METADATA_BITMAP];
    uint64_t allocated = 0;
    bool enough = made != NULL;

    mpgi_sheet_read(metadata, head, 0, sizeof(head));
    for (uint64_t first = next_held(uses, 0); enough && first < total;
         first = next_held(uses, first + PAGES_PER_CHUNK)) {
        const unsigned char *chunk = chunk_of(uses, first);
        unsigned char bitmap[PAGES_PER_CHUNK / 8] = {0};
        uint64_t count = min_u64(PAGES_PER_CHUNK, total - first);

        for (uint64_t i = 0; i < count; i++) {
            if (mpgi_uses_get(chunk, i) != MPG_USE_FREE) {
                bitmap[i / 8] |= (unsigned char)(1u << i % 8);
                allocated++;
            }
        }
        enough =
            mpgi_sheet_write(made, bitmap, METADATA_BITMAP + first / 8, (size_t)(count + 7) / 8);
    }
    put_u64(head + METADATA_FREE, total - allocated);
    if (enough && mpgi_sheet_write(made, head, 0, sizeof(head)) &&
        mpgi_sheet_own(made, page_size - TRAILER_SIZE, TRAILER_SIZE))
        return made;
    mpgi_sheet_free(made);
    return NULL;
}
