/* SPDX-License-Identifier: MIT */
/* A page file around contents that are in their places already. */
#ifndef MPGI_COPY_BUILD_H
#define MPGI_COPY_BUILD_H

#include "life/copy_state.h"
#include "os/io.h"

struct copy_build {
    const struct format_ops *ops; /* of the copy */
    bool same_format;
    uint32_t page_size;
    const char *label;   /* or NULL */
    const void *uuid;    /* or NULL */
    uint64_t generation; /* numbers of commits begin behind this one */
    size_t cache_size;
};

/*
 * Makes a page file of what is open and locked, and has the contents of `state` where that says;
 * durable afterwards, but for its name. Free pages are given back to the disk.
 */
int mpgi_copy_build(struct file *file, const struct copy_state *state,
                    const struct copy_build *build);

#endif
