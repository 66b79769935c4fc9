/* SPDX-License-Identifier: MIT */
/* What is done in scenarios where a call of the system fails. */
#include "crash/scenario_work.h"

#include <errno.h>

/* Counts down to the sync that fails. */
static unsigned syncs_until_failure;

void work_let_sync_fail(unsigned which)
{
    syncs_until_failure = which;
}

static int failing_sync(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    (void)length;
    if (call != CALL_FDATASYNC || syncs_until_failure == 0)
        return 0;
    return --syncs_until_failure == 0 ? EIO : 0;
}

static void prepare_failure(struct actor *a)
{
    actor_begin(a);
    for (int i = 0; i < 4; i++)
        actor_alloc_filled(a);
    actor_alloc_protected(a, 3);
    for (size_t i = 0; i < 3; i++)
        actor_write_protected(a, i);
    actor_commit(a, 0);
    a->disk->fault = failing_sync;
    a->sync_may_fail = true;
}

void work_failing_protected_write(struct actor *a)
{
    prepare_failure(a);
    for (int i = 0; i < 3; i++)
        actor_write_protected(a, 1);
}

void work_failing_transaction(struct actor *a)
{
    prepare_failure(a);
    for (size_t i = 0; i < 2; i++) {
        actor_begin(a);
        actor_free(a, 1, 1);
        actor_alloc(a, 2, 0);
        actor_write_protected(a, i);
        actor_alloc_protected(a, 1);
        actor_commit(a, 0);
    }
}

void work_failing_ordered(struct actor *a)
{
    prepare_failure(a);
    for (size_t i = 0; i < 2; i++) {
        actor_begin(a);
        actor_alloc_filled(a);
        actor_write_protected(a, i);
        actor_commit(a, 0);
    }
}

/* The next write fails. */
static unsigned failing_call; /* counted from the next call of pwrite on, from 1; 0: none */

static int failing_write(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    (void)length;
    if (call != CALL_PWRITE || failing_call == 0 || --failing_call > 0)
        return 0;
    return EIO;
}

/* A commit that fails before its first sync is forgotten, and its generation with it. */
void work_failing_writes(struct actor *a)
{
    actor_alloc_protected(a, 2);
    actor_write_protected(a, 0);
    a->disk->fault = failing_write;
    for (size_t i = 0; i < 3; i++) {
        failing_call = 1;
        actor_write_protected_in_vain(a, i % 2);
        actor_write_protected(a, i % 2);
        actor_alloc(a, 2, 0);
    }
}

/*
 * Of the next commit what is written first goes well, and nothing else until something else is
 * called.
 */
static unsigned writes_seen;
static bool contents_fail;

static int failing_contents(void *context, enum disk_call call, size_t *length)
{
    (void)context;
    (void)length;
    if (call == CALL_PWRITE)
        return contents_fail && ++writes_seen > 1 ? EIO : 0;
    contents_fail &= writes_seen < 2;
    return 0;
}

/*
 * A record that was written, and its content not. The same content is tried again, with less else.
 */
void work_records_in_vain(struct actor *a)
{
    actor_alloc_protected(a, 3);
    actor_alloc(a, 4, 0);
    for (size_t i = 0; i < 4; i++)
        actor_write_protected(a, i % 3);
    for (unsigned i = 0; i < 3; i++) {
        a->next_content = CONTENT_ZERO + 5 + i;
        a->disk->fault = failing_contents;
        /* Twice: the second time it is looked for a page as it will be when it succeeds. */
        for (int attempt = 0; attempt < 2; attempt++) {
            actor_begin(a);
            actor_write_protected(a, i);
            actor_free(a, 0, 1);
            writes_seen = 0;
            contents_fail = true;
            actor_commit_in_vain(a);
        }
        contents_fail = false;
        actor_write_protected(a, i);
        a->next_content = CONTENT_ANY;
        actor_write_protected(a, (i + 1) % 3);
    }
}

/* Zeros that it wrote may be in the page cache alone, where they look like any others. */
void work_zeros_of_a_failed_commit(struct actor *a)
{
    actor_alloc(a, 1, 0);
    actor_alloc_at(a, 1900, 0); /* so that format 1 writes a node before the root */
    actor_write(a, 0, false);
    actor_sync(a);
    actor_free(a, 0, 1);
    actor_alloc_at(a, 1901, 0); /* by now it may be given out again */
    actor_alloc_at(a, 1902, 0);
    a->disk->fault = failing_write;
    failing_call = 2;
    actor_alloc_in_vain(a, MPG_ZERO);
    actor_alloc(a, 1, MPG_ZERO);
}

/* One batch gives a page to a protected page, takes it back and gives it out as zeros. */
void work_zeros_given_on(struct actor *a)
{
    actor_alloc(a, 1, 0);
    actor_write(a, 0, false);
    actor_sync(a);
    actor_free(a, 0, 1);
    actor_sync(a);
    actor_alloc(a, 1, 0); /* … while it rests */
    actor_sync(a);
    actor_alloc_protected(a, 1);
    actor_free_protected(a, 0, 1);
    actor_alloc(a, 2, MPG_ZERO);
    actor_sync(a);
}

/* The sync at closing fails, and the next opening finds what the page cache has. */
void work_failing_close(struct actor *a)
{
    prepare_failure(a);
    actor_write_protected(a, 1);
    actor_reopen(a);
}

/* Whoever tries again finds zeros in the page cache that the disk may not have. */
void work_failing_zeros(struct actor *a)
{
    prepare_failure(a);
    a->disk->fault = NULL;
    actor_free(a, 1, 2);
    actor_write_protected(a, 1); /* by now they may be given out again */
    a->disk->fault = failing_sync;
    actor_begin(a);
    actor_alloc(a, 2, MPG_ZERO);
    actor_commit(a, 0);
}

/* A sync of a compaction fails: what the disk says is what there was, or what there was to be. */
void work_failing_compaction(struct actor *a)
{
    prepare_failure(a);
    actor_compact(a, false);
}

void work_failing_sync_of_content(struct actor *a)
{
    prepare_failure(a);
    actor_write(a, 1, false);
    actor_sync(a);
    actor_write(a, 2, true);
    actor_sync(a);
}

/* The first sync makes the record durable, the second one what it puts into the page. */
void work_failing_replacement(struct actor *a)
{
    actor_alloc(a, 3, MPG_ZERO);
    actor_write(a, 0, false);
    actor_sync(a);
    actor_replace(a, 1);
    prepare_failure(a);
    actor_replace(a, 0);
}

void work_failing_replacements(struct actor *a)
{
    actor_alloc(a, 3, MPG_ZERO);
    actor_alloc_protected(a, 1);
    actor_write(a, 0, false);
    actor_sync(a);
    actor_replace(a, 1);
    prepare_failure(a);
    actor_begin(a);
    actor_replace(a, 0);
    actor_replace(a, 2);
    actor_write_protected(a, 0);
    actor_commit(a, 0);
}
