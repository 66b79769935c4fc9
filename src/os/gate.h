/* SPDX-License-Identifier: MIT */
/*
 * Floor 1: how a writer and one who copies the file meanwhile get on, by locks on bytes far behind
 * the end of any file. What a process holds of them ends with it.
 *
 *     gate      a writer has it for each commit; a copy closes it for the last little rest
 *     wish      a copy wants the gate, which a writer that never pauses would have always
 *     copying   a copy is being made: two bytes, one for each set of marks
 *     session   a byte drawn by each writer as it opens the file: tells one from the next
 *     marks     two sets, with a byte for each regular page that a writer has allocated since it
 *               saw `copying` of that set: what was copied of that page may be what its owner
 *               before that had there. A copy that takes long turns to the other set now and
 *               then, and forgets what the first one marks
 *
 * A copy looks for itself whether the state that it met stood still, so the gate is no more than a
 * courtesy: a writer waits for GATE_PATIENCE at most, and not again until it has found the gate
 * open.
 */
#ifndef MPGI_GATE_H
#define MPGI_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/id_map.h"
#include "os/io.h"

/*
 * Nanoseconds after which a writer waits no more: it is to go on within 20 ms, and may be woken
 * late.
 */
#define GATE_PATIENCE (UINT64_C(15) * 1000 * 1000)

/* Pages with consecutive numbers. */
struct page_span {
    uint64_t first;
    uint64_t count;
};

/* Regular pages that a batch allocates, or more. */
struct page_spans {
    struct page_span *spans; /* owned */
    size_t count, capacity;
    bool all; /* there were too many: any may be */
};

void mpgi_spans_add(struct page_spans *spans, uint64_t first, uint64_t count);
void mpgi_spans_free(struct page_spans *spans);

#define MARK_SETS 2

/* Marks that a writer has set. They are there until no copy asks for them any more. */
struct marks {
    unsigned calls;       /* that have set some, each of them for aligned blocks */
    unsigned block;       /* pages in such a block: a power of two, given as that power */
    struct id_map marked; /* blocks that have their mark */
};

/* The writer's side of it. */
struct gate {
    bool held;
    bool lost_patience; /* it was closed for too long, and was not found open since */
    struct marks marks[MARK_SETS];
    uint64_t waits;   /* how often it was found closed, */
    uint64_t waited;  /* … nanoseconds spent waiting for it in all, */
    uint64_t longest; /* … and at once */
};

/* A writer has opened the file. */
void mpgi_gate_begin(const struct file *file);
/*
 * Passes the gate, or goes on without, after a while. `spans`: what the commit allocates, to be
 * marked. One thread at a time.
 */
void mpgi_gate_enter(struct gate *gate, const struct file *file, const struct page_spans *spans);
/* The commit is through. */
void mpgi_gate_leave(struct gate *gate, const struct file *file);
void mpgi_gate_free(struct gate *gate);

/*
 * Tells writers that a copy is being made; when it returns each commit that comes will mark in that
 * set.
 */
void mpgi_gate_begin_copy(const struct file *file, unsigned set);
void mpgi_gate_end_copy(const struct file *file, unsigned set);
/*
 * Keeps writers from committing, from now on until mpgi_gate_open; waits for the commit that is
 * under way. False: that could not be had.
 */
bool mpgi_gate_close(const struct file *file);
void mpgi_gate_open(const struct file *file);
/* Whether a writer is at a commit right now. */
bool mpgi_gate_is_held(const struct file *file);
/* Who has the file open for writing: a number; 0: nobody who would tell. */
uint64_t mpgi_gate_session(const struct file *file);
/* The first pages from *first on that a set marks: up to *end. False: there are none. */
bool mpgi_gate_find_mark(const struct file *file, unsigned set, uint64_t *first, uint64_t *end);

#endif
