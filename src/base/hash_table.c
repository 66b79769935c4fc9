/* SPDX-License-Identifier: MIT */
#include "base/hash_table.h"

#include <stdlib.h>

#define BUCKETS_MIN 16

static struct hash_link **bucket_of(const struct hash_table *table, uint64_t key)
{
    /* Fibonacci hashing: neighbouring keys land far apart. */
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15);

    return &table->buckets[(size_t)(hash >> 32) & (table->bucket_count - 1)];
}

bool mpgi_hash_init(struct hash_table *table)
{
    table->bucket_count = BUCKETS_MIN;
    table->count = 0;
    table->buckets = calloc(table->bucket_count, sizeof(struct hash_link *));
    return table->buckets != NULL;
}

struct hash_link *mpgi_hash_pop(struct hash_table *table, size_t *bucket)
{
    for (; *bucket < table->bucket_count; ++*bucket) {
        struct hash_link *link = table->buckets[*bucket];

        if (link == NULL)
            continue;
        table->buckets[*bucket] = link->next;
        table->count--;
        return link;
    }
    return NULL;
}

void mpgi_hash_free(struct hash_table *table)
{
    free(table->buckets);
    table->buckets = NULL;
}

struct hash_link *mpgi_hash_find(const struct hash_table *table, uint64_t key)
{
    struct hash_link *link = *bucket_of(table, key);

    while (link != NULL && link->key != key)
        link = link->next;
    return link;
}

static void add(struct hash_table *table, struct hash_link *link)
{
    struct hash_link **bucket = bucket_of(table, link->key);

    link->next = *bucket;
    *bucket = link;
    table->count++;
}

bool mpgi_hash_reserve(struct hash_table *table, size_t more)
{
    struct hash_table bigger = {NULL, table->bucket_count, 0};

    while (bigger.bucket_count < table->count + more)
        bigger.bucket_count *= 2;
    if (bigger.bucket_count == table->bucket_count)
        return true;
    bigger.buckets = calloc(bigger.bucket_count, sizeof(struct hash_link *));
    if (bigger.buckets == NULL)
        return false;
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct hash_link *link = table->buckets[i];

        while (link != NULL) {
            struct hash_link *next = link->next;

            add(&bigger, link);
            link = next;
        }
    }
    free(table->buckets);
    *table = bigger;
    return true;
}

void mpgi_hash_insert(struct hash_table *table, struct hash_link *link, uint64_t key)
{
    link->key = key;
    (void)mpgi_hash_reserve(table, 1);
    add(table, link);
}

void mpgi_hash_remove(struct hash_table *table, struct hash_link *link)
{
    struct hash_link **at = bucket_of(table, link->key);

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    table->count--;
}
