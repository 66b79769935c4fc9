/* SPDX-License-Identifier: MIT */
/*
 * Which pages of the file views show.
 *
 * A view is counted in a slot, if it gets one, and that without a lock. The state of a slot is one
 * word:
 *
 *     version (35 bits) | open (1 bit) | views (28 bits)
 *
 *   - A thread takes a view by one compare-and-swap of an open state to the same with one view
 *     more. So nobody gets a view of a closed slot.
 *   - It gives the view up by another one, to one view less. Who has made that the last of a closed
 *     slot asks under the lock what that means (mpgi_views_gone).
 *   - Whoever is about to do what no view may see, or free what one may show, closes the slot
 *     first, under the lock (mpgi_pins_close). What the state was then says, once and for all,
 *     which views there are.
 *   - A slot is opened under the lock, by who has seen there that the page holds the content that
 *     counts now. It is used for another page only where there is no view of it, and gets another
 *     version then.
 *
 * Slots stay where they are until the pager is freed, so there is nothing that a reader could hold
 * too long.
 *
 * Memory order. `id` and `data` are stored with release, after the state was closed, and loaded
 * with acquire, before the state is swapped: who has read one of a later page has the closing
 * before its swap, which therefore fails, for no state comes twice. A state is stored and swapped
 * with release and acquire: who opens it has stored what it is about before; who gives a view up
 * has done with the page, and who closes the slot afterwards comes after that.
 *
 * A view that finds no slot is counted in a map, under the lock. All views of a page are in one of
 * both.
 */
#ifndef MPGI_PINS_H
#define MPGI_PINS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id_map.h"

struct pin_slot {
    _Alignas(64) atomic_uint_least64_t state; /* a line of the cache to itself */
    atomic_uint_least64_t id;                 /* the protected page whose content this is */
    _Atomic(const unsigned char *) data;      /* … and where that is in memory; NULL: unused */
};

/* All zero is no view. */
struct pins {
    _Atomic(struct pin_slot *) slots; /* by address; NULL: none yet, or no memory for them */
    void *memory;                     /* that they lie in. Owned */
    unsigned page_shift;              /* log2 of the page size: set before the first view */
    struct id_map others; /* page of the file → number of views, where there was no slot */
};

void mpgi_pins_free(struct pins *pins);

/* ---- without the lock ---- */

/* A view more, of the protected page `id` at `data`, if that is still where its content is. */
bool mpgi_pins_try(const struct pins *pins, uint64_t id, const unsigned char *data);

enum unpinned {
    UNPINNED,          /* that is all */
    UNPINNED_LAST,     /* it was the last view of a closed slot */
    UNPINNED_ELSEWHERE /* it is in no slot */
};
enum unpinned mpgi_pins_drop(const struct pins *pins, const unsigned char *data);

/* ---- with the lock held ---- */

/*
 * A view more, of a page that holds the content that counts; opens its slot with `open`. False: no
 * memory, or too many.
 */
bool mpgi_pins_take(struct pins *pins, uint64_t id, uint64_t page, const unsigned char *data,
                    bool open);
/* A view less, which is in no slot. */
void mpgi_pins_drop_other(struct pins *pins, uint64_t page);
/*
 * Whether a view shows a page; from then on none is taken without the lock. `data` is its address,
 * NULL where it is not mapped.
 */
bool mpgi_pins_close(const struct pins *pins, uint64_t page, const unsigned char *data);

#endif
