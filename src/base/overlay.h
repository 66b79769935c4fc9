/* SPDX-License-Identifier: MIT */
/* Bytes written to a page, kept apart from what the page holds. */
#ifndef MPGI_OVERLAY_H
#define MPGI_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>

struct range {
    size_t offset, end;
};

/* All zero is one without any bytes. */
struct overlay {
    /* As long as the page; meaningful within the ranges. One holder of them (shared.h). */
    unsigned char *bytes;
    struct range *ranges;   /* ascending, neither overlapping nor touching each other. Owned */
    size_t count, capacity; /* of ranges */
};

/* Puts bytes onto a page of `page_size` bytes, within it. False if memory ran out. */
bool mpgi_overlay_write(struct overlay *overlay, size_t page_size, const void *data, size_t offset,
                        size_t length);

/* Puts them onto what the page holds. */
void mpgi_overlay_apply(const struct overlay *overlay, unsigned char *page);

/* Whether they leave nothing of what the page holds. */
bool mpgi_overlay_is_whole(const struct overlay *overlay, size_t page_size);

void mpgi_overlay_free(struct overlay *overlay);

#endif
