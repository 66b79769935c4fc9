/* SPDX-License-Identifier: MIT */
#include "base/known.h"

#include <stdlib.h>

bool mpgi_known_init(struct known *known, unsigned log2)
{
    known->log2 = log2;
    known->used = 0;
    known->words = calloc((size_t)1 << log2, sizeof(*known->words));
    return known->words != NULL;
}

void mpgi_known_free(struct known *known)
{
    free(known->words);
    known->words = NULL;
}

void mpgi_known_note(struct known *known, uint64_t number)
{
    size_t index = known_index(known, number);
    uint64_t tag = known_tag(known, number);
    uint64_t word = atomic_load_explicit(&known->words[index], memory_order_relaxed);

    if (tag > UINT32_MAX)
        return;
    if (word >> 32 != tag)
        word = tag << 32; /* the last ones to be asked for stay */
    atomic_store_explicit(&known->words[index], word | UINT64_C(1) << number % 32,
                          memory_order_relaxed);
    if (index >= known->used)
        known->used = index + 1;
}

void mpgi_known_forget(struct known *known, uint64_t number)
{
    size_t index = known_index(known, number);
    uint64_t word = atomic_load_explicit(&known->words[index], memory_order_relaxed);

    if (known_has(known, number))
        atomic_store_explicit(&known->words[index], word & ~(UINT64_C(1) << number % 32),
                              memory_order_relaxed);
}

void mpgi_known_forget_all(struct known *known)
{
    for (size_t i = 0; i < known->used; i++)
        atomic_store_explicit(&known->words[i], 0, memory_order_relaxed);
    known->used = 0;
}
