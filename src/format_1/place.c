/* SPDX-License-Identifier: MIT */
/*
 * Where the contents and the record of a commit go.
 *
 * A page may be written when it is free in the durable version and in that of the batch, does not
 * rest, is not shown, and no transaction holds it. What the last commit freed is left alone for one
 * commit more where there is room.
 */
#include <stdlib.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "format_1/state.h"

/*
 * A place for a record is looked for with so much room behind it at least, for the commits that
 * follow.
 */
#define SEGMENT_LEAST 64

/* ---- Which pages there are ----------------------------------------------------------------- */

static bool is_free(struct format_1 *f, enum version version, uint64_t page)
{
    enum mpg_page_use use;

    return mpgi_space_get_use(&f->head, version, page, &use) == 0 && use == MPG_USE_FREE;
}

/* Whether a page that the pool suggests can be had. */
static bool is_available(struct format_1 *f, uint64_t page)
{
    if (page < FIRST_USER_PAGE || page >= get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL))
        return false;
    if (mpgi_format_holds(&f->head, page))
        return false;
    return !mpgi_space_is_kept(f, page) && is_free(f, VERSION_NEWEST, page) &&
           (!RULE_HOLDS(2) || is_free(f, VERSION_DURABLE, page));
}

/* Whether the space tree has a leaf for a page. */
static bool has_leaf(struct format_1 *f, uint64_t page)
{
    unsigned height = mpgi_tree_height(&f->space, mpgi_root_get(f, VERSION_NEWEST));
    struct node *leaf = NULL;

    if (height == 0)
        return page < f->space.root_units;
    return page < mpgi_tree_coverage(&f->space, height) &&
           mpgi_tree_leaf(&leaf, f, &f->space, page) == 0 && leaf != NULL;
}

/*
 * Whether a part of the file, from a page to its end, that no leaf covers yet is to be used: not
 * for long runs alone, or contents would spread all over a large file; nor where the file would
 * have to grow for the leaf.
 */
static bool may_make_leaf(const struct format_1 *f, uint64_t page)
{
    const unsigned char *root = mpgi_root_get(f, VERSION_NEWEST);

    return f->pool.pages < get_u64(root + ROOT_PROTECTED) &&
           get_u64(root + ROOT_TOTAL) - page >= mpgi_space_leaf_least(f, root);
}

/*
 * Whether none of the leaf's pages is free in the newest version: what is counted above it is not
 * up to date yet.
 */
static bool is_full(struct format_1 *f, uint64_t page)
{
    struct leaf_view view;
    size_t length;
    uint64_t index;

    if (mpgi_tree_look(&view, f, &f->space, VERSION_NEWEST, page) != 0 || view.content == NULL)
        return false;
    length = (size_t)((view.end - view.first) / USES_PER_BYTE);
    return !mpgi_uses_find_free(&view.content, &length, 1, page - view.first, view.end - view.first,
                                0, &index);
}

/* Looks at one more leaf; `make`: which it may make. 1 if there is none. */
static int cover_more(struct format_1 *f, bool make)
{
    uint64_t total = get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL);
    struct pool *pool = &f->pool;

    while (pool->cursor < total) {
        uint64_t bits[POOL_WORDS] = {0};
        uint64_t page = pool->cursor;
        uint64_t end;
        int error = mpgi_tree_seek(f, &f->space, &page);

        if (error)
            return error;
        if (page >= total)
            break;
        end = (page / pool->leaf_pages + 1) * pool->leaf_pages;
        if (mpgi_pool_covers(pool, page / pool->leaf_pages) ||
            (!has_leaf(f, page) && !(make && may_make_leaf(f, page))) || is_full(f, page)) {
            pool->cursor = end;
            continue;
        }
        error = mpgi_space_leaf_bits(f, page, REUSE_SETTLED, bits, POOL_WORDS, &end);
        if (error)
            return error;
        if (pool->count == POOL_LEAVES_MAX)
            mpgi_pool_drop_poorest(pool);
        pool->cursor = (page / pool->leaf_pages + 1) * pool->leaf_pages;
        return mpgi_pool_cover(pool, page / pool->leaf_pages, bits, POOL_WORDS)
                   ? 0
                   : mpgi_fail_memory("commit");
    }
    pool->cursor = UINT64_MAX / 2;
    return 1;
}

void mpgi_place_freed(struct format_1 *f)
{
    for (size_t i = 0; i + 1 < f->freed.count; i += 2) {
        for (uint64_t k = 0; k < f->freed.at[i + 1]; k++)
            mpgi_pool_add(&f->pool, f->freed.at[i] + k);
    }
    f->freed.count = 0;
}

/* Looks at more leaves until there is a run of `want` pages, or at all that it may at once. */
static int cover(struct format_1 *f, uint64_t want, bool make)
{
    struct pool_run run;
    int error = 0;

    while (error == 0 && f->pool.count < POOL_LEAVES_MAX &&
           mpgi_pool_find(&f->pool, want, &run) < want)
        error = cover_more(f, make);
    return error == 1 ? 0 : error;
}

/* ---- Taking pages -------------------------------------------------------------------------- */

static int add_run(struct finding *finding, uint64_t first, uint64_t count)
{
    struct pool_run *last = finding->count > 0 ? &finding->runs[finding->count - 1] : NULL;
    struct pool_run *runs;

    if (last != NULL && last->first + last->count == first) {
        last->count += count;
        finding->pages += count;
        return 0;
    }
    runs = mpgi_array_room(finding->runs, finding->count, &finding->capacity, sizeof(*runs), 16);
    if (runs == NULL)
        return mpgi_fail_memory("commit");
    finding->runs = runs;
    runs[finding->count++] = (struct pool_run){first, count};
    finding->pages += count;
    return 0;
}

/*
 * Takes [first, first + count) out of the pool, as far as it can be had; what cannot is no longer
 * suggested.
 */
static uint64_t take(struct format_1 *f, const struct finding *finding, uint64_t first,
                     uint64_t count)
{
    uint64_t taken = 0;

    while (taken < count && is_available(f, first + taken) &&
           !(finding->unsure && mpgi_finding_has(finding, first + taken))) {
        mpgi_pool_remove(&f->pool, first + taken);
        taken++;
    }
    if (taken < count)
        mpgi_pool_remove(&f->pool, first + taken);
    return taken;
}

/* From the pool, until there are enough or there is nothing in it. */
static int take_runs(struct format_1 *f, uint64_t want, bool make, struct finding *finding)
{
    int error = cover(f, want - finding->pages, make);

    finding->unsure |= f->gathered.structure; /* a leaf that was made has made the pool anew */
    while (error == 0 && finding->pages < want) {
        uint64_t missing = want - finding->pages;
        struct pool_run run;
        uint64_t first, taken;

        if (mpgi_pool_find(&f->pool, missing, &run) == 0)
            return 0;
        /* The upper end of it: what is left below stays in one piece. */
        first = run.count > missing ? run.first + run.count - missing : run.first;
        taken = take(f, finding, first, min_u64(missing, run.count));
        if (taken > 0)
            error = add_run(finding, first, taken);
    }
    return error;
}

/* One page after the other, wherever there is one, also where that makes a leaf. */
static int take_singles(struct format_1 *f, uint64_t want, struct finding *finding)
{
    uint64_t page = 0;

    while (finding->pages < want) {
        uint64_t total = get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL);
        int error = mpgi_space_find_free(&f->head, page, REUSE_RECENT, &page);

        if (error == MPG_E_FILE_FULL || (error == 0 && page >= total))
            return 0;
        if (error)
            return error;
        finding->unsure = true;
        if (is_available(f, page) && !mpgi_finding_has(finding, page)) {
            mpgi_pool_remove(&f->pool, page);
            error = add_run(finding, page, 1);
        }
        if (error)
            return error;
        page++;
    }
    return 0;
}

static void give_back(struct format_1 *f, const struct finding *finding)
{
    for (size_t i = 0; i < finding->count; i++) {
        for (uint64_t k = 0; k < finding->runs[i].count; k++)
            mpgi_pool_add(&f->pool, finding->runs[i].first + k);
    }
}

/* What lies behind the place of another record is left to that one, if it can be. */
struct hidden {
    uint64_t first, count;
};

static void hide(struct format_1 *f, uint64_t place, uint64_t want, struct hidden *hidden)
{
    hidden->first = place + 1;
    hidden->count = place != 0 ? mpgi_pool_from(&f->pool, hidden->first, want) : 0;
    for (uint64_t i = 0; i < hidden->count; i++)
        mpgi_pool_remove(&f->pool, hidden->first + i);
}

static void show(struct format_1 *f, const struct hidden *hidden)
{
    for (uint64_t i = 0; i < hidden->count; i++)
        mpgi_pool_add(&f->pool, hidden->first + i);
}

/* The best there is: from `near` on, if they can be had there, the rest in few runs. */
static int take_best(struct format_1 *f, uint64_t near, uint64_t want, bool make,
                     struct finding *finding)
{
    uint64_t behind = near != 0 ? mpgi_pool_from(&f->pool, near, want) : 0;
    struct hidden hidden;
    int error = 0;

    if (behind > 0)
        behind = take(f, finding, near, behind);
    if (behind > 0)
        error = add_run(finding, near, behind);
    if (error != 0 || finding->pages == want)
        return error;
    hide(f, f->rest.after, want, &hidden);
    error = take_runs(f, want, make, finding);
    show(f, &hidden);
    return error;
}

/* From the best pages on to any. */
static int find_anywhere(struct format_1 *f, uint64_t near, uint64_t want, bool anyhow,
                         struct finding *finding)
{
    int error = take_best(f, near, want, anyhow, finding);

    if (error == 0 && finding->pages < want)
        error = take_runs(f, want, anyhow, finding);
    if (error == 0 && finding->pages < want) {
        mpgi_place_freed(f);
        finding->unsure = true;
        error = take_runs(f, want, anyhow, finding);
    }
    if (error == 0 && finding->pages < want && anyhow)
        error = take_singles(f, want, finding);
    return error;
}

/* `want` pages. 1 if there are too few. `anyhow`: also where that makes leaves. */
static int find_pages(struct format_1 *f, uint64_t near, uint64_t want, bool anyhow,
                      struct finding *finding)
{
    int error;

    f->finding = finding; /* a leaf that is made does not take these for itself */
    error = find_anywhere(f, near, want, anyhow, finding);
    f->finding = NULL;
    if (error == 0 && finding->pages < want)
        error = 1;
    if (error != 0)
        give_back(f, finding);
    return error;
}

/* ---- Contents ------------------------------------------------------------------------------ */

/* Puts a new content into a page. */
static int put_there(struct format_1 *f, struct entry_change *change, uint64_t page)
{
    struct entry entry = {
        .page = {page, 0},
        .generation = f->sealed.generation,
        .crc = change->entry.crc,
        .in_use = true,
    };
    int error = mpgi_space_set_use(&f->head, page, MPG_USE_PROTECTED);

    if (error)
        return error;
    change->entry.page = page;
    mpgi_directory_store(f, change->entry.id, &entry);
    return 0;
}

int mpgi_place_contents(struct format_1 *f, struct changes *changes, uint64_t near, bool anyhow)
{
    struct finding finding = {0};
    uint64_t at = 0; /* in run number `run` */
    size_t run = 0;
    int error = changes->new_contents > 0
                    ? find_pages(f, near, changes->new_contents, anyhow, &finding)
                    : 0;

    for (size_t i = 0; i < changes->count && error == 0; i++) {
        if (!changes->entries[i].is_new)
            continue;
        /* As many pages were found as there are new contents. */
        error =
            put_there(f, &changes->entries[i],
                      finding.runs[run].first + /* NOLINT(clang-analyzer-core.NullDereference) */
                          at);
        if (++at == finding.runs[run].count) {
            at = 0;
            run++;
        }
    }
    free(finding.runs);
    return error;
}

/* ---- Contents of pages in use --------------------------------------------------------------- */

/* Until the commit is through, nobody else takes it. */
static int choose(struct format_1 *f, uint64_t page)
{
    return mpgi_id_map_put(&f->rest.chosen, page) != NULL ? 0 : mpgi_fail_memory("commit");
}

int mpgi_place_beside(struct format_1 *f, size_t count, size_t others, struct record_redo *redos)
{
    struct finding finding = {0};
    uint64_t *pages = calloc(count + others, sizeof(*pages));
    size_t found = 0;
    int error = pages == NULL ? mpgi_fail_memory("commit")
                              : find_pages(f, f->rest.next + 1, count + others, false, &finding);

    for (size_t i = 0; i < finding.count && error == 0; i++) {
        for (uint64_t k = 0; k < finding.runs[i].count; k++)
            pages[found++] = finding.runs[i].first + k;
    }
    if (error == 0)
        qsort(pages, found, sizeof(*pages), compare_u64);
    for (size_t i = 0; i < found && error == 0; i++) {
        /* The others are only to be there: the upper ones, behind the record. */
        if (i >= count) {
            mpgi_pool_add(&f->pool, pages[i]);
            continue;
        }
        redos[i].from = pages[i];
        error = choose(f, pages[i]);
    }
    free(finding.runs);
    free(pages);
    return error;
}

/* ---- Records ------------------------------------------------------------------------------- */

int mpgi_place_near(struct format_1 *f, uint64_t near, uint64_t *page)
{
    struct finding finding = {0};
    int error = find_pages(f, near, 1, false, &finding);

    if (error == 0)
        *page = finding.runs[0].first;
    free(finding.runs);
    return error ? error : choose(f, *page);
}

int mpgi_place_one(struct format_1 *f, uint64_t *page)
{
    return mpgi_place_near(f, 0, page);
}

/*
 * The beginning of a run with room for `expected` contents behind it, and more for the commits that
 * follow. 1: none.
 */
static int begin_segment(struct format_1 *f, uint64_t expected, uint64_t *page)
{
    const struct finding none = {0};
    uint64_t segment = max_u64(expected + 1, SEGMENT_LEAST);
    struct pool_run run;
    int error = cover(f, expected + 1, false);

    if (error)
        return error;
    while (mpgi_pool_find(&f->pool, expected + 1, &run) > 0) {
        uint64_t first = run.count > segment ? run.first + run.count - segment : run.first;

        if (take(f, &none, first, 1) == 1) {
            *page = first;
            return choose(f, first);
        }
    }
    return 1;
}

int mpgi_place_record(struct format_1 *f, uint64_t near, uint64_t other, uint64_t expected,
                      uint64_t *page)
{
    const struct finding none = {0};
    struct hidden hidden;
    int error;

    hide(f, other, expected, &hidden);
    if (near != 0 && mpgi_pool_from(&f->pool, near, expected + 1) == expected + 1 &&
        take(f, &none, near, 1) == 1) {
        *page = near;
        error = choose(f, near);
    } else {
        error = begin_segment(f, expected, page);
    }
    show(f, &hidden);
    return error == 1 ? mpgi_place_one(f, page) : error;
}
