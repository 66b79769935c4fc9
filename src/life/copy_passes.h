/* SPDX-License-Identifier: MIT */
/* All contents of one committed state of a file that may be written meanwhile. */
#ifndef MPGI_COPY_PASSES_H
#define MPGI_COPY_PASSES_H

#include "life/copy_content.h"
#include "life/copy_state.h"
#include "mappedpages.h"

struct copy_passes {
    const mpg_pager *source;
    struct copy_state state;     /* what was copied, in the end */
    struct copy_changes changes; /* all entries of it that are not copied */
    struct copy_content content;
    unsigned set;     /* of marks, which tell what became of regular pages since they were copied */
    uint64_t session; /* of the writer since the copying of regular pages began */
    uint64_t generation; /* that the first pass found then */
    bool begun;          /* … which was made */
    unsigned count;      /* passes */
    uint64_t held;       /* nanoseconds for which the gate was closed at most */
};

/*
 * Copies them to the same places. Where the writer moves on, and goes on doing so, STALE. To be
 * freed, also after a failure; but for `content`, which others need as well.
 */
int mpgi_copy_passes(struct copy_passes *passes);
void mpgi_copy_passes_free(struct copy_passes *passes);

/*
 * What a crash kept from going to its page, or a writer is about to put there, goes to it in the
 * copy.
 */
int mpgi_copy_redo(struct copy_passes *passes, const struct format *format);
/* Closes the gate. False: it could not be. *closed: when. */
bool mpgi_copy_close_gate(const struct copy_passes *passes, uint64_t *closed);
void mpgi_copy_open_gate(struct copy_passes *passes, uint64_t closed);

#endif
