/* SPDX-License-Identifier: MIT */
#include "os/address_map.h"

#include <errno.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "mappedpages.h"
#include "os/poison.h"

/* Below this much a reservation is not worth having. */
#define RESERVE_MIN (UINT64_C(64) << 20)

void mpgi_map_reserve(struct address_map *map, const struct file *file, uint64_t wanted)
{
    uint64_t unit = (uint64_t)sysconf(_SC_PAGESIZE);

    map->base = NULL;
    map->reserved = 0;
    map->mapped = 0;
    for (uint64_t bytes = round_up(wanted, unit); bytes > 0; bytes = round_up(bytes / 2, unit)) {
        if (bytes <= SIZE_MAX)
            map->base = file->io->reserve(file->context, (size_t)bytes);
        if (map->base != NULL) {
            map->reserved = bytes;
            return;
        }
        if (bytes <= RESERVE_MIN)
            return;
    }
}

int mpgi_map_extend(struct address_map *map, const struct file *file, uint64_t bytes)
{
    uint64_t unit = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t end = min_u64(round_up(bytes, unit), map->reserved);
    uint64_t old;

    if (end <= map->mapped)
        return 0;
    if (file->io->map(file->context, file->fd, map->base + map->mapped, (size_t)(end - map->mapped),
                      map->mapped, !file->read_only) != 0)
        return mpgi_fail_errno(errno, "mmap", MPG_NO_PAGE, file->path);
    old = map->mapped;
    map->mapped = end;
    poison(map, old, end - old);
    return 0;
}

void mpgi_map_release(struct address_map *map, const struct file *file)
{
    unpoison(map, 0, map->mapped);
    if (map->base != NULL)
        (void)file->io->unmap(file->context, map->base, (size_t)map->reserved);
    map->base = NULL;
}
