/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the allocator takes for each piece of memory besides what was asked for, about. */
#define OVERHEAD 16u

/* Takes memory from the budget, and gives it back. */
static bool take(const struct stage *stage, uint64_t bytes)
{
    return stage->budget == NULL || budget_take(stage->budget, stage->payer, bytes + OVERHEAD);
}

static void give(const struct stage *stage, uint64_t bytes)
{
    if (stage->budget != NULL && bytes > 0) {
        budget_give(stage->budget, stage->payer, bytes + OVERHEAD);
    }
}

static unsigned char *new_data(const struct stage *stage, uint64_t length, int *error)
{
    unsigned char *data;

    *error = ENOSPC;
    if (!take(stage, length)) {
        return NULL;
    }
    data = malloc(length);
    if (data == NULL) {
        give(stage, length);
        *error = ENOMEM;
    }
    return data;
}

static void free_data(const struct stage *stage, const struct extent *extent)
{
    free(extent->data);
    give(stage, extent->capacity);
}

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
    if (!take(stage, capacity * sizeof(*extents))) {
        return ENOSPC;
    }
    extents = realloc(stage->extents, capacity * sizeof(*extents));
    if (extents == NULL) {
        give(stage, capacity * sizeof(*extents));
        return ENOMEM;
    }
    give(stage, stage->capacity * sizeof(*extents));
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
        free_data(stage, &stage->extents[i]);
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
    struct extent tail = *whole;
    int error;

    tail.offset = offset;
    tail.length = end_of(whole) - offset;
    if (whole->data != NULL) {
        tail.data = new_data(stage, tail.length, &error);
        if (tail.data == NULL) {
            return error;
        }
        tail.capacity = tail.length;
        memcpy(tail.data, whole->data + (offset - whole->offset), tail.length);
    }
    whole->length -= tail.length;
    insert(stage, index + 1, tail);
    return 0;
}

/* Whether two requests come from one process for sure. */
static bool same_writer(const struct client *a, const struct client *b)
{
    return a->files != 0 && b->files != 0 ? a->files == b->files : a->thread == b->thread;
}

/* Notes if a range that is written next holds what somebody else staged. */
static void note_mixing(struct stage *stage, const struct client *writer, uint64_t offset,
                        uint64_t length)
{
    for (size_t i = first_behind(stage, offset);
         i < stage->count && stage->extents[i].offset < offset + length; i++) {
        stage->mixed |= !same_writer(&stage->extents[i].writer, writer);
    }
}

/* Forgets what is staged in a range. There is room for one more extent. */
static int carve(struct stage *stage, uint64_t offset, uint64_t length)
{
    const uint64_t end = offset + length;
    size_t first = first_behind(stage, offset);
    size_t last;

    if (first < stage->count && stage->extents[first].offset < offset) {
        struct extent *extent = &stage->extents[first];
        int error = end_of(extent) > end ? split(stage, first, end) : 0;

        if (error != 0) {
            return error;
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

/*
 * Gives an extent's data room for `length` bytes; more than asked for where the budget allows that,
 * as writes often go on.
 */
static int make_room(const struct stage *stage, struct extent *extent, uint64_t length)
{
    const uint64_t most = stage->page_size - extent->offset;
    uint64_t capacity = length + length / 2 < most ? length + length / 2 : most;
    unsigned char *data;

    if (length <= extent->capacity) {
        return 0;
    }
    if (!take(stage, capacity - extent->capacity)) {
        capacity = length;
        if (!take(stage, capacity - extent->capacity)) {
            return ENOSPC;
        }
    }
    data = realloc(extent->data, capacity);
    if (data == NULL) {
        give(stage, capacity - extent->capacity);
        return ENOMEM;
    }
    if (stage->budget != NULL) {
        budget_give(stage->budget, stage->payer, OVERHEAD); /* it is still one piece */
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
        int error = make_room(stage, extent, offset + length - extent->offset);

        if (error != 0) {
            return error;
        }
        note_mixing(stage, &extent->writer, end, offset + length - end);
        /* Begins at the end of an extent, so it splits none and cannot fail. */
        (void)carve(stage, end, offset + length - end);
        extent->length = offset + length - extent->offset;
    }
    memcpy(extent->data + (offset - extent->offset), data, length);
    return 0;
}

/* Whether a write at `offset` goes on with, or into, what the same client wrote. */
static bool goes_on(const struct extent *extent, const struct client *writer, uint64_t offset)
{
    return extent->data != NULL && extent->offset <= offset && end_of(extent) >= offset &&
           same_writer(&extent->writer, writer);
}

/* Puts an extent into the stage, whose data it then owns. */
static int put(struct stage *stage, const struct extent *extent)
{
    int error = reserve(stage);

    if (error == 0) {
        note_mixing(stage, &extent->writer, extent->offset, extent->length);
        error = carve(stage, extent->offset, extent->length);
    }
    if (error == 0) {
        insert(stage, first_behind(stage, extent->offset), *extent);
    }
    return error;
}

/* Finds who pays; then the stage can take memory. */
static int enter(struct stage *stage, const struct client *writer)
{
    if (stage->budget != NULL && stage->payer == NULL) {
        stage->payer = budget_enter(stage->budget, writer);
        if (stage->payer == NULL) {
            return ENOMEM;
        }
    }
    return 0;
}

int stage_write(struct stage *stage, const struct client *writer, const void *data, uint64_t offset,
                uint64_t length)
{
    struct extent extent = {offset, length, length, NULL, *writer};
    int error = length > 0 ? enter(stage, writer) : 0;
    size_t index;

    if (length == 0 || error != 0) {
        return error;
    }
    index = offset > 0 ? first_behind(stage, offset - 1) : 0;
    if (index < stage->count && goes_on(&stage->extents[index], writer, offset) &&
        /* The range behind it may not cut another extent in two: that needs memory. */
        reserve(stage) == 0) {
        return write_onto(stage, index, data, offset, length);
    }
    extent.data = new_data(stage, length, &error);
    if (extent.data == NULL) {
        return error;
    }
    memcpy(extent.data, data, length);
    error = put(stage, &extent);
    if (error != 0) {
        free_data(stage, &extent);
    }
    return error;
}

int stage_zero(struct stage *stage, const struct client *writer, uint64_t offset, uint64_t length)
{
    struct extent extent = {offset, length, 0, NULL, *writer};
    int error = length > 0 ? enter(stage, writer) : 0;

    return length == 0 || error != 0 ? error : put(stage, &extent);
}

uint64_t stage_end(const struct stage *stage)
{
    return stage->count > 0 ? end_of(&stage->extents[stage->count - 1]) : 0;
}

void stage_cut(struct stage *stage, uint64_t size)
{
    const size_t first = first_behind(stage, size);

    if (first < stage->count && stage->extents[first].offset < size) {
        stage->extents[first].length = size - stage->extents[first].offset;
        delete_range(stage, first + 1, stage->count);
    } else {
        delete_range(stage, first, stage->count);
    }
    if (stage_is_empty(stage)) {
        stage_clear(stage);
    }
}

void stage_truncate(struct stage *stage, const struct client *writer)
{
    stage->truncated = true;
    stage->truncated_by = *writer;
}

bool stage_has_of(const struct stage *stage, const struct client *writer)
{
    for (size_t i = 0; i < stage->count; i++) {
        if (client_may_be_same(&stage->extents[i].writer, writer)) {
            return true;
        }
    }
    return false;
}

/* Forgets what a client wrote. */
static void forget(struct stage *stage, const struct client *writer)
{
    for (size_t i = stage->count; i-- > 0;) {
        if (client_may_be_same(&stage->extents[i].writer, writer)) {
            delete_range(stage, i, i + 1);
        }
    }
    if (stage_is_empty(stage)) {
        stage_clear(stage);
    }
}

bool stage_drop(struct stage *stage, const struct client *writer, struct client *other)
{
    const bool truncated = stage->truncated && client_may_be_same(&stage->truncated_by, writer);
    size_t found = 0;

    other->thread = -1;
    for (size_t i = 0; i < stage->count; i++) {
        if (client_may_be_same(&stage->extents[i].writer, writer)) {
            found++;
        } else {
            *other = stage->extents[i].writer;
        }
    }
    if (found == 0 && (!truncated || stage->count > 0)) {
        return false;
    }
    if (found < stage->count && !stage->mixed) {
        other->thread = -1;
    } else if (truncated || !stage->truncated || stage->mixed) {
        stage_clear(stage);
        return true;
    }
    forget(stage, writer);
    return true;
}

void stage_apply(const struct stage *stage, void *data, uint64_t offset, uint64_t length)
{
    const uint64_t end = offset + length;
    unsigned char *bytes = data;

    if (stage->truncated) {
        memset(bytes, 0, length);
    }
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
    struct budget *budget = stage->budget;
    uint64_t page_size = stage->page_size;

    delete_range(stage, 0, stage->count);
    free(stage->extents);
    give(stage, stage->capacity * sizeof(*stage->extents));
    if (stage->payer != NULL) {
        budget_leave(budget, stage->payer);
    }
    *stage = (struct stage){.page_size = page_size, .budget = budget};
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

/*
 * Writes the staged bytes, those of one writer or (NULL) all, and zeros between them if the page
 * was truncated.
 */
static int put_bytes(const struct stage *stage, mpg_txn *txn, mpg_protected_id id,
                     const struct client *writer)
{
    uint64_t end = 0;
    int code = MPG_OK;

    for (size_t i = 0; code == MPG_OK && i < stage->count; i++) {
        const struct extent *extent = &stage->extents[i];

        if (writer != NULL && !client_may_be_same(&extent->writer, writer)) {
            continue;
        }
        if (stage->truncated) {
            code = put_zeros(txn, id, end, extent->offset - end);
            end = end_of(extent);
        }
        if (code == MPG_OK) {
            code = extent->data != NULL ? mpg_txn_protected_write(txn, id, extent->data,
                                                                  extent->offset, extent->length)
                                        : put_zeros(txn, id, extent->offset, extent->length);
        }
    }
    if (code == MPG_OK && stage->truncated) {
        code = put_zeros(txn, id, end, stage->page_size - end);
    }
    return code;
}

int stage_commit(struct stage *stage, mpg_pager *pager, mpg_protected_id id,
                 const struct client *writer)
{
    mpg_txn *txn;
    int code = mpg_txn_begin(&txn, pager);

    if (stage->truncated || stage->mixed) {
        writer = NULL; /* a part of it would be what nobody meant */
    }
    if (code != MPG_OK) {
        return code;
    }
    code = put_bytes(stage, txn, id, writer);
    if (code == MPG_OK) {
        code = mpg_txn_commit(txn, 0);
    }
    if (code != MPG_OK) {
        mpg_txn_abort(txn);
        return code;
    }
    if (writer != NULL) {
        forget(stage, writer);
    } else {
        stage_clear(stage);
    }
    return MPG_OK;
}
