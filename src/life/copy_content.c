/* SPDX-License-Identifier: MIT */
#include "life/copy_content.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc.h"
#include "base/error.h"
#include "os/gate.h"

/* Bytes that are read at once. */
#define COPY_BUFFER ((size_t)1 << 20)
/* … and beside a writer, whose commit may have to wait until a disk has written so much. */
#define COPY_PIECE ((size_t)256 << 10)
/* A writer at a commit has the machine for so many times as long as the copy took for a piece, */
#define PAUSES 3
/* … but never for longer at once, in nanoseconds. */
#define MOST_PAUSE (NANOSECONDS / 10)

int mpgi_copy_content_begin(struct copy_content *content)
{
    content->capacity = max_u64(content->page_size, COPY_BUFFER);
    content->buffer = malloc(content->capacity);
    content->other = malloc(content->capacity);
    content->zero_crc = mpgi_crc_extend_zeros(0, content->page_size);
    return content->buffer != NULL && content->other != NULL ? 0 : mpgi_fail_memory("copy");
}

void mpgi_copy_content_end(struct copy_content *content)
{
    free(content->buffer);
    free(content->other);
    free(content->kept.bytes);
    free(content->kept.pieces);
    content->buffer = content->other = NULL;
    content->kept = (struct copy_kept){0};
}

void mpgi_copy_pace(struct copy_content *content)
{
    content->paced = true;
    content->capacity = max_u64(content->page_size, COPY_PIECE);
    content->resumed = now();
}

/* Leaves the disk and the processors to a writer that is at a commit. */
static void stand_back(struct copy_content *content)
{
    if (!content->hurried && mpgi_gate_is_held(content->from))
        pause_for(min_u64(PAUSES * (now() - content->resumed), MOST_PAUSE));
    content->resumed = now();
}

/*
 * What is copied beside a writer goes to the disk at once and little by little, or the sync in the
 * end would have it do nothing else for long.
 */
static int pace(struct copy_content *content, uint64_t bytes)
{
    int result;

    content->unwritten += bytes;
    if (!content->paced || content->unwritten < COPY_PIECE)
        return 0;
    content->unwritten = 0;
    result = mpgi_file_write_out(content->to, 0, 0);
    stand_back(content);
    return result;
}

int mpgi_copy_write_out(struct copy_content *content)
{
    const struct file *to = content->to;
    int result = 0;

    for (uint64_t at = 0; content->paced && at < to->bytes && result == 0; at += COPY_PIECE) {
        at = max_u64(at, mpgi_file_next_data(to, at, NULL) / COPY_PIECE * COPY_PIECE);
        if (at >= to->bytes)
            break;
        result = mpgi_file_write_out(to, at, COPY_PIECE);
        stand_back(content);
    }
    return result;
}

static int tell(struct copy_content *content, uint64_t bytes)
{
    const mpg_copy_options *options = content->options;
    int result = content->keeps ? 0 : pace(content, bytes);

    if (result != 0)
        return result;
    content->bytes += bytes;
    if (content->keeps || options->progress == NULL ||
        options->progress(options->context, content->bytes,
                          max_u64(content->expected, content->bytes)))
        return 0;
    return mpgi_fail(MPG_E_CANCELLED, "copy", MPG_NO_PAGE, "%s: cancelled", content->to->path);
}

/* ---- kept for later ---- */

struct copy_piece {
    uint64_t offset;
    size_t length;
};

/* Makes an array larger if it is to hold more; false: no memory. */
static bool make_room(void **array, size_t *capacity, size_t wanted, size_t size)
{
    size_t enough = *capacity == 0 ? 64 : *capacity;
    void *grown;

    if (wanted <= *capacity)
        return true;
    while (enough < wanted)
        enough *= 2;
    grown = reallocarray(*array, enough, size);
    if (grown == NULL)
        return false;
    *array = grown;
    *capacity = enough;
    return true;
}

static int keep(struct copy_content *content, const unsigned char *data, size_t length,
                uint64_t offset)
{
    struct copy_kept *kept = &content->kept;
    void *bytes = kept->bytes, *pieces = kept->pieces;
    bool room = make_room(&bytes, &kept->capacity, kept->length + length, 1) &&
                make_room(&pieces, &kept->room, kept->count + 1, sizeof(*kept->pieces));

    kept->bytes = bytes;
    kept->pieces = pieces;
    if (!room)
        return mpgi_fail_memory("copy");
    memcpy(kept->bytes + kept->length, data, length);
    kept->length += length;
    kept->pieces[kept->count++] = (struct copy_piece){offset, length};
    return 0;
}

int mpgi_copy_keep(struct copy_content *content, size_t expected)
{
    struct copy_kept *kept = &content->kept;
    void *bytes = kept->bytes;
    size_t before = kept->capacity;

    content->keeps = true;
    if (!make_room(&bytes, &kept->capacity, expected, 1))
        return mpgi_fail_memory("copy");
    kept->bytes = bytes;
    memset(kept->bytes + before, 0, kept->capacity - before); /* it is there, not only to be had */
    return 0;
}

int mpgi_copy_write_kept(struct copy_content *content, bool wanted)
{
    struct copy_kept *kept = &content->kept;
    const unsigned char *bytes = kept->bytes;
    int result = 0;

    content->keeps = false;
    for (size_t i = 0; wanted && i < kept->count && result == 0; i++) {
        result = mpgi_copy_put(content, bytes, kept->pieces[i].length, kept->pieces[i].offset);
        bytes += kept->pieces[i].length;
    }
    kept->length = kept->count = 0;
    return result != 0 ? result : tell(content, 0);
}

/* ---- writing ---- */

static int write_all(struct copy_content *content, const unsigned char *data, size_t length,
                     uint64_t offset)
{
    content->written += length;
    return mpgi_file_write(content->to, data, length, offset, offset / content->page_size);
}

/* How many bytes from `at` on are in pages that are different in both, or in pages that are not. */
static size_t count_same(const struct copy_content *content, const unsigned char *data, size_t at,
                         size_t length, bool same)
{
    size_t end = at;

    while (end < length) {
        size_t some = (size_t)min_u64(content->page_size, length - end);

        if ((memcmp(data + end, content->other + end, some) == 0) != same)
            break;
        end += some;
    }
    return end - at;
}

/* Whole pages, or a part of one; no more than the buffer holds. */
static int write_changed(struct copy_content *content, const unsigned char *data, size_t length,
                         uint64_t offset)
{
    int result;

    if (content->keeps)
        return keep(content, data, length, offset);
    if (!content->update)
        return write_all(content, data, length, offset);
    result = mpgi_file_read(content->to, content->other, length, offset, MPG_NO_PAGE);
    for (size_t at = 0; at < length && result == 0;) {
        size_t some;

        at += count_same(content, data, at, length, true);
        some = count_same(content, data, at, length, false);
        if (some > 0)
            result = write_all(content, data + at, some, offset + at);
        at += some;
    }
    return result;
}

int mpgi_copy_put(struct copy_content *content, const void *data, size_t length, uint64_t offset)
{
    return write_changed(content, data, length, offset);
}

/* ---- regular pages ---- */

/* What the file has no data for is zeros; in the copy, too, unless something was written there. */
static int copy_hole(struct copy_content *content, uint64_t offset, uint64_t length)
{
    uint64_t end = offset + length;
    int result = 0;

    while (result == 0 && offset < end) {
        uint64_t data = mpgi_file_next_data(content->to, offset, NULL);
        size_t some = (size_t)min_u64(content->capacity, end - min_u64(data, end));

        if (data >= end)
            return 0;
        memset(content->buffer, 0, some);
        result = write_changed(content, content->buffer, some, data);
        offset = data + some;
    }
    return result;
}

/* Nothing checks what is in regular pages: where the system copies it, it need not come here. */
static size_t copy_by_system(struct copy_content *content, uint64_t offset, size_t length)
{
    size_t copied = 0;

    if (content->keeps)
        return 0;
    if (!content->update && !content->by_hand)
        copied = mpgi_file_copy(content->to, content->from, length, offset);
    content->by_hand = copied < length;
    content->written += copied;
    return copied;
}

static int copy_data(struct copy_content *content, uint64_t offset, uint64_t length)
{
    int result = 0;

    for (uint64_t done = 0; done < length && result == 0;) {
        size_t some = (size_t)min_u64(content->capacity, length - done);
        size_t copied = copy_by_system(content, offset + done, some), rest = some - copied;
        uint64_t at = offset + done + copied;

        if (rest > 0)
            result = mpgi_file_read(content->from, content->buffer, rest, at, MPG_NO_PAGE);
        if (rest > 0 && result == 0)
            result = write_changed(content, content->buffer, rest, at);
        if (result == 0)
            result = tell(content, some);
        done += some;
    }
    return result;
}

static int copy_pages(struct copy_content *content, uint64_t first, uint64_t count)
{
    uint64_t offset = first * content->page_size;
    uint64_t end = offset + count * content->page_size;
    int result = 0;

    while (offset < end && result == 0) {
        uint64_t behind = UINT64_MAX;
        uint64_t data = min_u64(mpgi_file_next_data(content->from, offset, &behind), end);

        result = copy_hole(content, offset, data - offset);
        offset = data;
        behind = max_u64(min_u64(behind, end), offset);
        if (result == 0 && behind > offset)
            result = copy_data(content, offset, behind - offset);
        offset = behind;
    }
    return result;
}

/*
 * The first part of [*page, end) that none of the runs from *at on has: up to *behind. Nothing is
 * left where *page is `end` then.
 */
static void find_missing(const struct copy_state *before, size_t *at, uint64_t *page, uint64_t end,
                         uint64_t *behind)
{
    while (*at < before->run_count) {
        const struct copy_run *run = &before->runs[*at];

        if (run->first + run->count <= *page) {
            (*at)++;
        } else if (run->first <= *page) {
            *page = min_u64(run->first + run->count, end);
            if (*page == end)
                break;
        } else {
            break;
        }
    }
    *behind = *at < before->run_count ? min_u64(before->runs[*at].first, end) : end;
    *behind = max_u64(*behind, *page);
}

/* Goes through all pages that are new; with `content` they are copied. Counts them. */
static int new_pages(struct copy_content *content, const struct copy_state *now,
                     const struct copy_state *before, uint64_t *count)
{
    size_t at = 0;
    int result = 0;

    *count = 0;
    for (size_t i = 0; i < now->run_count; i++) {
        uint64_t page = now->runs[i].first;
        uint64_t end = page + now->runs[i].count;

        while (page < end && result == 0) {
            uint64_t behind;

            find_missing(before, &at, &page, end, &behind);
            if (page == end)
                break;
            *count += behind - page;
            if (content != NULL)
                result = copy_pages(content, page, behind - page);
            page = behind;
        }
    }
    return result;
}

int mpgi_copy_runs(struct copy_content *content, const struct copy_state *now,
                   const struct copy_state *before)
{
    uint64_t count;

    return new_pages(content, now, before, &count);
}

uint64_t mpgi_copy_rest(const struct copy_state *now, const struct copy_state *before,
                        uint32_t page_size)
{
    uint64_t pages;

    (void)new_pages(NULL, now, before, &pages);
    for (size_t i = 0; i < now->entry_count; i++)
        pages += !now->entries[i].copied;
    return pages * page_size;
}

/* ---- protected pages ---- */

/*
 * How many entries from `first` on are to be copied and lie behind each other, as far as the buffer
 * goes.
 */
static size_t count_together(const struct copy_content *content, const struct copy_state *now,
                             size_t first)
{
    size_t most = min_u64(content->capacity / content->page_size, now->entry_count - first);
    uint64_t page = entry_page(&now->entries[first].entry);
    size_t count = 1;

    while (count < most && !now->entries[first + count].copied &&
           entry_page(&now->entries[first + count].entry) == page + count)
        count++;
    return count;
}

/* Zeros where the copy has a hole. */
static bool is_there_already(const struct copy_content *content, const struct entry *entry,
                             const unsigned char *data)
{
    return entry->crc == content->zero_crc && data[0] == 0 &&
           memcmp(data, data + 1, content->page_size - 1) == 0 &&
           mpgi_file_is_hole(content->to, entry_page(entry) * content->page_size,
                             content->page_size);
}

/* Writes contents of entries that lie behind each other. */
static int write_contents(struct copy_content *content, struct copy_entry *entries, size_t count,
                          const unsigned char *data)
{
    int result = 0;

    if (count > 0)
        result = write_changed(content, data, count * content->page_size,
                               entry_page(&entries->entry) * content->page_size);
    for (size_t i = 0; i < count && result == 0; i++)
        entries[i].copied = true;
    return result;
}

static int copy_together(struct copy_content *content, struct copy_state *now, size_t first,
                         size_t count, size_t *failures, const struct copy_entry **failed)
{
    struct copy_entry *entries = &now->entries[first];
    uint64_t page = entry_page(&entries->entry);
    uint32_t size = content->page_size;
    size_t length = count * size, from = 0;
    int result = mpgi_file_read(content->from, content->buffer, length, page * size, page);

    for (size_t i = 0; i < count && result == 0; i++) {
        const unsigned char *data = content->buffer + i * size;
        bool fails = crc_of(data, size) != entries[i].entry.crc;

        if (!fails && !is_there_already(content, &entries[i].entry, data))
            continue;
        result = write_contents(content, &entries[from], i - from, content->buffer + from * size);
        from = i + 1;
        entries[i].copied = !fails;
        *failures += fails;
        *failed = fails ? &entries[i] : *failed;
    }
    if (result == 0)
        result =
            write_contents(content, &entries[from], count - from, content->buffer + from * size);
    return result != 0 ? result : tell(content, length);
}

int mpgi_copy_changed(struct copy_content *content, struct copy_state *now,
                      const struct copy_changes *changes, size_t *failures,
                      const struct copy_entry **failed)
{
    int result = 0;

    *failures = 0;
    for (size_t i = 0; i < changes->count && result == 0; i++) {
        size_t entry = changes->entries[i];

        if (!now->entries[entry].copied)
            result = copy_together(content, now, entry, count_together(content, now, entry),
                                   failures, failed);
    }
    return result;
}

int mpgi_copy_entries(struct copy_content *content, struct copy_state *now, size_t *failures,
                      const struct copy_entry **failed)
{
    int result = 0;

    *failures = 0;
    for (size_t i = 0; i < now->entry_count && result == 0;) {
        size_t count = 1;

        if (!now->entries[i].copied) {
            count = count_together(content, now, i);
            result = copy_together(content, now, i, count, failures, failed);
        }
        i += count;
    }
    return result;
}
