/* SPDX-License-Identifier: MIT */
/*
 * Somebody who works on a page file and knows what it must show.
 *
 * An actor does one operation after the other on a pager and keeps two states: `before`, which is
 * durable, and `now`, with what was done since. When an operation returns that makes all of it
 * durable, whoever watches is told, with both states; a crash meanwhile may leave either.
 *
 * The first thing that goes wrong ends the work: the functions do nothing after that.
 */
#ifndef CRASH_ACTOR_H
#define CRASH_ACTOR_H

#include <pthread.h>

#include "crash/state.h"
#include "mappedpages_snapshot.h"
#include "support/memory_disk.h"

struct actor {
    mpg_pager *pager;
    struct memory_disk *disk;
    const struct io *io; /* memory_disk_io, unless set after actor_init */
    mpg_options options; /* for create and reopen */
    struct state before, now, saved;
    const struct state *in_flight; /* what the operation writes as one: `now`, or less than that */
    bool exists_before;            /* the file itself is durable */
    mpg_txn *txn;                  /* operations go into it while it is open */
    bool replaces;                 /* it has new contents for pages in use */
    uint64_t random;               /* for contents and for actor_do_something */
    unsigned next_content;         /* what is written next; CONTENT_ANY: anything */
    bool failed;
    char why[700];
    /* An IO error of a commit is no failure: it ends the work. Then all is done in transactions. */
    bool sync_may_fail;
    bool ended; /* so it was, and the pager is closed */
    /*
     * Held for writing while the file is closed and opened again; NULL: nobody else uses the pager.
     */
    pthread_rwlock_t *closed;
    mpg_snapshot *snapshot; /* NULL: none is open */
    struct state seen;      /* what it shows */

    /*
     * Told after each operation, when `settled` or not: all of `now` is durable on return if it is.
     * NULL if nobody watches.
     */
    void (*watch)(void *watcher, struct actor *actor, bool settled);
    void *watcher;
    unsigned char *buffer; /* room for a page */
};

void actor_init(struct actor *actor, struct memory_disk *disk, const mpg_options *options,
                uint64_t seed);
/* Closes the pager, if it is open, without telling. */
void actor_end(struct actor *actor);
/* Ends the work with a message. */
void actor_fail(struct actor *actor, const char *what, int error);

void actor_create(struct actor *actor);
void actor_reopen(struct actor *actor);

/* Into the open transaction, or alone. Counts are of pages; more than one is a bulk operation. */
void actor_alloc(struct actor *actor, size_t count, unsigned flags);
/* Allocates one page, but a write to the file is going to fail: nothing has changed then. */
void actor_alloc_in_vain(struct actor *actor, unsigned flags);
void actor_alloc_at(struct actor *actor, uint64_t id, unsigned flags);
void actor_free_at(struct actor *actor, uint64_t id);
/* Frees `count` regular pages from the index-th one on. */
void actor_free(struct actor *actor, size_t index, size_t count);
void actor_alloc_protected(struct actor *actor, size_t count);
void actor_alloc_protected_at(struct actor *actor, uint64_t id);
void actor_free_protected(struct actor *actor, size_t index, size_t count);
/* Writes the whole index-th protected page; in a transaction too. */
void actor_write_protected(struct actor *actor, size_t index);

/* The same, but a write to the file is going to fail: nothing has changed then. */
void actor_write_protected_in_vain(struct actor *actor, size_t index);

/* Commits the open transaction, but writing it is going to fail: it is forgotten. */
void actor_commit_in_vain(struct actor *actor);

/* Writes the index-th regular page, by copy or through the map; durable after actor_sync. */
void actor_write(struct actor *actor, size_t index, bool mapped);
void actor_sync(struct actor *actor);
/*
 * Gives the index-th regular page a new content as a whole; or that of another one, which is freed.
 * Format 1.
 */
void actor_replace(struct actor *actor, size_t index);
void actor_move(struct actor *actor, size_t from, size_t to);

/*
 * Opens a snapshot; ends it, and fails the work unless it shows what was durable when it was
 * opened.
 */
void actor_hold_snapshot(struct actor *actor);
void actor_end_snapshot(struct actor *actor);

/* Gives the space of what is free back. */
void actor_trim(struct actor *actor);
/* Changes the label. Not in a transaction. */
void actor_label(struct actor *actor, const char *label);
/*
 * Makes the file shorter: all that is known goes on being shown, with `renumber` by other numbers.
 */
void actor_compact(struct actor *actor, bool renumber);

void actor_begin(struct actor *actor);
/* Allocates a regular page in the transaction and stages its content. */
void actor_alloc_filled(struct actor *actor);
void actor_commit(struct actor *actor, unsigned flags);
void actor_abort(struct actor *actor);

/* One operation, or a transaction of a few, chosen at random. */
void actor_do_something(struct actor *actor);

/* Fails the work unless the pager shows `now`, and the file is sound. */
void actor_verify(struct actor *actor);

#endif
