/* SPDX-License-Identifier: MIT */
/*
 * What a batch that is being sealed changes: the durable version against the pending one, where it
 * was touched.
 */
#include <stdlib.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/error.h"
#include "format_1/state.h"

/* ---- Entries ------------------------------------------------------------------------------- */

static int look(struct format_1 *f, enum version version, uint64_t id, struct entry *entry)
{
    struct leaf_view view;
    int error = mpgi_tree_look(&view, f, &f->directory, version, id);

    *entry = (struct entry){0};
    if (error == 0 && view.content != NULL)
        mpgi_entry_read(entry, view.content + (id - view.first) * ENTRY_SIZE);
    if (!entry->in_use)
        *entry = (struct entry){0};
    return error;
}

static int collect_entry(struct format_1 *f, const struct id_map *contents, uint64_t id,
                         struct changes *changes)
{
    struct entry before, after;
    struct entry_change *change = &changes->entries[changes->count];
    const union id_value *content = mpgi_id_map_find(contents, id);
    int error = look(f, VERSION_DURABLE, id, &before);

    if (error == 0)
        error = look(f, VERSION_NEWEST, id, &after);
    if (error)
        return error;
    /* What has a new content has no page yet. */
    if (before.in_use == after.in_use && entry_page(&before) == entry_page(&after))
        return 0;
    *change = (struct entry_change){
        .entry = {id, entry_page(&after), after.crc, after.in_use},
        .old_page = entry_page(&before),
        .data = content != NULL ? content->pointer : NULL,
        .is_new = after.in_use && entry_page(&after) == 0,
    };
    changes->new_contents += change->is_new;
    changes->count++;
    return 0;
}

static int collect_entries(struct format_1 *f, const struct id_map *contents,
                           struct changes *changes)
{
    struct number_list *ids = &f->gathered.entries;
    int error = 0;

    if (ids->count == 0)
        return 0;
    qsort(ids->at, ids->count, sizeof(*ids->at), compare_u64);
    changes->entries = calloc(ids->count, sizeof(*changes->entries));
    if (changes->entries == NULL)
        return mpgi_fail_memory("commit");
    for (size_t i = 0; i < ids->count && error == 0; i++) {
        if (i == 0 || ids->at[i] != ids->at[i - 1])
            error = collect_entry(f, contents, ids->at[i], changes);
    }
    return error;
}

/* ---- Pages --------------------------------------------------------------------------------- */

static bool add_run(struct changes *changes, uint64_t page, uint64_t count, uint8_t use)
{
    struct record_run *last =
        changes->run_count > 0 ? &changes->runs[changes->run_count - 1] : NULL;
    struct record_run *runs;

    if (last != NULL && last->use == use && last->first + last->count == page &&
        count <= UINT32_MAX - last->count) {
        last->count += (uint32_t)count;
        return true;
    }
    runs = mpgi_array_room(changes->runs, changes->run_count, &changes->run_capacity, sizeof(*runs),
                           16);
    if (runs == NULL)
        return false;
    changes->runs = runs;
    runs[changes->run_count++] = (struct record_run){page, (uint32_t)count, use};
    return true;
}

static enum mpg_page_use use_in(const struct leaf_view *view, uint64_t page)
{
    return view->content != NULL ? mpgi_uses_get(view->content, page - view->first) : MPG_USE_FREE;
}

/* Whether all of [first, end), within the view, has one use. */
static bool all_are(const struct leaf_view *view, uint64_t first, uint64_t end,
                    enum mpg_page_use use)
{
    if (view->content == NULL)
        return use == MPG_USE_FREE;
    return mpgi_uses_all(view->content, first - view->first, end - view->first, use);
}

/*
 * Pages that were touched, within two views: which of them changed, other than by what entries say.
 */
static bool collect_pages(struct changes *changes, const struct leaf_view *before,
                          const struct leaf_view *after, uint64_t first, uint64_t end)
{
    bool added = true;

    if (all_are(before, first, end, MPG_USE_FREE) && all_are(after, first, end, MPG_USE_REGULAR))
        return add_run(changes, first, end - first, MPG_USE_REGULAR);
    for (uint64_t page = first; page < end && added; page++) {
        enum mpg_page_use was = use_in(before, page);
        enum mpg_page_use is = use_in(after, page);

        if (was != is && (was == MPG_USE_REGULAR || is == MPG_USE_REGULAR))
            added = add_run(changes, page, 1, (uint8_t)is);
    }
    return added;
}

static int collect_run(struct format_1 *f, uint64_t first, uint64_t end, struct changes *changes)
{
    while (first < end) {
        struct leaf_view before, after;
        uint64_t here;
        int error = mpgi_tree_look(&before, f, &f->space, VERSION_DURABLE, first);

        if (error == 0)
            error = mpgi_tree_look(&after, f, &f->space, VERSION_NEWEST, first);
        if (error)
            return error;
        here = min_u64(end, min_u64(before.end, after.end));
        if (!collect_pages(changes, &before, &after, first, here))
            return mpgi_fail_memory("commit");
        first = here;
    }
    return 0;
}

struct touched_run {
    uint64_t first, count;
};

static int by_first(const void *a, const void *b)
{
    const struct touched_run *left = a;
    const struct touched_run *right = b;

    return (left->first > right->first) - (left->first < right->first);
}

static int collect_runs(struct format_1 *f, struct changes *changes)
{
    struct number_list *list = &f->gathered.runs;
    struct touched_run *runs = (struct touched_run *)(void *)list->at;
    uint64_t next = 0; /* pages below were looked at */
    int error = 0;

    if (list->count == 0)
        return 0;
    qsort(runs, list->count / 2, sizeof(*runs), by_first);
    for (size_t i = 0; i < list->count / 2; i++) {
        uint64_t end = runs[i].first + runs[i].count;

        if (error == 0)
            error = collect_run(f, max_u64(runs[i].first, next), end, changes);
        next = max_u64(next, end);
    }
    return error;
}

int mpgi_changes_collect(struct format_1 *f, const struct id_map *contents, struct changes *changes)
{
    int error = collect_entries(f, contents, changes);

    return error ? error : collect_runs(f, changes);
}

void mpgi_changes_free(struct changes *changes)
{
    free(changes->entries);
    free(changes->runs);
    *changes = (struct changes){0};
}
