/* SPDX-License-Identifier: MIT */
/* Compacting: what is written. */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "life/compact.h"
#include "os/grow.h"

static int fail_content(const struct compact *compact, const struct compact_move *move)
{
    return mpgi_fail(MPG_E_CORRUPT_PAGE, "compact", move->id,
                     "%s: protected page %llu does not match its checksum",
                     compact->pager->file.path, (unsigned long long)move->id);
}

static int tell(struct compact *compact)
{
    const mpg_compact_options *options = compact->options;

    if (options->progress == NULL || options->progress(options->context, compact->done,
                                                       max_u64(compact->expected, compact->done)))
        return 0;
    return mpgi_fail(MPG_E_CANCELLED, "compact", MPG_NO_PAGE, "%s: cancelled",
                     compact->pager->file.path);
}

/* A content that fails its checksum is copied as well: it counts nowhere yet. */
static int copy_content(struct compact *compact, const struct compact_move *move)
{
    struct file *file = &compact->pager->file;
    uint64_t page_size = compact->pager->page_size;
    uint32_t crc = 0;
    int result = 0;

    for (uint64_t at = 0; at < page_size && result == 0; at += compact->capacity) {
        size_t some = (size_t)min_u64(compact->capacity, page_size - at);

        result =
            mpgi_file_read(file, compact->buffer, some, move->from * page_size + at, move->from);
        crc = crc_extend(crc, compact->buffer, some);
        if (result == 0)
            result =
                mpgi_file_write(file, compact->buffer, some, move->to * page_size + at, move->to);
    }
    if (result == 0 && move->id != MPG_NO_PAGE && crc != move->crc)
        return fail_content(compact, move);
    return result;
}

int mpgi_compact_write(struct compact *compact, const struct compact_move *moves, size_t count)
{
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++) {
        if (moves[i].has_content) {
            result = copy_content(compact, &moves[i]);
            compact->done += compact->pager->page_size;
        }
        if (result == 0)
            result = tell(compact);
    }
    return result;
}

/* ---- The commit ---------------------------------------------------------------------------- */

/* Rule 12. */
static int look(mpg_pager *pager, enum look look)
{
    int result = RULE_HOLDS(12) ? mpgi_file_check_length(&pager->file) : 0;

    return result != 0 ? result : mpgi_format_look_again(pager->format, look);
}

/* The contents were written before; what makes them count comes behind a sync (rule 5). */
static int write_out(mpg_pager *pager, enum commit_step *step)
{
    int result = look(pager, LOOK_BEFORE);

    if (result == 0)
        result = pager->ops->write_contents(pager->format, true);
    if (result != 0)
        return result;
    *step = STEP_FIRST_SYNC;
    if (RULE_HOLDS(5) && RULE_HOLDS(RULE_COMPACT_CONTENTS))
        result = mpgi_file_sync(&pager->file);
    if (result == 0)
        result = look(pager, LOOK_BEFORE);
    if (result != 0)
        return result;
    *step = STEP_ROOT;
    result = pager->ops->write_root(pager->format);
    if (result != 0)
        return result;
    *step = STEP_LAST_SYNC;
    if (RULE_HOLDS(RULE_COMPACT_ROOT))
        result = mpgi_file_sync(&pager->file);
    return result != 0 ? result : look(pager, LOOK_AFTER);
}

/* Rule 6, and where somebody else works rule 12: whether the pager may go on. */
static bool take_back(mpg_pager *pager, enum commit_step step, int failure)
{
    mpg_error_info error;
    bool may_go_on;

    if (failure == MPG_E_CHANGED)
        return false;
    (void)mpg_last_error(&error);
    may_go_on = look(pager, LOOK_ASIDE) == 0 &&
                pager->ops->take_back(pager->format, step, failure == MPG_E_NO_SPACE);
    (void)mpgi_fail_again(&error);
    return may_go_on;
}

int mpgi_compact_commit(mpg_pager *pager)
{
    const struct format_ops *ops = pager->ops;
    enum commit_step step = STEP_CONTENTS;
    struct id_map contents = {0};
    bool ordered = true;
    int result = ops->seal(pager->format, &contents, true, &ordered);

    if (result != 0) {
        ops->discard(pager->format);
        return result > 0 ? mpgi_fail(MPG_E_BUSY, "compact", MPG_NO_PAGE,
                                      "%s: there is no room to commit", pager->file.path)
                          : result;
    }
    mpgi_gate_enter(&pager->gate, &pager->file, NULL);
    result = write_out(pager, &step);
    if (result != 0)
        pager->unavailable |= !take_back(pager, step, result);
    mpgi_gate_leave(&pager->gate, &pager->file);
    if (result != 0)
        ops->discard(pager->format);
    else
        ops->publish(pager->format);
    return result;
}

/* ---- The tail ------------------------------------------------------------------------------ */

/* Both roots say the same afterwards: neither counts more pages. */
static int settle(mpg_pager *pager)
{
    int result;

    if (pager->ops->close == NULL || !RULE_HOLDS(9))
        return 0;
    mpgi_gate_enter(&pager->gate, &pager->file, NULL);
    result = pager->ops->close(pager->format);
    mpgi_gate_leave(&pager->gate, &pager->file);
    pager->unavailable |= result != 0;
    return result;
}

static int cut(struct file *file, uint64_t bytes)
{
    unsigned interrupted = 0;

    while (file->io->truncate(file->context, file->fd, bytes) != 0) {
        if (!mpgi_interrupted(&interrupted))
            return mpgi_fail_errno(errno, "ftruncate", MPG_NO_PAGE, file->path);
    }
    mpgi_file_unback(file, bytes, file->bytes - bytes);
    file->bytes = bytes;
    file->backed_from = min_u64(file->backed_from, bytes);
    return 0;
}

int mpgi_compact_cut(mpg_pager *pager)
{
    uint64_t total = pager->ops->total_pages(pager->format, VERSION_DURABLE);
    uint64_t bytes = total * pager->page_size;
    int result;

    if (bytes >= pager->file.bytes)
        return 0;
    result = look(pager, LOOK_ASIDE);
    if (result == 0)
        result = settle(pager);
    if (result == 0)
        result = cut(&pager->file, bytes);
    if (result != 0)
        return result;
    result = mpgi_file_sync(&pager->file);
    pager->unavailable |= result != 0; /* rule 6 */
    return result;
}
