/* SPDX-License-Identifier: MIT */
#include "format_1/numbers.h"

#include <stdlib.h>

bool mpgi_numbers_add(struct number_list *list, uint64_t number)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        uint64_t *at = realloc(list->at, capacity * sizeof(*at));

        if (at == NULL)
            return false;
        list->at = at;
        list->capacity = capacity;
    }
    list->at[list->count++] = number;
    return true;
}

void mpgi_numbers_free(struct number_list *list)
{
    free(list->at);
    *list = (struct number_list){0};
}
