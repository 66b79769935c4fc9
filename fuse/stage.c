/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t end_of(const struct extent *extent)
{
    return extent->offset + extent->length;
}

/* Index of the first extent that ends behind `offset`. */
static size_t first_behind(const struct stage *stage, uint64_t offset)
{
    size_t low = 0, high = stage->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (end_of(&stage->extents[middle]) <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Makes room for two more extents, as many as one change can add. */
static int reserve(struct stage *stage)
{
    struct extent *extents;
    size_t capacity = stage->capacity * 2 + 4;

    if (stage->count + 2 <= stage->capacity) {
        return 0;
    }
    extents = realloc(stage->extents, capacity * sizeof(*extents));
    if (extents == NULL) {
        return ENOMEM;
    }
    stage->extents = extents;
    stage->capacity = capacity;
    return 0;
}

static void insert(struct stage *stage, size_t index, struct extent extent)
{
    memmove(&stage->extents[index + 1], &stage->extents[index],
            (stage->count - index) * sizeof(extent));
    stage->extents[index] = extent;
    stage->count++;
}

static void delete_range(struct stage *stage, size_t first, size_t end)
{
    if (first == end) {
        return;
    }
    for (size_t i = first; i < end; i++) {
        free(stage->extents[i].data);
    }
    memmove(&stage->extents[first], &stage->extents[end],
            (stage->count - end) * sizeof(*stage->extents));
    stage->count -= end - first;
}

/* Takes the first `length` bytes off an extent that is longer. */
static void cut_head(struct extent *extent, uint64_t length)
{
    extent->offset += length;
    extent->length -= length;
    if (extent->data != NULL) {
        memmove(extent->data, extent->data + length, extent->length);
    }
}

/* Splits extent `index` so that its second part begins at `offset`, within it. */
static int split(struct stage *stage, size_t index, uint64_t offset)
{
    struct extent *whole = &stage->extents[index];
    struct extent tail = {offset, end_of(whole) - offset, 0, NULL};

    if (whole->data != NULL) {
        tail.data = malloc(tail.length);
        if (tail.data == NULL) {
            return ENOMEM;
        }
        tail.capacity = tail.length;
        memcpy(tail.data, whole->data + (offset - whole->offset), tail.length);
    }
    whole->length -= tail.length;
    insert(stage, index + 1, tail);
    return 0;
}

/* Forgets what is staged in a range. There is room for one more extent. */
static int carve(struct stage *stage, uint64_t offset, uint64_t length)
{
    const uint64_t end = offset + length;
    size_t first = first_behind(stage, offset);
    size_t last;

    if (first < stage->count && stage->extents[first].offset < offset) {
        struct extent *extent = &stage->extents[first];

        if (end_of(extent) > end && split(stage, first, end) != 0) {
            return ENOMEM;
        }
        extent->length = offset - extent->offset;
        first++;
    }
    last = first;
    while (last < stage->count && end_of(&stage->extents[last]) <= end) {
        last++;
    }
    if (last < stage->count && stage->extents[last].offset < end) {
        cut_head(&stage->extents[last], end - stage->extents[last].offset);
    }
    delete_range(stage, first, last);
    return 0;
}

/* Gives an extent's data room for `length` bytes; more than asked for, as writes often go on. */
static int make_room(struct extent *extent, uint64_t length)
{
    uint64_t capacity = length + length / 2;
    unsigned char *data;

    if (length <= extent->capacity) {
        return 0;
    }
    data = realloc(extent->data, capacity);
    if (data == NULL) {
        return ENOMEM;
    }
    extent->data = data;
    extent->capacity = capacity;
    return 0;
}

/* Writes into, or on from the end of, an extent that holds data. */
static int write_onto(struct stage *stage, size_t index, const void *data, uint64_t offset,
                      uint64_t length)
{
    struct extent *extent = &stage->extents[index];
    const uint64_t end = end_of(extent);

    if (offset + length > end) {
        if (make_room(extent, offset + length - extent->offset) != 0) {
            return ENOMEM;
        }
        /* Begins at the end of an extent, so it splits none and cannot fail. */
        (void)carve(stage, end, offset + length - end);
        extent->length = offset + length - extent->offset;
    }
    memcpy(extent->data + (offset - extent->offset), data, length);
    return 0;
}

int stage_write(struct stage *stage, const void *data, uint64_t offset, uint64_t length)
{
    struct extent extent = {offset, length, length, NULL};
    size_t index;
    int error = 0;

    if (length == 0) {
        return 0;
    }
    index = offset > 0 ? first_behind(stage, offset - 1) : 0;
    if (index < stage->count && stage->extents[index].data != NULL &&
        stage->extents[index].offset <= offset && end_of(&stage->extents[index]) >= offset &&
        /* The range behind it may not cut another extent in two: that needs memory. */
        reserve(stage) == 0) {
        error = write_onto(stage, index, data, offset, length);
        stage->written |= error == 0;
        return error;
    }
    extent.data = malloc(length);
    if (extent.data == NULL || reserve(stage) != 0 || carve(stage, offset, length) != 0) {
        free(extent.data);
        return ENOMEM;
    }
    memcpy(extent.data, data, length);
    insert(stage, first_behind(stage, offset), extent);
    stage->written = true;
    return 0;
}

int stage_zero(struct stage *stage, uint64_t offset, uint64_t length)
{
    struct extent extent = {offset, length, 0, NULL};

    if (length == 0) {
        return 0;
    }
    if (reserve(stage) != 0 || carve(stage, offset, length) != 0) {
        return ENOMEM;
    }
    insert(stage, first_behind(stage, offset), extent);
    stage->written = true;
    return 0;
}

void stage_apply(const struct stage *stage, void *data, uint64_t offset, uint64_t length)
{
    const uint64_t end = offset + length;
    unsigned char *bytes = data;

    for (size_t i = first_behind(stage, offset); i < stage->count; i++) {
        const struct extent *extent = &stage->extents[i];
        uint64_t from = extent->offset > offset ? extent->offset : offset;
        uint64_t to = end_of(extent) < end ? end_of(extent) : end;

        if (extent->offset >= end) {
            break;
        }
        if (extent->data != NULL) {
            memcpy(bytes + (from - offset), extent->data + (from - extent->offset), to - from);
        } else {
            memset(bytes + (from - offset), 0, to - from);
        }
    }
}

void stage_clear(struct stage *stage)
{
    delete_range(stage, 0, stage->count);
    free(stage->extents);
    memset(stage, 0, sizeof(*stage));
}

static int put_zeros(mpg_txn *txn, mpg_protected_id id, uint64_t offset, uint64_t length)
{
    static const unsigned char zeros[64 * 1024];

    while (length > 0) {
        size_t part = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);
        int code = mpg_txn_protected_write(txn, id, zeros, offset, part);

        if (code != MPG_OK) {
            return code;
        }
        offset += part;
        length -= part;
    }
    return MPG_OK;
}

int stage_commit(struct stage *stage, mpg_pager *pager, mpg_protected_id id)
{
    mpg_txn *txn;
    int code = mpg_txn_begin(&txn, pager);

    if (code != MPG_OK) {
        return code;
    }
    for (size_t i = 0; code == MPG_OK && i < stage->count; i++) {
        const struct extent *extent = &stage->extents[i];

        code = extent->data != NULL
                   ? mpg_txn_protected_write(txn, id, extent->data, extent->offset, extent->length)
                   : put_zeros(txn, id, extent->offset, extent->length);
    }
    if (code == MPG_OK) {
        code = mpg_txn_commit(txn, 0);
    }
    if (code != MPG_OK) {
        mpg_txn_abort(txn);
        return code;
    }
    stage_clear(stage);
    return MPG_OK;
}
