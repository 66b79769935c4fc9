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

/* Entries that the format tells from what they were at another time without looking at each. */
struct copy_span {
    struct span_mark mark;
    size_t first, count; /* of the entries */
};

/*
 * Which entries are to be copied still: where they are in the array; some of them may have been
 * copied.
 */
struct copy_changes {
    size_t *entries; /* owned */
    size_t count, capacity;
};

struct copy_state {
    uint64_t total;      /* pages of the file */
    uint64_t generation; /* as mpg_stat counts it */
    uint64_t regular;    /* pages of all runs */
    struct copy_run *runs;
    size_t run_count, run_capacity;
    struct copy_entry *entries; /* by id */
    size_t entry_count, entry_capacity;
    struct copy_span
        *spans; /* of all entries, in their order; none where the format has no such marks */
    size_t span_count, span_capacity;
};

/* Reads what the durable version says. To be freed, also after a failure. Pager's lock held. */
int mpgi_copy_state_read(struct copy_state *state, struct format *format);
/*
 * The same but for the entries: those of `before`, which changed little since it was read, are
 * brought up to date where they are, and those to be copied are put into *changes; *state has none.
 * Takes as long as reading what changed. It may fail half-way, and does no harm: each entry is as
 * some state had it. COPY_LOOK_AT_ALL: that is not to be had, as some came or went.
 */
#define COPY_LOOK_AT_ALL 1
int mpgi_copy_state_advance(struct copy_state *state, struct copy_state *before,
                            struct copy_changes *changes, struct format *format);
/* Puts the entries that were not copied into *changes, and nothing else. NO_MEMORY. */
int mpgi_copy_changes_begin(struct copy_changes *changes, const struct copy_state *state);
/* Takes out those that were copied. */
void mpgi_copy_changes_settle(struct copy_changes *changes, const struct copy_state *state);
void mpgi_copy_changes_free(struct copy_changes *changes);
/* `state`, which has no entries, takes those of `before`, which ends with it. */
void mpgi_copy_state_take(struct copy_state *state, struct copy_state *before);
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
