/* SPDX-License-Identifier: MIT */
#include "pager/entries.h"

#include <stdlib.h>

#define SLOTS ((size_t)8192) /* a power of two: 512 KiB */

static void make_slots(struct entries *entries)
{
    const size_t line = sizeof(struct entry_slot);
    size_t before;

    /* Zeros that take no memory until they are used, which aligned memory is not. */
    entries->memory = calloc(SLOTS + 1, line);
    if (entries->memory == NULL)
        return;
    before = (line - (uintptr_t)entries->memory % line) % line;
    atomic_store_explicit(&entries->slots,
                          (struct entry_slot *)(void *)((char *)entries->memory + before),
                          memory_order_release);
}

void mpgi_entries_free(struct entries *entries)
{
    free(entries->memory);
}

static struct entry_slot *slots_of(const struct entries *entries)
{
    return atomic_load_explicit(&entries->slots, memory_order_acquire);
}

/* NULL: there is none. */
static struct entry_slot *slot_of(const struct entries *entries, uint64_t id)
{
    struct entry_slot *slots = slots_of(entries);

    return slots == NULL ? NULL : &slots[id & (SLOTS - 1)];
}

static uint64_t load(const atomic_uint_least64_t *field)
{
    return atomic_load_explicit(field, memory_order_acquire);
}

static void store(atomic_uint_least64_t *field, uint64_t value)
{
    atomic_store_explicit(field, value, memory_order_release);
}

bool mpgi_entries_find(struct entry *entry, const struct entries *entries, uint64_t id)
{
    const struct entry_slot *slot = slot_of(entries, id);
    uint64_t turn = slot == NULL ? 1 : load(&slot->turn);
    uint64_t crc_current;

    if (turn % 2 != 0 || load(&slot->id) != id + 1 || id == UINT64_MAX)
        return false;
    entry->page[0] = load(&slot->page[0]);
    entry->page[1] = load(&slot->page[1]);
    entry->generation = load(&slot->generation);
    crc_current = load(&slot->crc_current);
    entry->crc = (uint32_t)crc_current;
    entry->current = (uint8_t)(crc_current >> 32);
    entry->in_use = true;
    return load(&slot->turn) == turn;
}

const unsigned char *mpgi_entries_data(const struct entries *entries, uint64_t id)
{
    const struct entry_slot *slot = slot_of(entries, id);

    return slot == NULL ? NULL : atomic_load_explicit(&slot->data, memory_order_relaxed);
}

/* Between the two what a slot says may change. */
static void begin(struct entry_slot *slot)
{
    atomic_fetch_add_explicit(&slot->turn, 1, memory_order_acq_rel);
}

static void end(struct entry_slot *slot)
{
    atomic_fetch_add_explicit(&slot->turn, 1, memory_order_acq_rel);
}

void mpgi_entries_note(struct entries *entries, uint64_t id, const struct entry *entry,
                       const unsigned char *data)
{
    struct entry_slot *slot;

    if (slots_of(entries) == NULL)
        make_slots(entries);
    slot = slot_of(entries, id);
    if (slot == NULL || id == UINT64_MAX)
        return;
    begin(slot);
    store(&slot->id, id + 1);
    store(&slot->page[0], entry->page[0]);
    store(&slot->page[1], entry->page[1]);
    store(&slot->generation, entry->generation);
    store(&slot->crc_current, (uint64_t)entry->current << 32 | entry->crc);
    atomic_store_explicit(&slot->data, data, memory_order_release);
    end(slot);
    if ((size_t)(slot - slots_of(entries)) >= entries->used)
        entries->used = (size_t)(slot - slots_of(entries)) + 1;
}

static void empty(struct entry_slot *slot)
{
    begin(slot);
    store(&slot->id, 0);
    atomic_store_explicit(&slot->data, NULL, memory_order_release);
    end(slot);
}

void mpgi_entries_forget(struct entries *entries, uint64_t id)
{
    struct entry_slot *slot = slot_of(entries, id);

    if (slot != NULL && id != UINT64_MAX && load(&slot->id) == id + 1)
        empty(slot);
}

void mpgi_entries_forget_all(struct entries *entries)
{
    for (size_t i = 0; i < entries->used; i++)
        empty(&slots_of(entries)[i]);
    entries->used = 0;
}
