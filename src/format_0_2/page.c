/* SPDX-License-Identifier: MIT */
#include "format_0_2/page.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/error.h"
#include "format_0_2/layout.h"

/* ---- versions ---- */

const struct sheet *mpgi_sheets_get(const struct sheet_versions *versions, enum version version)
{
    if (version == VERSION_NEWEST && versions->pending != NULL)
        return versions->pending;
    if (version != VERSION_DURABLE && versions->frozen != NULL)
        return versions->frozen;
    return versions->durable;
}

struct sheet *mpgi_sheets_edit(struct sheet_versions *versions)
{
    const struct sheet *newest = mpgi_sheets_get(versions, VERSION_NEWEST);

    if (versions->pending == NULL)
        versions->pending = newest != NULL ? mpgi_sheet_copy(newest) : mpgi_sheet_new();
    return versions->pending;
}

void mpgi_sheets_freeze(struct sheet_versions *versions)
{
    versions->frozen = versions->pending;
    versions->pending = NULL;
}

void mpgi_sheets_publish(struct sheet_versions *versions)
{
    mpgi_sheet_free(versions->previous);
    versions->previous = NULL;
    if (versions->frozen == NULL)
        return;
    versions->previous = versions->durable;
    versions->durable = versions->frozen;
    versions->frozen = NULL;
}

void mpgi_sheets_discard(struct sheet_versions *versions)
{
    mpgi_sheet_free(versions->frozen);
    mpgi_sheet_free(versions->pending);
    versions->frozen = NULL;
    versions->pending = NULL;
}

void mpgi_sheets_free(struct sheet_versions *versions)
{
    mpgi_sheets_discard(versions);
    mpgi_sheet_free(versions->previous);
    mpgi_sheet_free(versions->durable);
    versions->previous = NULL;
    versions->durable = NULL;
}

/* ---- in the file ---- */

/* What is read and written at once; a page no larger is one call. */
#define PIECE ((uint32_t)1 << 16)

int mpgi_0_2_io_init(struct page_io *io, struct file *file, uint32_t page_size)
{
    io->file = file;
    io->page_size = page_size;
    io->piece = malloc(min_u64(page_size, PIECE));
    return io->piece != NULL ? 0 : mpgi_fail_memory("open");
}

void mpgi_0_2_io_free(struct page_io *io)
{
    free(io->piece);
    io->piece = NULL;
}

/* Takes over what is not zero in a piece of a page. */
static int put_piece(struct sheet *sheet, const unsigned char *data, uint64_t at, size_t length)
{
    for (size_t done = 0; done < length; done += SHEET_CHUNK) {
        size_t chunk = (size_t)min_u64(length - done, SHEET_CHUNK);

        if (!is_zero(data + done, chunk) && !mpgi_sheet_write(sheet, data + done, at + done, chunk))
            return mpgi_fail_memory("open");
    }
    return 0;
}

/* Bytes [at, end) of a page, at a chunk's begin. */
static int read_range(struct sheet *sheet, const struct page_io *io, uint64_t page, uint64_t at,
                      uint64_t end)
{
    int result = 0;

    while (at < end && result == 0) {
        size_t length = (size_t)min_u64(end - at, PIECE);

        result = mpgi_file_read(io->file, io->piece, length, page * io->page_size + at, page);
        if (result == 0)
            result = put_piece(sheet, io->piece, at, length);
        at += length;
    }
    return result;
}

/* Where a page has data: pairs of begin and end, in whole chunks. */
struct extents {
    uint64_t (*at)[2];
    size_t count;
    size_t capacity;
};

static int add_extent(struct extents *extents, uint64_t begin, uint64_t end)
{
    uint64_t(*at)[2] =
        mpgi_array_room(extents->at, extents->count, &extents->capacity, sizeof(*at), 16);

    if (at == NULL)
        return mpgi_fail_memory("open");
    extents->at = at;
    extents->at[extents->count][0] = begin;
    extents->at[extents->count++][1] = end;
    return 0;
}

static int find_extents(struct extents *extents, const struct page_io *io, uint64_t page)
{
    uint64_t offset = page * io->page_size;
    int result = 0;

    for (uint64_t at = 0, end; at < io->page_size && result == 0; at = end) {
        uint64_t data = mpgi_file_next_data(io->file, offset + at, &end);

        if (data >= offset + io->page_size)
            break;
        at = (data - offset) / SHEET_CHUNK * SHEET_CHUNK;
        end = round_up(min_u64(end, offset + io->page_size) - offset, SHEET_CHUNK);
        result = add_extent(extents, at, end);
    }
    return result;
}

int mpgi_0_2_read_page(struct sheet *sheet, const struct page_io *io, uint64_t page)
{
    struct extents extents = {NULL, 0, 0};
    int result;

    if (io->page_size <= PIECE)
        return read_range(sheet, io, page, 0, io->page_size);
    /* All of them first: to the system, what it reads ahead of us may be data as well. */
    result = find_extents(&extents, io, page);
    for (size_t i = 0; i < extents.count && result == 0; i++)
        result = read_range(sheet, io, page, extents.at[i][0], extents.at[i][1]);
    free(extents.at);
    return result;
}

/* Zeros where the sheet has none but the file may have something. */
static int write_zeros(const struct page_io *io, uint64_t offset, uint64_t end, uint64_t page)
{
    static const unsigned char zeros[PIECE];
    int result = 0;

    while (offset < end && result == 0) {
        uint64_t data = mpgi_file_next_data(io->file, offset, NULL);
        size_t length;

        if (data >= end)
            break;
        offset = max_u64(offset, data);
        length = (size_t)min_u64(end - offset, PIECE);
        result = mpgi_file_write(io->file, zeros, length, offset, page);
        offset += length;
    }
    return result;
}

/*
 * How much to write at once from `at` on, which the sheet holds: to the end of what it holds there.
 */
static size_t length_of_piece(const struct sheet *sheet, const struct page_io *io, uint64_t at)
{
    uint64_t end = min_u64(io->page_size, at - at % SHEET_CHUNK + PIECE);

    if (io->page_size <= PIECE)
        return (size_t)(end - at);
    while (mpgi_sheet_next(sheet, end / SHEET_CHUNK - 1) != end / SHEET_CHUNK - 1)
        end -= SHEET_CHUNK;
    return (size_t)(end - at);
}

int mpgi_0_2_write_page(const struct sheet *sheet, const struct page_io *io, uint64_t first,
                        uint64_t page)
{
    uint64_t offset = page * io->page_size;
    uint64_t at = first;
    int result = 0;

    while (at < io->page_size && result == 0) {
        uint64_t held = mpgi_sheet_next(sheet, at / SHEET_CHUNK);
        uint64_t begin = held > io->page_size / SHEET_CHUNK ? io->page_size : held * SHEET_CHUNK;
        size_t length;

        if (begin > at && io->page_size > PIECE) {
            result = write_zeros(io, offset + at, offset + begin, page);
            at = begin;
            continue;
        }
        length = length_of_piece(sheet, io, at);
        mpgi_sheet_read(sheet, io->piece, at, length);
        result = mpgi_file_write(io->file, io->piece, length, offset + at, page);
        at += length;
    }
    return result;
}

/* ---- checksums ---- */

void mpgi_0_2_put_trailer(struct sheet *sheet, uint32_t page_size, uint32_t first)
{
    uint32_t end = page_size - TRAILER_SIZE;

    mpgi_sheet_put_u32(sheet, end, mpgi_sheet_crc(sheet, first, end));
}

uint32_t mpgi_0_2_trailer(const struct sheet *sheet, uint32_t page_size)
{
    return mpgi_sheet_u32(sheet, page_size - TRAILER_SIZE);
}

bool mpgi_0_2_trailer_fits(const struct sheet *sheet, uint32_t page_size, uint32_t first)
{
    return mpgi_0_2_trailer(sheet, page_size) ==
           mpgi_sheet_crc(sheet, first, page_size - TRAILER_SIZE);
}
