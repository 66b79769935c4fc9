/* SPDX-License-Identifier: MIT */
/* The pages a sub-allocator holds. All of it is called with the allocator's lock held. */
#ifndef MPGI_SUB_TABLE_H
#define MPGI_SUB_TABLE_H

#include "base/hash_table.h"
#include "mappedpages_sub.h"

#include <pthread.h>

/* A page that is held. */
struct sub_page {
    struct hash_link link; /* in the table, if it is held */
    uint64_t id;
    uint64_t live;             /* bit n: part n is in use */
    uint64_t claimed;          /* bit n: a free of part n is under way; a subset of live */
    uint64_t named;            /* bit n: the free that is just being begun names part n; else 0 */
    struct sub_page *previous; /* pages with room; NULL: the first */
    struct sub_page *next;     /* pages with room, or in a list of pages not held; NULL: the last */
};

struct mpg_sub {
    mpg_pager *pager;
    size_t part_size; /* bytes */
    unsigned parts;   /* of a page */
    uint64_t all;     /* a bit for each part of a page */

    pthread_mutex_t *lock;  /* over all below; apart, because a const allocator is locked too */
    struct hash_table held; /* the pages held, by id */
    struct sub_page *roomy; /* pages held with a free part: the one to use next */
    mpg_sub_usage count;
};

/* The page of that id, if it is held, or NULL. */
struct sub_page *mpgi_sub_find(const mpg_sub *sub, uint64_t id);

/* Takes a page into the table, with whatever parts of it are in use. Cannot fail. */
void mpgi_sub_hold(mpg_sub *sub, struct sub_page *page);

/* The reverse. */
void mpgi_sub_let_go(mpg_sub *sub, struct sub_page *page);

/* Changes which parts of a held page are in use. */
void mpgi_sub_set_live(mpg_sub *sub, struct sub_page *page, uint64_t live);

#endif
