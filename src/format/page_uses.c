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

/*
 * Words whose counts, up to 4 in each of 8 bytes, are added up before the bytes are: they hold 255.
 */
#define WORDS_AT_ONCE 63

/*
 * Of `words` whole words, up to WORDS_AT_ONCE. Without an instruction for it, counting each by
 * itself takes twice as long.
 */
static uint64_t count_words(const unsigned char *at, uint64_t words, enum mpg_page_use use)
{
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < words; i++) {
        uint64_t pairs = matches(get_u64(at + 8 * i), use);

        pairs =
            (pairs & UINT64_C(0x3333333333333333)) + (pairs >> 2 & UINT64_C(0x3333333333333333));
        bytes +=
            (pairs & UINT64_C(0x0f0f0f0f0f0f0f0f)) + (pairs >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f));
    }
    bytes = (bytes & UINT64_C(0x00ff00ff00ff00ff)) + (bytes >> 8 & UINT64_C(0x00ff00ff00ff00ff));
    return bytes * UINT64_C(0x0001000100010001) >> 48;
}

uint64_t mpgi_uses_count(const unsigned char *uses, uint64_t first, uint64_t end,
                         enum mpg_page_use use)
{
    uint64_t count = 0;

    for (; first < end && first % PAGES_PER_WORD != 0; first++)
        count += mpgi_uses_get(uses, first) == use;
    while (end - first >= PAGES_PER_WORD && first < end) {
        uint64_t words = min_u64((end - first) / PAGES_PER_WORD, WORDS_AT_ONCE);

        count += count_words(uses + first / USES_PER_BYTE, words, use);
        first += words * PAGES_PER_WORD;
    }
    for (; first < end; first++)
        count += mpgi_uses_get(uses, first) == use;
    return count;
}

bool mpgi_uses_all(const unsigned char *uses, uint64_t first, uint64_t end, enum mpg_page_use use)
{
    const unsigned char *at;
    uint64_t bytes;

    for (; first < end && first % USES_PER_BYTE != 0; first++)
        if (mpgi_uses_get(uses, first) != use)
            return false;
    for (; first < end && end % USES_PER_BYTE != 0; end--)
        if (mpgi_uses_get(uses, end - 1) != use)
            return false;
    if (first >= end)
        return true;
    at = uses + first / USES_PER_BYTE;
    bytes = (end - first) / USES_PER_BYTE;
    return *at == use * 0x55u && memcmp(at, at + 1, (size_t)bytes - 1) == 0;
}

/* The arrays of several versions of the same pages. */
struct versions_of {
    const unsigned char *const *uses;
    const size_t *lengths;
    unsigned count;
};

/* Low bits of the pairs of a word whose pages are free in all versions. */
static uint64_t free_in_all(const struct versions_of *versions, uint64_t word)
{
    uint64_t used = 0;

    for (unsigned k = 0; k < versions->count; k++) {
        if (versions->uses[k] != NULL)
            used |= load_word(versions->uses[k], versions->lengths[k], word);
    }
    return matches(used, MPG_USE_FREE);
}

/* The same of the pages that lie `apart` pages behind those of the word. */
static uint64_t free_behind(const struct versions_of *versions, uint64_t word, uint64_t apart)
{
    unsigned shift = 2 * (apart % PAGES_PER_WORD);
    uint64_t free;

    word += apart / PAGES_PER_WORD;
    free = free_in_all(versions, word) >> shift;
    return shift == 0 ? free : free | free_in_all(versions, word + 1) << (64 - shift);
}

bool mpgi_uses_find_free(const unsigned char *const *uses, const size_t *lengths, unsigned versions,
                         uint64_t from, uint64_t end, uint64_t apart, uint64_t *index)
{
    struct versions_of all = {uses, lengths, versions};
    uint64_t last = end > apart ? end - apart : 0;

    for (uint64_t word = from / PAGES_PER_WORD; word * PAGES_PER_WORD < last; word++) {
        uint64_t free = free_in_all(&all, word) & range_mask(word, from, last);

        if (free != 0 && apart != 0)
            free &= free_behind(&all, word, apart);
        if (free != 0) {
            *index = word * PAGES_PER_WORD + (unsigned)__builtin_ctzll(free) / 2;
            return true;
        }
    }
    return false;
}

uint64_t mpgi_uses_free_run(const unsigned char *const *uses, const size_t *lengths,
                            unsigned versions, uint64_t from, uint64_t end)
{
    struct versions_of all = {uses, lengths, versions};

    for (uint64_t word = from / PAGES_PER_WORD; word * PAGES_PER_WORD < end; word++) {
        uint64_t used = ~free_in_all(&all, word) & range_mask(word, from, end);

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
