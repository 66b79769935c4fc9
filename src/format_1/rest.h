/* SPDX-License-Identifier: MIT */
/*
 * Pages that are free and rest: an opening may look at them yet, so nothing is written to them.
 * They are the records and continuations of the present chain, those of the chain before it until
 * the root behind that is there twice, and the places that are named for the next records.
 */
#ifndef MPGI_REST_H
#define MPGI_REST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id_map.h"

struct rest {
    struct id_map current; /* pages of the chain behind the durable root */
    struct id_map old;     /* pages of the chain behind the root before it */
    uint64_t next;         /* where the next record goes, or 0 */
    uint64_t after;        /* where the one behind it goes, or 0 */
    struct id_map chosen;  /* places and continuations of the commit in flight */
};

/* Whether a page rests. */
bool mpgi_rest_has(const struct rest *rest, uint64_t page);
/* The lowest page of [first, end) that rests, or `end`; and that is in a map. */
uint64_t mpgi_rest_before(const struct rest *rest, uint64_t first, uint64_t end);
uint64_t mpgi_rest_lowest(const struct id_map *pages, uint64_t first, uint64_t end);
/* Makes room for `more` pages of the present chain. False: no memory. */
bool mpgi_rest_reserve(struct rest *rest, size_t more);
/* A page of the present chain; room was made for it. */
void mpgi_rest_add(struct rest *rest, uint64_t page);
/* A new chain begins: the present one becomes the old one, which is empty. */
void mpgi_rest_turn(struct rest *rest);
void mpgi_rest_free(struct rest *rest);

#endif
