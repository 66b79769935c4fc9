/* SPDX-License-Identifier: MIT */
/* The space tree: what each page is used for. */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/id_map.h"
#include "base/rules.h"
#include "format_1/state.h"

/* ---- Changing a page's use ----------------------------------------------------------------- */

/* A page, and what is above it, may be given out from now on. */
static void look_again_from(struct format_1 *f, uint64_t page)
{
    struct space_hints *hints = &f->hints;
    uint64_t apart = slot_distance(f->cache.space.page_size);

    hints->single[REUSE_SETTLED] = min_u64(hints->single[REUSE_SETTLED], page);
    hints->single[REUSE_RECENT] = min_u64(hints->single[REUSE_RECENT], page);
    hints->pair = min_u64(hints->pair, page > apart ? page - apart : 0);
    hints->window_free = 0;
}

void mpgi_space_let_go(struct format *format, uint64_t page)
{
    struct format_1 *f = format_1_of(format);

    mpgi_pool_add(&f->pool, page);
    look_again_from(f, page);
}

/* In the pending version, which the page's leaf has. `base`: what it was before the batch. */
static void apply(struct format_1 *f, uint64_t page, enum mpg_page_use use, enum mpg_page_use base)
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
    if (base == MPG_USE_FREE)
        f->gathered.handed_out += (uint64_t)(use != MPG_USE_FREE) - (old != MPG_USE_FREE);
    if (use == MPG_USE_FREE) {
        f->hints.freed_pending = min_u64(f->hints.freed_pending, page);
        look_again_from(f, page);
        if (base == MPG_USE_FREE)
            mpgi_pool_add(&f->pool, page);
    } else {
        mpgi_pool_remove(&f->pool, page);
        if (page - f->hints.window < WINDOW)
            f->hints.window_free &= ~(UINT64_C(1) << (page - f->hints.window));
    }
}

/* Notes that pages change, for the record. */
static bool note_run(struct format_1 *f, uint64_t page, uint64_t count)
{
    struct number_list *runs = &f->gathered.runs;

    if (runs->count > 0 && runs->at[runs->count - 2] + runs->at[runs->count - 1] == page) {
        runs->at[runs->count - 1] += count;
        return true;
    }
    if (!mpgi_numbers_add(runs, page))
        return false;
    if (mpgi_numbers_add(runs, count))
        return true;
    runs->count--;
    return false;
}

/* The pending version of the leaf, and what the page was before the batch. */
static int edit_page(struct format_1 *f, uint64_t page, enum mpg_page_use *base)
{
    int error;

    if (page < FIRST_USER_PAGE || page >= get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL))
        return mpgi_fail(MPG_E_OUT_OF_BOUNDS, "alloc", page,
                         "%s: page %" PRIu64 " is not a user page of the file", f->head.file->path,
                         page);
    error = mpgi_tree_edit(f, &f->space, page);
    return error ? error : mpgi_space_get_use(&f->head, VERSION_FROZEN, page, base);
}

int mpgi_space_set_use(struct format *format, uint64_t page, enum mpg_page_use use)
{
    struct format_1 *f = format_1_of(format);
    enum mpg_page_use base, old;
    int error = edit_page(f, page, &base);

    if (error)
        return error;
    old = mpgi_uses_get(f->space.edit.content, page - f->space.edit.first);
    /*
     * What becomes of pages of contents follows from the entries. A page that changes again was
     * noted before.
     */
    if ((old == MPG_USE_REGULAR || use == MPG_USE_REGULAR) && !note_run(f, page, 1) && old == base)
        return mpgi_fail_memory("alloc");
    apply(f, page, use, base);
    return 0;
}

int mpgi_space_set_use_run(struct format *format, uint64_t page, unsigned count,
                           enum mpg_page_use use)
{
    struct format_1 *f = format_1_of(format);
    uint64_t mask = count < WINDOW ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
    int error = mpgi_tree_edit(f, &f->space, page);

    if (error)
        return error;
    if (!note_run(f, page, count))
        return mpgi_fail_memory("alloc");
    /* free_run stays within one leaf. */
    mpgi_uses_fill(f->space.edit.content, page - f->space.edit.first,
                   page + count - f->space.edit.first, use);
    mpgi_root_add(f, ROOT_FREE, -(int64_t)count);
    f->gathered.handed_out += count;
    mpgi_pool_forget(&f->pool, page);
    if (page - f->hints.window < WINDOW)
        f->hints.window_free &= ~(mask << (page - f->hints.window));
    return 0;
}

/* ---- What may be taken --------------------------------------------------------------------- */

uint64_t mpgi_space_leaf_least(const struct format_1 *f, const unsigned char *root)
{
    unsigned heights = mpgi_tree_height(&f->space, root) + mpgi_tree_height(&f->directory, root);

    return slot_distance(f->cache.space.page_size) + 2 * (uint64_t)(heights + 2) * PAIR_PAGES;
}

/*
 * Pages that new nodes may need, where contents go to pages that no leaf covers yet, or that cannot
 * be used for these.
 */
static uint64_t node_margin(const struct format_1 *f, const unsigned char *root)
{
    if (get_u64(root + ROOT_TOTAL) <= f->space.root_units)
        return 0;
    return mpgi_space_leaf_least(f, root);
}

int64_t mpgi_space_spare(struct format *format)
{
    const struct format_1 *f = format_1_of(format);
    const unsigned char *base = mpgi_root_get(f, VERSION_FROZEN);
    const unsigned char *newest = mpgi_root_get(f, VERSION_NEWEST);
    uint64_t total = get_u64(newest + ROOT_TOTAL);
    uint64_t lingering = f->head.lingering != NULL ? f->head.lingering->count : 0;
    uint64_t have = get_u64(base + ROOT_FREE) + (total - get_u64(base + ROOT_TOTAL));
    uint64_t need = lingering + f->gathered.handed_out + node_margin(f, newest);

    /*
     * Rule P1: for each protected page one page stays free. P2: what this batch frees does not
     * count.
     */
    if (!RULE_HOLDS(RULE_POOL_FREES)) {
        have = get_u64(newest + ROOT_FREE);
        need -= f->gathered.handed_out;
    }
    if (RULE_HOLDS(RULE_POOL))
        need += get_u64(base + ROOT_PROTECTED) + 2 * f->gathered.new_entries;
    return (int64_t)(have - need);
}

/* Rule 9: the file holds the pages before anything refers to them. */
static int grow_to_hold(struct format_1 *f, uint64_t end)
{
    if (end <= get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL))
        return 0;
    return mpgi_format_grow(&f->head, end);
}

/* Sees to it that so many pages may be taken. When a batch is sealed they may: see node_margin. */
static int make_spare(struct format_1 *f, unsigned pages)
{
    uint64_t held = f->head.reserved != NULL ? f->head.reserved->count - f->head.taken : 0;
    int64_t spare = mpgi_space_spare(&f->head) - (int64_t)held;

    /*
     * What the node is made for takes pages, too, and is not counted yet: a protected page is two.
     */
    pages += 2;
    if (f->gathered.sealing || spare >= (int64_t)pages)
        return 0;
    return mpgi_format_grow(&f->head, get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL) +
                                          (uint64_t)((int64_t)pages - spare));
}

/* One of the two pages of a pair. */
static uint64_t page_of(const struct format_1 *f, uint64_t pair, unsigned slot)
{
    return slot_page(f->cache.space.page_size, pair, slot);
}

/*
 * Whether a page of a pair is used before the batch, and so cannot be given out though it is free
 * now (rule 2).
 */
static bool was_in_use(struct format_1 *f, uint64_t pair)
{
    bool used = false;

    for (unsigned slot = 0; slot < PAIR_PAGES && RULE_HOLDS(2); slot++) {
        uint64_t page = page_of(f, pair, slot);
        enum mpg_page_use durable, frozen;

        used |= mpgi_space_get_use(&f->head, VERSION_DURABLE, page, &durable) != 0 ||
                mpgi_space_get_use(&f->head, VERSION_FROZEN, page, &frozen) != 0 ||
                durable != MPG_USE_FREE || frozen != MPG_USE_FREE;
    }
    return used;
}

/* Whether something keeps one of the pages of a pair, or it is the one to leave alone. */
static bool is_held(const struct format_1 *f, uint64_t pair, uint64_t avoid)
{
    for (unsigned slot = 0; slot < PAIR_PAGES; slot++) {
        uint64_t page = page_of(f, pair, slot);

        if (page == avoid || mpgi_space_is_kept(f, page) || mpgi_format_holds(&f->head, page) ||
            mpgi_finding_has(f->finding, page))
            return true;
    }
    return false;
}

/* The lowest pages >= *page for a pair. */
static int find_pair(struct format_1 *f, uint64_t *page, enum reuse reuse)
{
    int error = mpgi_space_find_pair(f, page, reuse);

    if (error == 0 && reuse == REUSE_SETTLED)
        f->hints.pair = *page;
    while (error == 0 && is_held(f, *page, UINT64_MAX)) {
        ++*page;
        error = mpgi_space_find_pair(f, page, reuse);
    }
    return error;
}

static int take_pair(struct format_1 *f, uint64_t *pair)
{
    uint64_t page = f->hints.pair;
    uint64_t total;
    int error = make_spare(f, PAIR_PAGES);

    total = get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL);
    if (error == 0)
        error = find_pair(f, &page, REUSE_SETTLED);

    /* Rule 2: freed pages rest for one more commit, unless the file would have to grow. */
    if (error == MPG_E_FILE_FULL || (error == 0 && page_of(f, page, 1) >= total)) {
        uint64_t recent = FIRST_USER_PAGE;

        if (find_pair(f, &recent, REUSE_RECENT) == 0 && page_of(f, recent, 1) < total) {
            page = recent;
            error = 0;
        }
    }
    if (error == 0)
        error = grow_to_hold(f, page_of(f, page, 1) + 1);
    if (error == 0)
        error = mpgi_tree_edit(f, &f->space, page);
    if (error)
        return error;
    for (unsigned slot = 0; slot < PAIR_PAGES; slot++)
        apply(f, page_of(f, page, slot), MPG_USE_METADATA, MPG_USE_FREE);
    *pair = page;
    return 0;
}

static void give_back(struct format_1 *f, uint64_t pair)
{
    /* The leaf is pending, so this only finds it again. */
    for (unsigned slot = 0; slot < PAIR_PAGES && mpgi_tree_edit(f, &f->space, pair) == 0; slot++)
        apply(f, page_of(f, pair, slot), MPG_USE_FREE, MPG_USE_FREE);
}

/* Sets the use of the pages of pairs in the leaf that is being made. */
static void mark_own(const struct format_1 *f, unsigned char *content, uint64_t first,
                     const uint64_t *pairs, unsigned count, enum mpg_page_use use)
{
    for (unsigned i = 0; i < count; i++) {
        for (unsigned slot = 0; slot < PAIR_PAGES; slot++)
            mpgi_uses_set(content, page_of(f, pairs[i], slot) - first, use);
    }
}

/* The lowest pages for one more pair, from *from on, which is moved behind the first of them. */
static int find_own(struct format_1 *f, const unsigned char *content, uint64_t first,
                    uint64_t avoid, uint64_t *from, uint64_t *pair)
{
    size_t length = f->cache.space.node_size - NODE_BODY;
    uint64_t apart = slot_distance(f->cache.space.page_size);
    uint64_t index;

    do {
        if (!mpgi_uses_find_free(&content, &length, 1, *from, f->space.leaf_units, apart, &index))
            return mpgi_fail(MPG_E_FILE_FULL, "alloc", first,
                             "%s: no room for the space tree among the pages it covers",
                             f->head.file->path);
        *from = index + 1;
        *pair = first + index;
    } while (is_held(f, *pair, avoid) || was_in_use(f, *pair));
    return 0;
}

static int take_own(struct format_1 *f, unsigned char *content, uint64_t first, uint64_t avoid,
                    uint64_t *pairs, unsigned count)
{
    uint64_t from = first == 0 ? FIRST_USER_PAGE : 0;
    unsigned pages = count * PAIR_PAGES;
    unsigned found = 0;
    int error = make_spare(f, pages);

    while (error == 0 && found < count) {
        error = find_own(f, content, first, avoid, &from, &pairs[found]);
        if (error == 0)
            mark_own(f, content, first, &pairs[found++], 1, MPG_USE_METADATA);
    }
    if (error == 0)
        error = grow_to_hold(f, page_of(f, pairs[count - 1], 1) + 1);
    if (error) {
        mark_own(f, content, first, pairs, found, MPG_USE_FREE);
        return error;
    }
    mpgi_root_add(f, ROOT_FREE, -(int64_t)pages);
    mpgi_root_add(f, ROOT_METADATA, pages);
    f->gathered.handed_out += pages;
    f->hints.window_free = 0;
    mpgi_pool_reset(&f->pool);
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
    for (unsigned i = 0; i < PAIR_PAGES; i++) {
        uint64_t page = page_of(f, pair, i);
        enum mpg_page_use use;
        int error = mpgi_space_get_use(&f->head, VERSION_NEWEST, page, &use);

        if (error)
            return error;
        if (use != MPG_USE_METADATA)
            return mpgi_fail(mpgi_tree_error(tree), "change metadata", page,
                             "%s: page %" PRIu64 " holds metadata but is not marked as such",
                             f->head.file->path, page);
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

    look_again_from(f, min_u64(hints->freed_frozen, hints->freed_previous));
    hints->freed_previous = hints->freed_frozen;
    hints->freed_frozen = UINT64_MAX;
}

void mpgi_space_discarded(struct format_1 *f)
{
    memset(&f->hints, 0, sizeof(f->hints));
    f->hints.freed_pending = f->hints.freed_frozen = f->hints.freed_previous = UINT64_MAX;
}
