/* SPDX-License-Identifier: MIT */
/*
 * Of which numbers something is known to be true: a table of bounded size, which therefore forgets.
 * Any thread looks things up without a lock; what is noted and forgotten is so under one.
 *
 * The table is an array of words, each complete in itself: 32 bits, for 32 numbers in a row, below
 * a tag that says which 32 those are. A word is read and written in one piece, so no reader sees
 * the half of a change. The array comes in pieces, each made when it is needed first, for most
 * files are small and a process may have a thousand of them open; they stay until the end, so
 * nothing that a reader holds is ever freed.
 *
 * All accesses of words are relaxed: a word says nothing about other memory. Who has been told that
 * a number was forgotten (by whatever it is that makes one thread wait for another) comes after the
 * store that did so, and can read nothing older.
 */
#ifndef MPGI_KNOWN_H
#define MPGI_KNOWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KNOWN_PER_WORD_LOG2 5

#define KNOWN_PIECE_LOG2 11 /* words of a piece: 16 KiB */
#define KNOWN_PIECES 64

struct known {
    /*
     * Number n is in word n / 32, modulo how many there are. Owned; NULL: nothing of it is known.
     */
    _Atomic(atomic_uint_least64_t *) pieces[KNOWN_PIECES];
    unsigned log2; /* of how many words there are */
    size_t used;   /* from this one on none was ever written */
};

/* 1 << log2 words at most, one piece at least, with nothing known. */
void mpgi_known_init(struct known *known, unsigned log2);
void mpgi_known_free(struct known *known);

static inline size_t known_index(const struct known *known, uint64_t number)
{
    return (size_t)(number >> KNOWN_PER_WORD_LOG2) & (((size_t)1 << known->log2) - 1);
}

/* A number too large for the tag has none that is equal to it. */
static inline uint64_t known_tag(const struct known *known, uint64_t number)
{
    return number >> (KNOWN_PER_WORD_LOG2 + known->log2);
}

/* The word that a number would be in, or NULL. */
static inline atomic_uint_least64_t *known_word(const struct known *known, size_t index)
{
    atomic_uint_least64_t *piece =
        atomic_load_explicit(&known->pieces[index >> KNOWN_PIECE_LOG2], memory_order_acquire);

    return piece == NULL ? NULL : &piece[index & (((size_t)1 << KNOWN_PIECE_LOG2) - 1)];
}

/* Any thread. */
static inline bool known_has(const struct known *known, uint64_t number)
{
    const atomic_uint_least64_t *at = known_word(known, known_index(known, number));
    uint64_t word = at == NULL ? 0 : atomic_load_explicit(at, memory_order_relaxed);

    return word >> 32 == known_tag(known, number) && (word >> number % 32 & 1) != 0;
}

/* With the lock held. What there is no memory for is not noted. */
void mpgi_known_note(struct known *known, uint64_t number);
void mpgi_known_forget(struct known *known, uint64_t number);
void mpgi_known_forget_all(struct known *known);

#endif
