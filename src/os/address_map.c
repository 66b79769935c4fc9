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

/* The segment that holds the byte at an offset, below `reserved`. Most are in the last ones. */
static struct map_segment *segment_at(const struct address_map *map, uint64_t offset)
{
    size_t low = 0, high = map->count - 1;

    if (offset >= map->segments[high].start)
        return &map->segments[high];
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;

        if (offset >= map->segments[middle].start)
            low = middle;
        else
            high = middle - 1;
    }
    return &map->segments[low];
}

/* ---- reserving ---- */

static bool reserve(struct address_map *map, const struct file *file, uint64_t bytes)
{
    struct map_segment *segment = &map->segments[map->count];
    void *base;

    if (bytes == 0 || bytes > SIZE_MAX || bytes > map->most - map->reserved)
        return false;
    base = file->io->reserve(file->context, map->reserved, (size_t)bytes);
    if (base == NULL)
        return false;
    *segment = (struct map_segment){base, map->reserved, bytes, 0};
    map->count++;
    map->reserved += bytes;
    return true;
}

static bool make_room_for_segment(struct address_map *map)
{
    size_t capacity = map->capacity == 0 ? 4 : map->capacity * 2;
    struct map_segment *more;

    if (map->count < map->capacity)
        return true;
    more = realloc(map->segments, capacity * sizeof(*more));
    if (more == NULL)
        return false;
    map->segments = more;
    map->capacity = capacity;
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

    if (wanted <= segment->mapped)
        return 0;
    if (file->io->map(file->context, file->fd, segment->base + segment->mapped,
                      (size_t)(wanted - segment->mapped), segment->start + segment->mapped,
                      !file->read_only) != 0)
        return -1;
    poison_bytes(segment->base, segment->start, segment->mapped, wanted - segment->mapped);
    segment->mapped = wanted;
    return 0;
}

int mpgi_map_find(unsigned char **data, struct address_map *map, const struct file *file,
                  uint64_t offset, uint64_t length)
{
    struct map_segment *segment;

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
    segment = segment_at(map, offset);
    /* What memory is locked may have a limit that the file exceeds, and the page does not. */
    if (offset + length > segment->start + segment->mapped &&
        map_to(segment, file, file->bytes) != 0 && map_to(segment, file, offset + length) != 0)
        return mpgi_fail_errno(errno, "mmap", MPG_NO_PAGE, file->path);
    *data = segment->base + (offset - segment->start);
    return 0;
}

uint64_t mpgi_map_offset_of(const struct address_map *map, const void *data)
{
    const unsigned char *at = data;
    const struct map_segment *segment = &map->segments[map->count - 1];

    while (segment > map->segments &&
           (at < segment->base || (uint64_t)(at - segment->base) >= segment->length))
        segment--;
    return segment->start + (uint64_t)(at - segment->base);
}

uint64_t mpgi_map_piece(unsigned char **data, const struct address_map *map, uint64_t offset,
                        uint64_t length)
{
    const struct map_segment *segment;
    uint64_t at;

    if (offset >= map->reserved)
        return 0;
    segment = segment_at(map, offset);
    at = offset - segment->start;
    if (at >= segment->mapped)
        return 0;
    *data = segment->base + at;
    return min_u64(length, segment->mapped - at);
}

void mpgi_map_release(struct address_map *map, const struct file *file)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct map_segment *segment = &map->segments[i];

        unpoison_bytes(segment->base, segment->start, 0, segment->mapped);
        (void)file->io->unmap(file->context, segment->base, (size_t)segment->length);
    }
    free(map->segments);
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
