/* SPDX-License-Identifier: MIT */
/* The directory tree: where the content of each protected page is. */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format_1/state.h"

void mpgi_entry_read(struct entry *entry, const unsigned char *at)
{
    entry->page[0] = get_u64(at + ENTRY_PAGE);
    entry->page[1] = 0;
    entry->generation = get_u64(at + ENTRY_GENERATION);
    entry->crc = get_u32(at + ENTRY_CRC);
    entry->in_use = (at[ENTRY_FLAGS] & ENTRY_IN_USE) != 0;
    entry->current = 0;
}

static void write_entry(unsigned char *at, const struct entry *entry)
{
    memset(at, 0, ENTRY_SIZE);
    if (!entry->in_use)
        return;
    put_u64(at + ENTRY_PAGE, entry->page[0]);
    put_u64(at + ENTRY_GENERATION, entry->generation);
    put_u32(at + ENTRY_CRC, entry->crc);
    at[ENTRY_FLAGS] = ENTRY_IN_USE;
}

static bool in_use(const unsigned char *content, uint64_t i)
{
    return (content[i * ENTRY_SIZE + ENTRY_FLAGS] & ENTRY_IN_USE) != 0;
}

static int check_entry(const struct format_1 *f, enum version version, uint64_t id,
                       const struct entry *entry)
{
    uint64_t total = get_u64(mpgi_root_get(f, version) + ROOT_TOTAL);
    uint64_t page = entry_page(entry);

    if (page < FIRST_USER_PAGE || page >= total)
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "read metadata", page,
                         "%s: the content of protected page %" PRIu64
                         " is said to be in page %" PRIu64 ", not between 3 and %" PRIu64,
                         f->head.file->path, id, page, total);
    return 0;
}

/* Its page may now be freed: it must be its own, whatever the file claims. */
static int check_use(struct format_1 *f, uint64_t id, const struct entry *entry)
{
    int error = check_entry(f, VERSION_NEWEST, id, entry);
    enum mpg_page_use use;

    if (error == 0)
        error = mpgi_space_get_use(&f->head, VERSION_NEWEST, entry_page(entry), &use);
    if (error == 0 && use != MPG_USE_PROTECTED)
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "write", entry_page(entry),
                         "%s: page %" PRIu64 " is said to be the content of protected page %" PRIu64
                         " but is not marked as such",
                         f->head.file->path, entry_page(entry), id);
    return error;
}

static int read_version(struct format_1 *f, enum version version, uint64_t id, struct entry *entry)
{
    struct leaf_view view;
    int error = mpgi_tree_look(&view, f, &f->directory, version, id);

    if (error)
        return error;
    if (view.content == NULL || !in_use(view.content, id - view.first))
        return MPG_E_NOT_ALLOCATED;
    mpgi_entry_read(entry, view.content + (id - view.first) * ENTRY_SIZE);
    return 0;
}

/*
 * Whether the batch that gathers has given the entry a new content, which has no page yet. An entry
 * of the file may claim the same, but then it is there before the batch, too.
 */
static int has_no_page_yet(bool *has, struct format_1 *f, uint64_t id, const struct entry *entry)
{
    struct entry before;
    int error;

    *has = false;
    if (entry_page(entry) != 0 || f->root.pending == NULL)
        return 0;
    error = read_version(f, VERSION_FROZEN, id, &before);
    if (error != 0 && error != MPG_E_NOT_ALLOCATED)
        return error;
    *has = error != 0 || entry_page(&before) != 0;
    return 0;
}

int mpgi_directory_get(struct format *format, enum version version, uint64_t id,
                       struct entry *entry)
{
    struct format_1 *f = format_1_of(format);
    struct entry found;
    bool pending = false;
    int error = read_version(f, version, id, &found);

    if (error == 0 && version == VERSION_NEWEST && !f->head.read_only)
        error = has_no_page_yet(&pending, f, id, &found);
    if (error == 0 && !pending && version == VERSION_NEWEST && !f->head.read_only)
        error = check_use(f, id, &found);
    else if (error == 0 && !pending)
        error = check_entry(f, version, id, &found);
    if (error == 0)
        *entry = found;
    return error;
}

int mpgi_directory_renew(struct format *format, uint64_t id, const struct entry *old, bool again,
                         struct entry *entry)
{
    (void)id;
    (void)again;
    *entry = *old;
    entry->page[0] = 0;
    entry->generation = format_1_of(format)->next_generation;
    return 0;
}

void mpgi_directory_store(struct format_1 *f, uint64_t id, const struct entry *entry)
{
    const struct leaf_edit *edit = &f->directory.edit;

    if (mpgi_tree_edit(f, &f->directory, id) == 0)
        write_entry(edit->content + (id - edit->first) * ENTRY_SIZE, entry);
}

/* What becomes of the pages that an entry named, and names. */
static int change_pages(struct format_1 *f, const struct entry *old, const struct entry *entry)
{
    uint64_t before = old->in_use ? entry_page(old) : 0;
    uint64_t after = entry->in_use ? entry_page(entry) : 0;
    int error = 0;

    if (before == after)
        return 0;
    if (before != 0)
        error = mpgi_space_set_use(&f->head, before, MPG_USE_FREE);
    if (error == 0 && after != 0)
        error = mpgi_space_set_use(&f->head, after, MPG_USE_PROTECTED);
    return error;
}

/* Notes that an entry changes; how many there are new since the batch before. */
static int note_entry(struct format_1 *f, uint64_t id, const struct entry *old,
                      const struct entry *entry)
{
    struct entry before;
    int error = read_version(f, VERSION_FROZEN, id, &before);

    if (error != 0 && error != MPG_E_NOT_ALLOCATED)
        return error;
    /* One that changes again was noted before. */
    if (!mpgi_numbers_add(&f->gathered.entries, id) && (error == 0) == old->in_use &&
        (error != 0 || entry_page(&before) == entry_page(old)))
        return mpgi_fail_memory("alloc");
    if (error == 0)
        return 0;
    /*
     * One that is put with its content was counted as a page that is handed out; it needs one for
     * its next.
     */
    if (!old->in_use && entry->in_use && entry_page(entry) != 0)
        f->gathered.handed_out++;
    else
        f->gathered.new_entries += (uint64_t)entry->in_use - (uint64_t)old->in_use;
    return 0;
}

static bool is_unplaced(const struct entry *entry)
{
    return entry->in_use && entry_page(entry) == 0;
}

int mpgi_directory_put(struct format *format, uint64_t id, const struct entry *entry)
{
    struct format_1 *f = format_1_of(format);
    const struct leaf_edit *edit = &f->directory.edit;
    struct entry old;
    int error;

    if (id >= f->directory.limit)
        return mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc", id,
                         "%s: the format can hold protected pages up to %" PRIu64,
                         f->head.file->path, f->directory.limit - 1);
    error = mpgi_tree_edit(f, &f->directory, id);
    if (error)
        return error;
    mpgi_entry_read(&old, edit->content + (id - edit->first) * ENTRY_SIZE);
    error = change_pages(f, &old, entry);
    if (error == 0)
        error = note_entry(f, id, &old, entry);
    if (error)
        return error;
    mpgi_directory_store(f, id, entry);
    f->gathered.unplaced += (uint64_t)is_unplaced(entry) - (uint64_t)is_unplaced(&old);
    if (old.in_use != entry->in_use) {
        mpgi_root_add(f, ROOT_PROTECTED, entry->in_use ? 1 : -1);
        f->gathered.entries_came_or_went = true;
    }
    if (!entry->in_use) {
        f->entry_hint = min_u64(f->entry_hint, id);
        f->entry_freed = min_u64(f->entry_freed, id);
    }
    return 0;
}

int mpgi_directory_mark(struct format *format, uint64_t id, struct span_mark *mark)
{
    struct format_1 *f = format_1_of(format);

    return mpgi_tree_mark(mark, f, &f->directory, id);
}

int mpgi_directory_find_owner(struct format *format, uint64_t page, uint64_t *id)
{
    struct format_1 *f = format_1_of(format);
    unsigned height = mpgi_tree_height(&f->directory, mpgi_root_get(f, VERSION_NEWEST));
    uint64_t coverage = min_u64(mpgi_tree_coverage(&f->directory, height), f->directory.limit);

    for (uint64_t unit = 0; unit < coverage;) {
        struct leaf_view view;
        int error = mpgi_tree_look(&view, f, &f->directory, VERSION_NEWEST, unit);

        if (error)
            return error;
        for (; view.content != NULL && unit < min_u64(view.end, coverage); unit++) {
            const unsigned char *at = view.content + (unit - view.first) * ENTRY_SIZE;

            if (get_u64(at + ENTRY_PAGE) == page && in_use(view.content, unit - view.first)) {
                *id = unit;
                return 0;
            }
        }
        unit = view.end;
    }
    return MPG_E_NOT_ALLOCATED;
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
