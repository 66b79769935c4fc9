/* SPDX-License-Identifier: MIT */
/*
 * Which page to give out next.
 *
 * Rule 2: a page can be given out when it is free in every version that a crash may bring back: the
 * newest, that of the commit in flight, and the durable one; where there is a choice, in the one
 * before that as well. And it must not be kept: an opening may look at it (rest.h), or a view shows
 * it.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/id_map.h"
#include "base/rules.h"
#include "format_1/state.h"

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

bool mpgi_space_is_kept(const struct format_1 *f, uint64_t page)
{
    const struct id_map *lingering = f->head.lingering;

    if (mpgi_rest_has(&f->rest, page))
        return true;
    return lingering != NULL && RULE_HOLDS(RULE_PINS) && mpgi_id_map_find(lingering, page) != NULL;
}

/*
 * The lowest page >= from, of what is shown, that can be given out together with the one `apart`
 * pages behind it.
 */
static bool find_shown(const struct format_1 *f, const struct shown *shown, uint64_t from,
                       uint64_t apart, uint64_t *page)
{
    uint64_t end = min_u64(shown->end, f->space.limit) - shown->first;
    uint64_t index = from - shown->first;

    while (
        mpgi_uses_find_free(shown->uses, shown->lengths, shown->count, index, end, apart, &index)) {
        if (!mpgi_space_is_kept(f, shown->first + index) &&
            !mpgi_space_is_kept(f, shown->first + index + apart)) {
            *page = shown->first + index;
            return true;
        }
        index++;
    }
    return false;
}

/* The same of the whole file, and what is around it. */
static int find_apart(struct format_1 *f, uint64_t *page, uint64_t apart, enum reuse reuse,
                      struct shown *shown)
{
    uint64_t unit = max_u64(*page, FIRST_USER_PAGE);

    for (;;) {
        uint64_t limit = f->space.limit;
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
        if (find_shown(f, shown, unit, apart, page))
            return 0;
        unit = shown->end;
    }
}

int mpgi_space_find_pair(struct format_1 *f, uint64_t *page, enum reuse reuse)
{
    struct shown shown;

    return find_apart(f, page, slot_distance(f->cache.space.page_size), reuse, &shown);
}

/* The words of what is shown that say which of its pages can be given out. */
static void shown_bits(const struct shown *shown, uint64_t index, uint64_t end, uint64_t *bits,
                       unsigned words)
{
    for (unsigned w = 0; w < words; w++) {
        uint64_t at = index + 64 * (uint64_t)w;
        uint64_t left = at < end ? end - at : 0;

        bits[w] = left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
    }
    for (unsigned k = 0; k < shown->count; k++) {
        for (unsigned w = 0; w < words; w++) {
            uint64_t at = index + 64 * (uint64_t)w;
            uint64_t known = min_u64(at + 64, shown->lengths[k] * USES_PER_BYTE);
            uint64_t free;

            if (known <= at)
                continue; /* beyond what this version holds all is free */
            mpgi_uses_scan(shown->uses[k], at, known, MPG_USE_FREE, &free, 1);
            if (known - at < 64)
                free |= UINT64_MAX << (known - at);
            bits[w] &= free;
        }
    }
}

int mpgi_space_leaf_bits(struct format_1 *f, uint64_t page, enum reuse reuse, uint64_t *bits,
                         unsigned words, uint64_t *end)
{
    uint64_t total = get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL);
    struct shown shown;
    uint64_t covered;
    int error = show_all(&shown, f, page, reuse);

    if (error)
        return error;
    covered = min_u64(shown.end, total) - shown.first;
    shown_bits(&shown, 0, covered, bits, words);
    for (unsigned w = 0; w < words; w++) {
        for (uint64_t left = bits[w]; left != 0; left &= left - 1) {
            uint64_t index = 64 * (uint64_t)w + (unsigned)__builtin_ctzll(left);

            if (shown.first + index < FIRST_USER_PAGE || mpgi_space_is_kept(f, shown.first + index))
                bits[w] &= ~(left & -left);
        }
    }
    *end = shown.end;
    return 0;
}

/* Remembers which of the pages around one just found can be given out. */
static void open_window(struct format_1 *f, const struct shown *shown, uint64_t page,
                        enum reuse reuse)
{
    struct space_hints *hints = &f->hints;
    uint64_t first = page / WINDOW * WINDOW; /* a leaf's first page is a multiple of it, too */
    uint64_t index = first - shown->first;
    uint64_t end = min_u64(min_u64(shown->end, f->space.limit) - shown->first, index + WINDOW);
    uint64_t free;

    shown_bits(shown, index, end, &free, 1);
    for (uint64_t left = free; left != 0; left &= left - 1) {
        if (mpgi_space_is_kept(f, first + (unsigned)__builtin_ctzll(left)))
            free &= ~(left & -left);
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
        error = find_apart(f, &unit, 0, reuse, &shown);
        if (error)
            return error;
        open_window(f, &shown, unit, reuse);
    }
    if (hinted)
        hints->single[reuse] = unit;
    *page = unit;
    return 0;
}

unsigned mpgi_space_free_run(struct format *format, uint64_t page)
{
    struct format_1 *f = format_1_of(format);
    const struct space_hints *hints = &f->hints;
    struct shown shown;
    uint64_t taken, run;

    if (page - hints->window >= WINDOW)
        return 1;
    taken = ~(hints->window_free >> (page - hints->window));
    taken &= UINT64_MAX >> (page - hints->window);
    if (taken != 0)
        return (unsigned)max_u64((unsigned)__builtin_ctzll(taken), 1);
    /* All that the window shows, and perhaps more of the leaf. */
    if (show_all(&shown, f, page, hints->window_reuse) != 0)
        return 1;
    run = mpgi_uses_free_run(shown.uses, shown.lengths, shown.count, page - shown.first,
                             min_u64(shown.end, f->space.limit) - shown.first);
    run = mpgi_rest_before(&f->rest, page, page + run) - page;
    if (f->head.lingering != NULL)
        run = mpgi_rest_lowest(f->head.lingering, page, page + run) - page;
    return (unsigned)max_u64(run, 1);
}
