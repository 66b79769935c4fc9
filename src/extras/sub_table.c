/* SPDX-License-Identifier: MIT */
/* The pages a sub-allocator holds, by id, and a list of those with a free part. */
#include "extras/sub_table.h"

#include <stdlib.h>

static size_t bucket_of(uint64_t id, unsigned bits)
{
    return (size_t)((id * 0x9e3779b97f4a7c15u) >> (64 - bits));
}

struct sub_page *mpgi_sub_find(const mpg_sub *sub, uint64_t id)
{
    struct sub_page *page = sub->buckets[bucket_of(id, sub->bucket_bits)];

    while (page != NULL && page->id != id)
        page = page->chain;
    return page;
}

/* Doubles the table. Without memory it stays as it is, and its chains get longer. */
static void grow_table(mpg_sub *sub)
{
    unsigned bits = sub->bucket_bits + 1;
    struct sub_page **buckets = calloc((size_t)1 << bits, sizeof(struct sub_page *));

    if (buckets == NULL)
        return;
    for (size_t i = 0; i < (size_t)1 << sub->bucket_bits; i++) {
        while (sub->buckets[i] != NULL) {
            struct sub_page *page = sub->buckets[i];
            struct sub_page **bucket = &buckets[bucket_of(page->id, bits)];
            sub->buckets[i] = page->chain;
            page->chain = *bucket;
            *bucket = page;
        }
    }
    free(sub->buckets);
    sub->buckets = buckets;
    sub->bucket_bits = bits;
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

    if (sub->count.pages >= (uint64_t)1 << sub->bucket_bits)
        grow_table(sub);
    struct sub_page **bucket = &sub->buckets[bucket_of(page->id, sub->bucket_bits)];
    page->chain = *bucket;
    *bucket = page;
    if (page->live != sub->all)
        list_insert(sub, page);
    sub->count.pages++;
    sub->count.live += live;
    sub->count.room += sub->parts - live;
}

void mpgi_sub_let_go(mpg_sub *sub, struct sub_page *page)
{
    unsigned live = (unsigned)__builtin_popcountll(page->live);
    struct sub_page **link = &sub->buckets[bucket_of(page->id, sub->bucket_bits)];

    while (*link != page)
        link = &(*link)->chain;
    *link = page->chain;
    page->chain = NULL;
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
