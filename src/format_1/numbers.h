/* SPDX-License-Identifier: MIT */
/* Numbers that gather, in the order they come. */
#ifndef MPGI_NUMBERS_H
#define MPGI_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is none. */
struct number_list {
    uint64_t *at; /* owned */
    size_t count, capacity;
};

/* False: no memory. */
bool mpgi_numbers_add(struct number_list *list, uint64_t number);
void mpgi_numbers_free(struct number_list *list);

#endif
