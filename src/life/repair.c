/* SPDX-License-Identifier: MIT */
/*
 * Repairing a file where it is. What it is to be is worked out without writing (repair_plan.c);
 * then an undo file is written, which has the bytes before and the bytes afterwards
 * (repair_undo.c), then the file. So a repair that was cut short goes on from the undo file, and
 * nothing is found out a second time from a file that is half mended.
 */
#include "life/repair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "life/repair_undo.h"

/* ---- the file ---- */

/*
 * Others may read meanwhile; who only wants to know what would be done needs no permission to
 * write.
 */
static int open_and_lock(struct file *file, const char *path, const struct io *io, void *context,
                         bool read_only)
{
    mpg_error_info info;
    int error = mpgi_file_open(file, io, context, path, read_only);

    if (error)
        return error;
    if (file->sharing.is_meeting && !read_only)
        error = mpgi_fail(MPG_E_LOCAL_LOCK, "repair", MPG_NO_PAGE,
                          "%s: on this filesystem a lock does not keep other writers out", path);
    if (error == 0)
        error = mpgi_file_lock(file, read_only ? IO_LOCK_SHARED : IO_LOCK_EXCLUSIVE);
    if (error == 0)
        error = mpgi_file_reload_size(file);
    if (error == 0)
        return 0;
    (void)mpg_last_error(&info);
    (void)mpgi_file_close(file);
    return mpgi_fail_again(&info);
}

/* The name of the undo file, to be freed. */
static char *undo_name(const char *path, const char *undo)
{
    char *name = NULL;

    if (undo != NULL)
        return strdup(undo);
    return asprintf(&name, "%s.undo", path) < 0 ? NULL : name;
}

/* ---- writing ---- */

/* From the undo file, which is durable. */
static int apply(struct repair *repair, struct undo *undo)
{
    int error = mpgi_undo_apply(undo, &repair->rescue.source, false, repair->options.progress,
                                repair->options.context);

    repair->result.bytes = undo->count * SHEET_CHUNK;
    repair->result.changed = true;
    return error ? error : mpgi_undo_mark(undo, true);
}

/*
 * Chunks that tell whether somebody has written to the file since: the beginnings of pages 0 to 2.
 */
static size_t list_heads(const struct repair *repair, uint64_t heads[3])
{
    size_t count = 0;

    for (uint64_t page = 0; page < 3; page++) {
        uint64_t number = page * repair->result.page_size / SHEET_CHUNK;

        if (count == 0 || heads[count - 1] != number)
            heads[count++] = number;
    }
    return count;
}

static int write_all(struct repair *repair, const char *name)
{
    uint64_t heads[3] = {0};
    size_t count = list_heads(repair, heads);
    struct undo undo;
    int error = mpgi_undo_make(&undo, &repair->disk, heads, count, name);

    if (error != 0)
        return error == 1 ? 0 : error; /* nothing differs */
    error = apply(repair, &undo);
    mpgi_undo_close(&undo);
    return error;
}

/* What would be written. */
static void count_bytes(struct repair *repair)
{
    unsigned char before[SHEET_CHUNK];
    const struct sheet *written = repair->disk.written;
    uint64_t number = 0;

    for (; (number = mpgi_sheet_next(written, number)) != UINT64_MAX; number++) {
        mpgi_repair_disk_under(&repair->disk, before, number);
        if (memcmp(before, mpgi_sheet_chunk(written, number), SHEET_CHUNK) != 0)
            repair->result.bytes += SHEET_CHUNK;
    }
    repair->result.changed = repair->result.bytes > 0;
}

static int repair_anew(struct repair *repair, const char *name)
{
    int error = mpgi_repair_disk_init(&repair->disk, &repair->rescue.source);

    if (error == 0)
        error = mpgi_repair_plan(repair);
    if (error == 0 && (repair->options.flags & MPG_REPAIR_DRY_RUN) != 0)
        count_bytes(repair);
    else if (error == 0)
        error = write_all(repair, name);
    mpgi_repair_disk_free(&repair->disk);
    if (repair->looked)
        mpgi_rescue_release(&repair->rescue);
    free(repair->dropped);
    return error;
}

/* An undo file is there: of a repair that is to go on, or of an earlier one. */
static int go_on(struct repair *repair, struct undo *undo)
{
    int error;

    if (undo->done)
        return mpgi_fail(MPG_E_EXISTS, "repair", MPG_NO_PAGE,
                         "%s: it is the undo file of an earlier repair: remove it, or name another",
                         undo->file.path);
    error = mpgi_undo_check(undo, &repair->rescue.source);
    if (error == 0 && (repair->options.flags & MPG_REPAIR_DRY_RUN) == 0)
        error = apply(repair, undo);
    repair->result.finished = error == 0;
    return error;
}

static int repair_locked(struct repair *repair, const char *name)
{
    const struct file *file = &repair->rescue.source;
    struct undo undo;
    int error = mpgi_undo_open(&undo, file->io, file->context, name);

    if (error == 1)
        return repair_anew(repair, name);
    if (error != 0)
        return error;
    error = go_on(repair, &undo);
    mpgi_undo_close(&undo);
    return error;
}

static int check_options(const mpg_repair_options *options)
{
    if (options == NULL)
        return 0;
    if (options->size != sizeof(*options))
        return mpgi_fail(MPG_E_INVALID, "repair", MPG_NO_PAGE,
                         "options of %zu bytes are not of this version (%zu)", options->size,
                         sizeof(*options));
    return mpgi_check_flags(options->flags, MPG_REPAIR_DRY_RUN | MPG_REPAIR_OLDER, "repair");
}

static int repair_file(struct repair *repair, const char *path, const char *name,
                       const struct io *io, void *context)
{
    mpg_error_info info;
    int error = open_and_lock(&repair->rescue.source, path, io, context,
                              (repair->options.flags & MPG_REPAIR_DRY_RUN) != 0);

    if (error)
        return error;
    error = repair_locked(repair, name);
    (void)mpg_last_error(&info);
    (void)mpgi_file_close(&repair->rescue.source);
    return error ? mpgi_fail_again(&info) : 0;
}

int mpgi_repair_with(mpg_repair_result *result, const char *path, const mpg_repair_options *options,
                     const struct io *io, void *context)
{
    static const mpg_repair_options defaults = MPG_REPAIR_OPTIONS_INIT;
    struct repair *repair;
    char *name;
    int error = check_options(options);

    if (error)
        return error;
    repair = calloc(1, sizeof(*repair));
    name = undo_name(path, options != NULL ? options->undo : NULL);
    if (repair != NULL && name != NULL) {
        repair->options = options != NULL ? *options : defaults;
        error = repair_file(repair, path, name, io, context);
    } else {
        error = mpgi_fail_memory("repair");
    }
    if (error == 0)
        *result = repair->result;
    free(name);
    free(repair);
    return error;
}

int mpg_repair(mpg_repair_result *result, const char *path, const mpg_repair_options *options)
{
    return mpgi_repair_with(result, path, options, &mpgi_io_system, NULL);
}

/* ---- undoing ---- */

static int undo_locked(struct file *file, const char *name)
{
    struct undo undo;
    int error = mpgi_undo_open(&undo, file->io, file->context, name);

    if (error == 1)
        return mpgi_fail_errno(ENOENT, "open", MPG_NO_PAGE, name);
    if (error != 0)
        return error;
    error = mpgi_undo_check(&undo, file);
    /* Cut short, it is a repair that is to go on or be undone, and no longer one that is done. */
    if (error == 0 && undo.done)
        error = mpgi_undo_mark(&undo, false);
    if (error == 0)
        error = mpgi_undo_apply(&undo, file, true, NULL, NULL);
    mpgi_undo_close(&undo);
    if (error == 0 && file->io->unlink(file->context, name) != 0)
        error = mpgi_fail_errno(errno, "unlink", MPG_NO_PAGE, name);
    return error;
}

int mpgi_repair_undo_with(const char *path, const char *undo, const struct io *io, void *context)
{
    char *name = undo_name(path, undo);
    mpg_error_info info;
    struct file file;
    int error;

    if (name == NULL)
        return mpgi_fail_memory("repair");
    error = open_and_lock(&file, path, io, context, false);
    if (error == 0) {
        error = undo_locked(&file, name);
        (void)mpg_last_error(&info);
        (void)mpgi_file_close(&file);
        if (error != 0)
            (void)mpgi_fail_again(&info);
    }
    free(name);
    return error;
}

int mpg_repair_undo(const char *path, const char *undo)
{
    return mpgi_repair_undo_with(path, undo, &mpgi_io_system, NULL);
}
