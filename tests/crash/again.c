/* SPDX-License-Identifier: MIT */
#include "crash/again.h"

#include <string.h>

#include "support/harness.h"

/* More differences than this are not looked for. */
#define MOST_STEPS 64

enum what { WRITE_PROTECTED, WRITE_REGULAR, TAKE_REGULAR, TAKE_PROTECTED, GIVE_REGULAR };

/* One thing to be done again. */
struct step {
    enum what what;
    uint64_t id;
    unsigned content; /* CONTENT_ANY: none in particular */
};

struct plan {
    struct step steps[MOST_STEPS];
    size_t count;
};

static void add_step(struct plan *plan, enum what what, uint64_t id, unsigned content)
{
    if (plan->count < MOST_STEPS)
        plan->steps[plan->count++] = (struct step){what, id, content};
}

static void compare_protected(struct plan *plan, const struct page_set *now,
                              const struct page_set *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct page_state *page = &wanted->pages[i];
        const struct page_state *present = page_set_find(now, page->id);

        if (!present)
            add_step(plan, TAKE_PROTECTED, page->id, page->content);
        else if (present->content != page->content)
            add_step(plan, WRITE_PROTECTED, page->id, page->content);
    }
}

static void compare_regular(struct plan *plan, const struct page_set *now,
                            const struct page_set *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct page_state *page = &wanted->pages[i];
        const struct page_state *present = page_set_find(now, page->id);

        if (!present)
            add_step(plan, TAKE_REGULAR, page->id, page->content);
        else if (present->content != page->content && page->content != CONTENT_ANY)
            add_step(plan, WRITE_REGULAR, page->id, page->content);
    }
    for (size_t i = 0; i < now->count; i++)
        if (!page_set_find(wanted, now->pages[i].id))
            add_step(plan, GIVE_REGULAR, now->pages[i].id, CONTENT_ANY);
}

static size_t index_of(const struct page_set *set, uint64_t id)
{
    const struct page_state *page = page_set_find(set, id);

    must(page);
    return (size_t)(page - set->pages);
}

/* A page of the same content, if need be another one. */
static void take_regular(struct actor *actor, const struct step *step)
{
    bool zero = step->content == CONTENT_ZERO;

    actor->next_content = zero ? CONTENT_ANY : step->content;
    if (actor->txn && actor->next_content != CONTENT_ANY)
        actor_alloc_filled(actor);
    else
        actor_alloc(actor, 1, zero ? MPG_ZERO : 0);
}

static void do_step(struct actor *actor, const struct step *step)
{
    actor->next_content = step->content;
    switch (step->what) {
    case WRITE_PROTECTED:
        actor_write_protected(actor, index_of(&actor->now.protected_pages, step->id));
        break;
    case TAKE_PROTECTED:
        actor_alloc_protected_at(actor, step->id);
        if (step->content != CONTENT_ZERO && !actor->failed)
            actor_write_protected(actor, index_of(&actor->now.protected_pages, step->id));
        break;
    case WRITE_REGULAR:
        if (!actor->txn)
            actor_write(actor, index_of(&actor->now.regular, step->id), false);
        break;
    case TAKE_REGULAR:
        take_regular(actor, step);
        break;
    case GIVE_REGULAR:
        actor_free_at(actor, step->id);
        break;
    }
    actor->next_content = CONTENT_ANY;
}

void actor_try_again(struct actor *actor, const struct state *wanted)
{
    uint64_t *random = &actor->random;
    bool together = actor->sync_may_fail || random_below(random, 2) == 0;
    unsigned percent = random_below(random, 2) == 0 ? 100 : 60;
    struct plan plan = {.count = 0};

    compare_protected(&plan, &actor->now.protected_pages, &wanted->protected_pages);
    compare_regular(&plan, &actor->now.regular, &wanted->regular);
    if (together)
        actor_begin(actor);
    for (size_t i = 0; i < plan.count && !actor->failed && !actor->ended; i++)
        if (random_below(random, 100) < percent)
            do_step(actor, &plan.steps[i]);
    if (together)
        actor_commit(actor, 0);
    else
        actor_sync(actor);
}
