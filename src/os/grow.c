/* SPDX-License-Identifier: MIT */
#include "os/grow.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "mappedpages.h"

static int fail(const struct file *file, const char *operation, uint64_t page)
{
    return mpgi_fail_errno(errno, operation, page, file->path);
}

/* ---- growing ---- */

/* Bytes asked for in one call, unless a signal interrupts it. */
#define STEP_MOST (UINT64_C(256) << 20)
#define STEP_LEAST (UINT64_C(64) << 10)

/* Gives back what a failed attempt to grow the file has taken. */
static int shrink_back(struct file *file, uint64_t bytes, int result)
{
    mpg_error_info error;

    (void)mpg_last_error(&error);
    file->bytes = bytes;
    if (file->io->truncate(file->context, file->fd, bytes) != 0)
        (void)mpgi_file_reload_size(file); /* what it has taken it keeps */
    (void)mpgi_fail_again(&error);
    return result;
}

static int extend_with_hole(struct file *file, uint64_t bytes)
{
    unsigned interrupted = 0;

    while (file->io->truncate(file->context, file->fd, bytes) != 0)
        if (!mpgi_interrupted(&interrupted))
            return fail(file, "ftruncate", MPG_NO_PAGE);
    return 0;
}

/* For filesystems that cannot reserve space: takes it by writing zeros. */
static int extend_with_zeros(struct file *file, uint64_t bytes)
{
    static const unsigned char zeros[1 << 16];
    int result = 0;

    for (uint64_t at = file->bytes; at < bytes && result == 0; at += sizeof(zeros))
        result = mpgi_file_write(file, zeros, (size_t)min_u64(sizeof(zeros), bytes - at), at,
                                 MPG_NO_PAGE);
    return result;
}

/*
 * Reserves [offset, offset + length) in steps. A filesystem may undo what it did so far when a
 * signal comes, and then begins anew each time: so a step that was interrupted is half as long the
 * next time, and one that never gets anywhere is an error in the end.
 */
static int allocate_in_steps(const struct file *file, uint64_t offset, uint64_t length)
{
    uint64_t step = STEP_MOST;
    unsigned interrupted = 0;

    while (length > 0) {
        uint64_t now = min_u64(length, step);

        if (file->io->allocate(file->context, file->fd, offset, now) == 0) {
            interrupted = 0;
            offset += now;
            length -= now;
        } else if (mpgi_interrupted(&interrupted)) {
            step = max_u64(now / 2, STEP_LEAST);
        } else {
            return -1;
        }
    }
    return 0;
}

static int extend_with_space(struct file *file, uint64_t bytes)
{
    uint64_t before = file->bytes;
    uint64_t room;
    int result;

    /* A disk that is too small should not be filled first to find that out. */
    if (file->io->room != NULL && file->io->room(file->context, file->fd, &room) == 0 &&
        bytes - before > room) {
        errno = ENOSPC;
        return fail(file, "fallocate", MPG_NO_PAGE);
    }
    if (allocate_in_steps(file, before, bytes - before) == 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == ENOSYS)
        result = extend_with_zeros(file, bytes);
    else
        result = fail(file, "fallocate", MPG_NO_PAGE);
    return result == 0 ? 0 : shrink_back(file, before, result);
}

int mpgi_file_grow(struct file *file, uint64_t bytes)
{
    int result;

    if (bytes <= file->bytes)
        return 0;
    if (bytes > INT64_MAX)
        return mpgi_fail(MPG_E_FILE_FULL, "grow", MPG_NO_PAGE,
                         "%s: %llu bytes are more than any file can have", file->path,
                         (unsigned long long)bytes);
    result = file->sparse ? extend_with_hole(file, bytes) : extend_with_space(file, bytes);
    if (result != 0)
        return result;
    if (file->counts != NULL)
        count_up(&file->counts->bytes_grown, bytes - file->bytes);
    file->bytes = bytes;
    return 0;
}

/* ---- space behind what is there ---- */

/*
 * A file may come with holes: `cp` leaves out what was reserved and never written. What is known to
 * have space behind it is remembered in pieces, 32 of them in a group, which is one word of the map
 * `backed`.
 */
#define PIECE (UINT64_C(64) << 10)
#define PIECES 32
#define GROUP (PIECES * PIECE)

static uintptr_t bit_of(uint64_t piece)
{
    return (uintptr_t)1 << piece % PIECES;
}

/* Marks the pieces that lie within [begin, end), all of one group. */
static void mark(union id_value *group, uint64_t begin, uint64_t end)
{
    uint64_t first = round_up(begin, PIECE) / PIECE;

    for (uint64_t piece = first; (piece + 1) * PIECE <= end; piece++)
        group->number |= bit_of(piece);
}

/* Asks the filesystem once what of a group has space behind it. */
static void look_at_group(const struct file *file, union id_value *group, uint64_t number)
{
    uint64_t at = number * GROUP;
    uint64_t end = at + GROUP;

    while (file->io->backed != NULL && at < end) {
        uint64_t known = file->io->backed(file->context, file->fd, at, end - at);

        known = min_u64(known, end - at);
        mark(group, at, at + known);
        at = round_up(at + known + 1, PIECE);
    }
}

static int back_range(struct file *file, uint64_t offset, uint64_t length)
{
    int (*back)(void *, int, uint64_t, uint64_t) =
        file->io->back != NULL ? file->io->back : file->io->allocate;
    unsigned interrupted = 0;

    while (back(file->context, file->fd, offset, length) != 0)
        if (!mpgi_interrupted(&interrupted))
            return -1;
    return 0;
}

/*
 * Zeros written to where nothing was are space, too. Only where nobody has the page yet: else they
 * could come over what its owner writes at the same time.
 */
static int back_with_zeros(struct file *file, uint64_t offset, uint64_t length, uint64_t page)
{
    static const unsigned char zeros[1 << 12];
    int result = 0;

    for (uint64_t at = offset; at < offset + length && result == 0; at += sizeof(zeros)) {
        size_t now = (size_t)min_u64(sizeof(zeros), offset + length - at);

        if (mpgi_file_is_hole(file, at, now))
            result = mpgi_file_write(file, zeros, now, at, page);
    }
    return result;
}

/*
 * Asks for a range alone. A full disk may have no room for the work of making sure (XFS counts what
 * that could take at most), also where there is space behind the range, as after the first time.
 */
static int back_alone(struct file *file, uint64_t begin, uint64_t end, uint64_t page)
{
    union id_value *length;
    int saved;

    if (back_range(file, begin, end - begin) == 0) {
        length = mpgi_id_map_put(&file->alone, begin);
        if (length != NULL) /* else it is asked for again */
            length->number = (uintptr_t)(end - begin);
        return 0;
    }
    saved = errno;
    if (file->io->backed != NULL &&
        file->io->backed(file->context, file->fd, begin, end - begin) >= end - begin)
        return 0;
    errno = saved;
    return fail(file, "fallocate", page);
}

static bool was_backed_alone(const struct file *file, uint64_t begin, uint64_t end)
{
    const union id_value *length = mpgi_id_map_find(&file->alone, begin);

    return length != NULL && length->number >= end - begin;
}

/* The part of a range that lies in one group. */
static int back_in_group(struct file *file, uint64_t begin, uint64_t end, uint64_t page,
                         bool is_new)
{
    uint64_t number = begin / GROUP;
    union id_value *group = mpgi_id_map_find(&file->backed, number);
    uint64_t wide_begin, wide_end;
    uintptr_t missing = 0;
    int result;

    if (group == NULL) {
        group = mpgi_id_map_put(&file->backed, number);
        if (group == NULL)
            return mpgi_fail_memory("back");
        group->number = 0;
        look_at_group(file, group, number);
    }
    for (uint64_t piece = begin / PIECE; piece * PIECE < end; piece++)
        missing |= ~group->number & bit_of(piece);
    if (missing == 0 || was_backed_alone(file, begin, end))
        return 0;
    /* Rule 12: what somebody has cut off is not to be there again. */
    result = RULE_HOLDS(12) ? mpgi_file_check_length(file) : 0;
    if (result != 0)
        return result;
    wide_begin = begin / PIECE * PIECE;
    wide_end = min_u64(round_up(end, PIECE), file->backed_from);
    if (back_range(file, wide_begin, wide_end - wide_begin) == 0) {
        /* The last piece counts as whole where the file came to its end in it. */
        mark(group, wide_begin, round_up(wide_end, PIECE));
        return 0;
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS)
        return is_new ? back_with_zeros(file, begin, end - begin, page) : 0;
    result = back_alone(file, begin, end, page);
    if (result == 0)
        file->scarce = true;
    return result;
}

int mpgi_file_back(struct file *file, uint64_t offset, uint64_t length, uint64_t page, bool is_new)
{
    uint64_t end = min_u64(offset + length, file->backed_from);
    int result = 0;

    if (offset >= end || file->sparse || !RULE_HOLDS(14))
        return 0;
    while (offset < end && result == 0) {
        uint64_t next = min_u64(end, (offset / GROUP + 1) * GROUP);

        result = back_in_group(file, offset, next, page, is_new);
        offset = next;
    }
    return result;
}

int mpgi_file_try_address(const struct file *file, void *address, size_t length, uint64_t page)
{
    if (!file->scarce || file->io->populate == NULL ||
        file->io->populate(file->context, address, length) == 0)
        return 0;
    errno = ENOSPC;
    return fail(file, "map for writing", page);
}

/* ---- giving space back ---- */

int mpgi_file_punch(const struct file *file, uint64_t offset, uint64_t length, uint64_t page)
{
    unsigned interrupted = 0;

    if (file->io->punch == NULL) {
        errno = EOPNOTSUPP;
        return fail(file, "fallocate", page);
    }
    while (file->io->punch(file->context, file->fd, offset, length) != 0)
        if (!mpgi_interrupted(&interrupted))
            return fail(file, "fallocate", page);
    return 0;
}

void mpgi_file_unback(struct file *file, uint64_t offset, uint64_t length)
{
    uint64_t end = min_u64(offset + length, file->bytes);

    mpgi_id_map_clear(&file->alone);
    for (uint64_t piece = offset / PIECE; piece * PIECE < end; piece++) {
        union id_value *group = mpgi_id_map_find(&file->backed, piece / PIECES);

        if (group != NULL)
            group->number &= ~bit_of(piece);
    }
    /* What lies below and has no record yet is asked for when it is needed. */
    file->backed_from = max_u64(file->backed_from, end);
}
