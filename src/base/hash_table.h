/* SPDX-License-Identifier: MIT */
/*
 * A hash table of structures that bring their own link, so that taking one in cannot fail. (Of
 * plain numbers and pointers: id_map.h.) Not thread-safe.
 */
#ifndef MPGI_HASH_TABLE_H
#define MPGI_HASH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first member of what is in a table, so that one pointer is the other. */
struct hash_link {
    struct hash_link *next; /* in the same bucket */
    uint64_t key;           /* set by insert; no two in a table have the same */
};

struct hash_table {
    struct hash_link **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;        /* links in the table */
};

/* An empty table. False: no memory. */
bool mpgi_hash_init(struct hash_table *table);
/*
 * For emptying a table: takes out one link after the other, *bucket being 0 at first; NULL when it
 * is empty.
 */
struct hash_link *mpgi_hash_pop(struct hash_table *table, size_t *bucket);
/* Frees an empty table; or one that was never made, all zero. */
void mpgi_hash_free(struct hash_table *table);

/* The link with a key, or NULL. */
struct hash_link *mpgi_hash_find(const struct hash_table *table, uint64_t key);
/* Makes the table large enough for `more` further links. False: no memory. */
bool mpgi_hash_reserve(struct hash_table *table, size_t more);
/* Takes a link in. Where there is no memory for a larger table, its buckets get longer. */
void mpgi_hash_insert(struct hash_table *table, struct hash_link *link, uint64_t key);
/* Takes a link out, which is in the table. */
void mpgi_hash_remove(struct hash_table *table, struct hash_link *link);

#endif
