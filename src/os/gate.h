/* SPDX-License-Identifier: MIT */
/*
 * Floor 1: how a writer and one who copies the file meanwhile get on, by locks on bytes far behind the
 * end of any file. What a process holds of them ends with it.
 *
 *     gate      a writer has it for each commit; a copy closes it for the last little rest
 *     wish      a copy wants the gate: or a writer that commits without a pause would have it always
 *     copying   a copy is being made
 *     session   a byte drawn by each writer as it opens the file: tells one from the next
 *     marks     a byte for each regular page that a writer has allocated since it saw `copying`: what was
 *               copied of that page may be what its owner before that had there
 *
 * A copy looks for itself whether the state that it met stood still, so the gate is no more than a
 * courtesy: a writer waits for GATE_PATIENCE at most, and not again until it has found the gate open.
 */
#ifndef MPGI_GATE_H
#define MPGI_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include "os/io.h"

/* Nanoseconds after which a writer waits no more: it is to go on within 20 ms, and may be woken late. */
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

/* The writer's side of it. */
struct gate {
    bool held;
    bool lost_patience; /* it was closed for too long, and was not found open since */
    unsigned marks;     /* calls that have set marks; they are there until no copy is being made */
    uint64_t waits;     /* how often it was found closed, */
    uint64_t waited;    /* … nanoseconds spent waiting for it in all, */
    uint64_t longest;   /* … and at once */
};

/* A writer has opened the file. */
void mpgi_gate_begin(const struct file *file);
/*
 * Passes the gate, or goes on without, after a while. `spans`: what the commit allocates, to be marked.
 * One thread at a time.
 */
void mpgi_gate_enter(struct gate *gate, const struct file *file, const struct page_spans *spans);
/* The commit is through. */
void mpgi_gate_leave(struct gate *gate, const struct file *file);

/* Tells writers that a copy is being made; when it returns each commit that comes will mark. */
void mpgi_gate_begin_copy(const struct file *file);
void mpgi_gate_end_copy(const struct file *file);
/*
 * Keeps writers from committing, from now on until mpgi_gate_open; waits for the commit that is
 * under way. False: that could not be had.
 */
bool mpgi_gate_close(const struct file *file);
void mpgi_gate_open(const struct file *file);
/* Who has the file open for writing: a number; 0: nobody who would tell. */
uint64_t mpgi_gate_session(const struct file *file);
/* The first marked pages from *first on: up to *end. False: there are none. */
bool mpgi_gate_find_mark(const struct file *file, uint64_t *first, uint64_t *end);

#endif
