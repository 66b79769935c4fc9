/* SPDX-License-Identifier: MIT */
/*
 * Floor 1: the file in memory at addresses that never move.
 *
 * The map consists of segments. Each is a piece of the file in address space that was reserved in
 * one go; the file is mapped into it as it grows. Where the last one ends, the next begins when it
 * is needed, and is as long as all before it together: so a file takes address space in proportion
 * to its length, and a growing one has few segments. No page lies in two.
 *
 * It is changed under the pager's lock and looked at without (mpgi_map_look). What was published
 * never changes but for `mapped`, which grows; an array of segments that has become too small
 * stays, for who looks at it yet, until the map is released: all of them together are as long as
 * the last.
 */
#ifndef MPGI_ADDRESS_MAP_H
#define MPGI_ADDRESS_MAP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "os/io.h"

struct map_segment {
    unsigned char *base;          /* where the byte `start` of the file is */
    uint64_t start;               /* a multiple of `unit`; where the segment before it ends */
    uint64_t length;              /* bytes reserved */
    atomic_uint_least64_t mapped; /* bytes of it that show the file; released when they do */
};

struct map_segments {
    struct map_segments *outgrown; /* the array before this one; owned */
    size_t capacity;
    struct map_segment at[]; /* by `start` */
};

struct address_map {
    _Atomic(struct map_segments *) segments; /* owned; released when it holds what was counted */
    atomic_size_t count;                     /* released when the last of them is complete */
    uint64_t unit;     /* of all lengths: bytes of a page of the file or of memory, the larger */
    uint64_t reserved; /* bytes in all segments together */
    uint64_t most;     /* more than that is never reserved; UINT64_MAX: no limit */
};

/*
 * An empty map. `wanted`: bytes to reserve at once, if they can be had, and at most; 0: what the
 * file needs when it needs it. `page_size` is the file's.
 */
void mpgi_map_init(struct address_map *map, const struct file *file, uint64_t wanted,
                   uint32_t page_size);

/*
 * The address of a page of the file, [offset, offset + map's page size); reserves and maps what is
 * missing. NO_MEMORY where no address space is to be had for it.
 */
int mpgi_map_find(unsigned char **data, struct address_map *map, const struct file *file,
                  uint64_t offset, uint64_t length);

/*
 * The address of a page where that is mapped already; NULL if not. Without the lock: what it looks
 * at may be of a moment ago, when less was mapped.
 */
unsigned char *mpgi_map_look(const struct address_map *map, uint64_t offset, uint64_t length);

/* Where in the file an address is that mpgi_map_find gave. */
uint64_t mpgi_map_offset_of(const struct address_map *map, const void *data);

/*
 * The address of what is mapped at an offset, and how much of `length` is mapped from there on in
 * one piece; 0 where it is not mapped.
 */
uint64_t mpgi_map_piece(unsigned char **data, const struct address_map *map, uint64_t offset,
                        uint64_t length);

void mpgi_map_release(struct address_map *map, const struct file *file);

/* Undoes what access has done to a range of the file; `unfault` of struct file. */
void mpgi_map_unfault(const struct file *file, const void *map, uint64_t offset, uint64_t length);

#endif
