/* SPDX-License-Identifier: MIT */
/*
 * What a tree that has changed says of itself: how many units are free below each node, and, where
 * nodes are about to be written, which slot, generation and checksum they have.
 */
#include "base/bytes.h"
#include "format_1/state.h"

static uint64_t free_below(const struct tree *tree, const struct node *node,
                           const unsigned char *bytes)
{
    if (node->level == 0)
        return mpgi_tree_leaf_free(tree, bytes + NODE_BODY, tree->leaf_units);
    return mpgi_tree_refs_free(tree, bytes + NODE_BODY, tree->node_refs, node->level - 1u);
}

/*
 * Where the reference to a node is, in the pending root or the pending version of its parent; or
 * NULL.
 */
static unsigned char *pending_reference(struct format_1 *f, const struct tree *tree,
                                        const struct node *node)
{
    const struct node *parent;

    if (f->root.pending == NULL)
        return NULL;
    if (node->level + 1u == mpgi_tree_height(tree, f->root.pending->bytes))
        return f->root.pending->bytes + tree->area + node->index * REF_SIZE;
    parent =
        mpgi_cache_find(&f->cache, tree->kind, node->level + 1u, node->index / tree->node_refs);
    if (parent == NULL || parent->versions.pending == NULL)
        return NULL;
    return parent->versions.pending->bytes + NODE_BODY + node->index % tree->node_refs * REF_SIZE;
}

/*
 * The same in the durable version. The parent of a dirty node is dirty, and so in the cache; but
 * where the batch raises the tree it is new, and the durable root leads to the node as it did.
 */
static unsigned char *durable_reference(struct format_1 *f, const struct tree *tree,
                                        const struct node *node, unsigned height)
{
    const struct node *parent;

    if (node->level + 1u == height)
        return f->root.durable->bytes + tree->area + node->index * REF_SIZE;
    parent =
        mpgi_cache_find(&f->cache, tree->kind, node->level + 1u, node->index / tree->node_refs);
    if (parent->versions.durable == NULL)
        return NULL;
    return parent->versions.durable->bytes + NODE_BODY + node->index % tree->node_refs * REF_SIZE;
}

void mpgi_tree_count(struct format_1 *f, struct tree *tree)
{
    unsigned height = mpgi_tree_height(tree, mpgi_root_pending(f));

    for (unsigned level = 0; level < height; level++) {
        for (struct node *node = f->cache.pending; node != NULL; node = node->next_pending) {
            unsigned char *at;

            if (node->tree != tree->kind || node->level != level)
                continue;
            at = pending_reference(f, tree, node);
            if (at != NULL) /* there always is one; analyzers do not see why */
                put_u32(at + REF_FREE,
                        saturate_u32(free_below(tree, node, node->versions.pending->bytes)));
        }
    }
    tree->edit.content = NULL;
}

/* Makes a reference name the slot that is being written. */
static void put_reference(unsigned char *at, const struct node *node)
{
    put_u64(at + REF_SLOT, node->pair * 2 + (1u - node->slot));
    put_u64(at + REF_GENERATION, node->writing_generation);
    put_u32(at + REF_CRC, node->writing_crc);
}

/*
 * The reference in a durable version may be changed in place: nobody follows it, since the node it
 * leads to is dirty and so in the cache.
 */
static void seal_node(struct format_1 *f, struct tree *tree, struct node *node, unsigned height,
                      uint64_t generation, bool fold)
{
    bool durable = fold || node->versions.pending == NULL;
    struct buffer *buffer = durable ? node->versions.durable : node->versions.pending;
    unsigned char *pending = pending_reference(f, tree, node);
    unsigned char *at = NULL;

    node->writing_generation = generation;
    node->writing_crc = mpgi_node_finish(&f->cache.space, buffer->bytes, tree->kind, node->level,
                                         node->index, generation);
    if (durable)
        at = durable_reference(f, tree, node, height);
    if (at != NULL)
        put_reference(at, node);
    if (pending != NULL)
        put_reference(pending, node);
    if (pending != NULL && !durable)
        put_u32(pending + REF_FREE, saturate_u32(free_below(tree, node, buffer->bytes)));
}

void mpgi_tree_seal(struct format_1 *f, struct tree *tree, uint64_t generation, bool fold)
{
    enum version version = fold ? VERSION_DURABLE : VERSION_NEWEST;
    unsigned height = mpgi_tree_height(tree, mpgi_root_get(f, version));

    for (unsigned level = 0; level < height; level++) {
        for (struct node *node = f->cache.writing; node != NULL; node = node->next_writing) {
            if (node->tree == tree->kind && node->level == level)
                seal_node(f, tree, node, height, generation, fold);
        }
    }
    if (!fold)
        tree->edit.content = NULL;
}
