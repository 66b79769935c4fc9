/* SPDX-License-Identifier: MIT */
/*
 * Scratch files: names in /pages and /protected that are no numbers. They live in memory, for tools
 * that write a temporary file and rename it over a page.
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <sys/stat.h>

#include "fs.h"

struct scratch;

/*
 * `limit` is the memory for all of them, in bytes. Root and `master`, whose mount it is, may take
 * all of it; any other user no more than what he leaves free, so that one cannot take it from all.
 */
struct scratch *scratch_new(uint64_t limit, uid_t master);
/* Ends all of them; logs what is lost: those that had a name still. */
void scratch_free(struct scratch *scratch);

/*
 * Scratch files are named by a serial number, from 1. Functions return 0 or an errno; ENOENT from a
 * look-up, ESTALE for a serial number that is gone.
 */
int scratch_create(struct scratch *scratch, enum fixed_node directory, const char *name,
                   const struct stat *st, uint64_t *serial);
/* Finds it, and counts a reference of the kernel's. */
int scratch_lookup(struct scratch *scratch, enum fixed_node directory, const char *name,
                   uint64_t *serial);
/* Only finds it. */
int scratch_find(struct scratch *scratch, enum fixed_node directory, const char *name,
                 uint64_t *serial);
/* Counts a reference, or drops some; one without name and references is gone. */
void scratch_reference(struct scratch *scratch, uint64_t serial);
void scratch_forget(struct scratch *scratch, uint64_t serial, uint64_t references);
int scratch_unlink(struct scratch *scratch, enum fixed_node directory, const char *name);
/* Gives it another name, taking that from the one that had it. */
int scratch_rename(struct scratch *scratch, uint64_t serial, enum fixed_node directory,
                   const char *name);

/* Fills in mode, owner, size and times. */
int scratch_attributes(struct scratch *scratch, uint64_t serial, struct stat *st);
int scratch_set(struct scratch *scratch, uint64_t serial, const struct stat *st, int to_set);
int scratch_truncate(struct scratch *scratch, uint64_t serial, uint64_t size);
int scratch_read(struct scratch *scratch, uint64_t serial, void *data, uint64_t offset,
                 size_t *length);
int scratch_write(struct scratch *scratch, uint64_t serial, const void *data, uint64_t offset,
                  size_t length);
/* Zeroes a range, growing the file to hold it if asked to. */
int scratch_zero(struct scratch *scratch, uint64_t serial, uint64_t offset, uint64_t length,
                 bool grow);

/*
 * The next one in a directory behind a place, 0 at first, which becomes its own: 0 or ENOENT.
 * `name` holds NAME_MAX + 1.
 */
int scratch_next(struct scratch *scratch, enum fixed_node directory, uint64_t *place,
                 uint64_t *serial, char *name);

/* A copy of the whole content, zero-padded to `padded` bytes; EFBIG if it is longer. */
int scratch_copy(struct scratch *scratch, uint64_t serial, void *data, size_t padded);
/* It became a page: forgets it, whatever references there are. */
void scratch_remove(struct scratch *scratch, uint64_t serial);

#endif
