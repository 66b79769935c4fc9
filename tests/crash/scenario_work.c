/* SPDX-License-Identifier: MIT */
/* What is done in scenarios where nothing fails. */
#include "crash/scenario_work.h"

/* ---- One operation at a time ---------------------------------------------------------------- */

void work_regular_pages(struct actor *a)
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

void work_protected_pages(struct actor *a)
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

void work_bulk(struct actor *a)
{
    actor_alloc(a, 30, 0);
    actor_free(a, 5, 20);
    actor_alloc_protected(a, 9);
    actor_alloc(a, 12, MPG_ZERO);
    actor_free_protected(a, 2, 5);
    actor_free(a, 0, a->now.regular.count);
}

void work_reopening(struct actor *a)
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
void work_trimming(struct actor *a)
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

void work_labelling(struct actor *a)
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
void work_discarding(struct actor *a)
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

/*
 * Contents, metadata and regular pages from all over a file; then more work in what is left of it.
 */
void work_compacting(struct actor *a)
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

void work_renumbering(struct actor *a)
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
void work_compacting_trees(struct actor *a)
{
    actor_alloc_at(a, 1900, 0);
    actor_alloc_at(a, 4100, MPG_ZERO);
    actor_alloc_protected(a, 20);
    actor_write_protected(a, 7);
    actor_compact(a, false);
    actor_write_protected(a, 2);
    actor_compact(a, true);
}

/*
 * What is kept for a snapshot is free after a crash, and nothing that was committed beside it is
 * lost.
 */
void work_snapshots(struct actor *a)
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

/*
 * A page in use has all of its new content or all of the old, and keeps what is written to it
 * later.
 */
void work_replacing(struct actor *a)
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
void work_replacing_when_full(struct actor *a)
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

/*
 * Pages in use, together with whatever else a transaction does, and in chains that end meanwhile.
 */
void work_replacing_in_transactions(struct actor *a)
{
    actor_alloc(a, 8, MPG_ZERO);
    actor_alloc_protected(a, 3);
    actor_write(a, 0, false);
    actor_write(a, 1, true);
    actor_sync(a);
    for (int i = 0; i < 4; i++) {
        actor_begin(a);
        actor_replace(a, 1);
        actor_replace(a, 0);
        actor_replace(a, 3);
        actor_write_protected(a, 2);
        if (i % 2 == 0)
            actor_alloc_filled(a);
        if (i > 0)
            actor_free(a, 4, 1);
        if (i == 2)
            actor_alloc_protected(a, 60);
        actor_commit(a, i == 3 ? MPG_ORDERED : 0);
        actor_write(a, 0, true);
        actor_sync(a);
        actor_write_protected(a, 0);
        if (i == 1)
            actor_reopen(a);
    }
}

/* More than one block of the record can name. */
void work_replacing_many(struct actor *a)
{
    actor_alloc(a, 42, MPG_ZERO);
    actor_alloc_protected(a, 1);
    actor_begin(a);
    for (size_t i = 0; i < 40; i++)
        actor_replace(a, i);
    actor_write_protected(a, 0);
    actor_commit(a, 0);
}

/* ---- Batches -------------------------------------------------------------------------------- */

void work_transactions(struct actor *a)
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
void work_reuse_in_a_batch(struct actor *a)
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

void work_deferred(struct actor *a)
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

void work_hundred_operations(struct actor *a)
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

void work_growth(struct actor *a)
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
void work_directory_growth(struct actor *a)
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
void work_directory_height(struct actor *a)
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
void work_directory_height_later(struct actor *a)
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
void work_space_height(struct actor *a)
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

/* Contents of one commit find room before and behind what a root says of pages. */
void work_space_height_by_contents(struct actor *a)
{
    actor_alloc(a, 1500, 0);
    actor_alloc_protected(a, 115);
    for (int round = 0; round < 3; round++) {
        actor_begin(a);
        for (size_t i = 0; i < 115; i++)
            actor_write_protected(a, i);
        actor_commit(a, 0);
    }
    actor_write_protected(a, 3);
}

/* Past what one level of space nodes can hold. */
void work_space_height_2(struct actor *a)
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
void work_full(struct actor *a)
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

/* ---- Whatever comes ------------------------------------------------------------------------- */

void work_anything(struct actor *a)
{
    for (int i = 0; i < 12; i++) {
        actor_do_something(a);
        if (i % 5 == 4)
            actor_compact(a, i % 2 != 0);
    }
}
