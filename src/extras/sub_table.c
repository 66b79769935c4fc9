/* SPDX-License-Identifier: MIT */
/* The pages a sub-allocator holds, by id, and a list of those with a free part. */
#include "extras/sub_table.h"

#include <stdlib.h>

struct sub_page *mpgi_sub_find(const mpg_sub *sub, uint64_t id)
{
    return (struct sub_page *)mpgi_hash_find(&sub->held, id);
}

static void list_insert(mpg_sub *sub, struct sub_page *page)
{
    page->previous = NULL;
    page->next = sub->roomy;
    if (sub->roomy != NULL)
        sub->roomy->previous = page;
    sub->roomy = page;
}

static void list_remove(mpg_sub *sub, struct sub_page *page)
{
    if (page->previous != NULL)
        page->previous->next = page->next;
    else
        sub->roomy = page->next;
    if (page->next != NULL)
        page->next->previous = page->previous;
}

void mpgi_sub_hold(mpg_sub *sub, struct sub_page *page)
{
    unsigned live = (unsigned)__builtin_popcountll(page->live);

    mpgi_hash_insert(&sub->held, &page->link, page->id);
    if (page->live != sub->all)
        list_insert(sub, page);
    sub->count.pages++;
    sub->count.live += live;
    sub->count.room += sub->parts - live;
}

void mpgi_sub_let_go(mpg_sub *sub, struct sub_page *page)
{
    unsigned live = (unsigned)__builtin_popcountll(page->live);

    mpgi_hash_remove(&sub->held, &page->link);
    if (page->live != sub->all)
        list_remove(sub, page);
    sub->count.pages--;
    sub->count.live -= live;
    sub->count.room -= sub->parts - live;
}

void mpgi_sub_set_live(mpg_sub *sub, struct sub_page *page, uint64_t live)
{
    unsigned before = (unsigned)__builtin_popcountll(page->live);
    unsigned after = (unsigned)__builtin_popcountll(live);

    if (page->live == sub->all && live != sub->all)
        list_insert(sub, page);
    if (page->live != sub->all && live == sub->all)
        list_remove(sub, page);
    page->live = live;
    sub->count.live = sub->count.live - before + after;
    sub->count.room = sub->count.room + before - after;
}
