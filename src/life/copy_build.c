/* SPDX-License-Identifier: MIT */
#include "life/copy_build.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/id_map.h"

struct builder {
    struct format *format;
    const struct copy_state *state;
    const struct copy_build *build;
    struct id_map reserved; /* pages with a content that are not marked so yet */
    uint64_t second;        /* pages below it are no second copies to be had */
};

/* Whether both pages of a protected page stay what they are. A damaged file may have lost one. */
static bool keeps_both(const struct builder *b, const struct entry *entry)
{
    return b->build->same_format && b->build->ops->copies == 2 && entry->page[!entry->current] != 0;
}

/* What metadata is not to take. */
static int reserve_all(struct builder *b)
{
    const struct copy_state *state = b->state;

    if (!mpgi_id_map_reserve(&b->reserved, state->regular + 2 * state->entry_count))
        return mpgi_fail_memory("copy");
    for (size_t i = 0; i < state->run_count; i++) {
        for (uint64_t page = 0; page < state->runs[i].count; page++)
            (void)mpgi_id_map_put(&b->reserved, state->runs[i].first + page);
    }
    for (size_t i = 0; i < state->entry_count; i++) {
        const struct entry *entry = &state->entries[i].entry;

        (void)mpgi_id_map_put(&b->reserved, entry_page(entry));
        if (keeps_both(b, entry))
            (void)mpgi_id_map_put(&b->reserved, entry->page[!entry->current]);
    }
    return 0;
}

static int put_runs(struct builder *b)
{
    const struct copy_state *state = b->state;
    int result = 0;

    for (size_t i = 0; i < state->run_count; i++) {
        uint64_t end = state->runs[i].first + state->runs[i].count;

        for (uint64_t page = state->runs[i].first; page < end && result == 0; page++) {
            result = b->build->ops->set_use(b->format, page, MPG_USE_REGULAR);
            mpgi_id_map_remove(&b->reserved, page);
        }
    }
    return result;
}

/* A page for the copy of a protected page that is not current. */
static int take_second(struct builder *b, uint64_t *page)
{
    const struct format_ops *ops = b->build->ops;
    int result;

    do {
        result = ops->find_free(b->format, b->second, REUSE_RECENT, page);
        if (result != 0)
            return result;
        b->second = *page + 1;
    } while (mpgi_id_map_find(&b->reserved, *page) != NULL);
    if (*page >= ops->total_pages(b->format, VERSION_NEWEST))
        result = mpgi_format_grow(b->format, *page + 1);
    return result;
}

/* The entry in the copy: of its format, with the content where it is. */
static int make_entry(struct builder *b, const struct entry *from, struct entry *made)
{
    struct mpg_stat facts = {0};

    if (keeps_both(b, from)) {
        *made = *from;
        return 0;
    }
    b->build->ops->facts(b->format, VERSION_DURABLE, &facts);
    *made = (struct entry){
        .page = {entry_page(from), 0},
        .generation = facts.generation + 1,
        .crc = from->crc,
        .in_use = true,
    };
    return b->build->ops->copies == 2 ? take_second(b, &made->page[1]) : 0;
}

static int put_entry(struct builder *b, const struct copy_entry *from)
{
    const struct format_ops *ops = b->build->ops;
    struct entry made;
    int result = make_entry(b, &from->entry, &made);

    for (unsigned copy = 0; copy < ops->copies && result == 0; copy++)
        result = ops->set_use(b->format, made.page[copy], MPG_USE_PROTECTED);
    if (result == 0)
        result = ops->put_entry(b->format, from->id, &made);
    for (unsigned copy = 0; copy < 2; copy++)
        mpgi_id_map_remove(&b->reserved, made.page[copy]);
    return result;
}

static int commit(struct builder *b, struct file *file)
{
    const struct format_ops *ops = b->build->ops;
    struct id_map contents = {0};
    bool ordered = true;
    int result = ops->seal(b->format, &contents, false, &ordered);

    if (result != 0)
        return result;
    result = ops->write_contents(b->format, true);
    if (result == 0)
        result = mpgi_file_sync(file);
    if (result == 0)
        result = ops->write_root(b->format);
    if (result == 0)
        result = mpgi_file_sync(file);
    if (result != 0) {
        ops->discard(b->format);
        return result;
    }
    ops->publish(b->format);
    return 0;
}

/* What is kept twice is there twice, and nothing of it doubted. */
static int end(struct builder *b, struct file *file)
{
    const struct format_ops *ops = b->build->ops;
    int result = ops->make_alike != NULL ? ops->make_alike(b->format) : 0;

    if (result == 0 && ops->is_dirty(b->format))
        result = commit(b, file);
    return result == 0 && ops->close != NULL ? ops->close(b->format) : result;
}

/* A run of free pages, but for its last one where an opening may look at that. */
static void punch_run(const struct builder *b, struct file *file, uint64_t first, uint64_t count)
{
    const struct format_ops *ops = b->build->ops;
    uint64_t size = b->build->page_size;
    bool rests = false;

    if (mpgi_file_is_hole(file, first * size, count * size))
        return;
    if (ops->rests != NULL && ops->rests(b->format, first + count - 1, &rests) == 0 && rests)
        count--;
    if (count > 0)
        (void)file->io->punch(file->context, file->fd, first * size, count * size);
}

/* Pages that a writer used meanwhile, and those of the metadata of a clone. */
static void punch_free(struct builder *b, struct file *file)
{
    const struct format_ops *ops = b->build->ops;
    uint64_t total = ops->total_pages(b->format, VERSION_DURABLE);
    uint64_t first = 0, count = 0, bits = 0, next;

    if (file->io->punch == NULL)
        return;
    for (uint64_t at = 0; at < total; at = next) {
        if (ops->scan_use(b->format, VERSION_DURABLE, MPG_USE_FREE, at, &bits, 1, &next) != 0)
            return;
        for (unsigned i = 0; i < 64 && at + i < total; i++) {
            if ((bits >> i & 1) != 0) {
                first = count == 0 ? at + i : first;
                count++;
            } else if (count > 0) {
                punch_run(b, file, first, count);
                count = 0;
            }
        }
        next = at + 64;
    }
    if (count > 0)
        punch_run(b, file, first, count);
}

/* More pages than any node of a format covers by itself. */
#define FAR 65536

/*
 * Where pages have contents that a node would take for itself otherwise, it is made of pages far
 * behind them, if it is made together with what covers those.
 */
static int begin_far_away(struct builder *b)
{
    const struct format_ops *ops = b->build->ops;
    uint64_t page = b->state->total + FAR;
    int result = mpgi_format_grow(b->format, page + 1);

    if (result == 0)
        result = ops->set_use(b->format, page, MPG_USE_REGULAR);
    return result != 0 ? result : ops->set_use(b->format, page, MPG_USE_FREE);
}

static int fill(struct builder *b, struct file *file, bool far_away)
{
    int result = reserve_all(b);

    b->format->reserved = &b->reserved;
    if (result == 0 && far_away)
        result = begin_far_away(b);
    if (result == 0)
        result = put_runs(b);
    for (size_t i = 0; i < b->state->entry_count && result == 0; i++)
        result = put_entry(b, &b->state->entries[i]);
    if (result == 0 && b->build->ops->is_dirty(b->format)) {
        result = commit(b, file);
        if (result == 0)
            result = end(b, file);
    }
    if (result == 0)
        punch_free(b, file);
    return result;
}

static int build_once(struct file *file, const struct copy_state *state,
                      const struct copy_build *build, uint64_t pages, bool far_away)
{
    struct builder b = {.state = state, .build = build, .second = FIRST_USER_PAGE};
    struct create_parameters parameters = {
        .page_size = build->page_size,
        .initial_pages = max_u64(pages, 4),
        .label = build->label,
        .uuid = build->uuid,
        .generation = build->generation,
    };
    mpg_error_info error;
    int result = build->ops->create(file, &parameters);

    if (result == 0)
        result = build->ops->load(&b.format, file, false, build->cache_size);
    if (result == 0)
        result = mpgi_file_sync(file);
    if (result == 0)
        result = fill(&b, file, far_away);
    if (result == 0)
        result = mpgi_file_sync(file);
    (void)mpg_last_error(&error);
    if (b.format != NULL)
        build->ops->unload(b.format);
    mpgi_id_map_clear(&b.reserved);
    return result != 0 ? mpgi_fail_again(&error) : 0;
}

int mpgi_copy_build(struct file *file, const struct copy_state *state,
                    const struct copy_build *build)
{
    int result = build_once(file, state, build, state->total, false);

    if (result != MPG_E_FILE_FULL)
        return result;
    if (build->ops->id == MPG_FORMAT_1)
        return build_once(file, state, build, state->total, true);
    /* Without the free pages at the end it may fit. */
    return build_once(file, state, build, mpgi_copy_state_end(state), false);
}
