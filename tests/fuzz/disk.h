/* SPDX-License-Identifier: MIT */
/*
 * A disk with one page file on it, in memory, behind the library's table of system calls.
 *
 * Its bytes are seen at two addresses: what the library maps is not where reads and writes go, so
 * that pages which the library marks as untouchable are still there for the disk itself. A write to
 * a page that is guarded ends the program: that page belongs to somebody else.
 */
#ifndef FUZZ_DISK_H
#define FUZZ_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/io.h"

/* Bytes that the disk can hold; more is ENOSPC. */
#define FUZZ_DISK_CAPACITY ((size_t)4 << 20)
/* The smallest page size: guards are kept in units of it. */
#define FUZZ_GUARD_UNIT 1024u

struct fuzz_disk {
    unsigned char *bytes;  /* where reads and writes go; zeros beyond `size` */
    unsigned char *mapped; /* the same bytes, for the library's map */
    uint64_t size;         /* of the file */
    bool open, writable;
    uint64_t calls; /* since the last load: a measure of the work done */
    bool guarded[FUZZ_DISK_CAPACITY / FUZZ_GUARD_UNIT];
};

extern const struct io fuzz_disk_io;

void fuzz_disk_init(struct fuzz_disk *disk);
/* Puts a file on the disk. Nothing may be open. */
void fuzz_disk_load(struct fuzz_disk *disk, const unsigned char *bytes, size_t size);
/* From here on a page may not, or may again, be written. */
void fuzz_disk_guard(struct fuzz_disk *disk, uint64_t page, uint32_t page_size, bool guarded);
bool fuzz_disk_is_guarded(const struct fuzz_disk *disk, uint64_t page, uint32_t page_size);
void fuzz_disk_unguard_all(struct fuzz_disk *disk);

#endif
