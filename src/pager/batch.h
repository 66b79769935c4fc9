/* SPDX-License-Identifier: MIT */
/*
 * Batches and commits.
 *
 *     operations ──apply──▶ gathering ──seal──▶ in flight ──sync──▶ durable
 *
 * Operations of many threads apply their changes to the gathering batch, each under the pager's
 * lock and each as a whole: an `edit` keeps a log and undoes it when the operation fails. One of
 * the threads that wait then leads: it seals the batch, writes it out without the lock and syncs,
 * while the next batch gathers (group commit). Everybody whose batch that was returns.
 */
#ifndef MPGI_BATCH_H
#define MPGI_BATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id_map.h"
#include "format/format.h"
#include "os/gate.h"

/* Somebody to be told when a batch is done, other than a waiting thread. */
struct completion {
    struct completion *next;
    /* Called with the pager's lock held; must not block nor call the pager. */
    void (*done)(struct completion *completion, int result, const mpg_error_info *error);
};

/* How many pages operations took, gave back and wrote. */
struct tally {
    uint64_t allocated, freed;                     /* regular pages */
    uint64_t protected_allocated, protected_freed; /* protected pages */
    uint64_t protected_written;                    /* contents of protected pages */
};

static inline void tally_add(struct tally *to, const struct tally *from)
{
    to->allocated += from->allocated;
    to->freed += from->freed;
    to->protected_allocated += from->protected_allocated;
    to->protected_freed += from->protected_freed;
    to->protected_written += from->protected_written;
}

struct batch {
    unsigned waiters;          /* threads in mpgi_commit_wait */
    bool done;                 /* result and error are final */
    bool wanted;               /* somebody waits for it, or it holds what must not be put off */
    bool ordered;              /* rule 5: a sync between nodes and root */
    int result;                /* 0 or MPG_E_… */
    mpg_error_info error;      /* details, where result is not 0 */
    uint64_t changes;          /* operations applied */
    struct tally tally;        /* what they did */
    uint64_t protected_pages;  /* contents of protected pages that opening would have to verify */
    struct id_map stage;       /* page of the file → its new content (page_size bytes, owned), or
                               * NULL where what was staged is not to be written any more */
    struct id_map contents;    /* protected id → its new content, likewise */
    struct id_map fresh;       /* protected ids that it allocates: zeros until they are written */
    struct page_spans regular; /* regular pages that it allocates, or more: a copy asks */
    struct id_map freed;       /* with MPG_DISCARD: pages that it frees */
    struct completion *completions;      /* in the order they came */
    struct completion **completions_end; /* where the next one goes */
};

struct batch *mpgi_batch_new(void);
void mpgi_batch_free(struct batch *batch);

#endif
