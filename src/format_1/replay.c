/* SPDX-License-Identifier: MIT */
/*
 * What a record changes, applied to the trees in memory, as if it were a batch of this pager. It
 * may be forged: so nothing is taken that is not free, nothing freed that is not in use, no node
 * made, and the counts must come out as it says.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format_1/state.h"

static int fail_record(const struct format_1 *f, const struct record *record, const char *what,
                       uint64_t number)
{
    return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", record->page,
                     "%s: the record of commit %" PRIu64 " in page %" PRIu64
                     " makes no sense: %s %" PRIu64,
                     f->head.file->path, record->generation, record->page, what, number);
}

/* Whether a tree has a leaf for a unit: none is made here. */
static bool has_leaf(struct format_1 *f, struct tree *tree, uint64_t unit)
{
    unsigned height = mpgi_tree_height(tree, mpgi_root_get(f, VERSION_NEWEST));
    struct node *leaf = NULL;

    if (unit >= tree->limit || unit >= mpgi_tree_coverage(tree, height))
        return false;
    return height == 0 || (mpgi_tree_leaf(&leaf, f, tree, unit) == 0 && leaf != NULL);
}

/* Changes a page that has the use `from`. */
static int change_page(struct format_1 *f, const struct record *record, uint64_t page,
                       enum mpg_page_use from, enum mpg_page_use to)
{
    enum mpg_page_use use;
    int error;

    if (page < FIRST_USER_PAGE || page >= record->total || !has_leaf(f, &f->space, page))
        return fail_record(f, record, "it names page", page);
    error = mpgi_space_get_use(&f->head, VERSION_NEWEST, page, &use);
    if (error == 0 && use != from)
        return fail_record(f, record, "it changes what it may not, page", page);
    return error ? error : mpgi_space_set_use(&f->head, page, to);
}

/* ---- Entries ------------------------------------------------------------------------------- */

static int read_entry(struct format_1 *f, uint64_t id, struct entry *entry)
{
    struct leaf_view view;
    int error = mpgi_tree_look(&view, f, &f->directory, VERSION_NEWEST, id);

    *entry = (struct entry){0};
    if (error == 0 && view.content != NULL)
        mpgi_entry_read(entry, view.content + (id - view.first) * ENTRY_SIZE);
    return error;
}

/* The page that the entry named before becomes free. */
static int free_page(struct format_1 *f, const struct record *record,
                     const struct record_entry *change)
{
    struct entry old;
    int error;

    if (!has_leaf(f, &f->directory, change->id))
        return fail_record(f, record, "there is no entry for protected page", change->id);
    error = read_entry(f, change->id, &old);
    if (error || !old.in_use)
        return error;
    return change_page(f, record, entry_page(&old), MPG_USE_PROTECTED, MPG_USE_FREE);
}

/* The page that it names now is taken. */
static int take_page(struct format_1 *f, const struct record *record,
                     const struct record_entry *change)
{
    struct entry old;
    struct entry entry = {
        .page = {change->page, 0},
        .generation = record->generation,
        .crc = change->crc,
        .in_use = change->in_use,
    };
    int error = read_entry(f, change->id, &old);

    if (error == 0 && !old.in_use && !entry.in_use)
        return fail_record(f, record, "it frees what is free, protected page", change->id);
    if (error == 0 && entry.in_use)
        error = change_page(f, record, change->page, MPG_USE_FREE, MPG_USE_PROTECTED);
    if (error == 0)
        error = mpgi_tree_edit(f, &f->directory, change->id);
    if (error)
        return error;
    mpgi_directory_store(f, change->id, &entry);
    mpgi_root_add(f, ROOT_PROTECTED, (int64_t)entry.in_use - (int64_t)old.in_use);
    return 0;
}

static int apply_entries(struct format_1 *f, const struct record *record)
{
    int error = 0;

    for (uint32_t i = 0; i < record->entry_count; i++)
        mpgi_tree_will_need(f, &f->directory, record->entries[i].id);
    for (uint32_t i = 0; i < record->entry_count && error == 0; i++) {
        if (i > 0 && record->entries[i].id <= record->entries[i - 1].id)
            return fail_record(f, record, "out of order is protected page", record->entries[i].id);
        error = free_page(f, record, &record->entries[i]);
    }
    for (uint32_t i = 0; i < record->entry_count && error == 0; i++)
        error = take_page(f, record, &record->entries[i]);
    return error;
}

/* ---- Pages --------------------------------------------------------------------------------- */

static int apply_run(struct format_1 *f, const struct record *record, const struct record_run *run)
{
    enum mpg_page_use from = run->use == MPG_USE_FREE ? MPG_USE_REGULAR : MPG_USE_FREE;
    int error = 0;

    if (run->use != MPG_USE_FREE && run->use != MPG_USE_REGULAR)
        return fail_record(f, record, "it gives pages the use", run->use);
    if (run->count == 0 || run->first >= record->total || run->count > record->total - run->first)
        return fail_record(f, record, "it names page", run->first);
    for (uint64_t i = 0; i < run->count && error == 0; i++)
        error = change_page(f, record, run->first + i, from, (enum mpg_page_use)run->use);
    return error;
}

static int apply_runs(struct format_1 *f, const struct record *record)
{
    int error = 0;

    for (uint32_t i = 0; i < record->run_count && error == 0; i++) {
        const struct record_run *run = &record->runs[i];

        if (i > 0 && run->first < run[-1].first + run[-1].count)
            return fail_record(f, record, "out of order is page", run->first);
        error = apply_run(f, record, run);
    }
    return error;
}

/* ---- Redos -------------------------------------------------------------------------------- */

static bool has_use(struct format_1 *f, const struct record *record, uint64_t page,
                    enum mpg_page_use wanted)
{
    enum mpg_page_use use;

    return page >= FIRST_USER_PAGE && page < record->total &&
           mpgi_space_get_use(&f->head, VERSION_NEWEST, page, &use) == 0 && use == wanted;
}

/* Whether a page is one of the record's own, or of the places that it names. */
static bool is_of_record(const struct record *record, uint64_t page)
{
    for (unsigned i = 0; i < record->part_count; i++) {
        if (page == record->parts[i].page)
            return true;
    }
    return page == record->page || page == record->next || page == record->after;
}

/* What it puts into a page, which is a regular one, lies in a page that is nobody's. */
static int check_redo(struct format_1 *f, const struct record *record,
                      const struct record_redo *redo)
{
    if (!has_use(f, record, redo->page, MPG_USE_REGULAR))
        return fail_record(f, record, "it gives a new content to page", redo->page);
    if (!has_use(f, record, redo->from, MPG_USE_FREE) || is_of_record(record, redo->from))
        return fail_record(f, record, "it takes a new content from page", redo->from);
    return 0;
}

static int check_redos(struct format_1 *f, const struct record *record)
{
    const struct record_redo *redos = record->redos;
    int error = 0;

    for (uint32_t i = 0; i < record->redo_count && error == 0; i++) {
        if (i > 0 && (redos[i].page <= redos[i - 1].page || redos[i].from <= redos[i - 1].from))
            return fail_record(f, record, "out of order is the new content of page", redos[i].page);
        error = check_redo(f, record, &redos[i]);
    }
    return error;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static int grow(struct format_1 *f, const struct record *record)
{
    uint64_t total = get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL);
    int error = mpgi_root_edit(f);

    if (error)
        return error;
    if (record->total < total || record->total > f->space.limit)
        return fail_record(f, record, "the pages that it counts:", record->total);
    mpgi_root_add(f, ROOT_FREE, (int64_t)(record->total - total));
    put_u64(mpgi_root_pending(f) + ROOT_TOTAL, record->total);
    return 0;
}

static int check_counts(const struct format_1 *f, const struct record *record)
{
    const unsigned char *root = mpgi_root_get(f, VERSION_NEWEST);

    if (get_u64(root + ROOT_FREE) != record->free)
        return fail_record(f, record, "the free pages that it counts:", record->free);
    if (get_u64(root + ROOT_PROTECTED) != record->protected_pages)
        return fail_record(f, record,
                           "the protected pages that it counts:", record->protected_pages);
    return 0;
}

static int apply(struct format_1 *f, const struct record *record)
{
    int error = grow(f, record);

    if (error == 0)
        error = apply_entries(f, record);
    if (error == 0)
        error = apply_runs(f, record);
    if (error == 0)
        error = check_redos(f, record);
    return error ? error : check_counts(f, record);
}

int mpgi_replay(struct format_1 *f, const struct record *record)
{
    int error;

    f->gathered.sealing = true; /* nothing is counted */
    error = apply(f, record);
    if (error == 0) {
        mpgi_tree_count(f, &f->space);
        mpgi_tree_count(f, &f->directory);
        put_u64(mpgi_root_pending(f) + NODE_GENERATION, record->generation);
        mpgi_cache_freeze(&f->cache);
        mpgi_versions_freeze(&f->root);
        mpgi_cache_publish(&f->cache);
        mpgi_versions_publish(&f->root);
    }
    mpgi_commit_forget(f);
    return error;
}
