/* SPDX-License-Identifier: MIT */
/*
 * Of which numbers something is known to be true: a table of bounded size, which therefore forgets. Any
 * thread looks things up without a lock; what is noted and forgotten is so under one.
 *
 * The table is an array of words that stays where it is until the end, each complete in itself: 32 bits,
 * for 32 numbers in a row, below a tag that says which 32 those are. A word is read and written in one
 * piece, so no reader sees the half of a change, and nothing that a reader holds is ever freed.
 *
 * All accesses are relaxed: a word says nothing about other memory. Who has been told that a number was
 * forgotten (by whatever it is that makes one thread wait for another) comes after the store that did
 * so, and can read nothing older.
 */
#ifndef MPGI_KNOWN_H
#define MPGI_KNOWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KNOWN_PER_WORD_LOG2 5

struct known {
    atomic_uint_least64_t *words; /* owned; number n is in word n / 32, modulo how many there are */
    unsigned log2;                /* of how many words there are */
    size_t used;                  /* from this one on none was ever written */
};

/* 1 << log2 words, with nothing known. False: no memory. Memory is used as words are. */
bool mpgi_known_init(struct known *known, unsigned log2);
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

/* Any thread. */
static inline bool known_has(const struct known *known, uint64_t number)
{
    uint64_t word =
        atomic_load_explicit(&known->words[known_index(known, number)], memory_order_relaxed);

    return word >> 32 == known_tag(known, number) && (word >> number % 32 & 1) != 0;
}

/* With the lock held. */
void mpgi_known_note(struct known *known, uint64_t number);
void mpgi_known_forget(struct known *known, uint64_t number);
void mpgi_known_forget_all(struct known *known);

#endif
