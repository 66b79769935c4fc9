/* SPDX-License-Identifier: MIT */
#include "crash/scenarios.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/harness.h"

#define DEFAULT_CAPACITY (1u << 20)

/* ---- One operation at a time ---------------------------------------------------------------- */

static void regular_pages(struct actor *a)
{
    actor_alloc(a, 1, 0);
    actor_alloc(a, 1, MPG_ZERO);
    actor_alloc_at(a, 20, 0);
    actor_write(a, 0, false);
    actor_sync(a);
    actor_write(a, 1, true);
    actor_write(a, 2, true);
    actor_sync(a);
    actor_free(a, 1, 1);
    actor_alloc(a, 1, 0);
    actor_free(a, 0, 1);
    actor_free(a, 0, 1);
    actor_alloc(a, 1, MPG_ZERO);
}

static void protected_pages(struct actor *a)
{
    actor_alloc_protected(a, 1);
    actor_write_protected(a, 0);
    actor_write_protected(a, 0);
    actor_alloc_protected(a, 1);
    actor_write_protected(a, 1);
    actor_write_protected(a, 0);
    actor_free_protected(a, 0, 1);
    actor_alloc_protected_at(a, 7);
    actor_alloc_protected(a, 1);
    actor_write_protected(a, 2);
    actor_free_protected(a, 1, 1);
}

static void bulk(struct actor *a)
{
    actor_alloc(a, 30, 0);
    actor_free(a, 5, 20);
    actor_alloc_protected(a, 9);
    actor_alloc(a, 12, MPG_ZERO);
    actor_free_protected(a, 2, 5);
    actor_free(a, 0, a->now.regular.count);
}

static void reopening(struct actor *a)
{
    actor_reopen(a);
    actor_alloc(a, 3, 0);
    actor_reopen(a);
    actor_alloc_protected(a, 2);
    actor_write_protected(a, 1);
    actor_reopen(a);
    actor_write_protected(a, 1);
    actor_free(a, 0, 2);
    actor_reopen(a);
}

/* What was given back may be there again after a crash, or not; what was in use is as it was. */
static void trimming(struct actor *a)
{
    actor_alloc(a, 40, MPG_ZERO);
    actor_alloc_protected(a, 6);
    for (size_t i = 0; i < 6; i++)
        actor_write_protected(a, i);
    actor_write(a, 3, false);
    actor_write(a, 38, true);
    actor_sync(a);
    actor_free(a, 8, 24);
    actor_trim(a);
    actor_write_protected(a, 1);
    actor_trim(a);
    actor_alloc(a, 9, MPG_ZERO);
    actor_free_protected(a, 2, 2);
    actor_trim(a);
    actor_alloc_protected(a, 3);
    actor_write_protected(a, 4);
    actor_trim(a);
    actor_reopen(a);
    actor_trim(a);
    actor_write_protected(a, 0);
    actor_alloc(a, 4, MPG_ZERO);
}

static void labelling(struct actor *a)
{
    actor_label(a, "first");
    actor_alloc_protected(a, 2);
    actor_write_protected(a, 0);
    actor_label(a, "sixty-four bytes are the most that there is room for in page 0..");
    actor_write_protected(a, 1);
    actor_label(a, "");
    actor_reopen(a);
    actor_label(a, "last");
    actor_write_protected(a, 0);
}

/* As protected_pages and regular_pages, with what is freed given back as commits go. */
static void discarding(struct actor *a)
{
    actor_alloc(a, 24, 0);
    actor_alloc_protected(a, 8);
    for (size_t i = 0; i < 8; i++)
        actor_write_protected(a, i);
    actor_write(a, 20, true);
    actor_sync(a);
    for (int round = 0; round < 3; round++) {
        actor_free(a, 0, 8);
        actor_free_protected(a, 0, 3);
        actor_begin(a);
        actor_free(a, 0, 2);
        actor_alloc_filled(a);
        actor_alloc_protected(a, 3);
        actor_write_protected(a, 5);
        actor_commit(a, 0);
        actor_alloc(a, 9, MPG_ZERO);
    }
}

/* Contents, metadata and regular pages from all over a file; then more work in what is left of it. */
static void compacting(struct actor *a)
{
    actor_alloc(a, 30, 0);
    actor_alloc_protected(a, 9);
    actor_alloc(a, 20, MPG_ZERO);
    for (size_t i = 0; i < 9; i++)
        actor_write_protected(a, i);
    actor_free(a, 3, 40);
    actor_write(a, 1, false);
    actor_sync(a);
    actor_free_protected(a, 2, 3);
    actor_compact(a, false);
    actor_write_protected(a, 1);
    actor_alloc(a, 2, MPG_ZERO);
    actor_alloc_at(a, 150, MPG_ZERO);
    actor_compact(a, false);
    actor_write_protected(a, 3);
    actor_reopen(a);
    actor_compact(a, false);
    actor_alloc_protected(a, 2);
}

static void renumbering(struct actor *a)
{
    actor_alloc(a, 25, 0);
    actor_alloc_protected(a, 5);
    actor_alloc_at(a, 200, 0);
    actor_alloc_at(a, 180, MPG_ZERO);
    actor_write(a, 24, false);
    actor_write(a, 26, true);
    actor_sync(a);
    actor_write_protected(a, 1);
    actor_free(a, 2, 20);
    actor_compact(a, true);
    actor_write_protected(a, 2);
    actor_alloc(a, 3, MPG_ZERO);
    actor_compact(a, true);
    actor_reopen(a);
    actor_free(a, 0, 2);
    actor_compact(a, true);
}

/* A tree of height 1, whose leaves go, and directory leaves that move. */
static void compacting_trees(struct actor *a)
{
    actor_alloc_at(a, 1900, 0);
    actor_alloc_at(a, 4100, MPG_ZERO);
    actor_alloc_protected(a, 20);
    actor_write_protected(a, 7);
    actor_compact(a, false);
    actor_write_protected(a, 2);
    actor_compact(a, true);
}

/* What is kept for a snapshot is free after a crash, and nothing that was committed beside it is lost. */
static void snapshots(struct actor *a)
{
    actor_alloc_protected(a, 6);
    for (size_t i = 0; i < 6; i++)
        actor_write_protected(a, i);
    for (int round = 0; round < 2; round++) {
        actor_hold_snapshot(a);
        for (size_t i = 0; i < 9; i++)
            actor_write_protected(a, i % 3);
        actor_begin(a);
        actor_free_protected(a, 1, 2);
        actor_alloc_protected(a, 2);
        actor_write_protected(a, 3);
        actor_alloc_filled(a);
        actor_commit(a, 0);
        actor_free_protected(a, 3, 1);
        actor_end_snapshot(a);
        actor_alloc_protected(a, 1);
        actor_write_protected(a, 2);
    }
}

/* A page in use has all of its new content or all of the old, and keeps what is written to it later. */
static void replacing(struct actor *a)
{
    actor_alloc(a, 6, MPG_ZERO);
    actor_write(a, 0, false);
    actor_write(a, 1, true);
    actor_sync(a);
    actor_replace(a, 0);
    actor_replace(a, 0);
    actor_write(a, 0, true);
    actor_sync(a);
    actor_replace(a, 1);
    actor_alloc_protected(a, 2);
    actor_write_protected(a, 1);
    actor_move(a, 0, 1);
    actor_write(a, 0, false);
    actor_sync(a);
    actor_write_protected(a, 0);
    actor_replace(a, 2);
    actor_reopen(a);
    actor_replace(a, 2);
    actor_move(a, 3, 0);
    for (size_t i = 0; i < 8; i++)
        actor_replace(a, i % 2);
    actor_free(a, 0, 1);
    actor_alloc(a, 1, MPG_ZERO);
}

/* The file has no free page for it. */
static void replacing_when_full(struct actor *a)
{
    actor_alloc(a, 1, MPG_ZERO);
    actor_replace(a, 0);
    actor_replace(a, 0);
    for (int i = 0; i < 3; i++) {
        actor_alloc(a, 20, MPG_ZERO);
        actor_alloc_protected(a, 3);
        actor_write_protected(a, 0);
        actor_replace(a, (size_t)i);
        actor_write_protected(a, 1);
        actor_move(a, (size_t)i + 4, (size_t)i);
    }
}

/* ---- Batches -------------------------------------------------------------------------------- */

static void transactions(struct actor *a)
{
    actor_begin(a);
    actor_alloc_filled(a);
    actor_alloc_filled(a);
    actor_commit(a, 0);
    actor_begin(a);
    actor_alloc_protected(a, 2);
    actor_write_protected(a, 0);
    actor_alloc(a, 2, 0);
    actor_commit(a, 0);
    actor_begin(a);
    actor_write_protected(a, 0);
    actor_write_protected(a, 1);
    actor_free(a, 0, 1);
    actor_abort(a);
    actor_begin(a);
    actor_write_protected(a, 0);
    actor_write_protected(a, 1);
    actor_free(a, 0, 1);
    actor_commit(a, 0);
    actor_begin(a);
    actor_write_protected(a, 0);
    actor_alloc(a, 1, 0);
    actor_commit(a, MPG_ORDERED);
    actor_begin(a);
    actor_free_protected(a, 0, 2);
    actor_free(a, 0, 1);
    actor_alloc_filled(a);
    actor_commit(a, 0);
}

/* What a batch frees must stay whole until the batch is durable. */
static void reuse_in_a_batch(struct actor *a)
{
    actor_begin(a);
    for (int i = 0; i < 6; i++)
        actor_alloc_filled(a);
    actor_alloc_protected(a, 3);
    for (size_t i = 0; i < 3; i++)
        actor_write_protected(a, i);
    actor_commit(a, 0);
    for (int round = 0; round < 4; round++) {
        actor_begin(a);
        actor_free(a, 0, 3);
        actor_free_protected(a, 0, 1);
        actor_alloc_filled(a);
        actor_alloc_filled(a);
        actor_alloc_protected(a, 1);
        actor_write_protected(a, 0);
        actor_alloc_filled(a);
        actor_commit(a, 0);
    }
}

static void deferred(struct actor *a)
{
    actor_alloc(a, 1, 0);
    actor_alloc(a, 4, 0);
    actor_alloc_protected(a, 2);
    actor_sync(a);
    actor_write(a, 0, false);
    actor_write(a, 1, false);
    actor_sync(a);
    actor_free(a, 0, 2);
    actor_alloc(a, 2, MPG_ZERO);
    actor_free_protected(a, 1, 1);
    actor_alloc_protected(a, 1);
    actor_write_protected(a, 0);
    actor_alloc(a, 70, 0);
    actor_free(a, 10, 30);
    actor_sync(a);
    actor_alloc(a, 1, 0);
    actor_free(a, 0, 1);
    actor_reopen(a);
}

static void hundred_operations(struct actor *a)
{
    actor_alloc(a, 30, 0);
    actor_alloc_protected(a, 20);
    actor_begin(a);
    for (size_t i = 0; i < 20; i++) {
        actor_write_protected(a, i);
        actor_alloc(a, 1, i % 2 ? MPG_ZERO : 0);
        actor_free(a, i, 1);
        if (i % 4 == 0)
            actor_free_protected(a, i / 2, 1);
        else
            actor_alloc_filled(a);
        if (i % 3 == 0)
            actor_alloc_protected(a, 1);
        else
            actor_write_protected(a, i / 2);
    }
    actor_commit(a, 0);
    actor_begin(a);
    for (size_t i = 0; i < a->now.protected_pages.count; i++)
        actor_write_protected(a, i);
    actor_commit(a, 0);
}

/* ---- Growth --------------------------------------------------------------------------------- */

static void growth(struct actor *a)
{
    for (int i = 0; i < 3; i++) {
        actor_alloc(a, 60, 0);
        for (int k = 0; k < 8; k++)
            actor_alloc(a, 1, k % 2 ? MPG_ZERO : 0);
    }
    actor_alloc_at(a, 500, 0);
    actor_begin(a);
    actor_alloc_at(a, 700, 0);
    actor_alloc_filled(a);
    actor_alloc_protected(a, 2);
    actor_commit(a, 0);
}

/* Past what a directory block, or the directory's area in a root, can hold. */
static void directory_growth(struct actor *a)
{
    actor_alloc_protected(a, 12);
    for (size_t i = 0; i < 6; i++) {
        actor_alloc_protected(a, 1);
        actor_write_protected(a, 2 * i + 1);
    }
    actor_alloc_protected(a, 12);
    actor_begin(a);
    actor_alloc_protected(a, 6);
    for (size_t i = 25; i < 36; i++)
        actor_write_protected(a, i);
    actor_commit(a, 0);
    actor_free_protected(a, 3, 30);
    actor_alloc_protected_at(a, 150);
    actor_write_protected(a, 3);
}

/* Past what one level of directory nodes can hold. */
static void directory_height(struct actor *a)
{
    actor_alloc_protected(a, 10);
    actor_write_protected(a, 3);
    actor_alloc_protected_at(a, 570);
    actor_write_protected(a, 10);
    actor_alloc_protected_at(a, 5000);
    actor_write_protected(a, 11);
    actor_begin(a);
    actor_write_protected(a, 0);
    actor_write_protected(a, 10);
    actor_write_protected(a, 11);
    actor_free_protected(a, 4, 3);
    actor_alloc_filled(a);
    actor_commit(a, 0);
    actor_free_protected(a, 7, 1);
}

/* The tree is raised while leaves of it have changed that the batch does not touch. */
static void directory_height_later(struct actor *a)
{
    actor_alloc_protected(a, 20);
    for (size_t i = 0; i < 4; i++)
        actor_write_protected(a, i);
    actor_alloc_protected_at(a, 1000);
    for (size_t i = 0; i < 4; i++)
        actor_write_protected(a, i);
    actor_alloc_protected_at(a, 30000);
    actor_write_protected(a, 1);
    actor_reopen(a);
    actor_free_protected(a, 2, 1);
}

/* Past what the space's area in a root can hold. */
static void space_height(struct actor *a)
{
    actor_alloc(a, 1700, 0);
    actor_alloc_protected(a, 2);
    actor_alloc(a, 80, 0);
    for (int i = 0; i < 6; i++) {
        actor_alloc(a, 2, 0);
        actor_write_protected(a, 1);
    }
    actor_begin(a);
    actor_alloc(a, 10, 0);
    actor_alloc_filled(a);
    actor_alloc_protected(a, 3);
    actor_free(a, 7, 4);
    actor_commit(a, 0);
    actor_alloc_at(a, 4100, 0);
    actor_alloc_at(a, 8100, MPG_ZERO);
    actor_free(a, 10, 1500);
}

/* Past what one level of space nodes can hold. */
static void space_height_2(struct actor *a)
{
    actor_alloc(a, 5, 0);
    actor_alloc_protected(a, 2);
    actor_alloc_at(a, 71500, 0);
    actor_write_protected(a, 1);
    actor_begin(a);
    actor_alloc_at(a, 40000, MPG_ZERO);
    actor_alloc_filled(a);
    actor_write_protected(a, 0);
    actor_commit(a, 0);
    actor_free_at(a, 40000);
}

/* Format 0.2 at its limit. */
static void full(struct actor *a)
{
    actor_alloc_protected(a, 3);
    actor_alloc(a, 4000, 0);
    actor_alloc(a, 3957, 0);
    actor_write_protected(a, 1);
    actor_begin(a);
    actor_write_protected(a, 0);
    actor_write_protected(a, 2);
    actor_commit(a, 0);
    actor_free(a, 100, 2);
    actor_alloc_protected(a, 1);
}

/* ---- Failures ------------------------------------------------------------------------------- */

/* Counts down to the sync that fails. */
static unsigned syncs_until_failure;

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

static void failing_protected_write(struct actor *a)
{
    prepare_failure(a);
    for (int i = 0; i < 3; i++)
        actor_write_protected(a, 1);
}

static void failing_transaction(struct actor *a)
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

static void failing_ordered(struct actor *a)
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
static void failing_writes(struct actor *a)
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

/* Of the next commit what is written first goes well, and nothing else until something else is called. */
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

/* A record that was written, and its content not. The same content is tried again, with less else. */
static void records_in_vain(struct actor *a)
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
static void zeros_of_a_failed_commit(struct actor *a)
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
static void zeros_given_on(struct actor *a)
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
static void failing_close(struct actor *a)
{
    prepare_failure(a);
    actor_write_protected(a, 1);
    actor_reopen(a);
}

/* Whoever tries again finds zeros in the page cache that the disk may not have. */
static void failing_zeros(struct actor *a)
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
static void failing_compaction(struct actor *a)
{
    prepare_failure(a);
    actor_compact(a, false);
}

static void failing_sync_of_content(struct actor *a)
{
    prepare_failure(a);
    actor_write(a, 1, false);
    actor_sync(a);
    actor_write(a, 2, true);
    actor_sync(a);
}

/* The first sync makes the record durable, the second one what it puts into the page. */
static void failing_replacement(struct actor *a)
{
    actor_alloc(a, 3, MPG_ZERO);
    actor_write(a, 0, false);
    actor_sync(a);
    actor_replace(a, 1);
    prepare_failure(a);
    actor_replace(a, 0);
}

/* ---- Whatever comes ------------------------------------------------------------------------- */

static void anything(struct actor *a)
{
    for (int i = 0; i < 12; i++) {
        actor_do_something(a);
        if (i % 5 == 4)
            actor_compact(a, i % 2 != 0);
    }
}

#define MIB (UINT32_C(1) << 20)

const struct scenario scenarios[] = {
    {.name = "replacing", .run = replacing, .page_size = 1024, .format = MPG_FORMAT_1},
    {.name = "replacing pages of 8 KiB",
     .run = replacing,
     .page_size = 8192,
     .format = MPG_FORMAT_1},
    {.name = "replacing when full",
     .run = replacing_when_full,
     .page_size = 1024,
     .format = MPG_FORMAT_1},
    {.name = "replacing, deferred",
     .run = replacing,
     .page_size = 1024,
     .flags = MPG_DEFER_ALLOCATION,
     .format = MPG_FORMAT_1},
    {.name = "regular pages", .run = regular_pages, .page_size = 1024},
    {.name = "regular pages of 4 KiB", .run = regular_pages, .page_size = 4096},
    {.name = "regular pages of 8 KiB", .run = regular_pages, .page_size = 8192},
    {.name = "protected pages", .run = protected_pages, .page_size = 1024},
    {.name = "protected pages of 2 KiB", .run = protected_pages, .page_size = 2048},
    {.name = "protected pages of 8 KiB", .run = protected_pages, .page_size = 8192},
    {.name = "bulk", .run = bulk, .page_size = 1024},
    {.name = "trimming",
     .run = trimming,
     .page_size = 4096,
     .initial_pages = 240,
     .capacity = 2 * MIB},
    {.name = "trimming of 1 KiB", .run = trimming, .page_size = 1024, .initial_pages = 260},
    {.name = "labelling", .run = labelling, .page_size = 1024, .format = MPG_FORMAT_1},
    {.name = "labelling of 4 KiB", .run = labelling, .page_size = 4096, .format = MPG_FORMAT_1},
    {.name = "discarding", .run = discarding, .page_size = 4096, .flags = MPG_DISCARD},
    {.name = "discarding of 1 KiB", .run = discarding, .page_size = 1024, .flags = MPG_DISCARD},
    {.name = "compacting", .run = compacting, .page_size = 1024, .initial_pages = 240},
    {.name = "compacting of 4 KiB",
     .run = compacting,
     .page_size = 4096,
     .initial_pages = 240,
     .capacity = 2 * MIB,
     .format = MPG_FORMAT_1},
    {.name = "renumbering", .run = renumbering, .page_size = 1024, .initial_pages = 100},
    {.name = "compacting trees",
     .run = compacting_trees,
     .page_size = 1024,
     .capacity = 8 * MIB,
     .format = MPG_FORMAT_1},
    {.name = "reopening", .run = reopening, .page_size = 1024},
    {.name = "snapshots", .run = snapshots, .page_size = 1024, .format = MPG_FORMAT_1},
    {.name = "snapshots in a small file",
     .run = snapshots,
     .page_size = 1024,
     .initial_pages = 30,
     .format = MPG_FORMAT_1},
    {.name = "transactions", .run = transactions, .page_size = 1024},
    {.name = "transactions of 4 KiB", .run = transactions, .page_size = 4096},
    {.name = "reuse in a batch", .run = reuse_in_a_batch, .page_size = 1024},
    {.name = "deferred", .run = deferred, .page_size = 1024, .flags = MPG_DEFER_ALLOCATION},
    {.name = "hundred operations", .run = hundred_operations, .page_size = 1024},
    {.name = "growth", .run = growth, .page_size = 1024, .capacity = 2 * MIB},
    {.name = "sparse growth",
     .run = growth,
     .page_size = 1024,
     .capacity = 2 * MIB,
     .flags = MPG_SPARSE},
    {.name = "directory growth", .run = directory_growth, .page_size = 1024},
    {.name = "directory growth of 8 KiB",
     .run = directory_growth,
     .page_size = 8192,
     .capacity = 4 * MIB},
    {.name = "directory height",
     .run = directory_height,
     .page_size = 1024,
     .format = MPG_FORMAT_1},
    {.name = "directory height above changed leaves",
     .run = directory_height_later,
     .page_size = 1024,
     .format = MPG_FORMAT_1},
    {.name = "space height",
     .run = space_height,
     .page_size = 1024,
     .capacity = 16 * MIB,
     .format = MPG_FORMAT_1,
     .is_large = true},
    {.name = "space height 2",
     .run = space_height_2,
     .page_size = 1024,
     .capacity = 96 * MIB,
     .format = MPG_FORMAT_1,
     .is_large = true},
    {.name = "full",
     .run = full,
     .page_size = 1024,
     .capacity = 16 * MIB,
     .format = MPG_FORMAT_0_2,
     .is_large = true},
    {.name = "failing writes", .run = failing_writes, .page_size = 1024},
    {.name = "records in vain",
     .run = records_in_vain,
     .page_size = 1024,
     .initial_pages = 300,
     .format = MPG_FORMAT_1},
    {.name = "zeros of a failed commit",
     .run = zeros_of_a_failed_commit,
     .page_size = 1024,
     .capacity = 4 * MIB},
    {.name = "zeros given on within a batch",
     .run = zeros_given_on,
     .page_size = 1024,
     .initial_pages = 60,
     .flags = MPG_DEFER_ALLOCATION},
    {.name = "failing sync at closing",
     .run = failing_close,
     .page_size = 1024,
     .format = MPG_FORMAT_1,
     .fails = 2},
    {.name = "failing sync of a protected write",
     .run = failing_protected_write,
     .page_size = 1024,
     .fails = 1},
    {.name = "failing second sync of a protected write",
     .run = failing_protected_write,
     .page_size = 1024,
     .fails = 2},
    {.name = "failing sync of a transaction",
     .run = failing_transaction,
     .page_size = 1024,
     .fails = 1},
    {.name = "failing second sync of a transaction",
     .run = failing_transaction,
     .page_size = 1024,
     .fails = 2},
    {.name = "failing sync of an ordered transaction",
     .run = failing_ordered,
     .page_size = 1024,
     .fails = 1},
    {.name = "failing second sync of an ordered transaction",
     .run = failing_ordered,
     .page_size = 1024,
     .fails = 2},
    {.name = "failing sync of zeros", .run = failing_zeros, .page_size = 1024, .fails = 1},
    {.name = "failing sync 2 of a compaction",
     .run = failing_compaction,
     .page_size = 1024,
     .initial_pages = 200,
     .fails = 2},
    {.name = "failing sync 3 of a compaction",
     .run = failing_compaction,
     .page_size = 1024,
     .initial_pages = 200,
     .fails = 3},
    {.name = "failing sync 4 of a compaction",
     .run = failing_compaction,
     .page_size = 1024,
     .initial_pages = 200,
     .fails = 4},
    {.name = "failing sync 5 of a compaction",
     .run = failing_compaction,
     .page_size = 1024,
     .initial_pages = 200,
     .fails = 5},
    {.name = "failing sync of a replacement",
     .run = failing_replacement,
     .page_size = 1024,
     .format = MPG_FORMAT_1,
     .fails = 1},
    {.name = "failing second sync of a replacement",
     .run = failing_replacement,
     .page_size = 1024,
     .format = MPG_FORMAT_1,
     .fails = 2},
    {.name = "failing sync of content",
     .run = failing_sync_of_content,
     .page_size = 1024,
     .fails = 1},
    {.name = "failing second sync of content",
     .run = failing_sync_of_content,
     .page_size = 1024,
     .fails = 2},
};
const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);

const struct scenario random_scenario = {.name = "anything", .run = anything, .page_size = 1024};

bool scenario_run(struct outcome *outcome, const struct scenario *scenario, int format,
                  const struct explorer_limits *limits, uint64_t seed)
{
    size_t capacity = scenario->capacity ? scenario->capacity : DEFAULT_CAPACITY;
    mpg_options options = MPG_OPTIONS_INIT;
    struct explorer explorer;
    struct memory_disk disk;
    struct actor actor;

    options.page_size = scenario->page_size;
    options.format = format;
    options.flags = scenario->flags;
    options.initial_pages = scenario->initial_pages;
    options.address_space = capacity;
    pool_init(scenario->page_size);
    memory_disk_init(&disk, capacity);
    actor_init(&actor, &disk, &options, seed);
    explorer_init(&explorer, &options, capacity, limits, seed + 1);
    explorer.scenario = scenario->name;
    explorer_watch(&explorer, &actor);

    syncs_until_failure = scenario->fails;
    actor_create(&actor);
    scenario->run(&actor);
    if (!actor.ended)
        actor_verify(&actor);

    memset(outcome, 0, sizeof(*outcome));
    outcome->counts = explorer.counts;
    outcome->failed = explorer.failed || actor.failed || (scenario->fails && !actor.ended);
    if (explorer.failed)
        snprintf(outcome->why, sizeof(outcome->why), "%s", explorer.why);
    else if (outcome->failed)
        snprintf(outcome->why, sizeof(outcome->why), "%s: %s", scenario->name,
                 actor.failed ? actor.why : "the sync that was to fail was never called");
    /* Closing may still write; nobody looks any more. */
    memory_disk_record(&disk, NULL);
    explorer_end(&explorer);
    actor_end(&actor);
    memory_disk_destroy(&disk);
    return !outcome->failed;
}
