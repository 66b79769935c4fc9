/* SPDX-License-Identifier: MIT */
/* The directory tree: where the two copies of each protected page are, and which one counts. */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format_1/state.h"

void mpgi_entry_read(struct entry *entry, const unsigned char *at)
{
    entry->page[0] = get_u64(at + ENTRY_PAGE_A);
    entry->page[1] = get_u64(at + ENTRY_PAGE_B);
    entry->generation = get_u64(at + ENTRY_GENERATION);
    entry->crc = get_u32(at + ENTRY_CRC);
    entry->in_use = (at[ENTRY_FLAGS] & ENTRY_IN_USE) != 0;
    entry->current = (at[ENTRY_FLAGS] & ENTRY_CURRENT_B) != 0;
}

void mpgi_entry_write(unsigned char *at, const struct entry *entry)
{
    memset(at, 0, ENTRY_SIZE);
    put_u64(at + ENTRY_PAGE_A, entry->page[0]);
    put_u64(at + ENTRY_PAGE_B, entry->page[1]);
    put_u64(at + ENTRY_GENERATION, entry->generation);
    put_u32(at + ENTRY_CRC, entry->crc);
    at[ENTRY_FLAGS] = (unsigned char)((entry->in_use ? ENTRY_IN_USE : 0) |
                                      (entry->current ? ENTRY_CURRENT_B : 0));
}

static bool in_use(const unsigned char *content, uint64_t i)
{
    return (content[i * ENTRY_SIZE + ENTRY_FLAGS] & ENTRY_IN_USE) != 0;
}

static int check_entry(const struct format_1 *f, enum version version, uint64_t id,
                       const struct entry *entry)
{
    uint64_t total = get_u64(mpgi_root_get(f, version) + ROOT_TOTAL);

    for (unsigned i = 0; i < 2; i++) {
        if (entry->page[i] < FIRST_USER_PAGE || entry->page[i] >= total)
            return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "read metadata", entry->page[i],
                             "%s: a copy of protected page %" PRIu64 " is said to be page %" PRIu64
                             ", not between 3 and %" PRIu64,
                             f->head.file->path, id, entry->page[i], total);
    }
    if (entry->page[0] == entry->page[1])
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "read metadata", entry->page[0],
                         "%s: both copies of protected page %" PRIu64
                         " are said to be page %" PRIu64,
                         f->head.file->path, id, entry->page[0]);
    return 0;
}

/* Its pages may now be written or freed: they must be its own, whatever the file claims. */
static int check_uses(struct format_1 *f, uint64_t id, const struct entry *entry)
{
    int error = check_entry(f, VERSION_NEWEST, id, entry);

    for (unsigned i = 0; i < 2 && error == 0; i++) {
        enum mpg_page_use use;

        error = mpgi_space_get_use(&f->head, VERSION_NEWEST, entry->page[i], &use);
        if (error == 0 && use != MPG_USE_PROTECTED)
            return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "write", entry->page[i],
                             "%s: page %" PRIu64 " is said to be a copy of protected page %" PRIu64
                             " but is not marked as such",
                             f->head.file->path, entry->page[i], id);
    }
    return error;
}

/*
 * Whether the batch that gathers has put this entry, and so knows its pages. An entry of the file
 * may claim to be as new, but then the durable version has it, too.
 */
static int is_of_batch(bool *is, struct format_1 *f, uint64_t id, const struct entry *entry)
{
    struct leaf_view view;
    struct entry durable;
    int error;

    *is = entry->generation == f->next_generation;
    if (!*is)
        return 0;
    error = mpgi_tree_look(&view, f, &f->directory, VERSION_DURABLE, id);
    if (error || view.content == NULL)
        return error;
    mpgi_entry_read(&durable, view.content + (id - view.first) * ENTRY_SIZE);
    *is = durable.generation != f->next_generation;
    return 0;
}

int mpgi_directory_get(struct format *format, enum version version, uint64_t id,
                       struct entry *entry)
{
    struct format_1 *f = format_1_of(format);
    struct leaf_view view;
    struct entry found;
    bool checked = true;
    int error = mpgi_tree_look(&view, f, &f->directory, version, id);

    if (error)
        return error;
    if (view.content == NULL || !in_use(view.content, id - view.first))
        return MPG_E_NOT_ALLOCATED;
    mpgi_entry_read(&found, view.content + (id - view.first) * ENTRY_SIZE);
    if (version == VERSION_NEWEST && !f->head.read_only)
        error = is_of_batch(&checked, f, id, &found);
    if (error == 0)
        error = checked ? check_entry(f, version, id, &found) : check_uses(f, id, &found);
    if (error)
        return error;
    *entry = found;
    return 0;
}

int mpgi_directory_put(struct format *format, uint64_t id, const struct entry *entry)
{
    struct format_1 *f = format_1_of(format);
    struct leaf_edit *edit = &f->directory.edit;
    unsigned char *at;
    struct entry old;
    int error;

    if (id >= f->directory.limit)
        return mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc", id,
                         "%s: the format can hold protected pages up to %" PRIu64,
                         f->head.file->path, f->directory.limit - 1);
    error = mpgi_tree_edit(f, &f->directory, id);
    if (error)
        return error;
    at = edit->content + (id - edit->first) * ENTRY_SIZE;
    mpgi_entry_read(&old, at);
    mpgi_entry_write(at, entry);
    f->changed_entries++;
    if (old.in_use != entry->in_use)
        mpgi_root_add(f, ROOT_PROTECTED, entry->in_use ? 1 : -1);
    if (!entry->in_use) {
        f->entry_hint = min_u64(f->entry_hint, id);
        f->entry_freed = min_u64(f->entry_freed, id);
    }
    return 0;
}

int mpgi_directory_find_free(struct format *format, uint64_t from, uint64_t *id)
{
    struct format_1 *f = format_1_of(format);
    bool hinted = from <= f->entry_hint;
    uint64_t unit = hinted ? f->entry_hint : from;
    struct leaf_view view = {NULL, 0, 0};

    for (bool found = false; !found;) {
        if (view.content == NULL || unit >= view.end) {
            int error = mpgi_tree_seek(f, &f->directory, &unit);

            if (error == 0 && unit >= f->directory.limit)
                error =
                    mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc", MPG_NO_PAGE,
                              "%s: all %" PRIu64 " protected pages that the format can hold are "
                              "in use",
                              f->head.file->path, f->directory.limit);
            if (error == 0)
                error = mpgi_tree_look(&view, f, &f->directory, VERSION_NEWEST, unit);
            if (error)
                return error;
        }
        found = view.content == NULL || !in_use(view.content, unit - view.first);
        unit += !found;
    }
    /* The counts above a leaf tell of what was freed in it only once it is sealed. */
    if (hinted)
        f->entry_hint = min_u64(unit, f->entry_freed);
    *id = unit;
    return 0;
}

int mpgi_directory_scan(struct format *format, enum version version, uint64_t first, uint64_t *bits,
                        unsigned words, uint64_t *next)
{
    struct format_1 *f = format_1_of(format);
    unsigned height = mpgi_tree_height(&f->directory, mpgi_root_get(f, version));
    uint64_t coverage = min_u64(mpgi_tree_coverage(&f->directory, height), f->directory.limit);
    uint64_t end = first + 64 * (uint64_t)words;
    uint64_t unit = first;

    memset(bits, 0, words * sizeof(*bits));
    *next = UINT64_MAX;
    if (first >= coverage)
        return 0;
    end = min_u64(end, coverage);
    while (unit < end) {
        struct leaf_view view;
        int error = mpgi_tree_look(&view, f, &f->directory, version, unit);

        if (error)
            return error;
        if (view.content == NULL) {
            unit = view.end; /* perhaps far ahead */
            continue;
        }
        for (; unit < min_u64(view.end, end); unit++) {
            if (in_use(view.content, unit - view.first))
                bits[(unit - first) / 64] |= UINT64_C(1) << (unit - first) % 64;
        }
    }
    if (unit < coverage)
        *next = unit / 64 * 64;
    return 0;
}
