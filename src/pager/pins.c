/* SPDX-License-Identifier: MIT */
#include "pager/pins.h"

#include <stdlib.h>

#include "base/rules.h"
#include "os/poison.h"

#define SLOTS ((size_t)8192) /* a power of two: 512 KiB */
#define WAYS 4u              /* places where the slot of an address may be */

#define ONE_VIEW UINT64_C(1)
#define MOST_VIEWS ((UINT64_C(1) << 28) - 1)
#define OPEN (UINT64_C(1) << 28)
#define ONE_VERSION (UINT64_C(1) << 29)

/* Pages without a view that may have a record in the map. */
#define MOST_IDLE_PINS 4096

/* With the first view: many files have none. */
static void make_slots(struct pins *pins)
{
    const size_t line = sizeof(struct pin_slot);
    size_t before;

    if (POISON_MARKS)
        return; /* marks are set under the lock */
    /* Zeros that take no memory until they are used, which aligned memory is not. */
    pins->memory = calloc(SLOTS + 1, line);
    if (pins->memory == NULL)
        return;
    before = (line - (uintptr_t)pins->memory % line) % line;
    atomic_store_explicit(&pins->slots, (struct pin_slot *)(void *)((char *)pins->memory + before),
                          memory_order_release);
}

void mpgi_pins_free(struct pins *pins)
{
    free(pins->memory);
    mpgi_id_map_clear(&pins->others);
}

static struct pin_slot *slots_of(const struct pins *pins)
{
    return atomic_load_explicit(&pins->slots, memory_order_acquire);
}

/* There must be slots. */
static struct pin_slot *slot_at(const struct pins *pins, const unsigned char *data, unsigned way)
{
    return &slots_of(pins)[(((uintptr_t)data >> pins->page_shift) + way) & (SLOTS - 1)];
}

static const unsigned char *data_of(const struct pin_slot *slot)
{
    return atomic_load_explicit(&slot->data, memory_order_acquire);
}

static struct pin_slot *find_slot(const struct pins *pins, const unsigned char *data)
{
    for (unsigned way = 0; slots_of(pins) != NULL && way < WAYS; way++) {
        struct pin_slot *slot = slot_at(pins, data, way);

        if (data_of(slot) == data)
            return slot;
    }
    return NULL;
}

/* Whether the state was `*state` and is `next` now; otherwise *state is what it is. */
static bool swap(struct pin_slot *slot, uint64_t *state, uint64_t next)
{
    return atomic_compare_exchange_weak_explicit(&slot->state, state, next, memory_order_acq_rel,
                                                 memory_order_acquire);
}

bool mpgi_pins_try(const struct pins *pins, uint64_t id, const unsigned char *data)
{
    struct pin_slot *slot = find_slot(pins, data);
    uint64_t state;

    if (slot == NULL)
        return false;
    state = atomic_load_explicit(&slot->state, memory_order_acquire);
    do {
        if ((state & OPEN) == 0 || (state & MOST_VIEWS) == MOST_VIEWS || data_of(slot) != data ||
            atomic_load_explicit(&slot->id, memory_order_acquire) != id)
            return false;
    } while (!swap(slot, &state, state + ONE_VIEW));
    return true;
}

enum unpinned mpgi_pins_drop(const struct pins *pins, const unsigned char *data)
{
    struct pin_slot *slot = find_slot(pins, data);
    uint64_t state;

    if (slot == NULL)
        return UNPINNED_ELSEWHERE;
    /* The caller's view keeps the slot as it is: if there is none in it, there never was. */
    state = atomic_load_explicit(&slot->state, memory_order_acquire);
    do {
        if ((state & MOST_VIEWS) == 0)
            return UNPINNED_ELSEWHERE;
    } while (!swap(slot, &state, state - ONE_VIEW));
    return (state & MOST_VIEWS) == ONE_VIEW && (state & OPEN) == 0 ? UNPINNED_LAST : UNPINNED;
}

/* Closes a slot that has no views, for another page. */
static bool claim(struct pin_slot *slot)
{
    uint64_t state = atomic_load_explicit(&slot->state, memory_order_acquire);

    do {
        if ((state & MOST_VIEWS) != 0)
            return false;
    } while (!swap(slot, &state, (state & ~OPEN) + ONE_VERSION));
    return true;
}

/*
 * A closed slot for what is at an address now; NULL if all that it might have show something else.
 */
static struct pin_slot *make_slot(const struct pins *pins, uint64_t id, const unsigned char *data)
{
    for (unsigned way = 0; slots_of(pins) != NULL && way < WAYS; way++) {
        struct pin_slot *slot = slot_at(pins, data, way);

        if (!claim(slot))
            continue;
        atomic_store_explicit(&slot->id, id, memory_order_release);
        atomic_store_explicit(&slot->data, data, memory_order_release);
        return slot;
    }
    return NULL;
}

static bool take_in_slot(struct pin_slot *slot, bool open)
{
    uint64_t state = atomic_load_explicit(&slot->state, memory_order_acquire);

    do {
        if ((state & MOST_VIEWS) == MOST_VIEWS)
            return false;
    } while (!swap(slot, &state, (state + ONE_VIEW) | (open ? OPEN : 0)));
    return true;
}

static bool has_other(const struct pins *pins, uint64_t page)
{
    const union id_value *count = mpgi_id_map_find(&pins->others, page);

    return count != NULL && count->number > 0;
}

bool mpgi_pins_take(struct pins *pins, uint64_t id, uint64_t page, const unsigned char *data,
                    bool open)
{
    struct pin_slot *slot;
    union id_value *count;

    if (slots_of(pins) == NULL)
        make_slots(pins);
    slot = has_other(pins, page) ? NULL : find_slot(pins, data);
    /* Of what was there before there are no views any more, or the page would not be used again. */
    if (slot != NULL && atomic_load_explicit(&slot->id, memory_order_relaxed) != id) {
        if (!claim(slot))
            return false;
        atomic_store_explicit(&slot->id, id, memory_order_release);
    } else if (slot == NULL && !has_other(pins, page)) {
        slot = make_slot(pins, id, data);
    }
    if (slot != NULL)
        return take_in_slot(slot, open);
    count = mpgi_id_map_put(&pins->others, page);
    if (count != NULL)
        count->number++;
    return count != NULL;
}

void mpgi_pins_drop_other(struct pins *pins, uint64_t page)
{
    union id_value *count = mpgi_id_map_find(&pins->others, page);

    if (count == NULL || count->number == 0)
        return;
    /* A page viewed once is likely to be viewed again: some idle records stay. */
    if (--count->number == 0 && pins->others.count > MOST_IDLE_PINS)
        mpgi_id_map_remove(&pins->others, page);
}

bool mpgi_pins_close(const struct pins *pins, uint64_t page, const unsigned char *data)
{
    struct pin_slot *slot = data != NULL ? find_slot(pins, data) : NULL;
    uint64_t state = 0;

    if (slot != NULL && RULE_HOLDS(RULE_CLOSE_PINS))
        state = atomic_fetch_and_explicit(&slot->state, ~OPEN, memory_order_acq_rel);
    return (state & MOST_VIEWS) != 0 || has_other(pins, page);
}
