/* SPDX-License-Identifier: MIT */
/*
 * What a commit writes, gathered: pieces that lie behind each other in the file go out in one
 * system call.
 */
#ifndef MPGI_OUTPUT_H
#define MPGI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/io.h"

struct piece {
    uint64_t offset;
    uint64_t length;
    const void *data; /* NULL: zeros */
    uint64_t page;    /* for messages */
};

/* All zero is an empty one. */
struct output {
    struct piece *pieces; /* owned; what they point to is not */
    size_t count, capacity;
};

/* Makes room, so that `more` pieces can be added. False: no memory. */
bool mpgi_output_reserve(struct output *output, size_t more);
/* Room was made for it. */
void mpgi_output_add(struct output *output, uint64_t offset, uint64_t length, const void *data,
                     uint64_t page);
/* Puts the pieces into the order of the file. */
void mpgi_output_sort(struct output *output);
/* Writes them, sorted. */
int mpgi_output_write(const struct output *output, struct file *file);
void mpgi_output_clear(struct output *output);
void mpgi_output_free(struct output *output);

#endif
