/* SPDX-License-Identifier: MIT */
/*
 * A commit, step by step (the rules are those of doc/durability.md):
 *
 *     seal        under the lock: the gathering batch becomes the one in flight, its metadata frozen
 *     look        whether the file is still what the last commit left (rule 12)
 *     write       staged content into inactive copies, nodes into inactive slots
 *     sync        only in an ordered commit (rule 5)
 *     write root  into the root page that is not the durable one (rule 7)
 *     sync        from here on it is durable
 *     look        whether nobody wrote or cut meanwhile: else nothing is acknowledged (rule 12)
 *     publish     under the lock: readers see it, freed pages become available (rule 2)
 *
 * One thread does this at a time, so nothing of batch N+1 is written before N is durable (rule 3).
 * A failure before the root is written forgets the batch and the one gathering on top of it; a
 * failure from then on, or of any sync, makes the pager unavailable (rule 6), and so does a file that
 * is another's now.
 */
#include "pager/commit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "os/poison.h"
#include "pager/look_again.h"
#include "pager/pager.h"

/*
 * An unordered commit is verified at the next open, node by node and page by page. Beyond this many
 * protected pages a second sync is cheaper than what opening would have to read.
 */
#define MOST_UNORDERED_PAGES 1024

/* How far a commit came, which decides what its failure means. */
enum progress { NOTHING_SYNCED, SYNCING, ROOT_TOUCHED };

#define NANOSECONDS UINT64_C(1000000000)

/* Nanoseconds that the first of a batch waits for others at most, however slow the disk was. */
#define MOST_PATIENCE (UINT64_C(10) * 1000 * 1000)

/* Nanoseconds of the clock that `settled` goes by. */
static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NANOSECONDS + (uint64_t)time.tv_nsec;
}

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

/* What comes before the root. */
static int write_below(mpg_pager *pager, const struct batch *batch, uint64_t bytes,
                       enum progress *progress)
{
    int result = mpgi_look_again_committing(pager, bytes, LOOK_BEFORE);

    if (result == 0)
        result = write_stage(pager, batch);
    if (result == 0)
        result = pager->ops->write_nodes(pager->format);
    if (result != 0 || !batch->ordered || !RULE_HOLDS(5))
        return result;
    *progress = SYNCING;
    result = sync_file(pager);
    return result != 0 ? result : mpgi_look_again_committing(pager, bytes, LOOK_BEFORE);
}

/*
 * Rule 13: the disk was full as the root was to be written. If the durable root is as it was, the
 * batch alone has failed: a root that was written in part is none.
 */
static int fail_without_space(mpg_pager *pager, enum progress *progress)
{
    const struct format_ops *ops = pager->ops;
    mpg_error_info error;
    bool same = false;

    (void)mpg_last_error(&error);
    (void)ops->restore_root(pager->format);
    if (ops->look_again(pager->format, LOOK_BEFORE, &same) == 0 && same)
        *progress = NOTHING_SYNCED;
    return mpgi_fail_again(&error);
}

/* Writes the sealed batch out, to a file of so many bytes. Runs without the lock. */
static int write_out(mpg_pager *pager, const struct batch *batch, uint64_t bytes,
                     enum progress *progress)
{
    int result = write_below(pager, batch, bytes, progress);

    if (result != 0)
        return result;
    *progress = ROOT_TOUCHED;
    result = pager->ops->write_root(pager->format);
    if (result == MPG_E_NO_SPACE && RULE_HOLDS(13))
        return fail_without_space(pager, progress);
    if (result == 0 && (RULE_HOLDS(3) || batch->changes % 2 != 0))
        result = sync_file(pager);
    return result != 0 ? result : mpgi_look_again_committing(pager, bytes, LOOK_AFTER);
}

/* Makes contents durable that no metadata goes with. Runs without the lock. */
static int sync_contents(mpg_pager *pager, uint64_t bytes, enum progress *progress)
{
    int result;

    *progress = SYNCING;
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

static void fail_commit(mpg_pager *pager, enum progress progress, int result)
{
    mpg_error_info error;

    (void)mpg_last_error(&error);
    if (progress == ROOT_TOUCHED && RULE_HOLDS(6) && mpgi_look_again(pager) == 0)
        (void)pager->ops->restore_root(pager->format);
    if (progress != NOTHING_SYNCED || result == MPG_E_CHANGED)
        pager->unavailable = true;
    else
        pager->unsynced_zeros = true;
    (void)mpgi_fail_again(&error);
    pager->ops->discard(pager->format);
    /* What was to be freed is not: its addresses are good. */
    unpoison(&pager->map, 0, UINT64_MAX);
    give_up_gathering(pager, result);
}

/*
 * Commits the gathering batch. Called with the lock held, which is given up meanwhile, and no batch
 * in flight. The others are woken without the lock, or each would have to wait for it at once.
 */
static void lead(mpg_pager *pager)
{
    struct batch *batch = pager->gathering;
    bool dirty = pager->ops->is_dirty(pager->format);
    enum progress progress = NOTHING_SYNCED;
    uint64_t bytes = pager->file.bytes;
    uint64_t begin = now();
    int result;

    pager->gathering = pager->spare;
    pager->spare = NULL;
    pager->in_flight = batch;
    pager->unsynced_zeros = false; /* it syncs them, before anything else can be durable */
    if (batch->protected_pages > MOST_UNORDERED_PAGES)
        batch->ordered = true;
    if (dirty)
        pager->ops->seal(pager->format, &batch->ordered);
    pager_unlock(pager);
    result =
        dirty ? write_out(pager, batch, bytes, &progress) : sync_contents(pager, bytes, &progress);
    pager_lock(pager);
    pager->commit_time = now() - begin;
    pager->in_flight = NULL;
    pager->entry_changes++;
    /* Pages freed by earlier batches can be given out. */
    pager_search_page(pager, 0);
    pager_search_protected(pager, 0);
    if (result != 0)
        fail_commit(pager, progress, result);
    else if (dirty)
        pager->ops->publish(pager->format);
    /* Whoever has a batch committed has made sure of a spare one. */
    pager->expected = batch->waiters +
                      pager->gathering->waiters; /* NOLINT(clang-analyzer-core.NullDereference) */
    finish(batch, result);
    pager_unlock(pager);
    (void)pthread_cond_broadcast(&pager->settled);
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
        bool complete = batch->waiters >= pager->expected;

        if (pager->in_flight == NULL && (complete || !in_time)) {
            lead(pager);
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
