/* SPDX-License-Identifier: MIT */
/*
 * A copy of a file that may be written meanwhile.
 *
 *     pass       what the newest state names is copied to the same places; what a writer overwrites under our
 *                hands fails its checksum, and is left for the next pass
 *     …          until what is left is little
 *     last pass  behind the gate: no writer commits, all that is left is copied
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
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "life/compact.h"
#include "life/copy_build.h"
#include "life/copy_content.h"
#include "life/copy_older.h"
#include "os/gate.h"
#include "os/grow.h"
#include "os/new_file.h"
#include "pager/open.h"
#include "pager/pager.h"

/* Bytes that are little enough to be copied while a writer waits. */
#define REST_MOST (UINT64_C(4) << 20)
/* Passes in a row without the gate, however much is left. */
#define MOST_PASSES 8
/* How often the gate is tried. */
#define MOST_ROUNDS 50
/* … and after how many tries all regular pages are copied anew. */
#define BEGIN_AGAIN 5
/* How often the file is opened where a writer overtakes that. */
#define MOST_OPENINGS 20
/* Milliseconds until a writer at work is taken to have none of its marks left. */
#define MOST_WAITS 1000

struct copy {
    const char *from;
    const mpg_copy_options *options;
    const mpg_pager *source;
    mpg_pager *older;  /* that the copy takes the place of, which nobody else has open; or NULL */
    mpg_pager *target; /* for its file; it is no pager until that is whole */
    struct copy_state state;
    struct copy_changes changes; /* all entries of it that are not copied */
    struct copy_content content;
    uint64_t session;    /* of the writer since the copying of regular pages began */
    uint64_t generation; /* that the first pass found then */
    bool begun;          /* … which was made */
    mpg_copy_result result;
};

static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* ---- passes ---- */

/*
 * The newest state of the file, with what of it was copied. STALE where it was overtaken. *advanced: its entries are in
 * copy->state, where those that changed since are now as they are in it; that takes less time.
 */
static int look_at_newest(struct copy *copy, struct copy_state *state, bool *advanced)
{
    const mpg_pager *source = copy->source;
    mpg_error_info error;
    int result = mpg_refresh(source);

    if (result != 0)
        return result;
    pager_lock(source);
    result = mpgi_copy_state_advance(state, &copy->state, &copy->changes, source->format);
    *advanced = result != COPY_LOOK_AT_ALL;
    if (!*advanced)
        result = mpgi_copy_state_read(state, source->format);
    if (result != 0) {
        result = mpgi_explain_damage(source, result);
        (void)mpg_last_error(&error);
        mpgi_copy_state_free(state);
        (void)mpgi_fail_again(&error);
    }
    pager_unlock(source);
    if (result == 0 && !*advanced)
        mpgi_copy_state_carry(state, &copy->state);
    return result;
}

/* Bytes that are to be copied of what was looked at. */
static uint64_t rest_of(const struct copy *copy, const struct copy_state *state, bool advanced)
{
    uint64_t rest = mpgi_copy_rest(state, &copy->state, copy->content.page_size);

    return advanced ? rest + copy->changes.count * copy->content.page_size : rest;
}

static int fail_content(const struct copy *copy, const struct copy_entry *entry)
{
    return mpgi_fail(MPG_E_CORRUPT_PAGE, "copy", entry->id,
                     "%s: protected page %llu does not match its checksum", copy->from,
                     (unsigned long long)entry->id);
}

/* What a crash kept from going to its page, or a writer is about to put there, goes to it in the copy. */
static int copy_redo(struct copy *copy, const struct format *format)
{
    const struct format_redo *redo = &format->redo;

    if (redo->page == 0)
        return 0;
    return mpgi_file_write(&copy->target->file, redo->content, format->page_size,
                           redo->page * format->page_size, redo->page);
}

static int copy_entries(struct copy *copy, struct copy_state *state, bool advanced, bool all)
{
    const struct copy_entry *failed = NULL;
    size_t failures = 0;
    int result = advanced
                     ? mpgi_copy_changed(&copy->content, state, &copy->changes, &failures, &failed)
                     : mpgi_copy_entries(&copy->content, state, &failures, &failed);

    return result == 0 && all && failures > 0 ? fail_content(copy, failed) : result;
}

/* Copies what `state` names, which is what is there then. `all`: a content that fails is damage. */
static int copy_state(struct copy *copy, struct copy_state *state, bool advanced, bool all)
{
    struct file *file = &copy->target->file;
    uint64_t bytes = state->total * copy->content.page_size;
    int result = bytes > file->bytes ? mpgi_file_grow(file, bytes) : 0;

    if (result == 0)
        result = mpgi_copy_runs(&copy->content, state, &copy->state);
    if (advanced)
        mpgi_copy_state_take(state, &copy->state);
    if (result == 0)
        result = copy_redo(copy, copy->source->format);
    if (result == 0)
        result = copy_entries(copy, state, advanced, all);
    copy->result.passes++;
    mpgi_copy_state_free(&copy->state);
    copy->state = *state;
    if (advanced)
        mpgi_copy_changes_settle(&copy->changes, state);
    else if (result == 0)
        result = mpgi_copy_changes_begin(&copy->changes, state);
    return result;
}

/* A pass beside the writer. *rest: bytes that were to be copied. */
static int pass(struct copy *copy, uint64_t *rest)
{
    struct copy_state state;
    bool advanced;
    int result = look_at_newest(copy, &state, &advanced);

    *rest = UINT64_MAX;
    if (result != 0)
        return result == MPG_E_STALE ? 0 : result;
    if (!copy->begun)
        copy->generation = state.generation;
    copy->begun = true;
    *rest = rest_of(copy, &state, advanced);
    copy->content.expected = copy->content.bytes + *rest;
    return copy_state(copy, &state, advanced, false);
}

/* STALE where the file moved on meanwhile. */
static int check_current(struct copy *copy, int result)
{
    mpg_error_info error;
    bool current = false;

    if (result != 0 && !mpg_is_damage(result))
        return result;
    (void)mpg_last_error(&error);
    if (mpgi_is_current(&current, copy->source) != 0 || !current)
        return mpgi_fail(MPG_E_STALE, "copy", MPG_NO_PAGE,
                         "%s: it is written so fast that no state of it could be copied",
                         copy->from);
    return result != 0 ? mpgi_fail_again(&error) : 0;
}

/* ---- regular pages, which no checksum tells from what somebody else had there before ---- */

static void forget_runs(struct copy *copy)
{
    copy->state.run_count = 0;
    copy->state.regular = 0;
    copy->begun = false;
    copy->session = mpgi_gate_session(&copy->source->file);
}

/* So many marks that it is better to begin again: they go once a writer sees that no copy is being made. */
static void begin_again(struct copy *copy)
{
    const struct file *file = &copy->source->file;
    uint64_t first = 0, end;

    mpgi_gate_end_copy(file);
    for (unsigned i = 0; i < MOST_WAITS && mpgi_gate_find_mark(file, &first, &end); i++) {
        (void)usleep(1000);
        first = 0;
    }
    mpgi_gate_begin_copy(file);
    forget_runs(copy);
}

/*
 * Forgets what was copied of pages that were given out again since. STALE where nobody can tell which
 * those are: another writer came, or one that does not take turns.
 */
static int forget_marked(struct copy *copy, const struct copy_state *state)
{
    const struct file *file = &copy->source->file;
    struct page_spans marked = {0};
    uint64_t first = 0, end;
    int result;

    if (copy->state.regular == 0 || state->generation == copy->generation)
        return 0;
    if (copy->session == 0 || mpgi_gate_session(file) != copy->session) {
        forget_runs(copy);
        return mpgi_fail(MPG_E_STALE, "copy", MPG_NO_PAGE,
                         "%s: others write to it, one after the other, or without taking turns",
                         copy->from);
    }
    for (; mpgi_gate_find_mark(file, &first, &end); first = end)
        mpgi_spans_add(&marked, first, end - first);
    result = mpgi_copy_state_forget(&copy->state, &marked);
    if (marked.all)
        forget_runs(copy);
    mpgi_spans_free(&marked);
    return result;
}

/* ---- the last pass ---- */

/* STALE: there was too much to copy, or it moved on all the same. */
static int last_pass(struct copy *copy)
{
    struct copy_state state;
    bool advanced;
    int result = look_at_newest(copy, &state, &advanced);

    if (result != 0)
        return result;
    result = forget_marked(copy, &state);
    if (result == 0 && rest_of(copy, &state, advanced) > REST_MOST)
        result = mpgi_fail(MPG_E_STALE, "copy", MPG_NO_PAGE,
                           "%s: more is written to it than can be copied", copy->from);
    if (result != 0) {
        mpgi_copy_state_free(&state);
        return result;
    }
    result = copy_state(copy, &state, advanced, true);
    return check_current(copy, result);
}

static int copy_all(struct copy *copy)
{
    const struct file *file = &copy->source->file;
    int result = MPG_E_STALE;

    for (unsigned round = 0; round < MOST_ROUNDS && result == MPG_E_STALE; round++) {
        uint64_t rest = UINT64_MAX, closed;

        if (round % BEGIN_AGAIN == BEGIN_AGAIN - 1)
            begin_again(copy);
        for (unsigned i = 0; i < MOST_PASSES && rest > REST_MOST; i++) {
            result = pass(copy, &rest);
            if (result != 0)
                return result;
        }
        if (!mpgi_gate_close(file)) {
            result = last_pass(copy);
            continue;
        }
        closed = now();
        result = last_pass(copy);
        mpgi_gate_open(file);
        copy->result.held = max_u64(copy->result.held, now() - closed);
    }
    return result;
}

static int copy_contents(struct copy *copy)
{
    const struct file *file = &copy->source->file;
    int result;

    mpgi_gate_begin_copy(file);
    forget_runs(copy);
    result = copy_all(copy);
    mpgi_gate_end_copy(file);
    return result;
}

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
    result = copy_redo(copy, format);
    if (result == 0)
        result = mpgi_copy_state_read(&copy->state, format);
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
    gate = mpgi_gate_close(from);
    closed = now();
    cloned = mpg_refresh(copy->source) == 0 && to->io->clone(to->context, to->fd, from->fd) == 0 &&
             mpgi_is_current(&current, copy->source) == 0 && current;
    if (gate)
        mpgi_gate_open(from);
    copy->result.held = now() - closed;
    if (cloned && read_clone(copy) == 0)
        return true;
    mpgi_copy_state_free(&copy->state);
    (void)to->io->truncate(to->context, to->fd, 0);
    (void)mpgi_file_reload_size(to);
    return false;
}

/* ---- an older copy ---- */

/* What is longer in the older copy goes. */
static int cut_longer(struct copy *copy)
{
    struct file *file = &copy->target->file;
    uint64_t bytes = copy->state.total * copy->content.page_size;

    if (!copy->content.update || file->bytes <= bytes)
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
    return result != 0 ? result : mpgi_copy_build(&copy->target->file, &copy->state, &build);
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
            result = mpgi_copy_older_clone(&copy->content.update, copy->older, &copy->target->file);
        if (!copy->result.cloned && result == 0)
            result = copy_contents(copy);
    }
    if (result != 0)
        return result;
    copy->result.regular_pages = copy->state.regular;
    copy->result.protected_pages = copy->state.entry_count;
    copy->result.generation = copy->state.generation;
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
    if (result == 0)
        result = make_content(copy, ops);
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
        copy->content.from = &copy->source->file;
        copy->content.to = &copy->target->file;
        copy->content.bytes = copy->content.written = 0;
        copy->content.update = copy->content.by_hand = false;
        result = make_this_way(copy, to, ops, way);
        (void)mpg_last_error(&error);
        mpgi_copy_state_free(&copy->state);
        mpgi_copy_changes_free(&copy->changes);
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
    copy->result.bytes = copy->content.bytes;
    copy->result.written = copy->content.written;
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

/* Each time it is opened its commits may overtake that; there is no gate yet that could be closed. */
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
    copy.source = source;
    ops = copy.options->format == MPG_FORMAT_0_2 ? &mpgi_format_0_2
          : copy.options->format == MPG_FORMAT_1 ? &mpgi_format_1
                                                 : source->ops;
    copy.content.page_size = source->page_size;
    copy.content.options = copy.options;
    made = mpgi_copy_content_begin(&copy.content);
    if (made == 0 && (copy.options->flags & MPG_COPY_UPDATE) != 0)
        made = mpgi_copy_older_open(&copy.older, to, source, ops,
                                    (copy.options->flags & MPG_COPY_FORCE) != 0);
    if (made == 0)
        made = make(&copy, to, ops);
    (void)mpg_last_error(&error);
    mpgi_copy_content_end(&copy.content);
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
