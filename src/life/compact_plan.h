/* SPDX-License-Identifier: MIT */
/* What a file uses, how short it can be made, and what has to move for that. */
#ifndef MPGI_COMPACT_PLAN_H
#define MPGI_COMPACT_PLAN_H

#include "base/sheet.h"
#include "life/copy_state.h"

/* A content that goes from one page to another. */
struct compact_move {
    uint64_t from, to;
    uint64_t id;      /* of a protected page; MPG_NO_PAGE: a regular one */
    uint32_t crc;     /* of a protected page's content */
    bool has_content; /* false: it is the copy of a protected page that does not count */
};

struct compact_plan {
    struct copy_state state; /* what the file says now */
    unsigned copies;         /* pages of a protected page that the format keeps: 2, or 0 for one */
    struct sheet *used;      /* a bit a page: in use now. Owned */
    uint64_t total;          /* pages that the file is to have */
    uint64_t regular_end;    /* regular pages from here on move */
    struct sheet *kept;      /* `used`, and the places that contents move to. Owned */
    struct compact_move *moves; /* regular pages by number, then protected pages by id. Owned */
    size_t move_count;
    size_t regular_moves;
};

/*
 * Reads what the durable version says, and looks whether its parts fit together: damage if they do
 * not.
 */
int mpgi_compact_plan_begin(struct compact_plan *plan, struct format *format);
void mpgi_compact_plan_end(struct compact_plan *plan);

/*
 * Fewer pages than this the file cannot well have. `metadata`: pages that it keeps for that in any
 * case. `renumber`: also if regular pages move.
 */
uint64_t mpgi_compact_least(const struct compact_plan *plan, uint64_t metadata, bool renumber);

/*
 * Works out the moves that make the file `total` pages long. 1 where there is no room for them
 * below. `regular_end` as in the plan; UINT64_MAX: none moves.
 */
int mpgi_compact_moves(struct compact_plan *plan, uint64_t total, uint64_t regular_end);

#endif
