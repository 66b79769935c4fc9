/* SPDX-License-Identifier: MIT */
#include "crash/model.h"

#include <string.h>

#include "support/harness.h"

#define MOST_ON_32_BITS (UINT64_C(256) << 20)

const struct model_kind model_kinds[MODEL_KINDS] = {
    {1024, 0, 1, 60},          {1024, MPG_DEFER_ALLOCATION, 2, 60},
    {2048, MPG_SPARSE, 4, 60}, {4096, 0, 4, 60},
    {8192, 0, 8, 60},          {65536, 0, 50, 40},
    {1 << 20, 0, 300, 20},
};

static size_t any(struct actor *actor, size_t count)
{
    return (size_t)random_below(&actor->random, count);
}

/* Refusals: each must give the error it is for, and change nothing. */
static void ask_for_what_is_refused(struct actor *actor)
{
    const struct page_set *regular = &actor->now.regular;
    const struct page_set *guarded = &actor->now.protected_pages;
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_page_id id = {1};
    mpg_page_id twice[2];
    const char *what = NULL;
    int error = 0, wanted = 0;

    must(mpg_stat(&st, actor->pager) == 0);
    switch (any(actor, 7)) {
    case 0:
        what = "free of page 1";
        wanted = MPG_E_RESERVED_PAGE;
        error = mpg_free(actor->pager, id);
        break;
    case 1:
        what = "free beyond the end";
        id.value = st.total_pages + 100000;
        wanted = MPG_E_OUT_OF_BOUNDS;
        error = mpg_free(actor->pager, id);
        break;
    case 2:
        if (regular->count == 0)
            return;
        what = "alloc_at of an allocated page";
        id.value = regular->pages[any(actor, regular->count)].id;
        wanted = MPG_E_EXISTS;
        error = mpg_alloc_at(actor->pager, id, 0);
        break;
    case 3:
        if (regular->count == 0)
            return;
        what = "free of one page twice";
        twice[0].value = twice[1].value = regular->pages[any(actor, regular->count)].id;
        wanted = MPG_E_DOUBLE_FREE;
        error = mpg_free_bulk(actor->pager, twice, 2);
        break;
    case 4:
        what = "read of a protected page that is not there";
        wanted = MPG_E_NOT_ALLOCATED;
        error = mpg_protected_read(actor->buffer, actor->pager, (mpg_protected_id){100000});
        break;
    case 5:
        if (guarded->count == 0)
            return;
        what = "alloc_protected_at of one that is there";
        wanted = MPG_E_EXISTS;
        error = mpg_alloc_protected_at(
            actor->pager, (mpg_protected_id){guarded->pages[any(actor, guarded->count)].id});
        break;
    default:
        if (guarded->count == 0)
            return;
        what = "a range beyond the page";
        if (regular->count == 0)
            return;
        id.value = regular->pages[0].id;
        wanted = MPG_E_OUT_OF_BOUNDS;
        error = mpg_page_read(actor->buffer, actor->pager, id, actor->options.page_size - 1, 2);
        break;
    }
    if (error != wanted)
        actor_fail(actor, what, error);
}

/* What was written to regular pages, synced or not, is what everybody reads. */
static void read_regular(struct actor *actor)
{
    const struct page_set *set = &actor->now.regular;
    size_t offset = any(actor, actor->options.page_size), length;
    const struct page_state *page;
    unsigned content;

    if (set->count == 0)
        return;
    page = &set->pages[any(actor, set->count)];
    content = page->written ? page->written : page->content;
    length = 1 + any(actor, actor->options.page_size - offset);
    if (mpg_page_read(actor->buffer, actor->pager, (mpg_page_id){page->id}, offset, length) < 0)
        actor_fail(actor, "page_read", -1);
    else if (content != CONTENT_ANY &&
             memcmp(actor->buffer, pool_content(content) + offset, length) != 0)
        actor_fail(actor, "page_read: another content", 0);
}

/* A view shows what reading shows, and keeps showing it while one commit goes by. */
static void view_protected(struct actor *actor)
{
    const struct page_set *set = &actor->now.protected_pages;
    size_t index;
    const void *data;
    unsigned content;
    mpg_protected_id id;
    int error;

    if (set->count == 0)
        return;
    index = any(actor, set->count);
    id.value = set->pages[index].id;
    content = set->pages[index].content;
    error = mpg_protected_view(&data, actor->pager, id);
    if (error < 0) {
        actor_fail(actor, "protected_view", error);
        return;
    }
    actor_write_protected(actor, index);
    if (memcmp(data, pool_content(content), actor->options.page_size) != 0)
        actor_fail(actor, "protected_view: it changed", 0);
    /* Where contents move, views are in nobody's way, however often the page is written. */
    if (actor->options.format == MPG_FORMAT_1) {
        actor_write_protected(actor, index);
        if (memcmp(data, pool_content(content), actor->options.page_size) != 0)
            actor_fail(actor, "protected_view: it changed the second time", 0);
    } else if (mpg_free_protected(actor->pager, id) != MPG_E_BUSY) {
        actor_fail(actor, "free_protected beside a view", 0);
    }
    mpg_protected_release(actor->pager, data);
}

/* Iterators from any id, and what each page is used for. */
static void look_around(struct actor *actor)
{
    const struct page_set *set = &actor->now.regular;
    struct mpg_stat st = {.size = sizeof(st)};
    uint64_t uses[4] = {0};
    mpg_page_iter iter;
    mpg_page_id id;
    uint64_t from;
    size_t index = 0;

    must(mpg_stat(&st, actor->pager) == 0);
    from = random_below(&actor->random, st.total_pages + 2);
    while (index < set->count && set->pages[index].id < from)
        index++;
    mpg_page_iter_begin(&iter, actor->pager, (mpg_page_id){from});
    for (; mpg_page_iter_next(&id, &iter) == 1; index++)
        if (index >= set->count || set->pages[index].id != id.value)
            actor_fail(actor, "iterator: another page", 0);
    if (index != set->count)
        actor_fail(actor, "iterator: it ended early", 0);
    for (uint64_t page = 0; page < st.total_pages; page++) {
        enum mpg_page_use use;

        must(mpg_page_use(&use, actor->pager, page) == 0);
        uses[use]++;
    }
    /*
     * Where allocation is deferred, contents of new protected pages have no page yet in format 1.
     */
    if (uses[MPG_USE_FREE] + uses[MPG_USE_PROTECTED] !=
            st.total_pages - st.regular_pages - st.metadata_pages ||
        uses[MPG_USE_REGULAR] != set->count || uses[MPG_USE_METADATA] != st.metadata_pages)
        actor_fail(actor, "page_use: other counts", 0);
}

void model_step(struct actor *actor)
{
    switch (any(actor, 12)) {
    case 0:
        ask_for_what_is_refused(actor);
        break;
    case 1:
        read_regular(actor);
        break;
    case 2:
        view_protected(actor);
        break;
    case 3:
        look_around(actor);
        break;
    case 4:
        actor_alloc(actor, 1 + any(actor, 60), 0);
        break;
    case 5:
        if (actor->now.regular.count > 60)
            actor_free(actor, any(actor, 20), 1 + any(actor, 40));
        break;
    default:
        actor_do_something(actor);
        break;
    }
}

void model_begin(struct actor *actor, struct memory_disk *disk, const struct model_kind *kind,
                 int format, uint64_t seed)
{
    mpg_options options = MPG_OPTIONS_INIT;
    /* Metadata that fits in no cache, or in a small one, is read again and again. */
    static const size_t cache_sizes[] = {1, 16384, 0};

    options.page_size = kind->page_size;
    options.format = format;
    options.flags = kind->flags;
    options.address_space = (uint64_t)kind->page_size * 4000;
    /* The disk is in memory, three times. */
    if (sizeof(void *) < 8 && options.address_space > MOST_ON_32_BITS)
        options.address_space = MOST_ON_32_BITS;
    options.cache_size = cache_sizes[seed % 3];
    pool_init(kind->page_size);
    memory_disk_init(disk, options.address_space);
    actor_init(actor, disk, &options, seed);
}
