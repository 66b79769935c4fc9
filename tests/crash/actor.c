/* SPDX-License-Identifier: MIT */
#include "crash/actor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mappedpages_compact.h"
#include "pager/open.h"
#include "support/harness.h"

/* Most pages of a bulk operation here. */
#define MOST_BULK 4096

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

static bool is_over(const struct actor *actor)
{
    return actor->failed || actor->ended;
}

/* What every operation does at its end. Returns whether it went well. */
static bool done(struct actor *actor, const char *what, int error)
{
    if (error < 0)
        actor_fail(actor, what, error);
    return !actor->failed;
}

static unsigned new_content(struct actor *actor)
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

static void not_settled(struct actor *actor)
{
    actor->now.total = 0;
    if (actor->watch)
        actor->watch(actor->watcher, actor, false);
}

/* What an operation that syncs does at its end, when `now` is what it was to make durable. */
static void commit_done(struct actor *actor, const char *what, int error)
{
    if (error == MPG_E_IO && actor->sync_may_fail) {
        mpg_txn_abort(actor->txn);
        (void)mpg_close(actor->pager);
        actor->txn = NULL;
        actor->pager = NULL;
        actor->ended = true;
        not_settled(actor);
    } else if (done(actor, what, error)) {
        settle(actor);
    }
}

/* An operation on the allocation of pages has returned. */
static void allocation_done(struct actor *actor)
{
    if (actor->txn)
        return;
    if (actor->options.flags & MPG_DEFER_ALLOCATION)
        not_settled(actor);
    else
        settle(actor);
}

/* ---- Files ---------------------------------------------------------------------------------- */

void actor_create(struct actor *actor)
{
    if (!done(actor, "create",
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
        not_settled(actor);
        return;
    }
    if (!done(actor, "close", error))
        return;
    if (!memory_disk_is_idle(actor->disk))
        actor_fail(actor, "close: something is left open", 0);
    error = mpgi_open_with(&actor->pager, "image", &actor->options, false, actor->io, actor->disk);
    commit_done(actor, "open", error);
}

void actor_reopen(struct actor *actor)
{
    if (is_over(actor))
        return;
    if (actor->closed != NULL)
        (void)pthread_rwlock_wrlock(actor->closed);
    close_and_open(actor);
    if (actor->closed != NULL)
        (void)pthread_rwlock_unlock(actor->closed);
}

/* ---- Regular pages -------------------------------------------------------------------------- */

static void add_regular(struct actor *actor, uint64_t id, unsigned flags)
{
    if (page_set_find(&actor->now.regular, id))
        actor_fail(actor, "alloc: the page was allocated already", 0);
    else
        page_set_add(&actor->now.regular, id, flags & MPG_ZERO ? CONTENT_ZERO : CONTENT_ANY);
}

void actor_alloc(struct actor *actor, size_t count, unsigned flags)
{
    static mpg_page_id ids[MOST_BULK];
    int error = 0;

    must(count > 0 && count <= MOST_BULK);
    if (is_over(actor))
        return;
    if (actor->txn)
        for (size_t i = 0; i < count && error == 0; i++)
            error = mpg_txn_alloc(&ids[i], actor->txn, flags);
    else if (count == 1)
        error = mpg_alloc(&ids[0], actor->pager, flags);
    else
        error = mpg_alloc_bulk(ids, actor->pager, count, flags);
    if (!done(actor, "alloc", error))
        return;
    for (size_t i = 0; i < count; i++)
        add_regular(actor, ids[i].value, flags);
    allocation_done(actor);
}

void actor_alloc_in_vain(struct actor *actor, unsigned flags)
{
    mpg_page_id id;
    int error;

    if (is_over(actor))
        return;
    must(!actor->txn);
    error = mpg_alloc(&id, actor->pager, flags);
    if (error != MPG_E_IO)
        actor_fail(actor, "a failed write was not reported", error);
    not_settled(actor);
}

void actor_alloc_at(struct actor *actor, uint64_t id, unsigned flags)
{
    mpg_page_id page = {id};
    int error;

    if (is_over(actor))
        return;
    error = actor->txn ? mpg_txn_alloc_at(actor->txn, page, flags)
                       : mpg_alloc_at(actor->pager, page, flags);
    if (!done(actor, "alloc_at", error))
        return;
    add_regular(actor, id, flags);
    allocation_done(actor);
}

void actor_free_at(struct actor *actor, uint64_t id)
{
    const struct page_state *page = page_set_find(&actor->now.regular, id);

    must(page);
    actor_free(actor, (size_t)(page - actor->now.regular.pages), 1);
}

void actor_free(struct actor *actor, size_t index, size_t count)
{
    static mpg_page_id ids[MOST_BULK];
    int error = 0;

    if (is_over(actor))
        return;
    must(count > 0 && count <= MOST_BULK && index + count <= actor->now.regular.count);
    for (size_t i = 0; i < count; i++)
        ids[i].value = actor->now.regular.pages[index + i].id;
    if (actor->txn)
        for (size_t i = 0; i < count && error == 0; i++)
            error = mpg_txn_free(actor->txn, ids[i]);
    else if (count == 1)
        error = mpg_free(actor->pager, ids[0]);
    else
        error = mpg_free_bulk(actor->pager, ids, count);
    if (!done(actor, "free", error))
        return;
    for (size_t i = 0; i < count; i++)
        page_set_remove(&actor->now.regular, ids[i].value);
    allocation_done(actor);
}

void actor_write(struct actor *actor, size_t index, bool mapped)
{
    struct page_state *page, *durable;
    unsigned content = new_content(actor);
    const unsigned char *data = pool_content(content);
    mpg_page_id id;
    void *address;
    int error;

    if (is_over(actor))
        return;
    must(!actor->txn && index < actor->now.regular.count);
    page = &actor->now.regular.pages[index];
    id.value = page->id;
    durable = page_set_find(&actor->before.regular, id.value);
    page->content = CONTENT_ANY;
    if (durable)
        durable->content = CONTENT_ANY;
    if (mapped) {
        error = mpg_page_get_mut(&address, actor->pager, id);
        if (error == 0) {
            memcpy(address, data, actor->options.page_size);
            memory_disk_touch(actor->disk, id.value * actor->options.page_size,
                              actor->options.page_size);
        }
        memory_disk_log_mapped(actor->disk);
    } else {
        error = mpg_page_write(actor->pager, id, data, 0, actor->options.page_size);
    }
    if (!done(actor, "page_write", error))
        return;
    page->written = (uint16_t)content;
    not_settled(actor);
}

void actor_sync(struct actor *actor)
{
    const struct page_set *set = &actor->now.regular;
    int error;

    if (is_over(actor))
        return;
    must(!actor->txn);
    state_copy(&actor->saved, &actor->now);
    for (size_t i = 0; i < set->count; i++) {
        if (set->pages[i].written == CONTENT_ANY)
            continue;
        set->pages[i].content = set->pages[i].written;
        set->pages[i].written = CONTENT_ANY;
    }
    error = mpg_sync(actor->pager);
    /* Contents become durable in any order, beside what else it commits. */
    state_count(&actor->saved, actor->pager);
    if (error < 0) { /* what was written is in the cache, and promised by nobody */
        actor->saved.total = 0;
        state_copy(&actor->now, &actor->saved);
    }
    actor->in_flight = &actor->saved;
    commit_done(actor, "sync", error);
    actor->in_flight = &actor->now;
}

/* One of `count` things. */
static size_t any(struct actor *actor, size_t count)
{
    return (size_t)random_below(&actor->random, count);
}

/* What is gathered is durable, and what commits of its own make of the counts is not known. */
static bool begin_replacing(struct actor *actor)
{
    if (is_over(actor))
        return false;
    must(!actor->txn);
    if (actor->options.flags & MPG_DEFER_ALLOCATION)
        actor_sync(actor);
    actor->before.total = 0;
    return !is_over(actor);
}

static void end_replacing(struct actor *actor, const char *what, int error)
{
    if (error == MPG_E_IO && actor->sync_may_fail) /* what was to be durable may be so */
        actor->now.total = 0;
    commit_done(actor, what, error);
}

void actor_replace(struct actor *actor, size_t index)
{
    unsigned content = new_content(actor);
    struct page_state *page;
    size_t length = actor->options.page_size;

    if (actor->txn ? is_over(actor) : !begin_replacing(actor))
        return;
    must(index < actor->now.regular.count);
    page = &actor->now.regular.pages[index];
    if (any(actor, 8) == 0) {
        content = CONTENT_ZERO;
        length = 0;
    }
    page->content = (uint16_t)content;
    page->written = CONTENT_ANY;
    if (actor->txn) {
        actor->replaces = true;
        (void)done(actor, "replace in a transaction",
                   mpg_txn_page_replace(actor->txn, (mpg_page_id){page->id}, pool_content(content),
                                        length));
        return;
    }
    end_replacing(
        actor, "replace",
        mpg_page_replace(actor->pager, (mpg_page_id){page->id}, pool_content(content), length));
}

void actor_move(struct actor *actor, size_t from, size_t to)
{
    mpg_page_id source, target;
    struct page_state *page;

    if (!begin_replacing(actor))
        return;
    must(from < actor->now.regular.count && to < actor->now.regular.count && from != to);
    source.value = actor->now.regular.pages[from].id;
    target.value = actor->now.regular.pages[to].id;
    page = &actor->now.regular.pages[to];
    page->content = actor->now.regular.pages[from].content;
    page->written = CONTENT_ANY;
    page_set_remove(&actor->now.regular, source.value);
    end_replacing(actor, "move", mpg_page_move(actor->pager, source, target));
}

void actor_hold_snapshot(struct actor *actor)
{
    if (is_over(actor))
        return;
    must(!actor->snapshot);
    state_copy(&actor->seen, &actor->before);
    (void)done(actor, "snapshot", mpg_snapshot_open(&actor->snapshot, actor->pager));
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
    if (is_over(actor))
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

    if (is_over(actor))
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
    if (is_over(actor))
        return;
    must(!actor->txn);
    (void)snprintf(actor->now.label, sizeof(actor->now.label), "%s", label);
    commit_done(actor, "set_label", mpg_set_label(actor->pager, label));
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
    if (is_over(actor))
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
    commit_done(actor, "compact", error);
    actor->in_flight = &actor->now;
}

/* ---- Protected pages ------------------------------------------------------------------------ */

static void add_protected(struct actor *actor, uint64_t id)
{
    if (page_set_find(&actor->now.protected_pages, id))
        actor_fail(actor, "alloc_protected: the page was allocated already", 0);
    else
        page_set_add(&actor->now.protected_pages, id, CONTENT_ZERO);
}

void actor_alloc_protected(struct actor *actor, size_t count)
{
    static mpg_protected_id ids[MOST_BULK];
    int error = 0;

    must(count > 0 && count <= MOST_BULK);
    if (is_over(actor))
        return;
    if (actor->txn)
        for (size_t i = 0; i < count && error == 0; i++)
            error = mpg_txn_alloc_protected(&ids[i], actor->txn);
    else if (count == 1)
        error = mpg_alloc_protected(&ids[0], actor->pager);
    else
        error = mpg_alloc_protected_bulk(ids, actor->pager, count);
    if (!done(actor, "alloc_protected", error))
        return;
    for (size_t i = 0; i < count; i++)
        add_protected(actor, ids[i].value);
    allocation_done(actor);
}

void actor_alloc_protected_at(struct actor *actor, uint64_t id)
{
    mpg_protected_id page = {id};
    int error;

    if (is_over(actor))
        return;
    error = actor->txn ? mpg_txn_alloc_protected_at(actor->txn, page)
                       : mpg_alloc_protected_at(actor->pager, page);
    if (!done(actor, "alloc_protected_at", error))
        return;
    add_protected(actor, id);
    allocation_done(actor);
}

void actor_free_protected(struct actor *actor, size_t index, size_t count)
{
    static mpg_protected_id ids[MOST_BULK];
    int error = 0;

    if (is_over(actor))
        return;
    must(count > 0 && count <= MOST_BULK && index + count <= actor->now.protected_pages.count);
    for (size_t i = 0; i < count; i++)
        ids[i].value = actor->now.protected_pages.pages[index + i].id;
    if (actor->txn)
        for (size_t i = 0; i < count && error == 0; i++)
            error = mpg_txn_free_protected(actor->txn, ids[i]);
    else if (count == 1)
        error = mpg_free_protected(actor->pager, ids[0]);
    else
        error = mpg_free_protected_bulk(actor->pager, ids, count);
    if (!done(actor, "free_protected", error))
        return;
    for (size_t i = 0; i < count; i++)
        page_set_remove(&actor->now.protected_pages, ids[i].value);
    allocation_done(actor);
}

static int write_alone(struct actor *actor, mpg_protected_id id, const unsigned char *data)
{
    mpg_writer *writer;
    int error = mpg_writer_open(&writer, actor->pager, id);

    if (error < 0)
        return error;
    memcpy(mpg_writer_data(writer), data, actor->options.page_size);
    error = mpg_writer_commit(writer);
    if (error < 0)
        mpg_writer_discard(writer);
    return error;
}

void actor_write_protected(struct actor *actor, size_t index)
{
    unsigned content = new_content(actor);
    const unsigned char *data = pool_content(content);
    size_t half = actor->options.page_size / 2;
    struct page_state *page;
    mpg_protected_id id;
    int error;

    if (is_over(actor))
        return;
    must(index < actor->now.protected_pages.count);
    page = &actor->now.protected_pages.pages[index];
    id.value = page->id;
    if (actor->txn) {
        error = mpg_txn_protected_write(actor->txn, id, data, 0, half);
        if (error == 0)
            error = mpg_txn_protected_write(actor->txn, id, data + half, half, half);
    } else {
        error = write_alone(actor, id, data);
    }
    page->content = (uint16_t)content;
    if (actor->txn)
        (void)done(actor, "protected write", error);
    else
        commit_done(actor, "protected write", error);
}

void actor_write_protected_in_vain(struct actor *actor, size_t index)
{
    mpg_protected_id id;
    int error;

    if (is_over(actor))
        return;
    must(!actor->txn && index < actor->now.protected_pages.count);
    id.value = actor->now.protected_pages.pages[index].id;
    error = write_alone(actor, id, pool_content(new_content(actor)));
    if (error != MPG_E_IO)
        actor_fail(actor, "a failed write was not reported", error);
    not_settled(actor);
}

/* ---- Transactions --------------------------------------------------------------------------- */

void actor_begin(struct actor *actor)
{
    if (is_over(actor))
        return;
    must(!actor->txn);
    state_copy(&actor->saved, &actor->now);
    (void)done(actor, "begin", mpg_txn_begin(&actor->txn, actor->pager));
}

void actor_alloc_filled(struct actor *actor)
{
    unsigned content = new_content(actor);
    mpg_page_id id;
    int error;

    if (is_over(actor))
        return;
    must(actor->txn);
    error = mpg_txn_alloc(&id, actor->txn, 0);
    if (error == 0)
        error =
            mpg_txn_page_write(actor->txn, id, pool_content(content), 0, actor->options.page_size);
    if (!done(actor, "alloc with content", error))
        return;
    add_regular(actor, id.value, 0);
    page_set_find(&actor->now.regular, id.value)->content = (uint16_t)content;
}

void actor_commit(struct actor *actor, unsigned flags)
{
    int error;

    if (is_over(actor))
        return;
    must(actor->txn);
    if (actor->replaces)
        actor->before.total = 0; /* what it may commit first is its own affair */
    error = mpg_txn_commit(actor->txn, flags);
    if (error == 0)
        actor->txn = NULL;
    if (actor->replaces)
        end_replacing(actor, "commit", error);
    else
        commit_done(actor, "commit", error);
    actor->replaces = false;
}

void actor_commit_in_vain(struct actor *actor)
{
    int error;

    if (is_over(actor))
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
    if (is_over(actor))
        return;
    must(actor->txn);
    mpg_txn_abort(actor->txn);
    actor->txn = NULL;
    actor->replaces = false;
    state_copy(&actor->now, &actor->saved);
    not_settled(actor);
}

/* ---- Whatever comes ------------------------------------------------------------------------- */

/* A page that was there before the transaction. Returns whether there is one. */
static bool replace_in_transaction(struct actor *actor)
{
    const struct page_set *regular = &actor->now.regular;
    size_t index = regular->count > 0 ? any(actor, regular->count) : 0;

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

    switch (any(actor, 8)) {
    case 0:
        actor_alloc(actor, 1 + any(actor, 3), any(actor, 4) == 0 ? MPG_ZERO : 0);
        break;
    case 1:
    case 2:
        if (regular->count > 0)
            actor_free(actor, any(actor, regular->count), 1);
        break;
    case 3:
        if (guarded->count < 40)
            actor_alloc_protected(actor, 1 + any(actor, 2));
        break;
    case 4:
        if (guarded->count > 0)
            actor_free_protected(actor, any(actor, guarded->count), 1);
        break;
    case 5:
        if (actor->txn && !replace_in_transaction(actor))
            actor_alloc_filled(actor);
        break;
    default:
        if (guarded->count > 0)
            actor_write_protected(actor, any(actor, guarded->count));
        else
            actor_alloc_protected(actor, 1);
        break;
    }
}

static void replace_something(struct actor *actor)
{
    size_t count = actor->now.regular.count;
    size_t to = any(actor, count);

    if (any(actor, 3) > 0)
        actor_replace(actor, to);
    else
        actor_move(actor, (to + 1 + any(actor, count - 1)) % count, to);
}

void actor_do_something(struct actor *actor)
{
    size_t what = any(actor, 16);

    if (is_over(actor))
        return;
    if (what == 0 && actor->now.regular.count > 0) {
        actor_write(actor, any(actor, actor->now.regular.count), any(actor, 2) == 0);
        actor_sync(actor);
    } else if (what == 1) {
        actor_reopen(actor);
    } else if (what == 2 && actor->options.format == MPG_FORMAT_1 && !actor->sync_may_fail &&
               actor->now.regular.count > 1) {
        replace_something(actor);
    } else if (what < 9 || actor->sync_may_fail) {
        actor_begin(actor);
        for (size_t i = 1 + any(actor, 6); i > 0 && !is_over(actor); i--)
            change_something(actor);
        if (any(actor, 8) == 0)
            actor_abort(actor);
        else
            actor_commit(actor, any(actor, 8) == 0 ? MPG_ORDERED : 0);
    } else {
        change_something(actor);
    }
}

void actor_verify(struct actor *actor)
{
    char why[200];

    if (is_over(actor))
        return;
    if (!state_matches(&actor->now, actor->pager, actor->buffer, why, sizeof(why)) ||
        !file_is_sound(actor->pager, why, sizeof(why)))
        actor_fail(actor, why, 0);
}
