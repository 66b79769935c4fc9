/* SPDX-License-Identifier: MIT */
#include "format/salvage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/error.h"
#include "os/io.h"

int mpgi_salvage_init(struct salvage *salvage, struct file *file)
{
    memset(salvage, 0, sizeof(*salvage));
    salvage->file = file;
    salvage->regular = mpgi_sheet_new();
    salvage->owned = mpgi_sheet_new();
    salvage->contents = mpgi_sheet_new();
    return salvage->regular != NULL && salvage->owned != NULL && salvage->contents != NULL
               ? 0
               : mpgi_fail_memory("rescue");
}

void mpgi_salvage_free(struct salvage *salvage)
{
    mpgi_sheet_free(salvage->regular);
    mpgi_sheet_free(salvage->owned);
    mpgi_sheet_free(salvage->contents);
    free(salvage->doubtful_pages.ranges);
    free(salvage->doubtful_ids.ranges);
    free(salvage->entries);
    free(salvage->redos);
}

void mpgi_salvage_note(struct salvage *salvage, const char *name, uint64_t page, const char *format,
                       ...)
{
    char message[384];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    salvage->note(salvage->context, name, page, message);
}

int mpgi_salvage_looked(const struct salvage *salvage, uint64_t page)
{
    return salvage->looked != NULL && page % 256 == 0 ? salvage->looked(salvage->context, page) : 0;
}

/* ---- collecting ---- */

int mpgi_salvage_add_entry(struct salvage *salvage, const struct salvage_entry *entry)
{
    struct salvage_entry *entries = mpgi_array_room(salvage->entries, salvage->entry_count,
                                                    &salvage->entry_capacity, sizeof(*entry), 64);

    if (entries == NULL)
        return mpgi_fail_memory("rescue");
    salvage->entries = entries;
    entries[salvage->entry_count++] = *entry;
    return 0;
}

int mpgi_salvage_set_regular(struct salvage *salvage, uint64_t page, bool regular)
{
    if (mpgi_sheet_set_bit(salvage->regular, page, regular))
        return 0;
    return mpgi_fail_memory("rescue");
}

int mpgi_salvage_set_content(struct salvage *salvage, uint64_t page)
{
    if (page >= salvage->pages || mpgi_sheet_set_bit(salvage->contents, page, true))
        return 0;
    return mpgi_fail_memory("rescue");
}

int mpgi_salvage_set_owned(struct salvage *salvage, uint64_t page)
{
    if (page >= salvage->pages || mpgi_sheet_set_bit(salvage->owned, page, true))
        return 0;
    return mpgi_fail_memory("rescue");
}

int mpgi_salvage_doubt(struct salvage_ranges *ranges, uint64_t first, uint64_t end)
{
    struct salvage_range *all;

    if (first >= end)
        return 0;
    all = mpgi_array_room(ranges->ranges, ranges->count, &ranges->capacity, sizeof(*all), 64);
    if (all == NULL)
        return mpgi_fail_memory("rescue");
    ranges->ranges = all;
    all[ranges->count++] = (struct salvage_range){first, end};
    return 0;
}

/* ---- looking up ---- */

static int by_first(const void *a, const void *b)
{
    const struct salvage_range *one = a, *other = b;

    return (one->first > other->first) - (one->first < other->first);
}

void mpgi_salvage_sort(struct salvage_ranges *ranges)
{
    size_t kept = 0;

    if (ranges->count > 0)
        qsort(ranges->ranges, ranges->count, sizeof(*ranges->ranges), by_first);
    for (size_t i = 0; i < ranges->count; i++) {
        struct salvage_range *range = &ranges->ranges[i];

        if (kept > 0 && range->first <= ranges->ranges[kept - 1].end)
            ranges->ranges[kept - 1].end = max_u64(range->end, ranges->ranges[kept - 1].end);
        else
            ranges->ranges[kept++] = *range;
    }
    ranges->count = kept;
}

uint64_t mpgi_salvage_next_doubted(const struct salvage_ranges *ranges, uint64_t number)
{
    size_t low = 0, high = ranges->count;

    /* The first range that ends behind it. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ranges->ranges[middle].end <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ranges->count ? max_u64(ranges->ranges[low].first, number) : UINT64_MAX;
}

bool mpgi_salvage_doubts(const struct salvage_ranges *ranges, uint64_t number)
{
    return number != UINT64_MAX && mpgi_salvage_next_doubted(ranges, number) == number;
}

static int by_id(const void *a, const void *b)
{
    const struct salvage_entry *one = a, *other = b;

    if (one->id != other->id)
        return one->id < other->id ? -1 : 1;
    if (one->known != other->known)
        return one->known > other->known ? -1 : 1;
    return (one->proven < other->proven) - (one->proven > other->proven);
}

void mpgi_salvage_sort_entries(struct salvage *salvage)
{
    if (salvage->entry_count > 0)
        qsort(salvage->entries, salvage->entry_count, sizeof(*salvage->entries), by_id);
}
