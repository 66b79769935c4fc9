/* SPDX-License-Identifier: MIT */
#include "life/repair_undo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "os/grow.h"
#include "os/new_file.h"

#define SECTOR 512u

enum undo_offset {
    UNDO_MAGIC = 0,
    UNDO_BEFORE = 8,
    UNDO_AFTER = 16,
    UNDO_COUNT = 24,
    UNDO_LENGTH = 32,
    UNDO_PIECES_CRC = 40,
    UNDO_CRC = 44,
    UNDO_DONE = 48,
    UNDO_HEAD_SIZE = 64,
};
#define UNDO_MAGIC_TEXT "MPGUNDO1"

struct piece {
    unsigned char offset[8];
    unsigned char before[SHEET_CHUNK];
    unsigned char after[SHEET_CHUNK];
};

/* ---- making one ---- */

/* Writes a piece behind the others. */
static int add_piece(struct undo *undo, const struct piece *piece, uint32_t *crc)
{
    uint64_t at = UNDO_HEAD_SIZE + undo->count * sizeof(*piece);

    *crc = crc_extend(*crc, piece, sizeof(*piece));
    undo->count++;
    return mpgi_file_write(&undo->file, piece, sizeof(*piece), at, MPG_NO_PAGE);
}

/* What a chunk is and what it is to be. Returns whether that differs. */
static bool take_piece(struct piece *piece, const struct repair_disk *disk, uint64_t number)
{
    put_u64(piece->offset, number * SHEET_CHUNK);
    mpgi_repair_disk_under(disk, piece->before, number);
    if (mpgi_sheet_next(disk->written, number) == number)
        memcpy(piece->after, mpgi_sheet_chunk(disk->written, number), SHEET_CHUNK);
    else
        memcpy(piece->after, piece->before, SHEET_CHUNK);
    return memcmp(piece->before, piece->after, SHEET_CHUNK) != 0;
}

static bool is_among(uint64_t number, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == number)
            return true;
    }
    return false;
}

/*
 * All that differs, and what tells whether somebody wrote to the file since. *differs: there is
 * such.
 */
static int add_pieces(struct undo *undo, const struct repair_disk *disk, const uint64_t *always,
                      size_t always_count, bool *differs, uint32_t *crc)
{
    struct piece *piece = malloc(sizeof(*piece));
    int result = piece != NULL ? 0 : mpgi_fail_memory("repair");
    uint64_t number = 0;

    while (result == 0 && (number = mpgi_sheet_next(disk->written, number)) != UINT64_MAX) {
        if (take_piece(piece, disk, number) && !is_among(number, always, always_count)) {
            *differs = true;
            result = add_piece(undo, piece, crc);
        }
        number++;
    }
    for (size_t i = 0; i < always_count && result == 0; i++) {
        *differs = take_piece(piece, disk, always[i]) || *differs;
        result = add_piece(undo, piece, crc);
    }
    free(piece);
    return result;
}

static int write_head(struct undo *undo, uint32_t crc)
{
    unsigned char head[UNDO_HEAD_SIZE] = {0};

    memcpy(head + UNDO_MAGIC, UNDO_MAGIC_TEXT, 8);
    put_u64(head + UNDO_BEFORE, undo->before);
    put_u64(head + UNDO_AFTER, undo->after);
    put_u64(head + UNDO_COUNT, undo->count);
    put_u64(head + UNDO_LENGTH, UNDO_HEAD_SIZE + undo->count * sizeof(struct piece));
    put_u32(head + UNDO_PIECES_CRC, crc);
    put_u32(head + UNDO_CRC, crc_of(head, UNDO_CRC));
    return mpgi_file_write(&undo->file, head, sizeof(head), 0, MPG_NO_PAGE);
}

static int fill(struct undo *undo, const struct repair_disk *disk, const uint64_t *always,
                size_t always_count, bool *differs)
{
    uint32_t crc = 0;
    int result;

    undo->count = 0;
    *differs = disk->bytes != disk->under->bytes;
    result = add_pieces(undo, disk, always, always_count, differs, &crc);
    if (result == 0)
        result = write_head(undo, crc);
    return result == 0 ? mpgi_file_sync(&undo->file) : result;
}

static int make_this_way(struct undo *undo, const struct repair_disk *disk, const uint64_t *always,
                         size_t always_count, bool *differs, const char *path, enum new_way way)
{
    const struct file *under = disk->under;
    int result = mpgi_new_file_begin(&undo->file, under->io, under->context, path, way);

    if (result != 0)
        return result;
    result = fill(undo, disk, always, always_count, differs);
    if (result != 0 || *differs)
        return mpgi_new_file_finish(&undo->file, result);
    mpgi_new_file_abandon(&undo->file);
    return 0;
}

int mpgi_undo_make(struct undo *undo, const struct repair_disk *disk, const uint64_t *always,
                   size_t always_count, const char *path)
{
    int result = NEW_NOT_HERE;
    bool differs = true;

    memset(undo, 0, sizeof(*undo));
    undo->before = disk->under->bytes;
    undo->after = disk->bytes;
    /* In place the name would stand for a part of it. */
    for (enum new_way way = NEW_NAMELESS; result == NEW_NOT_HERE && way < NEW_IN_PLACE; way++) {
        mpg_error_info error;

        result = make_this_way(undo, disk, always, always_count, &differs, path, way);
        if (result == 0 && differs)
            return 0;
        (void)mpg_last_error(&error);
        mpgi_undo_close(undo);
        (void)mpgi_fail_again(&error);
    }
    if (result == NEW_NOT_HERE)
        return mpgi_fail_errno(EOPNOTSUPP, "rename", MPG_NO_PAGE, path);
    return result == 0 ? 1 : result;
}

/* ---- one that is there ---- */

static int fail_undo(const struct undo *undo)
{
    return mpgi_fail(MPG_E_EXISTS, "repair", MPG_NO_PAGE,
                     "%s: it is not the undo file of a repair, or not whole", undo->file.path);
}

static int read_piece(const struct undo *undo, struct piece *piece, uint64_t number)
{
    return mpgi_file_read(&undo->file, piece, sizeof(*piece),
                          UNDO_HEAD_SIZE + number * sizeof(*piece), MPG_NO_PAGE);
}

static int check_pieces(const struct undo *undo, uint32_t expected)
{
    struct piece *piece = malloc(sizeof(*piece));
    uint32_t crc = 0;
    int result = piece != NULL ? 0 : mpgi_fail_memory("repair");

    for (uint64_t i = 0; i < undo->count && result == 0; i++) {
        result = read_piece(undo, piece, i);
        if (result == 0)
            crc = crc_extend(crc, piece, sizeof(*piece));
        if (result == 0 && get_u64(piece->offset) % SHEET_CHUNK != 0)
            result = fail_undo(undo);
        if (result == 0 && get_u64(piece->offset) >= max_u64(undo->after, undo->before))
            result = fail_undo(undo);
    }
    free(piece);
    return result == 0 && crc != expected ? fail_undo(undo) : result;
}

static int check_all(struct undo *undo)
{
    unsigned char head[UNDO_HEAD_SIZE];
    int result = undo->file.bytes < sizeof(head)
                     ? fail_undo(undo)
                     : mpgi_file_read(&undo->file, head, sizeof(head), 0, MPG_NO_PAGE);

    if (result != 0)
        return result;
    undo->before = get_u64(head + UNDO_BEFORE);
    undo->after = get_u64(head + UNDO_AFTER);
    undo->count = get_u64(head + UNDO_COUNT);
    undo->done = get_u32(head + UNDO_DONE) != 0;
    if (memcmp(head + UNDO_MAGIC, UNDO_MAGIC_TEXT, 8) != 0 ||
        get_u32(head + UNDO_CRC) != crc_of(head, UNDO_CRC) || undo->before > undo->after ||
        undo->after > INT64_MAX || undo->count > undo->file.bytes / sizeof(struct piece) ||
        get_u64(head + UNDO_LENGTH) != undo->file.bytes ||
        undo->file.bytes != UNDO_HEAD_SIZE + undo->count * sizeof(struct piece))
        return fail_undo(undo);
    return check_pieces(undo, get_u32(head + UNDO_PIECES_CRC));
}

int mpgi_undo_open(struct undo *undo, const struct io *io, void *context, const char *path)
{
    mpg_error_info info;
    int result;

    memset(undo, 0, sizeof(*undo));
    result = mpgi_file_open(&undo->file, io, context, path, false);
    (void)mpg_last_error(&info);
    if (result == MPG_E_IO && info.system_errno == ENOENT)
        return 1;
    if (result != 0)
        return result;
    result = check_all(undo);
    if (result == 0)
        return 0;
    (void)mpg_last_error(&info);
    mpgi_undo_close(undo);
    return mpgi_fail_again(&info);
}

void mpgi_undo_close(struct undo *undo)
{
    (void)mpgi_file_close(&undo->file);
}

/* ---- using it ---- */

static int fail_changed(const struct undo *undo, const struct file *file)
{
    return mpgi_fail(
        MPG_E_CHANGED, "repair", MPG_NO_PAGE,
        "%s: it was written to since the repair that %s is of, or that was of another file",
        file->path, undo->file.path);
}

/* A piece of the page file, of which a part may lie behind its end. */
static bool shows_either(const struct file *file, const struct piece *piece)
{
    unsigned char now[SECTOR];
    uint64_t at = get_u64(piece->offset);

    for (uint32_t i = 0; i < SHEET_CHUNK && at + i < file->bytes; i += SECTOR) {
        size_t length = (size_t)min_u64(SECTOR, file->bytes - at - i);

        /* What could not be read before need not be readable now. */
        if (mpgi_file_read(file, now, length, at + i, MPG_NO_PAGE) != 0)
            continue;
        if (memcmp(now, piece->before + i, length) != 0 &&
            memcmp(now, piece->after + i, length) != 0)
            return false;
    }
    return true;
}

int mpgi_undo_check(const struct undo *undo, const struct file *file)
{
    struct piece *piece;
    int result = 0;

    if (file->bytes < undo->before || file->bytes > undo->after)
        return fail_changed(undo, file);
    piece = malloc(sizeof(*piece));
    if (piece == NULL)
        return mpgi_fail_memory("repair");
    for (uint64_t i = 0; i < undo->count && result == 0; i++) {
        result = read_piece(undo, piece, i);
        if (result == 0 && !shows_either(file, piece))
            result = fail_changed(undo, file);
    }
    free(piece);
    return result;
}

static int apply_piece(const struct undo *undo, struct file *file, const struct piece *piece,
                       bool before)
{
    uint64_t at = get_u64(piece->offset);
    uint64_t end = before ? undo->before : undo->after;

    if (at >= end)
        return 0;
    return mpgi_file_write(file, before ? piece->before : piece->after,
                           (size_t)min_u64(SHEET_CHUNK, end - at), at, MPG_NO_PAGE);
}

static int set_length(const struct undo *undo, struct file *file, bool before)
{
    if (!before)
        return mpgi_file_grow(file, undo->after);
    if (file->bytes > undo->before &&
        file->io->truncate(file->context, file->fd, undo->before) != 0)
        return mpgi_fail_errno(errno, "ftruncate", MPG_NO_PAGE, file->path);
    file->bytes = undo->before;
    return 0;
}

int mpgi_undo_apply(const struct undo *undo, struct file *file, bool before, mpg_progress progress,
                    void *context)
{
    struct piece *piece = malloc(sizeof(*piece));
    int result = piece != NULL ? set_length(undo, file, before) : mpgi_fail_memory("repair");

    for (uint64_t i = 0; i < undo->count && result == 0; i++) {
        result = read_piece(undo, piece, i);
        if (result == 0)
            result = apply_piece(undo, file, piece, before);
        if (result == 0 && progress != NULL && i % 256 == 255 &&
            !progress(context, i + 1, undo->count))
            result =
                mpgi_fail(MPG_E_CANCELLED, "repair", MPG_NO_PAGE,
                          "%s: stopped half-way: repair it again to go on, or undo it", file->path);
    }
    free(piece);
    return result == 0 ? mpgi_file_sync(file) : result;
}

int mpgi_undo_mark(struct undo *undo, bool is_done)
{
    unsigned char done[4];
    int result;

    put_u32(done, is_done);
    result = mpgi_file_write(&undo->file, done, sizeof(done), UNDO_DONE, MPG_NO_PAGE);
    return result == 0 ? mpgi_file_sync(&undo->file) : result;
}
