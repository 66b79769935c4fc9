/* SPDX-License-Identifier: MIT */
/* Floor 0: arrays that grow by one item at a time. */
#ifndef MPGI_ARRAY_H
#define MPGI_ARRAY_H

#include <stddef.h>

/* Makes an array twice as long, or `first` items if it has none. As mpgi_array_room. */
void *mpgi_array_grow(void *items, size_t *capacity, size_t item_size, size_t first);

/*
 * Makes room for one more than the `count` items that an array has; the first time, for `first` of
 * them. Returns the array, which may have moved, or NULL without memory: then it is as it was.
 */
static inline void *mpgi_array_room(void *items, size_t count, size_t *capacity, size_t item_size,
                                    size_t first)
{
    return count < *capacity ? items : mpgi_array_grow(items, capacity, item_size, first);
}

#endif
