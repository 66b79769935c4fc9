/* SPDX-License-Identifier: MIT */
#include "scratch_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS_MIN 64
#define PLACES_MIN 64

int scratch_table_init(struct scratch_table *table)
{
    struct timespec now;

    memset(table, 0, sizeof(*table));
    if (getrandom(table->key, sizeof(table->key), GRND_NONBLOCK) != sizeof(table->key)) {
        /* Early in boot, or forbidden: guessed less easily than nothing. */
        clock_gettime(CLOCK_MONOTONIC, &now);
        table->key[0] = (uint64_t)now.tv_nsec;
        table->key[1] = (uintptr_t)table;
    }
    table->buckets = calloc(BUCKETS_MIN, sizeof(struct scratch_file *));
    table->bucket_count = table->buckets != NULL ? BUCKETS_MIN : 0;
    return table->buckets != NULL ? 0 : ENOMEM;
}

static void free_file(struct scratch_file *file)
{
    free(file->data);
    free(file->name);
    free(file);
}

void scratch_table_free(struct scratch_table *table)
{
    for (size_t i = 0; i < table->serials.size; i++) {
        const struct map_slot *slot = &table->serials.slots[i];

        if (slot->key != 0) {
            free_file((struct scratch_file *)(uintptr_t)slot->value[0]);
        }
    }
    for (size_t i = 0; i < SCRATCH_ORDERS; i++) {
        free(table->orders[i].places);
    }
    map_free(&table->serials);
    free(table->buckets);
}

/* SipHash-1-3: short, and made for keys that an attacker chooses. */

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

static uint64_t hash(const struct scratch_table *table, enum fixed_node directory, const char *name)
{
    uint64_t v[4] = {
        table->key[0] ^ UINT64_C(0x736f6d6570736575), table->key[1] ^ UINT64_C(0x646f72616e646f6d),
        table->key[0] ^ UINT64_C(0x6c7967656e657261), table->key[1] ^ UINT64_C(0x7465646279746573)};
    size_t left = strlen(name);
    uint64_t word = (uint64_t)directory << 32 | left;

    sip_word(v, word);
    while (left > 0) {
        size_t part = left < sizeof(word) ? left : sizeof(word);

        word = 0;
        memcpy(&word, name, part);
        sip_word(v, word);
        name += part;
        left -= part;
    }
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct scratch_file **bucket_of(const struct scratch_table *table, enum fixed_node directory,
                                       const char *name)
{
    return &table->buckets[hash(table, directory, name) & (table->bucket_count - 1)];
}

/* Makes room for one name more; without memory chains become longer, and nothing else. */
static void grow_buckets(struct scratch_table *table)
{
    struct scratch_table bigger = *table;

    if (table->named < table->bucket_count) {
        return;
    }
    bigger.bucket_count *= 2;
    bigger.buckets = calloc(bigger.bucket_count, sizeof(struct scratch_file *));
    if (bigger.buckets == NULL) {
        return;
    }
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct scratch_file *file = table->buckets[i];

        while (file != NULL) {
            struct scratch_file *next = file->next;
            struct scratch_file **bucket = bucket_of(&bigger, file->directory, file->name);

            file->next = *bucket;
            *bucket = file;
            file = next;
        }
    }
    free(table->buckets);
    table->buckets = bigger.buckets;
    table->bucket_count = bigger.bucket_count;
}

static void unhash(struct scratch_table *table, struct scratch_file *file)
{
    struct scratch_file **link = bucket_of(table, file->directory, file->name);

    while (*link != file) {
        link = &(*link)->next;
    }
    *link = file->next;
    table->named--;
}

static void enhash(struct scratch_table *table, struct scratch_file *file)
{
    struct scratch_file **bucket;

    grow_buckets(table);
    bucket = bucket_of(table, file->directory, file->name);
    file->next = *bucket;
    *bucket = file;
    table->named++;
}

/* The order of a directory. */

static struct scratch_order *order_of(struct scratch_table *table, enum fixed_node directory)
{
    return &table->orders[directory == FIXED_PROTECTED];
}

/* The index of the first place behind `place`. */
static size_t index_behind(const struct scratch_order *order, uint64_t place)
{
    size_t low = 0, high = order->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (order->places[middle].place <= place) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int append_place(struct scratch_order *order, struct scratch_file *file)
{
    if (order->count == order->capacity) {
        size_t capacity = order->capacity == 0 ? PLACES_MIN : order->capacity * 2;
        struct scratch_place *places =
            realloc(order->places, capacity * sizeof(struct scratch_place));

        if (places == NULL) {
            return ENOMEM;
        }
        order->places = places;
        order->capacity = capacity;
    }
    file->place = ++order->last;
    order->places[order->count++] = (struct scratch_place){file->place, file};
    return 0;
}

/* Moves up over those that are gone, once they are half of all: so it costs little a removal. */
static void remove_place(struct scratch_order *order, uint64_t place)
{
    size_t kept = 0;

    order->places[index_behind(order, place) - 1].file = NULL;
    order->gone++;
    if (order->gone <= order->count / 2) {
        return;
    }
    for (size_t i = 0; i < order->count; i++) {
        if (order->places[i].file != NULL) {
            order->places[kept++] = order->places[i];
        }
    }
    order->count = kept;
    order->gone = 0;
    if (order->capacity > PLACES_MIN && kept < order->capacity / 4) {
        struct scratch_place *places =
            realloc(order->places, order->capacity / 2 * sizeof(struct scratch_place));

        if (places != NULL) {
            order->places = places;
            order->capacity /= 2;
        }
    }
}

/* The table. */

struct scratch_file *scratch_by_serial(const struct scratch_table *table, uint64_t serial)
{
    const uint64_t *found = map_find(&table->serials, serial);

    return found != NULL ? (struct scratch_file *)(uintptr_t)found[0] : NULL;
}

struct scratch_file *scratch_by_name(const struct scratch_table *table, enum fixed_node directory,
                                     const char *name)
{
    struct scratch_file *file = *bucket_of(table, directory, name);

    while (file != NULL && (file->directory != directory || strcmp(file->name, name) != 0)) {
        file = file->next;
    }
    return file;
}

struct scratch_file *scratch_behind(const struct scratch_table *table, enum fixed_node directory,
                                    uint64_t place)
{
    const struct scratch_order *order = &table->orders[directory == FIXED_PROTECTED];

    for (size_t i = index_behind(order, place); i < order->count; i++) {
        if (order->places[i].file != NULL) {
            return order->places[i].file;
        }
    }
    return NULL;
}

int scratch_add(struct scratch_table *table, struct scratch_file *file)
{
    uint64_t *value = map_put(&table->serials, file->serial);

    if (value == NULL) {
        return ENOMEM;
    }
    value[0] = (uintptr_t)file;
    return 0;
}

int scratch_give_name(struct scratch_table *table, struct scratch_file *file,
                      enum fixed_node directory, const char *name)
{
    const enum fixed_node before = file->directory;
    const uint64_t place = file->place;
    char *copy = strdup(name);

    if (copy == NULL) {
        return ENOMEM;
    }
    if (before != directory && append_place(order_of(table, directory), file) != 0) {
        free(copy);
        return ENOMEM;
    }
    if (before != 0) {
        unhash(table, file);
        if (before != directory) {
            remove_place(order_of(table, before), place);
        }
    }
    free(file->name);
    file->name = copy;
    file->directory = directory;
    enhash(table, file);
    return 0;
}

void scratch_take_name(struct scratch_table *table, struct scratch_file *file)
{
    if (file->directory != 0) {
        unhash(table, file);
        remove_place(order_of(table, file->directory), file->place);
        file->directory = 0;
    }
}

void scratch_delete(struct scratch_table *table, struct scratch_file *file)
{
    scratch_take_name(table, file);
    map_remove(&table->serials, file->serial);
    free_file(file);
}
