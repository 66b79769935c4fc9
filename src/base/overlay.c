/* SPDX-License-Identifier: MIT */
#include "base/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/shared.h"

/* The first range that ends at `offset` or behind it. */
static size_t first_from(const struct overlay *overlay, size_t offset)
{
    size_t low = 0, high = overlay->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (overlay->ranges[middle].end < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool reserve(struct overlay *overlay, size_t page_size)
{
    struct range *ranges;
    void *bytes = overlay->bytes != NULL ? mpgi_shared_own(overlay->bytes, page_size)
                                         : mpgi_shared_new(page_size);

    if (bytes == NULL)
        return false;
    overlay->bytes = bytes;
    ranges =
        mpgi_array_room(overlay->ranges, overlay->count, &overlay->capacity, sizeof(*ranges), 2);
    if (ranges == NULL)
        return false;
    overlay->ranges = ranges;
    return true;
}

bool mpgi_overlay_write(struct overlay *overlay, size_t page_size, const void *data, size_t offset,
                        size_t length)
{
    struct range added = {offset, offset + length};
    size_t first = first_from(overlay, offset), next = first;
    struct range *at;

    if (!reserve(overlay, page_size))
        return false;
    if (length == 0)
        return true;
    memcpy(overlay->bytes + offset, data, length);
    at = overlay->ranges + first;
    /* Those that it overlaps or touches become one with it. */
    for (; next < overlay->count && overlay->ranges[next].offset <= added.end; next++) {
        if (overlay->ranges[next].offset < added.offset)
            added.offset = overlay->ranges[next].offset;
        if (overlay->ranges[next].end > added.end)
            added.end = overlay->ranges[next].end;
    }
    memmove(at + 1, overlay->ranges + next, (overlay->count - next) * sizeof(*at));
    overlay->count += first + 1 - next;
    *at = added;
    return true;
}

void mpgi_overlay_apply(const struct overlay *overlay, unsigned char *page)
{
    for (size_t i = 0; i < overlay->count; i++) {
        const struct range *range = &overlay->ranges[i];

        memcpy(page + range->offset, overlay->bytes + range->offset, range->end - range->offset);
    }
}

bool mpgi_overlay_is_whole(const struct overlay *overlay, size_t page_size)
{
    return overlay->count == 1 && overlay->ranges[0].offset == 0 &&
           overlay->ranges[0].end == page_size;
}

void mpgi_overlay_free(struct overlay *overlay)
{
    mpgi_shared_drop(overlay->bytes);
    free(overlay->ranges);
    *overlay = (struct overlay){NULL, NULL, 0, 0};
}
