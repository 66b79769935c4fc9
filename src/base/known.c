/* SPDX-License-Identifier: MIT */
#include "base/known.h"

#include <stdlib.h>

void mpgi_known_init(struct known *known, unsigned log2)
{
    for (size_t i = 0; i < KNOWN_PIECES; i++)
        atomic_init(&known->pieces[i], NULL);
    known->log2 = log2;
    known->used = 0;
}

void mpgi_known_free(struct known *known)
{
    for (size_t i = 0; i < KNOWN_PIECES; i++) {
        free(atomic_load_explicit(&known->pieces[i], memory_order_relaxed));
        atomic_store_explicit(&known->pieces[i], NULL, memory_order_relaxed);
    }
}

/* The word with this index, with its piece made; NULL: no memory. */
static atomic_uint_least64_t *make_word(struct known *known, size_t index)
{
    atomic_uint_least64_t *piece;

    if (known_word(known, index) == NULL) {
        piece = calloc((size_t)1 << KNOWN_PIECE_LOG2, sizeof(*piece));
        if (piece == NULL)
            return NULL;
        atomic_store_explicit(&known->pieces[index >> KNOWN_PIECE_LOG2], piece,
                              memory_order_release);
    }
    return known_word(known, index);
}

void mpgi_known_note(struct known *known, uint64_t number)
{
    size_t index = known_index(known, number);
    uint64_t tag = known_tag(known, number);
    atomic_uint_least64_t *at = tag > UINT32_MAX ? NULL : make_word(known, index);
    uint64_t word;

    if (at == NULL)
        return;
    word = atomic_load_explicit(at, memory_order_relaxed);
    if (word >> 32 != tag)
        word = tag << 32; /* the last ones to be asked for stay */
    atomic_store_explicit(at, word | UINT64_C(1) << number % 32, memory_order_relaxed);
    if (index >= known->used)
        known->used = index + 1;
}

void mpgi_known_forget(struct known *known, uint64_t number)
{
    atomic_uint_least64_t *at = known_word(known, known_index(known, number));

    if (known_has(known, number))
        atomic_store_explicit(
            at, atomic_load_explicit(at, memory_order_relaxed) & ~(UINT64_C(1) << number % 32),
            memory_order_relaxed);
}

void mpgi_known_forget_all(struct known *known)
{
    for (size_t i = 0; i < known->used; i++) {
        atomic_uint_least64_t *at = known_word(known, i);

        if (at != NULL)
            atomic_store_explicit(at, 0, memory_order_relaxed);
    }
    known->used = 0;
}
