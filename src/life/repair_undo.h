/* SPDX-License-Identifier: MIT */
/*
 * The undo file of a repair: what stood where it writes, and what it writes there. It is durable
 * before the first byte of the page file is overwritten, so that a repair that was cut short can go
 * on, or be taken back.
 *
 *     offset  size
 *          0     8  "MPGUNDO1"
 *          8     8  length of the page file before
 *         16     8  length of it afterwards
 *         24     8  number of pieces
 *         32     8  length of this file
 *         40     4  CRC32 of all from byte 64 on
 *         44     4  CRC32 of bytes 0 to 43
 *         48     4  1: the repair is done; not covered by a checksum
 *         52    12  zero
 *         64        the pieces: offset in the page file (8), bytes before (4096), bytes afterwards (4096)
 *
 * Integers are little-endian. Where the page file ends within a piece the rest is zeros.
 */
#ifndef MPGI_REPAIR_UNDO_H
#define MPGI_REPAIR_UNDO_H

#include "life/repair_disk.h"
#include "mappedpages.h"

struct undo {
    struct file file; /* open */
    uint64_t before, after;
    uint64_t count;
    bool done;
};

/*
 * Writes it, durable, under its name. 1: there is nothing that differs, and no file. EXISTS where
 * the name is taken. Otherwise to be closed.
 */
int mpgi_undo_make(struct undo *undo, const struct repair_disk *disk, const uint64_t *always,
                   size_t always_count, const char *path);
/* Opens one that is there, and checks all of it. 1: there is none. Otherwise to be closed. */
int mpgi_undo_open(struct undo *undo, const struct io *io, void *context, const char *path);
void mpgi_undo_close(struct undo *undo);

/*
 * Whether each sector of the page file is as it was before or as it is afterwards, so that nobody
 * has written to it since: CHANGED if not.
 */
int mpgi_undo_check(const struct undo *undo, const struct file *file);
/*
 * Makes the page file what it is afterwards, or was before; durable. `progress` may stop it
 * half-way: CANCELLED.
 */
int mpgi_undo_apply(const struct undo *undo, struct file *file, bool before, mpg_progress progress,
                    void *context);
/* Marks it as one of a repair that is done, or is not, any more; durable. */
int mpgi_undo_mark(struct undo *undo, bool is_done);

#endif
