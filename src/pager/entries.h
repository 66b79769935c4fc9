/* SPDX-License-Identifier: MIT */
/*
 * Entries of the directory of protected pages as readers see them, for who looks them up without
 * the lock.
 *
 * A slot is for one id of many. What it says is noted, and forgotten before it is no longer true,
 * under the lock. A reader looks at `turn` before and after: where it is odd, or another one, the
 * slot is being changed or was, and the reader asks under the lock.
 *
 * Memory order. What a slot says is stored with release, after `turn` was made odd, and loaded with
 * acquire, before `turn` is looked at again: who has read something newer sees the newer turn, too.
 * The even turn is released when all is there, and acquired first: who sees it sees that, or
 * something newer.
 */
#ifndef MPGI_ENTRIES_H
#define MPGI_ENTRIES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"

struct entry_slot {
    _Alignas(64) atomic_uint_least64_t turn;
    atomic_uint_least64_t id; /* … plus 1; 0: unused */
    atomic_uint_least64_t page[2];
    atomic_uint_least64_t generation;
    atomic_uint_least64_t crc_current; /* CRC, and above it which page counts */
    _Atomic(const unsigned char *)
        data; /* where a view showed the content, or NULL. May be out of date */
};

/* All zero is nothing known. */
struct entries {
    _Atomic(struct entry_slot *)
        slots;    /* by id; NULL until there is one to note: many files have none */
    void *memory; /* that they lie in. Owned */
    size_t used;  /* from this one on none was ever written */
};

void mpgi_entries_free(struct entries *entries);

/* Without the lock. What is visible of a protected page, if that is known. */
bool mpgi_entries_find(struct entry *entry, const struct entries *entries, uint64_t id);
/*
 * Where the content was that a view showed last, or NULL: mpgi_pins_try tells whether it still is.
 */
const unsigned char *mpgi_entries_data(const struct entries *entries, uint64_t id);

/* With the lock held. `data` as in a slot. What there is no memory for is not noted. */
void mpgi_entries_note(struct entries *entries, uint64_t id, const struct entry *entry,
                       const unsigned char *data);
void mpgi_entries_forget(struct entries *entries, uint64_t id);
void mpgi_entries_forget_all(struct entries *entries);

#endif
