/* SPDX-License-Identifier: MIT */
/*
 * A commit, step by step (the rules are those of doc/durability.md):
 *
 *     seal        under the lock: the gathering batch is the one in flight now, its metadata frozen
 *     look        whether the file is still what the last commit left (rule 12)
 *     write       staged content into inactive copies, nodes into inactive slots
 *     sync        only in an ordered commit (rule 5)
 *     write root  into the root page that is not the durable one (rule 7)
 *     sync        from here on it is durable
 *     look        whether nobody wrote or cut meanwhile: else nothing is acknowledged (rule 12)
 *     redo        regular pages that get a new content get it now: written, synced, marked
 *     publish     under the lock: readers see it, freed pages become available (rule 2)
 *
 * One thread does this at a time, so nothing of batch N+1 is written before N is durable (rule 3).
 * A failure before the root is written forgets the batch and the one gathering on top of it; a
 * failure from then on, or of any sync, makes the pager unavailable (rule 6), and so does a file
 * that is another's now.
 */
#include "pager/commit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/rules.h"
#include "os/poison.h"
#include "pager/give_back.h"
#include "pager/look_again.h"
#include "pager/pager.h"
#include "pager/snapshots.h"

/*
 * An unordered commit is verified at the next open, node by node and page by page. Beyond this many
 * protected pages a second sync is cheaper than what opening would have to read.
 */
#define MOST_UNORDERED_PAGES 1024

/* Nanoseconds that the first of a batch waits for others at most, however slow the disk was. */
#define MOST_PATIENCE (UINT64_C(10) * 1000 * 1000)

static int write_stage(mpg_pager *pager, const struct batch *batch)
{
    for (size_t i = 0; i < batch->stage.capacity; i++) {
        const struct id_slot *slot = &batch->stage.slots[i];
        int result;

        if (!slot->used || slot->value.pointer == NULL)
            continue;
        result = mpgi_file_write(&pager->file, slot->value.pointer, pager->page_size,
                                 offset_of_page(pager, slot->id), slot->id);
        if (result != 0)
            return result;
    }
    return 0;
}

static int sync_file(mpg_pager *pager)
{
    int result = mpgi_file_sync(&pager->file);

    if (result != 0 && !RULE_HOLDS(6))
        result = mpgi_file_sync(&pager->file);
    return result;
}

/* What comes before the record, or the root. */
static int write_below(mpg_pager *pager, const struct batch *batch, uint64_t bytes,
                       enum commit_step *step)
{
    int result = mpgi_look_again_committing(pager, bytes, LOOK_BEFORE);

    if (result == 0)
        result = write_stage(pager, batch);
    if (result == 0)
        result = pager->ops->write_contents(pager->format, batch->ordered);
    if (result != 0 || !batch->ordered || !RULE_HOLDS(5))
        return result;
    *step = STEP_FIRST_SYNC;
    result = sync_file(pager);
    return result != 0 ? result : mpgi_look_again_committing(pager, bytes, LOOK_BEFORE);
}

/*
 * The batch is durable. What it says of a page that is in use is put there, and synced before that
 * is marked.
 */
static int carry_out(mpg_pager *pager, uint64_t bytes, enum commit_step *step)
{
    const struct format_ops *ops = pager->ops;
    int result;

    if (ops->redo_is_sealed == NULL || !ops->redo_is_sealed(pager->format))
        return 0;
    *step = STEP_REDO;
    result = ops->redo_write(pager->format);
    if (result == 0 && RULE_HOLDS(RULE_REDO_SYNC))
        result = sync_file(pager);
    if (result == 0)
        result = mpgi_look_again_committing(pager, bytes, LOOK_AFTER);
    return result != 0 ? result : ops->redo_mark(pager->format);
}

/* Writes the sealed batch out, to a file of so many bytes. Runs without the lock. */
static int write_out(mpg_pager *pager, const struct batch *batch, uint64_t bytes,
                     enum commit_step *step)
{
    int result = write_below(pager, batch, bytes, step);

    if (result != 0)
        return result;
    *step = STEP_ROOT;
    result = pager->ops->write_root(pager->format);
    if (result == 0 && !RULE_HOLDS(RULE_REDO_LATE) && pager->ops->redo_is_sealed != NULL &&
        pager->ops->redo_is_sealed(pager->format))
        result = pager->ops->redo_write(pager->format);
    if (result != 0)
        return result;
    *step = STEP_LAST_SYNC;
    if (RULE_HOLDS(3) || batch->changes % 2 != 0)
        result = sync_file(pager);
    if (result == 0)
        result = mpgi_look_again_committing(pager, bytes, LOOK_AFTER);
    return result != 0 ? result : carry_out(pager, bytes, step);
}

/* Makes contents durable that no metadata goes with. Runs without the lock. */
static int sync_contents(mpg_pager *pager, uint64_t bytes, enum commit_step *step)
{
    int result;

    *step = STEP_LAST_SYNC;
    result = sync_file(pager);
    return result != 0 ? result : mpgi_look_again_committing(pager, bytes, LOOK_BEFORE);
}

/* Settles what became of the batch, and frees it if no thread waits. */
static void finish(struct batch *batch, int result)
{
    struct completion *completion = batch->completions;

    batch->result = result;
    if (result != 0)
        (void)mpg_last_error(&batch->error);
    batch->done = true;
    batch->completions = NULL;
    while (completion != NULL) {
        struct completion *next = completion->next;

        completion->done(completion, result, &batch->error);
        completion = next;
    }
    if (batch->waiters == 0)
        mpgi_batch_free(batch);
}

/*
 * What gathered on top of a batch that failed cannot stand. Its members made sure that there is a
 * spare batch; without members there is nothing to give up.
 */
static void give_up_gathering(mpg_pager *pager, int result)
{
    struct batch *batch = pager->gathering;

    if (batch->changes == 0 && batch->waiters == 0)
        return;
    pager->gathering = pager->spare;
    pager->spare = NULL;
    finish(batch, result);
}

static void fail_commit(mpg_pager *pager, int result)
{
    pager->unsynced_zeros = true;
    pager->ops->discard(pager->format);
    /* What was to be freed is not: its addresses are good. */
    unpoison(&pager->map, 0, UINT64_MAX);
    give_up_gathering(pager, result);
}

/* Puts the disk back to where the batch never was. Returns whether the pager may go on. */
static bool take_back(mpg_pager *pager, uint64_t bytes, bool dirty, enum commit_step step,
                      bool no_space)
{
    mpg_error_info error;
    bool may_go_on;

    (void)mpg_last_error(&error);
    /* Rule 12: not where somebody else works. */
    may_go_on = dirty && mpgi_look_again_committing(pager, bytes, LOOK_ASIDE) == 0 &&
                pager->ops->take_back(pager->format, step, no_space && RULE_HOLDS(13));
    (void)mpgi_fail_again(&error);
    return may_go_on;
}

/* Lets others go on, without the lock, or each would have to wait for it at once. */
static void settle(mpg_pager *pager)
{
    pager->in_flight = NULL;
    pager_unlock(pager);
    (void)pthread_cond_broadcast(&pager->settled);
    pager_lock(pager);
}

static void note_waits(mpg_pager *pager)
{
    pager->counts.waits = pager->gate.waits;
    pager->counts.wait_time = pager->gate.waited;
    pager->counts.longest_wait = pager->gate.longest;
}

static int make_room(mpg_pager *pager)
{
    const struct format_ops *ops = pager->ops;
    struct batch nothing = {0};
    uint64_t bytes = pager->file.bytes;
    bool unavailable = false;
    mpg_error_info error;
    int result = ops->make_room_begin != NULL ? ops->make_room_begin(pager->format) : 1;

    if (result != 0)
        return result == 1 ? 0 : result;
    pager->in_flight = &nothing;
    pager_unlock(pager);
    mpgi_gate_enter(&pager->gate, &pager->file, NULL);
    result = mpgi_look_again_committing(pager, bytes, LOOK_BEFORE);
    unavailable = result == MPG_E_CHANGED;
    if (result == 0)
        result = ops->make_room_write(pager->format, &unavailable);
    mpgi_gate_leave(&pager->gate, &pager->file);
    pager_lock(pager);
    note_waits(pager);
    (void)mpg_last_error(&error);
    pager->unavailable |= unavailable;
    ops->make_room_end(pager->format, result);
    pager_search_page(pager, 0);
    pager->in_flight = NULL;
    return result != 0 ? mpgi_fail_again(&error) : 0;
}

int mpgi_commit_make_room(mpg_pager *pager)
{
    int result = make_room(pager);

    settle(pager);
    return result;
}

/*
 * What is about to be replaced is looked up without the lock no more, and no view of it is taken so
 * (invariant 6). What views and snapshots show of pages that the batch frees stays as it is: those
 * pages linger until the last of them has ended. Room was made in the map.
 */
static void let_linger(mpg_pager *pager)
{
    const struct format *format = pager->format;

    for (size_t i = 0; i < format->replaced_count; i++) {
        const struct replaced_entry *replaced = &format->replaced_entries[i];
        uint64_t page = entry_page(&replaced->old);

        mpgi_entries_forget(&pager->entries, replaced->id);
        if (page != 0 && (mpgi_is_pinned(pager, page) || mpgi_snapshots_hold(pager, page)))
            (void)mpgi_id_map_put(&pager->lingering, page);
    }
}

/* The gathering batch becomes the one in flight. May give up the lock to make room. */
static int seal(mpg_pager *pager, struct batch *batch)
{
    int result;

    do {
        result = pager->ops->seal(pager->format, &batch->contents, pager->unsynced_zeros,
                                  &batch->ordered);
        if (result == SEAL_NEEDS_ROOM) {
            result = make_room(pager);
            if (result == 0)
                result = SEAL_NEEDS_ROOM;
        }
    } while (result == SEAL_NEEDS_ROOM);
    if (result == 0 && !mpgi_id_map_reserve(&pager->lingering, pager->format->replaced_count))
        result = mpgi_fail_memory("commit");
    return result == 0 ? mpgi_snapshots_keep(pager) : result;
}

static void count(struct commit_counts *counts, const struct batch *batch, uint64_t time,
                  bool durable)
{
    if (!durable) {
        counts->failed++;
        return;
    }
    counts->commits++;
    counts->operations += batch->changes;
    counts->largest = max_u64(counts->largest, batch->changes);
    counts->time += time;
    counts->longest = max_u64(counts->longest, time);
    tally_add(&counts->tally, &batch->tally);
}

/* Publishes what is durable, or forgets it. Returns with nothing in flight. */
static void conclude(mpg_pager *pager, struct batch *batch, bool dirty, int result)
{
    /* Pages freed by earlier batches can be given out. */
    pager_search_page(pager, 0);
    pager_search_protected(pager, 0);
    if (dirty)
        count(&pager->counts, batch, pager->commit_time, result == 0);
    if (result == 0 && dirty) {
        let_linger(pager);
        pager->ops->publish(pager->format);
        mpgi_note_durable(pager, batch);
    } else if (result != 0) {
        fail_commit(pager, result);
    }
    /* Whoever has a batch committed has made sure of a spare one. */
    pager->expected = batch->waiters +
                      pager->gathering->waiters; /* NOLINT(clang-analyzer-core.NullDereference) */
    finish(batch, result);
    settle(pager);
}

/*
 * Commits the gathering batch. Called with the lock held, which is given up meanwhile, and no batch
 * in flight.
 */
static void lead(mpg_pager *pager)
{
    struct batch *batch = pager->gathering;
    bool dirty = pager->ops->is_dirty(pager->format);
    uint64_t bytes = pager->file.bytes;
    enum commit_step step = STEP_CONTENTS;
    uint64_t begin = now();
    bool may_go_on = true;
    int result = 0;

    if (batch->protected_pages > MOST_UNORDERED_PAGES)
        batch->ordered = true;
    if (dirty)
        result = seal(pager, batch);
    pager->gathering = pager->spare;
    pager->spare = NULL;
    if (result != 0) {
        conclude(pager, batch, dirty, result);
        return;
    }
    pager->in_flight = batch;
    pager->unsynced_zeros = false; /* it syncs them, before anything else can be durable */
    pager_unlock(pager);
    if (dirty)
        mpgi_gate_enter(&pager->gate, &pager->file, &batch->regular);
    result = dirty ? write_out(pager, batch, bytes, &step) : sync_contents(pager, bytes, &step);
    if (result != 0)
        may_go_on = result != MPG_E_CHANGED &&
                    take_back(pager, bytes, dirty, step, result == MPG_E_NO_SPACE);
    mpgi_gate_leave(&pager->gate, &pager->file);
    pager_lock(pager);
    note_waits(pager);
    pager->unavailable |= !may_go_on;
    pager->commit_time = now() - begin;
    conclude(pager, batch, dirty, result);
}

/* MPG_DISCARD. Others commit meanwhile. */
static void give_back_freed(mpg_pager *pager)
{
    if (pager->freed.count == 0)
        return;
    pager_unlock(pager);
    mpgi_give_back_freed(pager);
    pager_lock(pager);
}

/* Waits until a commit has settled or the time has come; false if that was it. */
static bool wait_until(mpg_pager *pager, uint64_t time)
{
    struct timespec deadline = {.tv_sec = (time_t)(time / NANOSECONDS),
                                .tv_nsec = (long)(time % NANOSECONDS)};

    return pthread_cond_timedwait(&pager->settled, &pager->lock, &deadline) == 0;
}

/*
 * Threads that came back from the last commit are about to ask for the next one. The first of them
 * waits a moment for as many as there were, so that they share a sync instead of each waiting for
 * one of its own; whoever makes them complete leads, being awake. If fewer come, the first leads
 * when the moment is over. That costs a part of a sync once: next time fewer are expected.
 */
int mpgi_commit_wait(mpg_pager *pager, struct batch *batch)
{
    bool first = batch->waiters++ == 0;
    bool in_time = true;
    uint64_t deadline = 0;
    int result;

    batch->wanted = true;
    while (!batch->done) {
        bool complete = batch->waiters >= pager->expected || pager->alone;

        if (pager->in_flight == NULL && (complete || !in_time)) {
            lead(pager);
            give_back_freed(pager);
        } else if (pager->in_flight != NULL || !first) {
            (void)pthread_cond_wait(&pager->settled, &pager->lock);
        } else {
            if (deadline == 0)
                deadline = now() + min_u64(pager->commit_time / 2, MOST_PATIENCE);
            in_time = wait_until(pager, deadline);
        }
    }
    result = batch->result;
    if (result != 0)
        (void)mpgi_fail_again(&batch->error);
    if (--batch->waiters == 0)
        mpgi_batch_free(batch);
    return result;
}

void mpgi_commit_wanted(mpg_pager *pager)
{
    pager_lock(pager);
    if (pager->gathering->wanted)
        (void)mpgi_commit_wait(pager, pager->gathering);
    pager_unlock(pager);
}
