/* SPDX-License-Identifier: MIT */
#include "crash/actor_steps.h"

#include <string.h>

#include "support/harness.h"

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
    if (actor_is_over(actor))
        return;
    if (actor->txn)
        for (size_t i = 0; i < count && error == 0; i++)
            error = mpg_txn_alloc_protected(&ids[i], actor->txn);
    else if (count == 1)
        error = mpg_alloc_protected(&ids[0], actor->pager);
    else
        error = mpg_alloc_protected_bulk(ids, actor->pager, count);
    if (!actor_done(actor, "alloc_protected", error))
        return;
    for (size_t i = 0; i < count; i++)
        add_protected(actor, ids[i].value);
    actor_allocation_done(actor);
}

void actor_alloc_protected_at(struct actor *actor, uint64_t id)
{
    mpg_protected_id page = {id};
    int error;

    if (actor_is_over(actor))
        return;
    error = actor->txn ? mpg_txn_alloc_protected_at(actor->txn, page)
                       : mpg_alloc_protected_at(actor->pager, page);
    if (!actor_done(actor, "alloc_protected_at", error))
        return;
    add_protected(actor, id);
    actor_allocation_done(actor);
}

void actor_free_protected(struct actor *actor, size_t index, size_t count)
{
    static mpg_protected_id ids[MOST_BULK];
    int error = 0;

    if (actor_is_over(actor))
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
    if (!actor_done(actor, "free_protected", error))
        return;
    for (size_t i = 0; i < count; i++)
        page_set_remove(&actor->now.protected_pages, ids[i].value);
    actor_allocation_done(actor);
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
    unsigned content = actor_new_content(actor);
    const unsigned char *data = pool_content(content);
    size_t half = actor->options.page_size / 2;
    struct page_state *page;
    mpg_protected_id id;
    int error;

    if (actor_is_over(actor))
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
        (void)actor_done(actor, "protected write", error);
    else
        actor_commit_done(actor, "protected write", error);
}

void actor_write_protected_in_vain(struct actor *actor, size_t index)
{
    mpg_protected_id id;
    int error;

    if (actor_is_over(actor))
        return;
    must(!actor->txn && index < actor->now.protected_pages.count);
    id.value = actor->now.protected_pages.pages[index].id;
    error = write_alone(actor, id, pool_content(actor_new_content(actor)));
    if (error != MPG_E_IO)
        actor_fail(actor, "a failed write was not reported", error);
    actor_not_settled(actor);
}
