/* SPDX-License-Identifier: MIT */
/* Which pages and contents one committed state of a file names. */
#ifndef MPGI_COPY_STATE_H
#define MPGI_COPY_STATE_H

#include "format/format.h"
#include "os/gate.h"

/* Regular pages with consecutive numbers. */
struct copy_run {
    uint64_t first;
    uint64_t count;
};

/* A protected page. */
struct copy_entry {
    uint64_t id;
    struct entry entry;
    bool copied; /* that very content is where the entry says, in the copy, too */
};

struct copy_state {
    uint64_t total;      /* pages of the file */
    uint64_t generation; /* as mpg_stat counts it */
    uint64_t regular;    /* pages of all runs */
    struct copy_run *runs;
    size_t run_count, run_capacity;
    struct copy_entry *entries; /* by id */
    size_t entry_count, entry_capacity;
};

/* Reads what the durable version says. To be freed, also after a failure. Pager's lock held. */
int mpgi_copy_state_read(struct copy_state *state, struct format *format);
/* Notes one more regular page, behind the others. */
int mpgi_copy_state_add_page(struct copy_state *state, uint64_t page);
void mpgi_copy_state_free(struct copy_state *state);
/* Notes which entries of `now` are those of `before` that were copied. */
void mpgi_copy_state_carry(struct copy_state *now, const struct copy_state *before);
/* Takes pages out of the runs. The spans are in order, and do not overlap. */
int mpgi_copy_state_forget(struct copy_state *state, const struct page_spans *spans);
/* The page behind the last one that it names. */
uint64_t mpgi_copy_state_end(const struct copy_state *state);

#endif
