/* SPDX-License-Identifier: MIT */
/* What all iterators do: they hand out ids from a bitmap of the next ones. */
#ifndef MPGI_ITERATE_H
#define MPGI_ITERATE_H

#include <string.h>

#include "pager/pager.h"

static inline void iter_begin(mpg_page_iter *iter, const mpg_pager *pager, uint64_t from)
{
    memset(iter, 0, sizeof(*iter));
    iter->pager = pager;
    iter->next = from;
    iter->word = MPG_ITER_WORDS;
}

/* Where the bitmap begins that holds the lowest id not looked at yet. */
static inline uint64_t iter_base(const mpg_page_iter *iter)
{
    return iter->next & ~UINT64_C(63);
}

/* Takes over a bitmap from there on. `next`: the lowest id that it says nothing of. */
static inline void iter_fill(mpg_page_iter *iter, const uint64_t *bits, uint64_t next)
{
    memcpy(iter->bits, bits, sizeof(iter->bits));
    iter->bits[0] &= UINT64_MAX << (iter->next & 63);
    iter->base = iter_base(iter);
    iter->word = 0;
    iter->next = next;
}

/* Takes the next id out of the bitmap. False: there is none in it. */
static inline bool iter_take(uint64_t *id, mpg_page_iter *iter)
{
    for (; iter->word < MPG_ITER_WORDS; iter->word++) {
        uint64_t bits = iter->bits[iter->word];

        if (bits == 0)
            continue;
        *id = iter->base + iter->word * UINT64_C(64) + (unsigned)__builtin_ctzll(bits);
        iter->bits[iter->word] = bits & (bits - 1);
        return true;
    }
    return false;
}

#endif
