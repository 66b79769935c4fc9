/* SPDX-License-Identifier: MIT */
/*
 * A file as it would be: what is written to it stays in memory, in front of the file itself, which
 * is only read. What a repair does is tried here first, with all of the library, and can then be
 * written in one go, or not at all.
 */
#ifndef MPGI_REPAIR_DISK_H
#define MPGI_REPAIR_DISK_H

#include "base/sheet.h"
#include "os/io.h"

struct repair_disk {
    const struct file *under; /* what is really there */
    struct sheet *written;    /* its chunks stand before those of the file. Owned */
    uint64_t bytes;           /* the length as it would be */
};

/* The calls; their context is the disk. Files of it cannot be mapped. */
extern const struct io mpgi_repair_io;

int mpgi_repair_disk_init(struct repair_disk *disk, const struct file *under);
void mpgi_repair_disk_free(struct repair_disk *disk);
/* Back to what is there. */
int mpgi_repair_disk_forget(struct repair_disk *disk);

/* What the file under it has in a chunk; what cannot be read, or is not there, is zeros. */
void mpgi_repair_disk_under(const struct repair_disk *disk, unsigned char *bytes, uint64_t number);

#endif
