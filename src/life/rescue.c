/* SPDX-License-Identifier: MIT */
/*
 * Rescuing: a new file out of what a damaged one still says. The format looks through the file for
 * what proves itself (format/salvage.h); here it is decided which of that counts, and the new file
 * is written.
 */
#include "life/rescue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format/format.h"
#include "os/new_file.h"

#define PIECE (UINT32_C(1) << 16)

static void count_note(void *context, const char *name, uint64_t page, const char *message)
{
    struct rescue *rescue = context;
    mpg_rescue_note note = {name, page, message};

    rescue->result.notes++;
    if (rescue->options.note != NULL)
        rescue->options.note(rescue->options.context, &note);
}

/* While the file is looked through: nobody knows yet how many pages there will be to copy. */
static int count_looked(void *context, uint64_t pages)
{
    const struct rescue *rescue = context;

    return mpgi_rescue_progress(rescue, pages, 2 * rescue->salvage.pages);
}

int mpgi_rescue_identify(struct salvage *salvage, const struct salvage_ops **ops)
{
    static const struct salvage_ops *const all[] = {&mpgi_salvage_1, &mpgi_salvage_0_2};
    const size_t count = sizeof(all) / sizeof(all[0]);

    for (size_t i = 0; i < 2 * count; i++) {
        int result;

        *ops = all[i % count];
        result = i < count ? (*ops)->identify(salvage) : (*ops)->search(salvage);
        if (result <= 0)
            return result;
    }
    return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "rescue", MPG_NO_PAGE,
                     "%s: nothing in it proves that it was a page file: neither page 0, nor a root "
                     "or metadata page of any page size, nor a part of a directory",
                     salvage->file->path);
}

/* ---- is it older than what is left of it? ---- */

static void hear_of_record(void *context, const char *name, uint64_t page, const char *message)
{
    struct newer_parts *parts = context;

    (void)page;
    if (strcmp(name, "record") == 0 || strcmp(name, "block") == 0)
        (void)snprintf(parts->message, sizeof(parts->message), "%s", message);
}

int mpgi_rescue_find_newer(struct newer_parts *parts, struct file *file)
{
    const struct salvage_ops *ops;
    struct salvage salvage;
    int error = mpgi_salvage_init(&salvage, file);

    memset(parts, 0, sizeof(*parts));
    salvage.note = hear_of_record;
    salvage.context = parts;
    if (error == 0)
        error = mpgi_rescue_identify(&salvage, &ops);
    if (error == 0) {
        salvage.pages = file->bytes / salvage.page_size;
        error = ops->collect(&salvage);
    }
    parts->lost = error == 0 && salvage.outdated;
    parts->surely = salvage.cut_off;
    parts->unfinished = salvage.unfinished;
    parts->generation = salvage.generation;
    mpgi_salvage_free(&salvage);
    return error;
}

/* ---- rescuing ---- */

static int look_through(struct rescue *rescue)
{
    struct salvage *salvage = &rescue->salvage;
    int error;

    salvage->note = count_note;
    salvage->looked = count_looked;
    salvage->context = rescue;
    salvage->pages = salvage->file->bytes / MPG_PAGE_SIZE_MIN; /* as long as nobody knows */
    error = mpgi_rescue_identify(salvage, &rescue->ops);
    if (error)
        return error;
    salvage->pages = salvage->file->bytes / salvage->page_size;
    rescue->result.format = salvage->format;
    rescue->result.page_size = salvage->page_size;
    rescue->result.pages = salvage->pages;
    rescue->piece_size = (uint32_t)min_u64(PIECE, salvage->page_size);
    rescue->piece = malloc(rescue->piece_size);
    if (rescue->piece == NULL)
        return mpgi_fail_memory("rescue");
    return rescue->ops->collect(salvage);
}

int mpgi_rescue_look(struct rescue *rescue)
{
    int error = mpgi_salvage_init(&rescue->salvage, &rescue->source);

    rescue->wanted = mpgi_sheet_new();
    if (error == 0 && rescue->wanted == NULL)
        error = mpgi_fail_memory("rescue");
    if (error == 0)
        error = look_through(rescue);
    if (error == 0)
        error = mpgi_rescue_choose(rescue);
    return error;
}

void mpgi_rescue_release(struct rescue *rescue)
{
    mpgi_sheet_free(rescue->wanted);
    mpgi_salvage_free(&rescue->salvage);
    free(rescue->piece);
    mpgi_id_map_clear(&rescue->owners);
    rescue->wanted = NULL;
    rescue->piece = NULL;
}

static int rescue_locked(struct rescue *rescue, const char *destination)
{
    int error = mpgi_rescue_look(rescue);

    if (error == 0)
        error = mpgi_rescue_write(rescue, destination);
    mpgi_rescue_release(rescue);
    return error;
}

static int rescue_file(struct rescue *rescue, const char *source, const char *destination,
                       const struct io *io, void *context)
{
    mpg_error_info info;
    int error = mpgi_file_open(&rescue->source, io, context, source, true);

    if (error)
        return error;
    error = mpgi_file_lock(&rescue->source, IO_LOCK_SHARED);
    if (error == 0)
        error = mpgi_file_reload_size(&rescue->source);
    if (error == 0)
        error = mpgi_new_file_check_name(io, context, destination);
    if (error == 0)
        error = rescue_locked(rescue, destination);
    (void)mpg_last_error(&info);
    (void)mpgi_file_close(&rescue->source);
    return error ? mpgi_fail_again(&info) : 0;
}

int mpgi_rescue_with(mpg_rescue_result *result, const char *source, const char *destination,
                     const mpg_rescue_options *options, const struct io *io, void *context)
{
    static const mpg_rescue_options defaults = MPG_RESCUE_OPTIONS_INIT;
    struct rescue *rescue;
    int error;

    if (options != NULL && options->size != sizeof(*options))
        return mpgi_fail(MPG_E_INVALID, "rescue", MPG_NO_PAGE,
                         "options of %zu bytes are not of this version (%zu)", options->size,
                         sizeof(*options));
    rescue = calloc(1, sizeof(*rescue));
    if (rescue == NULL)
        return mpgi_fail_memory("rescue");
    rescue->options = options != NULL ? *options : defaults;
    error = rescue_file(rescue, source, destination, io, context);
    if (error == 0)
        *result = rescue->result;
    free(rescue);
    return error;
}

int mpg_rescue(mpg_rescue_result *result, const char *source, const char *destination,
               const mpg_rescue_options *options)
{
    return mpgi_rescue_with(result, source, destination, options, &mpgi_io_system, NULL);
}
