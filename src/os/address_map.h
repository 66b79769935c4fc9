/* SPDX-License-Identifier: MIT */
/*
 * The file in memory at addresses that never move. Address space is reserved once; the
 * file is mapped into it piece by piece as it grows.
 */
#ifndef MPGI_ADDRESS_MAP_H
#define MPGI_ADDRESS_MAP_H

#include <stdint.h>

#include "os/io.h"

struct address_map {
    unsigned char *base; /* the first byte of the file, or NULL where nothing could be reserved */
    uint64_t reserved;   /* bytes of address space */
    uint64_t mapped;     /* bytes of it that show the file */
};

/* Reserves `wanted` bytes, or the most that can be had. Cannot fail: the map is then empty. */
void mpgi_map_reserve(struct address_map *map, const struct file *file, uint64_t wanted);

/* Makes the first `bytes` bytes of the file reachable, as far as the reservation goes. */
int mpgi_map_extend(struct address_map *map, const struct file *file, uint64_t bytes);

void mpgi_map_release(struct address_map *map, const struct file *file);

#endif
