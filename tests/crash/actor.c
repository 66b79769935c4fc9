/* SPDX-License-Identifier: MIT */
#include "crash/actor_steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mappedpages_compact.h"
#include "pager/open.h"
#include "support/harness.h"

void actor_init(struct actor *actor, struct memory_disk *disk, const mpg_options *options,
                uint64_t seed)
{
    memset(actor, 0, sizeof(*actor));
    actor->disk = disk;
    actor->io = &memory_disk_io;
    actor->options = *options;
    actor->random = seed;
    actor->in_flight = &actor->now;
    actor->buffer = must_realloc(NULL, options->page_size);
}

void actor_end(struct actor *actor)
{
    mpg_txn_abort(actor->txn);
    mpg_snapshot_close(actor->snapshot);
    (void)mpg_close(actor->pager);
    state_free(&actor->seen);
    state_free(&actor->before);
    state_free(&actor->now);
    state_free(&actor->saved);
    free(actor->buffer);
    memset(actor, 0, sizeof(*actor));
}

void actor_fail(struct actor *actor, const char *what, int error)
{
    mpg_error_info info = {0};

    if (actor->failed)
        return;
    actor->failed = true;
    if (error != 0)
        (void)mpg_last_error(&info);
    snprintf(actor->why, sizeof(actor->why), "%s: %s %s", what, error ? mpg_strerror(error) : "",
             info.message);
}

bool actor_is_over(const struct actor *actor)
{
    return actor->failed || actor->ended;
}

bool actor_done(struct actor *actor, const char *what, int error)
{
    if (error < 0)
        actor_fail(actor, what, error);
    return !actor->failed;
}

size_t actor_any(struct actor *actor, size_t count)
{
    return (size_t)random_below(&actor->random, count);
}

unsigned actor_new_content(struct actor *actor)
{
    if (actor->next_content != CONTENT_ANY)
        return actor->next_content;
    return CONTENT_ZERO + 1 +
           (unsigned)random_below(&actor->random, pool_size() - CONTENT_ZERO - 1);
}

/* An operation that syncs has returned: what is now is durable. */
static void settle(struct actor *actor)
{
    state_count(&actor->now, actor->pager);
    if (actor->watch)
        actor->watch(actor->watcher, actor, true);
    state_copy(&actor->before, &actor->now);
    actor->exists_before = true;
}

void actor_not_settled(struct actor *actor)
{
    actor->now.total = 0;
    if (actor->watch)
        actor->watch(actor->watcher, actor, false);
}

void actor_commit_done(struct actor *actor, const char *what, int error)
{
    if (error == MPG_E_IO && actor->sync_may_fail) {
        mpg_txn_abort(actor->txn);
        (void)mpg_close(actor->pager);
        actor->txn = NULL;
        actor->pager = NULL;
        actor->ended = true;
        actor_not_settled(actor);
    } else if (actor_done(actor, what, error)) {
        settle(actor);
    }
}

void actor_allocation_done(struct actor *actor)
{
    if (actor->txn)
        return;
    if (actor->options.flags & MPG_DEFER_ALLOCATION)
        actor_not_settled(actor);
    else
        settle(actor);
}

/* ---- Files ---------------------------------------------------------------------------------- */

void actor_create(struct actor *actor)
{
    if (!actor_done(
            actor, "create",
            mpgi_create_with(&actor->pager, "image", &actor->options, actor->io, actor->disk)))
        return;
    if (!actor->disk->name_durable)
        actor_fail(actor, "create: the name of the file is not durable", 0);
    settle(actor);
}

static void close_and_open(struct actor *actor)
{
    mpg_pager *old = actor->pager;
    int error;

    actor->pager = NULL;
    error = mpg_close(old);
    if (error == MPG_E_IO && actor->sync_may_fail) {
        actor->ended = true;
        actor_not_settled(actor);
        return;
    }
    if (!actor_done(actor, "close", error))
        return;
    if (!memory_disk_is_idle(actor->disk))
        actor_fail(actor, "close: something is left open", 0);
    error = mpgi_open_with(&actor->pager, "image", &actor->options, false, actor->io, actor->disk);
    actor_commit_done(actor, "open", error);
}

void actor_reopen(struct actor *actor)
{
    if (actor_is_over(actor))
        return;
    if (actor->closed != NULL)
        (void)pthread_rwlock_wrlock(actor->closed);
    close_and_open(actor);
    if (actor->closed != NULL)
        (void)pthread_rwlock_unlock(actor->closed);
}

/* ---- Snapshots, and the file as a whole ----------------------------------------------------- */

void actor_hold_snapshot(struct actor *actor)
{
    if (actor_is_over(actor))
        return;
    must(!actor->snapshot);
    state_copy(&actor->seen, &actor->before);
    (void)actor_done(actor, "snapshot", mpg_snapshot_open(&actor->snapshot, actor->pager));
}

/* Whether the snapshot has these pages and no others. */
static bool is_seen(const struct actor *actor, const struct page_set *set)
{
    mpg_snapshot_iter iter;
    mpg_protected_id id = {0};
    size_t met = 0;

    mpg_snapshot_iter_begin(&iter, actor->snapshot, id);
    while (mpg_snapshot_iter_next(&id, &iter) == 1) {
        const struct page_state *page = page_set_find(set, id.value);

        met++;
        if (!page || mpg_snapshot_read(actor->buffer, actor->snapshot, id) != 0 ||
            memcmp(actor->buffer, pool_content(page->content), actor->options.page_size) != 0)
            return false;
    }
    return met == set->count;
}

void actor_end_snapshot(struct actor *actor)
{
    if (actor_is_over(actor))
        return;
    must(actor->snapshot);
    if (!is_seen(actor, &actor->seen.protected_pages))
        actor_fail(actor, "the snapshot shows another state than was durable", 0);
    mpg_snapshot_close(actor->snapshot);
    actor->snapshot = NULL;
}

void actor_trim(struct actor *actor)
{
    uint64_t pages = 0;
    int error;

    if (actor_is_over(actor))
        return;
    must(!actor->txn);
    error = mpg_trim(&pages, actor->pager, 0, UINT64_MAX, 0);
    if (error < 0)
        actor_fail(actor, "trim", error);
    else if (pages == 0)
        actor_fail(actor, "trim: nothing was free", 0);
}

void actor_label(struct actor *actor, const char *label)
{
    if (actor_is_over(actor))
        return;
    must(!actor->txn);
    (void)snprintf(actor->now.label, sizeof(actor->now.label), "%s", label);
    actor_commit_done(actor, "set_label", mpg_set_label(actor->pager, label));
}

/* Regular pages that get other numbers. */
struct renumbering {
    struct actor *actor;
    uint64_t from[MOST_BULK], to[MOST_BULK];
    size_t count;
};

static bool note_moved(void *context, mpg_page_id from, mpg_page_id to, uint64_t pages)
{
    struct renumbering *renumbering = context;

    must(renumbering->count < MOST_BULK && to.value < pages);
    renumbering->from[renumbering->count] = from.value;
    renumbering->to[renumbering->count++] = to.value;
    return true;
}

static void renumber_pages(struct actor *actor, const struct renumbering *renumbering)
{
    static struct page_state moved[MOST_BULK];

    for (size_t i = 0; i < renumbering->count; i++) {
        const struct page_state *page = page_set_find(&actor->now.regular, renumbering->from[i]);

        must(page);
        moved[i] = *page;
        page_set_remove(&actor->now.regular, renumbering->from[i]);
    }
    for (size_t i = 0; i < renumbering->count; i++)
        page_set_add(&actor->now.regular, renumbering->to[i], moved[i].content);
}

void actor_compact(struct actor *actor, bool renumber)
{
    static struct renumbering renumbering;
    mpg_compact_options options = MPG_COMPACT_OPTIONS_INIT;
    mpg_compact_result result = {0};
    int error;

    actor_sync(actor);
    if (actor_is_over(actor))
        return;
    renumbering.count = 0;
    options.flags = renumber ? MPG_COMPACT_RENUMBER : 0;
    options.moved = note_moved;
    options.context = &renumbering;
    /* It commits several times, and the counts of what it shows in between are its own. */
    actor->before.total = 0;
    error = mpg_compact(&result, actor->pager, &options);
    if (error == 0 && result.pages_after > result.pages_before)
        actor_fail(actor, "compact: the file is longer", 0);
    renumber_pages(actor, &renumbering);
    state_copy(&actor->saved, &actor->now);
    actor->saved.total = 0;
    actor->in_flight = &actor->saved;
    actor_commit_done(actor, "compact", error);
    actor->in_flight = &actor->now;
}

/* ---- Transactions --------------------------------------------------------------------------- */

void actor_begin(struct actor *actor)
{
    if (actor_is_over(actor))
        return;
    must(!actor->txn);
    state_copy(&actor->saved, &actor->now);
    (void)actor_done(actor, "begin", mpg_txn_begin(&actor->txn, actor->pager));
}

void actor_alloc_filled(struct actor *actor)
{
    unsigned content = actor_new_content(actor);
    mpg_page_id id;
    int error;

    if (actor_is_over(actor))
        return;
    must(actor->txn);
    error = mpg_txn_alloc(&id, actor->txn, 0);
    if (error == 0)
        error =
            mpg_txn_page_write(actor->txn, id, pool_content(content), 0, actor->options.page_size);
    if (!actor_done(actor, "alloc with content", error))
        return;
    actor_add_regular(actor, id.value, 0);
    page_set_find(&actor->now.regular, id.value)->content = (uint16_t)content;
}

void actor_commit(struct actor *actor, unsigned flags)
{
    int error;

    if (actor_is_over(actor))
        return;
    must(actor->txn);
    if (actor->replaces)
        actor->before.total = 0; /* what it may commit first is its own affair */
    error = mpg_txn_commit(actor->txn, flags);
    if (error == 0)
        actor->txn = NULL;
    if (actor->replaces)
        actor_end_replacing(actor, "commit", error);
    else
        actor_commit_done(actor, "commit", error);
    actor->replaces = false;
}

void actor_commit_in_vain(struct actor *actor)
{
    int error;

    if (actor_is_over(actor))
        return;
    must(actor->txn);
    error = mpg_txn_commit(actor->txn, 0);
    if (error == 0)
        actor->txn = NULL;
    if (error == MPG_E_IO)
        actor_abort(actor);
    else
        actor_fail(actor, "a failed write was not reported", error);
}

void actor_abort(struct actor *actor)
{
    if (actor_is_over(actor))
        return;
    must(actor->txn);
    mpg_txn_abort(actor->txn);
    actor->txn = NULL;
    actor->replaces = false;
    state_copy(&actor->now, &actor->saved);
    actor_not_settled(actor);
}

/* ---- Whatever comes ------------------------------------------------------------------------- */

/* A page that was there before the transaction. Returns whether there is one. */
static bool replace_in_transaction(struct actor *actor)
{
    const struct page_set *regular = &actor->now.regular;
    size_t index = regular->count > 0 ? actor_any(actor, regular->count) : 0;

    if (regular->count == 0 || actor->options.format != MPG_FORMAT_1 || actor->sync_may_fail ||
        (actor->options.flags & MPG_DEFER_ALLOCATION) != 0 ||
        !page_set_find(&actor->saved.regular, regular->pages[index].id))
        return false;
    actor_replace(actor, index);
    return true;
}

/* A change of allocation or of a protected page: what may be part of a transaction. */
static void change_something(struct actor *actor)
{
    const struct page_set *regular = &actor->now.regular;
    const struct page_set *guarded = &actor->now.protected_pages;

    switch (actor_any(actor, 8)) {
    case 0:
        actor_alloc(actor, 1 + actor_any(actor, 3), actor_any(actor, 4) == 0 ? MPG_ZERO : 0);
        break;
    case 1:
    case 2:
        if (regular->count > 0)
            actor_free(actor, actor_any(actor, regular->count), 1);
        break;
    case 3:
        if (guarded->count < 40)
            actor_alloc_protected(actor, 1 + actor_any(actor, 2));
        break;
    case 4:
        if (guarded->count > 0)
            actor_free_protected(actor, actor_any(actor, guarded->count), 1);
        break;
    case 5:
        if (actor->txn && !replace_in_transaction(actor))
            actor_alloc_filled(actor);
        break;
    default:
        if (guarded->count > 0)
            actor_write_protected(actor, actor_any(actor, guarded->count));
        else
            actor_alloc_protected(actor, 1);
        break;
    }
}

static void replace_something(struct actor *actor)
{
    size_t count = actor->now.regular.count;
    size_t to = actor_any(actor, count);

    if (actor_any(actor, 3) > 0)
        actor_replace(actor, to);
    else
        actor_move(actor, (to + 1 + actor_any(actor, count - 1)) % count, to);
}

void actor_do_something(struct actor *actor)
{
    size_t what = actor_any(actor, 16);

    if (actor_is_over(actor))
        return;
    if (what == 0 && actor->now.regular.count > 0) {
        actor_write(actor, actor_any(actor, actor->now.regular.count), actor_any(actor, 2) == 0);
        actor_sync(actor);
    } else if (what == 1) {
        actor_reopen(actor);
    } else if (what == 2 && actor->options.format == MPG_FORMAT_1 && !actor->sync_may_fail &&
               actor->now.regular.count > 1) {
        replace_something(actor);
    } else if (what < 9 || actor->sync_may_fail) {
        actor_begin(actor);
        for (size_t i = 1 + actor_any(actor, 6); i > 0 && !actor_is_over(actor); i--)
            change_something(actor);
        if (actor_any(actor, 8) == 0)
            actor_abort(actor);
        else
            actor_commit(actor, actor_any(actor, 8) == 0 ? MPG_ORDERED : 0);
    } else {
        change_something(actor);
    }
}

void actor_verify(struct actor *actor)
{
    char why[200];

    if (actor_is_over(actor))
        return;
    if (!state_matches(&actor->now, actor->pager, actor->buffer, why, sizeof(why)) ||
        !file_is_sound(actor->pager, why, sizeof(why)))
        actor_fail(actor, why, 0);
}
