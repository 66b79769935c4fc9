/* SPDX-License-Identifier: MIT */
/* What the parts of a repair share. */
#ifndef MPGI_REPAIR_H
#define MPGI_REPAIR_H

#include "life/repair_disk.h"
#include "life/rescue.h"
#include "mappedpages_repair.h"

struct repair {
    struct rescue rescue;    /* its source is the file, open for writing and locked */
    struct repair_disk disk; /* what the file is to be */
    mpg_repair_options options;
    mpg_repair_result result;
    uint64_t *dropped; /* ids of protected pages that are given up; owned */
    size_t dropped_count, dropped_capacity;
    bool refused;   /* something that would be given up is not to be */
    bool no_memory; /* in a callback */
    bool looked;    /* the file was looked through: `rescue` is filled */
};

/* Works out, on the disk in front of the file, what it is to be. */
int mpgi_repair_plan(struct repair *repair);

/* With system calls of the caller's choice; what the tests come in through. */
int mpgi_repair_with(mpg_repair_result *result, const char *path, const mpg_repair_options *options,
                     const struct io *io, void *context);
int mpgi_repair_undo_with(const char *path, const char *undo, const struct io *io, void *context);

#endif
