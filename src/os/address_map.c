/* SPDX-License-Identifier: MIT */
#include "os/address_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "mappedpages.h"
#include "os/poison.h"

/* What the first segment reserves for a small file. */
#define RESERVE_LEAST (UINT64_C(1) << 20)

/* What one segment takes, where there is not enough for the whole file. */
#define RESERVE_SCARCE (UINT64_C(16) << 20)

/*
 * Acquires: a count is released after the array that has as many complete segments, and an array
 * after what was copied into it, so whichever array is found holds the segments that were counted.
 */
static struct map_segments *segments_of(const struct address_map *map, size_t *count)
{
    *count = atomic_load_explicit(&map->count, memory_order_acquire);
    return atomic_load_explicit(&map->segments, memory_order_acquire);
}

/*
 * Of at least one segment that which holds the byte at an offset, if any does. Most are in the last
 * ones.
 */
static struct map_segment *segment_at(struct map_segments *segments, size_t count, uint64_t offset)
{
    size_t low = 0, high = count - 1;

    if (offset >= segments->at[high].start)
        return &segments->at[high];
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;

        if (offset >= segments->at[middle].start)
            low = middle;
        else
            high = middle - 1;
    }
    return &segments->at[low];
}

/* Acquires: what is counted can be reached. */
static uint64_t mapped_of(const struct map_segment *segment)
{
    return atomic_load_explicit(&segment->mapped, memory_order_acquire);
}

/* ---- reserving ---- */

static bool reserve(struct address_map *map, const struct file *file, uint64_t bytes)
{
    size_t count;
    struct map_segment *segment = &segments_of(map, &count)->at[count];
    void *base;

    if (bytes == 0 || bytes > SIZE_MAX || bytes > map->most - map->reserved)
        return false;
    base = file->io->reserve(file->context, map->reserved, (size_t)bytes);
    if (base == NULL)
        return false;
    segment->base = base;
    segment->start = map->reserved;
    segment->length = bytes;
    atomic_init(&segment->mapped, 0);
    atomic_store_explicit(&map->count, count + 1, memory_order_release);
    map->reserved += bytes;
    return true;
}

static bool make_room_for_segment(struct address_map *map)
{
    size_t count;
    struct map_segments *old = segments_of(map, &count);
    size_t capacity = old == NULL ? 4 : old->capacity * 2;
    struct map_segments *more;

    if (old != NULL && count < old->capacity)
        return true;
    more = malloc(sizeof(*more) + capacity * sizeof(more->at[0]));
    if (more == NULL)
        return false;
    more->outgrown = old;
    more->capacity = capacity;
    for (size_t i = 0; old != NULL && i < count; i++) {
        more->at[i].base = old->at[i].base;
        more->at[i].start = old->at[i].start;
        more->at[i].length = old->at[i].length;
        atomic_init(&more->at[i].mapped, mapped_of(&old->at[i]));
    }
    atomic_store_explicit(&map->segments, more, memory_order_release);
    return true;
}

/*
 * Adds a segment, so that the map reaches `end`: to the end of the file and as much again; or the
 * file alone; or, where that is more than can be had, little more than what is asked for, for
 * others need memory, too.
 */
static int add_segment(struct address_map *map, const struct file *file, uint64_t end)
{
    uint64_t needed = round_up(end - map->reserved, map->unit);
    uint64_t whole = max_u64(round_up(max_u64(file->bytes, end), map->unit), map->reserved);
    uint64_t ahead = max_u64(whole * 2, round_up(RESERVE_LEAST, map->unit));

    if (!make_room_for_segment(map))
        return mpgi_fail_memory("map");
    if (reserve(map, file, min_u64(ahead, map->most) - map->reserved) ||
        (whole - map->reserved > needed && reserve(map, file, whole - map->reserved)) ||
        (RESERVE_SCARCE > needed && reserve(map, file, round_up(RESERVE_SCARCE, map->unit))) ||
        reserve(map, file, needed))
        return 0;
    return mpgi_fail(MPG_E_NO_MEMORY, "map", MPG_NO_PAGE,
                     "%s: no address space is left for the bytes from %llu to %llu", file->path,
                     (unsigned long long)map->reserved, (unsigned long long)end);
}

void mpgi_map_init(struct address_map *map, const struct file *file, uint64_t wanted,
                   uint32_t page_size)
{
    memset(map, 0, sizeof(*map));
    map->unit = max_u64((uint64_t)sysconf(_SC_PAGESIZE), page_size);
    map->most = UINT64_MAX;
    if (wanted == 0)
        return;
    map->most = round_up(max_u64(wanted, file->bytes), map->unit);
    if (make_room_for_segment(map))
        (void)reserve(map, file, map->most);
}

/* ---- mapping ---- */

static int map_to(struct map_segment *segment, const struct file *file, uint64_t end)
{
    uint64_t unit = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t wanted = min_u64(round_up(end - segment->start, unit), segment->length);
    uint64_t mapped = mapped_of(segment);

    if (wanted <= mapped)
        return 0;
    if (file->io->map(file->context, file->fd, segment->base + mapped, (size_t)(wanted - mapped),
                      segment->start + mapped, !file->read_only) != 0)
        return -1;
    poison_bytes(segment->base, segment->start, mapped, wanted - mapped);
    atomic_store_explicit(&segment->mapped, wanted, memory_order_release);
    return 0;
}

int mpgi_map_find(unsigned char **data, struct address_map *map, const struct file *file,
                  uint64_t offset, uint64_t length)
{
    struct map_segments *segments;
    struct map_segment *segment;
    size_t count;

    while (offset + length > map->reserved) {
        int result =
            offset + length > map->most
                ? mpgi_fail(MPG_E_NO_MEMORY, "map", MPG_NO_PAGE,
                            "%s: byte %llu lies beyond the %llu bytes of address space "
                            "that the map may take",
                            file->path, (unsigned long long)offset, (unsigned long long)map->most)
                : add_segment(map, file, offset + length);

        if (result != 0)
            return result;
    }
    segments = segments_of(map, &count);
    segment = segment_at(segments, count, offset);
    /* What memory is locked may have a limit that the file exceeds, and the page does not. */
    if (offset + length > segment->start + mapped_of(segment) &&
        map_to(segment, file, file->bytes) != 0 && map_to(segment, file, offset + length) != 0)
        return mpgi_fail_errno(errno, "mmap", MPG_NO_PAGE, file->path);
    *data = segment->base + (offset - segment->start);
    return 0;
}

unsigned char *mpgi_map_look(const struct address_map *map, uint64_t offset, uint64_t length)
{
    size_t count;
    struct map_segments *segments = segments_of(map, &count);
    const struct map_segment *segment;
    uint64_t at;

    if (count == 0)
        return NULL;
    segment = segment_at(segments, count, offset);
    at = offset - segment->start;
    return at + length <= mapped_of(segment) ? segment->base + at : NULL;
}

uint64_t mpgi_map_offset_of(const struct address_map *map, const void *data)
{
    const unsigned char *at = data;
    size_t count;
    const struct map_segments *segments = segments_of(map, &count);
    const struct map_segment *segment = &segments->at[count - 1];

    while (segment > segments->at &&
           (at < segment->base || (uint64_t)(at - segment->base) >= segment->length))
        segment--;
    return segment->start + (uint64_t)(at - segment->base);
}

uint64_t mpgi_map_piece(unsigned char **data, const struct address_map *map, uint64_t offset,
                        uint64_t length)
{
    size_t count;
    struct map_segments *segments = segments_of(map, &count);
    const struct map_segment *segment;
    uint64_t at;

    if (offset >= map->reserved)
        return 0;
    segment = segment_at(segments, count, offset);
    at = offset - segment->start;
    if (at >= mapped_of(segment))
        return 0;
    *data = segment->base + at;
    return min_u64(length, mapped_of(segment) - at);
}

void mpgi_map_release(struct address_map *map, const struct file *file)
{
    size_t count;
    struct map_segments *segments = segments_of(map, &count);

    for (size_t i = 0; i < count; i++) {
        const struct map_segment *segment = &segments->at[i];

        unpoison_bytes(segment->base, segment->start, 0, mapped_of(segment));
        (void)file->io->unmap(file->context, segment->base, (size_t)segment->length);
    }
    while (segments != NULL) {
        struct map_segments *outgrown = segments->outgrown;

        free(segments);
        segments = outgrown;
    }
    memset(map, 0, sizeof(*map));
}

void mpgi_map_unfault(const struct file *file, const void *map, uint64_t offset, uint64_t length)
{
    while (length > 0) {
        unsigned char *data;
        uint64_t piece = mpgi_map_piece(&data, map, offset, length);

        if (piece == 0)
            return;
        file->io->unfault(file->context, data, (size_t)piece);
        offset += piece;
        length -= piece;
    }
}
