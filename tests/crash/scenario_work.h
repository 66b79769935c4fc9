/* SPDX-License-Identifier: MIT */
/* The pieces of work of which scenarios are made. */
#ifndef CRASH_SCENARIO_WORK_H
#define CRASH_SCENARIO_WORK_H

#include "crash/actor.h"

/* ---- scenario_work.c ---- */

void work_regular_pages(struct actor *a);
void work_protected_pages(struct actor *a);
void work_bulk(struct actor *a);
void work_reopening(struct actor *a);
void work_trimming(struct actor *a);
void work_labelling(struct actor *a);
void work_discarding(struct actor *a);
void work_compacting(struct actor *a);
void work_renumbering(struct actor *a);
void work_compacting_trees(struct actor *a);
void work_snapshots(struct actor *a);
void work_replacing(struct actor *a);
void work_replacing_when_full(struct actor *a);
void work_replacing_in_transactions(struct actor *a);
void work_replacing_many(struct actor *a);
void work_transactions(struct actor *a);
void work_reuse_in_a_batch(struct actor *a);
void work_deferred(struct actor *a);
void work_hundred_operations(struct actor *a);
void work_growth(struct actor *a);
void work_directory_growth(struct actor *a);
void work_directory_height(struct actor *a);
void work_directory_height_later(struct actor *a);
void work_space_height(struct actor *a);
void work_space_height_by_contents(struct actor *a);
void work_space_height_2(struct actor *a);
void work_full(struct actor *a);
void work_anything(struct actor *a);

/* ---- scenario_failures.c ---- */

/* Which sync after the preparation is to fail; 0: none. */
void work_let_sync_fail(unsigned which);
void work_failing_protected_write(struct actor *a);
void work_failing_transaction(struct actor *a);
void work_failing_ordered(struct actor *a);
void work_failing_writes(struct actor *a);
void work_records_in_vain(struct actor *a);
void work_zeros_of_a_failed_commit(struct actor *a);
void work_zeros_given_on(struct actor *a);
void work_failing_close(struct actor *a);
void work_failing_zeros(struct actor *a);
void work_failing_compaction(struct actor *a);
void work_failing_sync_of_content(struct actor *a);
void work_failing_replacement(struct actor *a);
void work_failing_replacements(struct actor *a);

#endif
