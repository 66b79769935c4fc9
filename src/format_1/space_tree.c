/* SPDX-License-Identifier: MIT */
/*
 * The space tree: what each page is used for, and which one to give out next.
 *
 * Rule 2: a page can be given out when it is free in every version that a crash may bring back: the
 * newest, that of the commit in flight, and the durable one; where there is a choice, in the one
 * before that as well.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/id_map.h"
#include "base/rules.h"
#include "format_1/state.h"

/* Pages whose availability is worked out at once. */
#define WINDOW 64

/* Four versions of a leaf, and three of a root that still held its content. */
#define VERSIONS_MAX 7

/* The versions of one leaf, or of the root's area, that say whether a page can be given out. */
struct shown {
    const unsigned char *uses[VERSIONS_MAX];
    size_t lengths[VERSIONS_MAX];
    unsigned count;
    uint64_t first; /* the pages [first, end) */
    uint64_t end;
};

static void show(struct shown *shown, const struct buffer *buffer, uint32_t offset, size_t length)
{
    if (buffer == NULL)
        return;
    shown->uses[shown->count] = buffer->bytes + offset;
    shown->lengths[shown->count++] = length;
}

/* A root's area, if that root is of height 0. */
static void show_root(struct shown *shown, const struct format_1 *f, const struct buffer *root)
{
    if (root != NULL && mpgi_tree_height(&f->space, root->bytes) == 0)
        show(shown, root, f->space.area, f->space.area_size);
}

/* What the roots of versions other than the newest show of the first pages. */
static void show_older_roots(struct shown *shown, const struct format_1 *f, enum reuse reuse)
{
    if (!RULE_HOLDS(2))
        return;
    show_root(shown, f, f->root.frozen);
    show_root(shown, f, f->root.durable);
    if (reuse == REUSE_SETTLED)
        show_root(shown, f, f->root.previous);
}

static void show_leaf(struct shown *shown, const struct format_1 *f, const struct node *leaf,
                      enum reuse reuse)
{
    size_t length = f->cache.space.node_size - NODE_BODY;

    show(shown, mpgi_versions_get(&leaf->versions, VERSION_NEWEST), NODE_BODY, length);
    if (RULE_HOLDS(2)) {
        show(shown, leaf->versions.frozen, NODE_BODY, length);
        show(shown, leaf->versions.durable, NODE_BODY, length);
        if (reuse == REUSE_SETTLED)
            show(shown, leaf->versions.previous, NODE_BODY, length);
    }
    shown->first = leaf->index * f->space.leaf_units;
    shown->end = shown->first + f->space.leaf_units;
    if (leaf->index == 0)
        show_older_roots(shown, f, reuse);
}

/* All that says whether the page can be given out. Makes its leaf if there is none. */
static int show_all(struct shown *shown, struct format_1 *f, uint64_t page, enum reuse reuse)
{
    const struct buffer *root = mpgi_versions_get(&f->root, VERSION_NEWEST);
    struct node *leaf = NULL;
    int error;

    memset(shown, 0, sizeof(*shown));
    if (mpgi_tree_height(&f->space, root->bytes) == 0 && page < f->space.root_units) {
        show_root(shown, f, root);
        show_older_roots(shown, f, reuse);
        shown->end = f->space.root_units;
        return 0;
    }
    if (page < mpgi_tree_coverage(&f->space, mpgi_tree_height(&f->space, root->bytes))) {
        error = mpgi_tree_leaf(&leaf, f, &f->space, page);
        if (error)
            return error;
    }
    if (leaf == NULL) {
        error = mpgi_tree_edit(f, &f->space, page);
        if (error == 0)
            error = mpgi_tree_leaf(&leaf, f, &f->space, page);
        if (error)
            return error;
    }
    show_leaf(shown, f, leaf, reuse);
    return 0;
}

/* The lowest page >= *page at which `run` pages can be given out. */
static int find_run(struct format_1 *f, uint64_t *page, unsigned run, enum reuse reuse,
                    struct shown *shown)
{
    uint64_t unit = max_u64(*page, FIRST_USER_PAGE);

    for (;;) {
        uint64_t limit = f->space.limit;
        uint64_t index;
        int error = mpgi_tree_seek(f, &f->space, &unit);

        if (error)
            return error;
        if (unit >= limit)
            return mpgi_fail(MPG_E_FILE_FULL, "alloc", MPG_NO_PAGE,
                             "%s: all %" PRIu64 " pages that the format can hold are in use",
                             f->head.file->path, limit);
        error = mpgi_format_check_lowest(&f->head, unit);
        if (error == 0)
            error = show_all(shown, f, unit, reuse);
        if (error)
            return error;
        if (mpgi_uses_find_free(shown->uses, shown->lengths, shown->count, unit - shown->first,
                                min_u64(shown->end, limit) - shown->first, run, &index)) {
            *page = shown->first + index;
            return 0;
        }
        unit = shown->end;
    }
}

/* Remembers which of the pages around one just found can be given out. */
static void open_window(struct format_1 *f, const struct shown *shown, uint64_t page,
                        enum reuse reuse)
{
    struct space_hints *hints = &f->hints;
    uint64_t first = page / WINDOW * WINDOW; /* a leaf's first page is a multiple of it, too */
    uint64_t index = first - shown->first;
    uint64_t end = min_u64(min_u64(shown->end, f->space.limit) - shown->first, index + WINDOW);
    uint64_t free = end - index < WINDOW ? (UINT64_C(1) << (end - index)) - 1 : UINT64_MAX;

    for (unsigned k = 0; k < shown->count; k++) {
        uint64_t known = min_u64(end, shown->lengths[k] * USES_PER_BYTE);
        uint64_t bits;

        if (known <= index)
            continue; /* beyond what this version holds all is free */
        mpgi_uses_scan(shown->uses[k], index, known, MPG_USE_FREE, &bits, 1);
        if (known - index < WINDOW)
            bits |= UINT64_MAX << (known - index);
        free &= bits;
    }
    hints->window = first;
    hints->window_free = free;
    hints->window_reuse = reuse;
}

int mpgi_space_find_free(struct format *format, uint64_t from, enum reuse reuse, uint64_t *page)
{
    struct format_1 *f = format_1_of(format);
    struct space_hints *hints = &f->hints;
    bool hinted = from <= hints->single[reuse];
    uint64_t unit = max_u64(hinted ? hints->single[reuse] : from, FIRST_USER_PAGE);
    uint64_t free = 0;
    struct shown shown;
    int error;

    if (hints->window_reuse == reuse && unit - hints->window < WINDOW)
        free = hints->window_free >> (unit - hints->window);
    if (free != 0) {
        unit += (unsigned)__builtin_ctzll(free);
    } else {
        error = find_run(f, &unit, 1, reuse, &shown);
        if (error)
            return error;
        open_window(f, &shown, unit, reuse);
    }
    if (hinted)
        hints->single[reuse] = unit;
    *page = unit;
    return 0;
}

/* ---- Changing a page's use ----------------------------------------------------------------- */

/* The page, and what is above it, may be given out from now on. */
static void look_again_from(struct space_hints *hints, uint64_t page)
{
    hints->single[REUSE_SETTLED] = min_u64(hints->single[REUSE_SETTLED], page);
    hints->single[REUSE_RECENT] = min_u64(hints->single[REUSE_RECENT], page);
    hints->pair = min_u64(hints->pair, page > 0 ? page - 1 : 0);
    hints->window_free = 0;
}

/* In the pending version, which the page's leaf has. */
static void apply(struct format_1 *f, uint64_t page, enum mpg_page_use use)
{
    struct leaf_edit *edit = &f->space.edit;
    enum mpg_page_use old = mpgi_uses_get(edit->content, page - edit->first);

    if (old == use)
        return;
    mpgi_uses_set(edit->content, page - edit->first, use);
    if ((old == MPG_USE_FREE) != (use == MPG_USE_FREE))
        mpgi_root_add(f, ROOT_FREE, use == MPG_USE_FREE ? 1 : -1);
    if ((old == MPG_USE_METADATA) != (use == MPG_USE_METADATA))
        mpgi_root_add(f, ROOT_METADATA, use == MPG_USE_METADATA ? 1 : -1);
    if (use == MPG_USE_FREE) {
        f->hints.freed_pending = min_u64(f->hints.freed_pending, page);
        look_again_from(&f->hints, page);
    } else if (page - f->hints.window < WINDOW) {
        f->hints.window_free &= ~(UINT64_C(1) << (page - f->hints.window));
    }
}

int mpgi_space_set_use(struct format *format, uint64_t page, enum mpg_page_use use)
{
    struct format_1 *f = format_1_of(format);
    int error;

    if (page < FIRST_USER_PAGE || page >= get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL))
        return mpgi_fail(MPG_E_OUT_OF_BOUNDS, "alloc", page,
                         "%s: page %" PRIu64 " is not a user page of the file", f->head.file->path,
                         page);
    error = mpgi_tree_edit(f, &f->space, page);
    if (error)
        return error;
    apply(f, page, use);
    return 0;
}

unsigned mpgi_space_free_run(struct format *format, uint64_t page)
{
    struct format_1 *f = format_1_of(format);
    const struct space_hints *hints = &f->hints;
    struct shown shown;
    uint64_t taken;

    if (page - hints->window >= WINDOW)
        return 1;
    taken = ~(hints->window_free >> (page - hints->window));
    taken &= UINT64_MAX >> (page - hints->window);
    if (taken != 0)
        return (unsigned)max_u64((unsigned)__builtin_ctzll(taken), 1);
    /* All that the window shows, and perhaps more of the leaf. */
    if (show_all(&shown, f, page, hints->window_reuse) != 0)
        return 1;
    return (unsigned)max_u64(mpgi_uses_free_run(shown.uses, shown.lengths, shown.count,
                                                page - shown.first,
                                                min_u64(shown.end, f->space.limit) - shown.first),
                             1);
}

int mpgi_space_set_use_run(struct format *format, uint64_t page, unsigned count,
                           enum mpg_page_use use)
{
    struct format_1 *f = format_1_of(format);
    uint64_t mask = count < WINDOW ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
    int error = mpgi_tree_edit(f, &f->space, page);

    if (error)
        return error;
    /* free_run stays within one leaf. */
    mpgi_uses_fill(f->space.edit.content, page - f->space.edit.first,
                   page + count - f->space.edit.first, use);
    mpgi_root_add(f, ROOT_FREE, -(int64_t)count);
    if (use == MPG_USE_METADATA)
        mpgi_root_add(f, ROOT_METADATA, count);
    if (page - f->hints.window < WINDOW)
        f->hints.window_free &= ~(mask << (page - f->hints.window));
    return 0;
}

/* Rule 9: the file holds the pages before anything refers to them. */
static int grow_to_hold(struct format_1 *f, uint64_t end)
{
    if (end <= get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL))
        return 0;
    return mpgi_format_grow(&f->head, end);
}

/* Whether an open transaction holds one of these pages, or it is the one to leave alone. */
static bool is_held(const struct format_1 *f, uint64_t page, unsigned run, uint64_t avoid)
{
    for (unsigned i = 0; i < run; i++) {
        if (page + i == avoid ||
            (f->head.reserved != NULL && mpgi_id_map_find(f->head.reserved, page + i) != NULL))
            return true;
    }
    return false;
}

/* The lowest pages >= *page for a pair. */
static int find_pair(struct format_1 *f, uint64_t *page, enum reuse reuse)
{
    unsigned run = pair_pages_of(f->head.page_size);
    struct shown shown;
    int error = find_run(f, page, run, reuse, &shown);

    if (error == 0 && reuse == REUSE_SETTLED)
        f->hints.pair = *page;
    while (error == 0 && is_held(f, *page, run, UINT64_MAX)) {
        ++*page;
        error = find_run(f, page, run, reuse, &shown);
    }
    return error;
}

static int take_pair(struct format_1 *f, uint64_t *pair)
{
    unsigned run = pair_pages_of(f->head.page_size);
    uint64_t total = get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL);
    uint64_t page = f->hints.pair;
    int error = find_pair(f, &page, REUSE_SETTLED);

    /* Rule 2: freed pages rest for one more commit, unless the file would have to grow. */
    if (error == MPG_E_FILE_FULL || (error == 0 && page + run > total)) {
        uint64_t recent = FIRST_USER_PAGE;

        if (find_pair(f, &recent, REUSE_RECENT) == 0 && recent + run <= total) {
            page = recent;
            error = 0;
        }
    }
    if (error == 0)
        error = grow_to_hold(f, page + run);
    if (error == 0)
        error = mpgi_tree_edit(f, &f->space, page);
    if (error)
        return error;
    for (unsigned i = 0; i < run; i++)
        apply(f, page + i, MPG_USE_METADATA);
    *pair = page;
    return 0;
}

static void give_back(struct format_1 *f, uint64_t pair)
{
    unsigned run = pair_pages_of(f->head.page_size);

    /* The leaf is pending, so this only finds it again. */
    for (unsigned i = 0; i < run && mpgi_tree_edit(f, &f->space, pair) == 0; i++)
        apply(f, pair + i, MPG_USE_FREE);
}

static int take_own(struct format_1 *f, unsigned char *content, uint64_t first, uint64_t avoid,
                    uint64_t *pairs, unsigned count)
{
    unsigned run = pair_pages_of(f->head.page_size);
    uint64_t from = first == 0 ? FIRST_USER_PAGE : 0;
    struct shown shown = {.end = f->space.leaf_units};
    int64_t taken = (int64_t)count * run;
    int error;

    shown.uses[0] = content;
    shown.lengths[0] = f->cache.space.node_size - NODE_BODY;
    shown.count = 1;
    if (first == 0)
        show_older_roots(&shown, f, REUSE_SETTLED);
    for (unsigned i = 0; i < count; i++) {
        uint64_t index;

        do {
            if (!mpgi_uses_find_free(shown.uses, shown.lengths, shown.count, from, shown.end, run,
                                     &index))
                return mpgi_fail(MPG_E_FILE_FULL, "alloc", first,
                                 "%s: no room for the space tree among the pages it covers",
                                 f->head.file->path);
            from = index + 1;
        } while (is_held(f, first + index, run, avoid));
        pairs[i] = first + index;
        from = index + run;
    }
    error = grow_to_hold(f, first + from);
    if (error)
        return error;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < run; k++)
            mpgi_uses_set(content, pairs[i] - first + k, MPG_USE_METADATA);
    }
    mpgi_root_add(f, ROOT_FREE, -taken);
    mpgi_root_add(f, ROOT_METADATA, taken);
    f->hints.window_free = 0;
    return 0;
}

static int check_pair(struct format_1 *f, struct node *node)
{
    enum tree_kind tree = (enum tree_kind)node->tree;
    uint64_t pair = node->pair;
    unsigned level = node->level;
    uint64_t index = node->index;

    if (node->pair_checked)
        return 0;
    for (unsigned i = 0; i < pair_pages_of(f->head.page_size); i++) {
        enum mpg_page_use use;
        int error = mpgi_space_get_use(&f->head, VERSION_NEWEST, pair + i, &use);

        if (error)
            return error;
        if (use != MPG_USE_METADATA)
            return mpgi_fail(mpgi_tree_error(tree), "change metadata", pair + i,
                             "%s: page %" PRIu64 " holds metadata but is not marked as such",
                             f->head.file->path, pair + i);
    }
    node = mpgi_cache_find(&f->cache, tree, level, index);
    if (node != NULL)
        node->pair_checked = true;
    return 0;
}

const struct pair_source mpgi_space_pairs = {
    .take = take_pair,
    .give_back = give_back,
    .take_own = take_own,
    .check = check_pair,
};

/* ---- Looking ------------------------------------------------------------------------------- */

int mpgi_space_get_use(struct format *format, enum version version, uint64_t page,
                       enum mpg_page_use *use)
{
    struct format_1 *f = format_1_of(format);
    struct leaf_view view;
    int error = mpgi_tree_look(&view, f, &f->space, version, page);

    if (error)
        return error;
    *use = view.content != NULL ? mpgi_uses_get(view.content, page - view.first) : MPG_USE_FREE;
    return 0;
}

int mpgi_space_scan(struct format *format, enum version version, enum mpg_page_use use,
                    uint64_t first, uint64_t *bits, unsigned words, uint64_t *next)
{
    struct format_1 *f = format_1_of(format);
    uint64_t total = get_u64(mpgi_root_get(f, version) + ROOT_TOTAL);
    static const unsigned char all_free[64 * 64 / USES_PER_BYTE];
    struct leaf_view view;
    uint64_t end;
    int error;

    memset(bits, 0, words * sizeof(*bits));
    *next = UINT64_MAX;
    if (first >= total)
        return 0;
    error = mpgi_tree_look(&view, f, &f->space, version, first);
    if (error)
        return error;
    end = min_u64(min_u64(view.end, total), first + 64 * (uint64_t)words);
    if (view.content != NULL) {
        mpgi_uses_scan(view.content, first - view.first, end - view.first, use, bits, words);
    } else if (use == MPG_USE_FREE) {
        end = min_u64(end, first + sizeof(all_free) * USES_PER_BYTE);
        mpgi_uses_scan(all_free, 0, end - first, use, bits, words);
    } else {
        end = min_u64(view.end, total);
    }
    *next = end < total ? end : UINT64_MAX;
    return 0;
}

/* ---- Hints --------------------------------------------------------------------------------- */

void mpgi_space_sealed(struct format_1 *f)
{
    f->hints.freed_frozen = f->hints.freed_pending;
    f->hints.freed_pending = UINT64_MAX;
    f->hints.window_free = 0;
}

void mpgi_space_published(struct format_1 *f)
{
    struct space_hints *hints = &f->hints;

    look_again_from(hints, min_u64(hints->freed_frozen, hints->freed_previous));
    hints->freed_previous = hints->freed_frozen;
    hints->freed_frozen = UINT64_MAX;
}

void mpgi_space_discarded(struct format_1 *f)
{
    memset(&f->hints, 0, sizeof(f->hints));
    f->hints.freed_pending = f->hints.freed_frozen = f->hints.freed_previous = UINT64_MAX;
}
