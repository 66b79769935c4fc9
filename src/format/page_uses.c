/* SPDX-License-Identifier: MIT */
#include "format/page_uses.h"

#include "base/bytes.h"

/* The arrays are worked on in words of 64 bits: 32 pages, two bits each. */
#define PAGES_PER_WORD 32
#define LOW_BITS UINT64_C(0x5555555555555555)

/* Word number `word` of an array of `length` bytes, zero-filled beyond it. */
static uint64_t load_word(const unsigned char *uses, size_t length, uint64_t word)
{
    unsigned char tail[8] = {0};
    uint64_t at = word * 8;

    if (at + 8 <= length)
        return get_u64(uses + at);
    if (uses == NULL || at >= length)
        return 0;
    memcpy(tail, uses + at, length - at);
    return get_u64(tail);
}

/* The low bit of each pair in `word` that equals `use`. */
static uint64_t matches(uint64_t word, enum mpg_page_use use)
{
    uint64_t low = use & 1 ? word : ~word;
    uint64_t high = use & 2 ? word >> 1 : ~word >> 1;

    return low & high & LOW_BITS;
}

/* The low bits of the 32 pairs side by side. */
static uint32_t compress(uint64_t pairs)
{
    pairs = (pairs | pairs >> 1) & UINT64_C(0x3333333333333333);
    pairs = (pairs | pairs >> 2) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    pairs = (pairs | pairs >> 4) & UINT64_C(0x00ff00ff00ff00ff);
    pairs = (pairs | pairs >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(pairs | pairs >> 16);
}

/* The pairs of a word that belong to pages [first, end), as a mask for what matches() gives. */
static uint64_t range_mask(uint64_t word, uint64_t first, uint64_t end)
{
    uint64_t begin = word * PAGES_PER_WORD;
    uint64_t mask = LOW_BITS;

    if (end <= begin || first >= begin + PAGES_PER_WORD)
        return 0;
    if (first > begin)
        mask &= UINT64_MAX << (2 * (first - begin));
    if (end < begin + PAGES_PER_WORD)
        mask &= ~(UINT64_MAX << (2 * (end - begin)));
    return mask;
}

static size_t bytes_for(uint64_t pages)
{
    return (size_t)(pages / USES_PER_BYTE + (pages % USES_PER_BYTE != 0));
}

void mpgi_uses_fill(unsigned char *uses, uint64_t first, uint64_t end, enum mpg_page_use use)
{
    uint64_t whole;

    while (first < end && first % USES_PER_BYTE != 0)
        mpgi_uses_set(uses, first++, use);
    whole = first < end ? (end - first) / USES_PER_BYTE : 0;
    memset(uses + first / USES_PER_BYTE, (int)use * 0x55, whole);
    first += whole * USES_PER_BYTE;
    while (first < end)
        mpgi_uses_set(uses, first++, use);
}

uint64_t mpgi_uses_count(const unsigned char *uses, uint64_t first, uint64_t end,
                         enum mpg_page_use use)
{
    size_t length = bytes_for(end);
    uint64_t count = 0;

    for (uint64_t word = first / PAGES_PER_WORD; word * PAGES_PER_WORD < end; word++) {
        uint64_t pairs = matches(load_word(uses, length, word), use);

        count += (uint64_t)__builtin_popcountll(pairs & range_mask(word, first, end));
    }
    return count;
}

bool mpgi_uses_find_free(const unsigned char *const *uses, const size_t *lengths, unsigned versions,
                         uint64_t from, uint64_t end, unsigned run, uint64_t *index)
{
    uint64_t found = 0; /* free pages in a row, up to where we are */

    for (uint64_t word = from / PAGES_PER_WORD; word * PAGES_PER_WORD < end; word++) {
        uint64_t used = 0;
        uint64_t free;

        for (unsigned k = 0; k < versions; k++) {
            if (uses[k] != NULL)
                used |= load_word(uses[k], lengths[k], word);
        }
        free = matches(used, MPG_USE_FREE) & range_mask(word, from, end);
        if (free == 0) {
            found = 0;
            continue;
        }
        for (unsigned i = 0; i < PAGES_PER_WORD; i++) {
            found = free >> (2 * i) & 1 ? found + 1 : 0;
            if (found == run) {
                *index = word * PAGES_PER_WORD + i + 1 - run;
                return true;
            }
        }
    }
    return false;
}

uint64_t mpgi_uses_free_run(const unsigned char *const *uses, const size_t *lengths,
                            unsigned versions, uint64_t from, uint64_t end)
{
    for (uint64_t word = from / PAGES_PER_WORD; word * PAGES_PER_WORD < end; word++) {
        uint64_t used = 0;

        for (unsigned k = 0; k < versions; k++) {
            if (uses[k] != NULL)
                used |= load_word(uses[k], lengths[k], word);
        }
        used = (used | used >> 1) & range_mask(word, from, end);
        if (used != 0)
            return word * PAGES_PER_WORD + (unsigned)__builtin_ctzll(used) / 2 - from;
    }
    return end > from ? end - from : 0;
}

void mpgi_uses_scan(const unsigned char *uses, uint64_t first, uint64_t end, enum mpg_page_use use,
                    uint64_t *bits, unsigned words)
{
    size_t length = bytes_for(end);

    if (first % PAGES_PER_WORD == 0) {
        for (unsigned w = 0; w < words; w++) {
            uint64_t word = first / PAGES_PER_WORD + 2 * (uint64_t)w;
            uint64_t low = matches(load_word(uses, length, word), use);
            uint64_t high = matches(load_word(uses, length, word + 1), use);

            low &= range_mask(word, first, end);
            high &= range_mask(word + 1, first, end);
            bits[w] = compress(low) | (uint64_t)compress(high) << 32;
        }
        return;
    }
    memset(bits, 0, words * sizeof(*bits));
    for (uint64_t i = 0; i < 64 * (uint64_t)words && first + i < end; i++) {
        if (mpgi_uses_get(uses, first + i) == use)
            bits[i / 64] |= UINT64_C(1) << i % 64;
    }
}
