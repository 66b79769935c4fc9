/* SPDX-License-Identifier: MIT */
#include "format_1/pool.h"

#include <stdlib.h>
#include <string.h>

/* What a node of the tree over the bits knows of the pages below it. */
struct span {
    uint16_t first;   /* free pages in a row at its beginning */
    uint16_t last;    /* … at its end */
    uint16_t longest; /* … anywhere */
};

struct pool_leaf {
    uint64_t index;
    uint32_t pages;                    /* bits set */
    uint64_t bits[POOL_WORDS];         /* page i of the leaf can be had */
    struct span spans[2 * POOL_WORDS]; /* a heap: 1 is all of the leaf, POOL_WORDS + w is word w */
};

/* ---- One leaf ------------------------------------------------------------------------------ */

static struct span span_of_word(uint64_t word)
{
    struct span span = {64, 64, 0};

    if (word != UINT64_MAX) {
        span.first = (uint16_t)__builtin_ctzll(~word);
        span.last = (uint16_t)__builtin_clzll(~word);
    }
    while (word != 0) {
        word &= word << 1;
        span.longest++;
    }
    return span;
}

static struct span join(const struct span *left, const struct span *right, unsigned half)
{
    struct span span = {left->first, right->last, left->longest};

    if (left->first == half)
        span.first = (uint16_t)(half + right->first);
    if (right->last == half)
        span.last = (uint16_t)(half + left->last);
    if (right->longest > span.longest)
        span.longest = right->longest;
    if (left->last + right->first > span.longest)
        span.longest = (uint16_t)(left->last + right->first);
    return span;
}

static bool same(const struct span *a, const struct span *b)
{
    return a->first == b->first && a->last == b->last && a->longest == b->longest;
}

/* One word has changed. */
static void update(struct pool_leaf *leaf, unsigned word)
{
    unsigned at = POOL_WORDS + word;
    unsigned half = 64;

    leaf->spans[at] = span_of_word(leaf->bits[word]);
    for (at /= 2; at > 0; at /= 2, half *= 2) {
        struct span span = join(&leaf->spans[2 * at], &leaf->spans[2 * at + 1], half);

        if (same(&span, &leaf->spans[at]))
            return;
        leaf->spans[at] = span;
    }
}

static void build(struct pool_leaf *leaf)
{
    unsigned half = 64;

    leaf->pages = 0;
    for (unsigned w = 0; w < POOL_WORDS; w++) {
        leaf->spans[POOL_WORDS + w] = span_of_word(leaf->bits[w]);
        leaf->pages += (unsigned)__builtin_popcountll(leaf->bits[w]);
    }
    for (unsigned first = POOL_WORDS / 2; first > 0; first /= 2, half *= 2) {
        for (unsigned at = first; at < 2 * first; at++)
            leaf->spans[at] = join(&leaf->spans[2 * at], &leaf->spans[2 * at + 1], half);
    }
}

/* The highest run of `want` pages or more in a word that has one: its first page and its length. */
static unsigned run_in_word(uint64_t word, unsigned want, unsigned *length)
{
    uint64_t ends = word; /* bit i: `want` pages in a row end with page i */
    unsigned last, first;

    for (unsigned i = 1; i < want; i++)
        ends &= word << i;
    last = 63 - (unsigned)__builtin_clzll(ends);
    first = last + 1 - want;
    while (first > 0 && (word >> (first - 1) & 1) != 0)
        first--;
    *length = last + 1 - first;
    return first;
}

/* The highest run of `want` pages, of which the leaf has one. */
static unsigned find_in_leaf(const struct pool_leaf *leaf, unsigned want, unsigned *length)
{
    unsigned half = 64 * POOL_WORDS / 2;
    unsigned first = 0; /* of the node that we are at */
    unsigned at = 1;

    while (at < POOL_WORDS) {
        const struct span *left = &leaf->spans[2 * at];
        const struct span *right = left + 1;

        if (right->longest >= want) {
            at = 2 * at + 1;
            first += half;
        } else if (left->last + right->first >= want) {
            *length = (unsigned)left->last + right->first;
            return first + half - left->last;
        } else {
            at = 2 * at;
        }
        half /= 2;
    }
    return first + run_in_word(leaf->bits[at - POOL_WORDS], want, length);
}

/* ---- All leaves ---------------------------------------------------------------------------- */

void mpgi_pool_init(struct pool *pool, uint64_t leaf_pages)
{
    memset(pool, 0, sizeof(*pool));
    pool->leaf_pages = leaf_pages;
}

void mpgi_pool_reset(struct pool *pool)
{
    for (unsigned i = 0; i < pool->count; i++)
        free(pool->leaves[i]);
    mpgi_pool_init(pool, pool->leaf_pages);
}

/* Where the leaf is among those looked at, or would be. */
static unsigned place_of(const struct pool *pool, uint64_t leaf)
{
    unsigned low = 0, high = pool->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (pool->leaves[middle]->index < leaf)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct pool_leaf *leaf_of(const struct pool *pool, uint64_t page)
{
    uint64_t index = page / pool->leaf_pages;
    unsigned at = place_of(pool, index);

    return at < pool->count && pool->leaves[at]->index == index ? pool->leaves[at] : NULL;
}

bool mpgi_pool_covers(const struct pool *pool, uint64_t leaf)
{
    return leaf_of(pool, leaf * pool->leaf_pages) != NULL;
}

bool mpgi_pool_cover(struct pool *pool, uint64_t leaf, const uint64_t *bits, unsigned words)
{
    unsigned at = place_of(pool, leaf);
    struct pool_leaf *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return false;
    made->index = leaf;
    memcpy(made->bits, bits, words * sizeof(*bits));
    build(made);
    memmove(&pool->leaves[at + 1], &pool->leaves[at],
            (pool->count - at) * sizeof(struct pool_leaf *));
    pool->leaves[at] = made;
    pool->count++;
    pool->pages += made->pages;
    return true;
}

static void drop(struct pool *pool, unsigned at)
{
    pool->pages -= pool->leaves[at]->pages;
    free(pool->leaves[at]);
    pool->count--;
    memmove(&pool->leaves[at], &pool->leaves[at + 1],
            (pool->count - at) * sizeof(struct pool_leaf *));
}

void mpgi_pool_drop_poorest(struct pool *pool)
{
    unsigned poorest = 0;

    for (unsigned i = 1; i < pool->count; i++) {
        if (pool->leaves[i]->pages < pool->leaves[poorest]->pages)
            poorest = i;
    }
    if (pool->count > 0)
        drop(pool, poorest);
}

void mpgi_pool_forget(struct pool *pool, uint64_t page)
{
    uint64_t index = page / pool->leaf_pages;
    unsigned at = place_of(pool, index);

    if (at == pool->count || pool->leaves[at]->index != index)
        return;
    drop(pool, at);
    if (index * pool->leaf_pages < pool->cursor)
        pool->cursor = index * pool->leaf_pages;
}

void mpgi_pool_add(struct pool *pool, uint64_t page)
{
    struct pool_leaf *leaf = leaf_of(pool, page);
    uint64_t i = page % pool->leaf_pages;

    if (leaf == NULL || (leaf->bits[i / 64] >> i % 64 & 1) != 0)
        return;
    leaf->bits[i / 64] |= UINT64_C(1) << i % 64;
    leaf->pages++;
    pool->pages++;
    update(leaf, (unsigned)(i / 64));
}

void mpgi_pool_remove(struct pool *pool, uint64_t page)
{
    struct pool_leaf *leaf = leaf_of(pool, page);
    uint64_t i = page % pool->leaf_pages;

    if (leaf == NULL || (leaf->bits[i / 64] >> i % 64 & 1) == 0)
        return;
    leaf->bits[i / 64] &= ~(UINT64_C(1) << i % 64);
    leaf->pages--;
    pool->pages--;
    update(leaf, (unsigned)(i / 64));
}

uint64_t mpgi_pool_find(const struct pool *pool, uint64_t want, struct pool_run *run)
{
    const struct pool_leaf *best = NULL;
    unsigned first, length;

    for (unsigned i = pool->count; i-- > 0;) {
        const struct pool_leaf *leaf = pool->leaves[i];

        if (best == NULL || leaf->spans[1].longest > best->spans[1].longest)
            best = leaf;
        if (leaf->spans[1].longest >= want)
            break;
    }
    if (best == NULL || best->spans[1].longest == 0)
        return 0;
    if (want > best->spans[1].longest)
        want = best->spans[1].longest;
    first = find_in_leaf(best, (unsigned)want, &length);
    run->first = best->index * pool->leaf_pages + first;
    run->count = length;
    return length;
}

uint64_t mpgi_pool_from(const struct pool *pool, uint64_t page, uint64_t most)
{
    const struct pool_leaf *leaf = leaf_of(pool, page);
    uint64_t i = page % pool->leaf_pages;
    uint64_t count = 0;

    while (leaf != NULL && count < most && i < 64 * POOL_WORDS) {
        uint64_t taken = ~(leaf->bits[i / 64] >> i % 64);
        uint64_t here = taken == 0 ? 64 : (uint64_t)__builtin_ctzll(taken);

        if (here > 64 - i % 64)
            here = 64 - i % 64;
        count += here;
        i += here;
        if (i % 64 != 0 || here == 0)
            break;
    }
    return count < most ? count : most;
}

bool mpgi_finding_has(const struct finding *finding, uint64_t page)
{
    for (size_t i = 0; finding != NULL && i < finding->count; i++) {
        if (page - finding->runs[i].first < finding->runs[i].count)
            return true;
    }
    return false;
}
