/* SPDX-License-Identifier: MIT */
#include "base/array.h"

#include <stdlib.h>

void *mpgi_array_grow(void *items, size_t *capacity, size_t item_size, size_t first)
{
    size_t more = *capacity == 0 ? first : *capacity * 2;
    void *grown = reallocarray(items, more, item_size);

    if (grown != NULL)
        *capacity = more;
    return grown;
}
