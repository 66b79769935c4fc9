/* SPDX-License-Identifier: MIT */
#include "crash/actor_steps.h"

#include <string.h>

#include "support/harness.h"

void actor_add_regular(struct actor *actor, uint64_t id, unsigned flags)
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
    if (actor_is_over(actor))
        return;
    if (actor->txn)
        for (size_t i = 0; i < count && error == 0; i++)
            error = mpg_txn_alloc(&ids[i], actor->txn, flags);
    else if (count == 1)
        error = mpg_alloc(&ids[0], actor->pager, flags);
    else
        error = mpg_alloc_bulk(ids, actor->pager, count, flags);
    if (!actor_done(actor, "alloc", error))
        return;
    for (size_t i = 0; i < count; i++)
        actor_add_regular(actor, ids[i].value, flags);
    actor_allocation_done(actor);
}

void actor_alloc_in_vain(struct actor *actor, unsigned flags)
{
    mpg_page_id id;
    int error;

    if (actor_is_over(actor))
        return;
    must(!actor->txn);
    error = mpg_alloc(&id, actor->pager, flags);
    if (error != MPG_E_IO)
        actor_fail(actor, "a failed write was not reported", error);
    actor_not_settled(actor);
}

void actor_alloc_at(struct actor *actor, uint64_t id, unsigned flags)
{
    mpg_page_id page = {id};
    int error;

    if (actor_is_over(actor))
        return;
    error = actor->txn ? mpg_txn_alloc_at(actor->txn, page, flags)
                       : mpg_alloc_at(actor->pager, page, flags);
    if (!actor_done(actor, "alloc_at", error))
        return;
    actor_add_regular(actor, id, flags);
    actor_allocation_done(actor);
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

    if (actor_is_over(actor))
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
    if (!actor_done(actor, "free", error))
        return;
    for (size_t i = 0; i < count; i++)
        page_set_remove(&actor->now.regular, ids[i].value);
    actor_allocation_done(actor);
}

void actor_write(struct actor *actor, size_t index, bool mapped)
{
    struct page_state *page, *durable;
    unsigned content = actor_new_content(actor);
    const unsigned char *data = pool_content(content);
    mpg_page_id id;
    void *address;
    int error;

    if (actor_is_over(actor))
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
    if (!actor_done(actor, "page_write", error))
        return;
    page->written = (uint16_t)content;
    actor_not_settled(actor);
}

void actor_sync(struct actor *actor)
{
    const struct page_set *set = &actor->now.regular;
    int error;

    if (actor_is_over(actor))
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
    actor_commit_done(actor, "sync", error);
    actor->in_flight = &actor->now;
}

/* What is gathered is durable, and what commits of its own make of the counts is not known. */
static bool begin_replacing(struct actor *actor)
{
    if (actor_is_over(actor))
        return false;
    must(!actor->txn);
    if (actor->options.flags & MPG_DEFER_ALLOCATION)
        actor_sync(actor);
    actor->before.total = 0;
    return !actor_is_over(actor);
}

void actor_end_replacing(struct actor *actor, const char *what, int error)
{
    if (error == MPG_E_IO && actor->sync_may_fail) /* what was to be durable may be so */
        actor->now.total = 0;
    actor_commit_done(actor, what, error);
}

void actor_replace(struct actor *actor, size_t index)
{
    unsigned content = actor_new_content(actor);
    struct page_state *page;
    size_t length = actor->options.page_size;

    if (actor->txn ? actor_is_over(actor) : !begin_replacing(actor))
        return;
    must(index < actor->now.regular.count);
    page = &actor->now.regular.pages[index];
    if (actor_any(actor, 8) == 0) {
        content = CONTENT_ZERO;
        length = 0;
    }
    page->content = (uint16_t)content;
    page->written = CONTENT_ANY;
    if (actor->txn) {
        actor->replaces = true;
        (void)actor_done(actor, "replace in a transaction",
                         mpg_txn_page_replace(actor->txn, (mpg_page_id){page->id},
                                              pool_content(content), length));
        return;
    }
    actor_end_replacing(
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
    actor_end_replacing(actor, "move", mpg_page_move(actor->pager, source, target));
}
