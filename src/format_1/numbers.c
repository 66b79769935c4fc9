/* SPDX-License-Identifier: MIT */
#include "format_1/numbers.h"

#include <stdlib.h>

#include "base/array.h"

bool mpgi_numbers_add(struct number_list *list, uint64_t number)
{
    uint64_t *at = mpgi_array_room(list->at, list->count, &list->capacity, sizeof(*at), 16);

    if (at == NULL)
        return false;
    list->at = at;
    list->at[list->count++] = number;
    return true;
}

void mpgi_numbers_free(struct number_list *list)
{
    free(list->at);
    *list = (struct number_list){0};
}
