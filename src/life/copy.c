/* SPDX-License-Identifier: MIT */
/*
 * A copy of a file that may be written meanwhile.
 *
 *     pass       what the newest state names is copied to the same places; what a writer overwrites under our
 *                hands fails its checksum, and is left for the next pass
 *     …          until what is left is little
 *     last pass  behind the gate: no writer commits, all that is left is read
 *     look       whether the file still shows that state: nothing depends on the writer's good will
 *     build      metadata around the contents; sync; name
 *
 * A file that the host filesystem can clone has one pass, which copies everything. An older copy is brought up to
 * date by another one that takes its place, and that begins as a clone of it where that can be had: then only what
 * differs is written.
 */
#include "life/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "life/compact.h"
#include "life/copy_build.h"
#include "life/copy_older.h"
#include "life/copy_passes.h"
#include "os/new_file.h"
#include "pager/open.h"
#include "pager/pager.h"

/* How often the file is opened where a writer overtakes that. */
#define MOST_OPENINGS 20

struct copy {
    const char *from;
    const mpg_copy_options *options;
    const mpg_pager *source;
    mpg_pager *older;  /* that the copy takes the place of, which nobody else has open; or NULL */
    mpg_pager *target; /* for its file; it is no pager until that is whole */
    struct copy_passes passes;
    mpg_copy_result result;
};

/* ---- a clone ---- */

/* The state that the clone shows: everything is where it says. */
static int read_clone(struct copy *copy)
{
    struct file *file = &copy->target->file;
    struct format *format;
    int result = mpgi_file_reload_size(file);

    if (result == 0)
        result = copy->source->ops->load(&format, file, true, copy->source->format->cache_size);
    if (result != 0)
        return result;
    result = mpgi_copy_redo(&copy->passes, format);
    if (result == 0)
        result = mpgi_copy_state_read(&copy->passes.state, format);
    copy->source->ops->unload(format);
    return result;
}

/* Whether the host filesystem made a copy that shows one state. */
static bool clone_file(struct copy *copy)
{
    const struct file *from = &copy->source->file;
    struct file *to = &copy->target->file;
    uint64_t closed;
    bool gate, cloned, current = false;

    if (to->io->clone == NULL || to->in_place)
        return false;
    /* What is in the page cache alone is written out first, and not while a writer waits. */
    (void)from->io->fdatasync(from->context, from->fd);
    gate = mpgi_copy_close_gate(&copy->passes, &closed);
    cloned = mpg_refresh(copy->source) == 0 && to->io->clone(to->context, to->fd, from->fd) == 0 &&
             mpgi_is_current(&current, copy->source) == 0 && current;
    if (gate)
        mpgi_copy_open_gate(&copy->passes, closed);
    if (cloned && read_clone(copy) == 0)
        return true;
    mpgi_copy_state_free(&copy->passes.state);
    (void)to->io->truncate(to->context, to->fd, 0);
    (void)mpgi_file_reload_size(to);
    return false;
}

/* ---- an older copy ---- */

/* What is longer in the older copy goes. */
static int cut_longer(struct copy *copy)
{
    struct file *file = &copy->target->file;
    uint64_t bytes = copy->passes.state.total * copy->passes.content.page_size;

    if (!copy->passes.content.update || file->bytes <= bytes)
        return 0;
    if (file->io->truncate(file->context, file->fd, bytes) != 0)
        return mpgi_fail_errno(errno, "ftruncate", MPG_NO_PAGE, file->path);
    return mpgi_file_reload_size(file);
}

/* ---- the whole ---- */

/* *uuid: what the copy is to have, or left alone: format 0.2 has none. */
static int choose_uuid(const struct copy *copy, const struct mpg_stat *source, uint8_t *uuid)
{
    struct mpg_stat older = {0};

    if (copy->options->uuid != NULL) {
        memcpy(uuid, copy->options->uuid, COPY_UUID_SIZE);
        return 0;
    }
    if ((copy->options->flags & MPG_COPY_SAME_UUID) != 0 && source->format == MPG_FORMAT_1) {
        memcpy(uuid, source->uuid, COPY_UUID_SIZE);
        return 0;
    }
    if (copy->older == NULL)
        return mpgi_copy_uuid_draw(uuid, source->uuid, copy->from);
    copy->older->ops->facts(copy->older->format, VERSION_DURABLE, &older);
    memcpy(uuid, older.uuid, COPY_UUID_SIZE);
    return 0;
}

static int build(struct copy *copy, const struct format_ops *ops)
{
    struct mpg_stat facts = {0};
    uint8_t uuid[COPY_UUID_SIZE];
    struct copy_build build = {
        .ops = ops,
        .same_format = ops == copy->source->ops,
        .page_size = copy->source->page_size,
        .cache_size = copy->source->format->cache_size,
        .uuid = uuid,
    };
    int result;

    copy->source->ops->facts(copy->source->format, VERSION_DURABLE, &facts);
    if (facts.label[0] != '\0' && ops->id == MPG_FORMAT_1)
        build.label = facts.label;
    result = choose_uuid(copy, &facts, uuid);
    if (result == 0)
        result = cut_longer(copy);
    return result != 0 ? result : mpgi_copy_build(&copy->target->file, &copy->passes.state, &build);
}

/* Nobody knows the copy yet: it is compacted as any file. */
static int make_short(struct copy *copy, const struct format_ops *ops)
{
    static const mpg_compact_options defaults = MPG_COMPACT_OPTIONS_INIT;
    mpg_pager *target = copy->target;
    mpg_compact_result made;
    mpg_error_info error;
    int result = ops->load(&target->format, &target->file, false, copy->source->format->cache_size);

    if (result != 0)
        return result;
    target->ops = ops;
    target->page_size = copy->source->page_size;
    mpgi_pager_tell(target, target->format);
    result = ops->settle != NULL ? ops->settle(target->format) : mpgi_file_sync(&target->file);
    if (result == 0)
        result = mpgi_compact(&made, target, &defaults);
    (void)mpg_last_error(&error);
    ops->unload(target->format);
    target->format = NULL;
    return result != 0 ? mpgi_fail_again(&error) : 0;
}

static int make_content(struct copy *copy, const struct format_ops *ops)
{
    int result = copy->target->file.in_place ? mpgi_new_file_mark(&copy->target->file) : 0;

    if (result == 0) {
        copy->result.cloned = clone_file(copy);
        if (!copy->result.cloned && copy->older != NULL)
            result = mpgi_copy_older_clone(&copy->passes.content.update, copy->older,
                                           &copy->target->file);
        if (!copy->result.cloned && result == 0)
            result = mpgi_copy_passes(&copy->passes);
    }
    if (result != 0)
        return result;
    copy->result.regular_pages = copy->passes.state.regular;
    copy->result.protected_pages = copy->passes.state.entry_count;
    copy->result.generation = copy->passes.state.generation;
    result = build(copy, ops);
    if (result == 0 && (copy->options->flags & MPG_COPY_COMPACT) != 0)
        result = make_short(copy, ops);
    return result;
}

/* NEW_NOT_HERE where the file cannot be made that way. */
static int make_this_way(struct copy *copy, const char *to, const struct format_ops *ops,
                         enum new_way way)
{
    const struct file *from = &copy->source->file;
    struct file *file = &copy->target->file;
    int result = copy->older == NULL
                     ? mpgi_new_file_begin(file, from->io, from->context, to, way)
                     : mpgi_new_file_begin_successor(file, from->io, from->context, to, way);

    if (result != 0)
        return result;
    file->sparse = true; /* free pages take no space in it */
    result = mpgi_pager_lock_to_write(copy->target, MPG_LOCAL_LOCK);
    if (result == MPG_E_BUSY)
        return result; /* somebody opened it already, and it is theirs */
    /* Each sync between would have the disk's journal written, which others wait for. */
    file->unseen = !file->in_place;
    if (result == 0)
        result = make_content(copy, ops);
    file->unseen = false;
    if (result == 0)
        result = mpgi_copy_write_out(&copy->passes.content);
    if (result == 0)
        result = mpgi_file_sync(file);
    if (copy->older != NULL)
        return mpgi_new_file_succeed(file, &copy->older->file, result);
    return mpgi_new_file_finish(file, result);
}

static int make(struct copy *copy, const char *to, const struct format_ops *ops)
{
    /* One that is being made in place would be neither the older copy nor the new one. */
    enum new_way end = copy->older != NULL ? NEW_IN_PLACE : NEW_WAYS;
    int result = NEW_NOT_HERE;

    for (enum new_way way = mpgi_new_file_first_way(); result == NEW_NOT_HERE && way < end; way++) {
        mpg_error_info error;

        copy->target = mpgi_pager_new(false);
        if (copy->target == NULL)
            return mpgi_fail_memory("copy");
        copy->passes.content.from = &copy->source->file;
        copy->passes.content.to = &copy->target->file;
        copy->passes.content.bytes = copy->passes.content.written = 0;
        copy->passes.content.update = copy->passes.content.by_hand = false;
        copy->passes.content.paced = copy->passes.content.hurried = false;
        result = make_this_way(copy, to, ops, way);
        (void)mpg_last_error(&error);
        mpgi_copy_passes_free(&copy->passes);
        (void)mpgi_pager_free(copy->target);
        if (result != 0)
            (void)mpgi_fail_again(&error);
    }
    if (result == NEW_NOT_HERE)
        return mpgi_fail(MPG_E_UNSUPPORTED, "copy", MPG_NO_PAGE,
                         "%s: no file can take the place of another one there: make another copy",
                         to);
    return result;
}

static void tell_result(struct copy *copy, mpg_copy_result *result)
{
    copy->result.bytes = copy->passes.content.bytes;
    copy->result.passes = copy->passes.count;
    copy->result.held = copy->passes.held;
    copy->result.written = copy->passes.content.written;
    copy->result.updated = copy->older != NULL;
    if (result != NULL)
        *result = copy->result;
}

static int check_options(const mpg_copy_options *options)
{
    if (options->size != sizeof(*options))
        return mpgi_fail(MPG_E_INVALID, "copy", MPG_NO_PAGE,
                         "options of %zu bytes are not of this version (%zu)", options->size,
                         sizeof(*options));
    if (options->format != MPG_FORMAT_DEFAULT && options->format != MPG_FORMAT_0_2 &&
        options->format != MPG_FORMAT_1)
        return mpgi_fail(MPG_E_INVALID, "copy", MPG_NO_PAGE, "there is no format %d",
                         options->format);
    return mpgi_check_flags(
        options->flags, MPG_COPY_SAME_UUID | MPG_COPY_COMPACT | MPG_COPY_UPDATE | MPG_COPY_FORCE,
        "copy");
}

/*
 * Each time it is opened its commits may overtake that; there is no gate yet that could be closed.
 */
static int open_source(mpg_pager **source, const char *from, const struct io *io, void *context)
{
    int result = MPG_E_STALE;

    for (unsigned i = 0; i < MOST_OPENINGS && result == MPG_E_STALE; i++)
        result = mpgi_open_with(source, from, NULL, true, io, context);
    return result;
}

int mpgi_copy_with(mpg_copy_result *result, const char *from, const char *to,
                   const mpg_copy_options *options, const struct io *io, void *context)
{
    static const mpg_copy_options defaults = MPG_COPY_OPTIONS_INIT;
    struct copy copy = {.from = from, .options = options != NULL ? options : &defaults};
    const struct format_ops *ops;
    mpg_error_info error;
    mpg_pager *source;
    int made = check_options(copy.options);

    if (made == 0)
        made = open_source(&source, from, io, context);
    if (made != 0)
        return made;
    copy.source = copy.passes.source = source;
    ops = copy.options->format == MPG_FORMAT_0_2 ? &mpgi_format_0_2
          : copy.options->format == MPG_FORMAT_1 ? &mpgi_format_1
                                                 : source->ops;
    copy.passes.content.page_size = source->page_size;
    copy.passes.content.options = copy.options;
    made = mpgi_copy_content_begin(&copy.passes.content);
    if (made == 0 && (copy.options->flags & MPG_COPY_UPDATE) != 0)
        made = mpgi_copy_older_open(&copy.older, to, source, ops,
                                    (copy.options->flags & MPG_COPY_FORCE) != 0);
    if (made == 0)
        made = make(&copy, to, ops);
    (void)mpg_last_error(&error);
    mpgi_copy_content_end(&copy.passes.content);
    (void)mpgi_pager_free(source);
    if (copy.older != NULL)
        (void)mpgi_pager_free(copy.older);
    if (made != 0)
        return mpgi_fail_again(&error);
    tell_result(&copy, result);
    return 0;
}

int mpg_copy(mpg_copy_result *result, const char *from, const char *to,
             const mpg_copy_options *options)
{
    char *real = NULL;
    int made = 0;

    if (options != NULL && options->size == sizeof(*options) &&
        (options->flags & MPG_COPY_UPDATE) != 0)
        made = mpgi_copy_older_find(&real, to, from);
    if (made == 0)
        made =
            mpgi_copy_with(result, from, real != NULL ? real : to, options, &mpgi_io_system, NULL);
    free(real);
    return made;
}
