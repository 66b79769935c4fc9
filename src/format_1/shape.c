/* SPDX-License-Identifier: MIT */
/*
 * The shape of a tree: how much a node of a level covers, and what a node's content adds up to.
 * Arithmetic on bytes that are in memory already; it looks at nothing else.
 */
#include <string.h>

#include "base/bytes.h"
#include "format_1/state.h"

static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product;

    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

uint64_t mpgi_tree_span(const struct tree *tree, unsigned level)
{
    uint64_t span = tree->leaf_units;

    while (level-- > 0)
        span = multiply(span, tree->node_refs);
    return span;
}

uint64_t mpgi_tree_coverage(const struct tree *tree, unsigned height)
{
    if (height == 0)
        return tree->root_units;
    return multiply(mpgi_tree_span(tree, height - 1), tree->root_refs);
}

void mpgi_tree_init(struct tree *tree, enum tree_kind kind, uint32_t page_size)
{
    uint32_t node_size = node_size_of(page_size);
    uint32_t body = node_size - NODE_BODY;
    uint64_t most_pages = (UINT64_C(1) << 63) / page_size;

    memset(tree, 0, sizeof(*tree));
    tree->kind = kind;
    tree->area_size = root_area_size(node_size);
    tree->node_refs = body / REF_SIZE;
    tree->root_refs = tree->area_size / REF_SIZE;
    if (kind == TREE_SPACE) {
        tree->area = ROOT_AREAS;
        tree->height_at = ROOT_SPACE_HEIGHT;
        tree->leaf_units = (uint64_t)body * USES_PER_BYTE;
        tree->root_units = (uint64_t)tree->area_size * USES_PER_BYTE;
        tree->limit = most_pages;
    } else {
        tree->area = ROOT_AREAS + tree->area_size;
        tree->height_at = ROOT_DIRECTORY_HEIGHT;
        tree->leaf_units = body / ENTRY_SIZE;
        tree->root_units = tree->area_size / ENTRY_SIZE;
        tree->limit = (most_pages - FIRST_USER_PAGE) / 2;
    }
    tree->limit = min_u64(tree->limit, mpgi_tree_coverage(tree, HEIGHT_MAX));
}

unsigned mpgi_tree_height(const struct tree *tree, const unsigned char *root)
{
    return root[tree->height_at];
}

uint64_t mpgi_tree_leaf_free(const struct tree *tree, const unsigned char *content, uint64_t units)
{
    uint64_t count = 0;

    if (tree->kind == TREE_SPACE)
        return mpgi_uses_count(content, 0, units, MPG_USE_FREE);
    for (uint64_t i = 0; i < units; i++)
        count += !(content[i * ENTRY_SIZE + ENTRY_FLAGS] & ENTRY_IN_USE);
    return count;
}

uint64_t mpgi_tree_refs_free(const struct tree *tree, const unsigned char *refs, unsigned count,
                             unsigned child_level)
{
    uint64_t span = mpgi_tree_span(tree, child_level);
    uint64_t sum = 0;

    for (unsigned i = 0; i < count; i++) {
        const unsigned char *at = refs + i * REF_SIZE;
        uint64_t free = get_u64(at + REF_SLOT) == 0 ? span : get_u32(at + REF_FREE);

        sum = free > UINT64_MAX - sum ? UINT64_MAX : sum + free;
    }
    return sum;
}

/* ---- The chain ----------------------------------------------------------------------------- */

/*
 * Records behind one root: more make opening take longer, fewer make checkpoints come more often.
 */
#define RECORDS_WANTED 64
#define RECORDS_LEAST 4

unsigned mpgi_chain_limit(uint64_t total)
{
    return (unsigned)min_u64(max_u64(total / 16, RECORDS_LEAST), RECORDS_WANTED);
}
