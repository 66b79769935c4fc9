/* SPDX-License-Identifier: MIT */
/*
 * What the space tree and the directory tree have in common.
 *
 * A leaf does not change its identity when its tree grows in height, and no node ever goes away; so
 * a leaf is looked up by its index first, and the way from the root is gone only when it is not in
 * memory. What one version shows and another does not: at height 0 the content is in that version's
 * root, and a node made by a later batch does not exist in it.
 *
 * A new node needs pages, which the space tree gives; since that is a tree itself, it stands above
 * this file and is asked through format_1.pairs.
 */
#include "format_1/state.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"

/* ---- Looking ------------------------------------------------------------------------------- */

static const unsigned char *newest_content(const struct node *node)
{
    return mpgi_versions_get(&node->versions, VERSION_NEWEST)->bytes + NODE_BODY;
}

/*
 * A node of the newest version, below its height. NULL if there is none; then nothing exists in all
 * of the node of level *absent above it, or beyond the tree if that is the height.
 */
static int get_node(struct node **node, struct format_1 *f, struct tree *tree, unsigned level,
                    uint64_t index, unsigned *absent)
{
    const unsigned char *root = mpgi_root_get(f, VERSION_NEWEST);
    struct node_reference reference;
    const unsigned char *at;
    int error;

    *node = mpgi_cache_find(&f->cache, tree->kind, level, index);
    if (*node != NULL)
        return 0;
    if (level + 1 == mpgi_tree_height(tree, root)) {
        *absent = level + 1;
        if (index >= tree->root_refs)
            return 0;
        at = root + tree->area + index * REF_SIZE;
    } else {
        struct node *parent;

        error = get_node(&parent, f, tree, level + 1, index / tree->node_refs, absent);
        if (error || parent == NULL)
            return error;
        at = newest_content(parent) + index % tree->node_refs * REF_SIZE;
    }
    mpgi_reference_get(&reference, at, tree->kind, level, index);
    *absent = level;
    if (get_u64(at + REF_SLOT) == 0)
        return 0;
    return mpgi_cache_read(node, &f->cache, &reference, get_u64(root + ROOT_TOTAL));
}

int mpgi_tree_leaf(struct node **leaf, struct format_1 *f, struct tree *tree, uint64_t unit)
{
    unsigned absent;

    return get_node(leaf, f, tree, 0, unit / tree->leaf_units, &absent);
}

void mpgi_tree_will_need(struct format_1 *f, struct tree *tree, uint64_t unit)
{
    const unsigned char *root = mpgi_root_get(f, VERSION_NEWEST);
    unsigned height = mpgi_tree_height(tree, root);
    uint64_t index = unit / tree->leaf_units;
    const unsigned char *at;
    struct node_reference reference;

    if (height == 0 || unit >= mpgi_tree_coverage(tree, height) ||
        mpgi_cache_find(&f->cache, tree->kind, 0, index) != NULL)
        return;
    if (height == 1) {
        at = root + tree->area + index * REF_SIZE; /* the tree covers it, so there is one */
    } else {
        const struct node *parent =
            mpgi_cache_find(&f->cache, tree->kind, 1, index / tree->node_refs);

        if (parent == NULL)
            return;
        at = newest_content(parent) + index % tree->node_refs * REF_SIZE;
    }
    mpgi_reference_get(&reference, at, tree->kind, 0, index);
    if (reference.pair == 0 || reference.pair >= get_u64(root + ROOT_TOTAL))
        return;
    mpgi_file_will_need(f->cache.space.file,
                        slot_offset(f->cache.space.page_size, reference.pair, reference.slot),
                        f->cache.space.node_size);
}

static void set_view(struct leaf_view *view, const unsigned char *content, uint64_t first,
                     uint64_t units)
{
    view->content = content;
    view->first = first;
    view->end = units < UINT64_MAX - first ? first + units : UINT64_MAX;
}

int mpgi_tree_look(struct leaf_view *view, struct format_1 *f, struct tree *tree,
                   enum version version, uint64_t unit)
{
    const struct leaf_edit *edit = &tree->edit;
    const struct buffer *buffer;
    const unsigned char *root;
    uint64_t coverage;
    struct node *leaf;
    unsigned absent;
    unsigned height;
    int error;

    if (version == VERSION_NEWEST && edit->content != NULL && unit >= edit->first &&
        unit < edit->end) {
        set_view(view, edit->content, edit->first, edit->end - edit->first);
        return 0;
    }
    root = mpgi_root_get(f, version);
    height = mpgi_tree_height(tree, root);
    coverage = mpgi_tree_coverage(tree, height);
    if (unit >= coverage) {
        set_view(view, NULL, coverage, UINT64_MAX);
        return 0;
    }
    if (height == 0) {
        set_view(view, root + tree->area, 0, tree->root_units);
        return 0;
    }
    error = get_node(&leaf, f, tree, 0, unit / tree->leaf_units, &absent);
    if (error)
        return error;
    if (leaf == NULL) {
        uint64_t span = mpgi_tree_span(tree, absent);

        set_view(view, NULL, unit / span * span, span);
        return 0;
    }
    buffer = mpgi_versions_get(&leaf->versions, version);
    set_view(view, buffer != NULL ? buffer->bytes + NODE_BODY : NULL,
             leaf->index * tree->leaf_units, tree->leaf_units);
    return 0;
}

/*
 * Where the reference to the leaf at a unit is, NULL where it or its parent is not there: *absent
 * as get_node.
 */
static int find_reference(const unsigned char **at, struct format_1 *f, struct tree *tree,
                          uint64_t unit, unsigned *absent)
{
    const unsigned char *root = mpgi_root_get(f, VERSION_NEWEST);
    uint64_t index = unit / tree->leaf_units;
    struct node *parent;
    int error;

    *absent = 0;
    if (mpgi_tree_height(tree, root) == 1) {
        *at = root + tree->area + index * REF_SIZE;
    } else {
        error = get_node(&parent, f, tree, 1, index / tree->node_refs, absent);
        *at = NULL;
        if (error || parent == NULL)
            return error;
        *absent = 0;
        *at = newest_content(parent) + index % tree->node_refs * REF_SIZE;
    }
    if (get_u64(*at + REF_SLOT) == 0)
        *at = NULL;
    return 0;
}

int mpgi_tree_mark(struct span_mark *mark, struct format_1 *f, struct tree *tree, uint64_t unit)
{
    unsigned height = mpgi_tree_height(tree, mpgi_root_get(f, VERSION_NEWEST));
    uint64_t coverage = mpgi_tree_coverage(tree, height), span;
    const unsigned char *at = NULL;
    const struct node *leaf;
    unsigned absent;
    int error;

    *mark = (struct span_mark){.first = coverage, .end = UINT64_MAX, .known = true};
    if (unit >= coverage)
        return 0;
    if (height == 0) {
        *mark = (struct span_mark){.end = coverage};
        return 0;
    }
    error = find_reference(&at, f, tree, unit, &absent);
    if (error)
        return error;
    span = mpgi_tree_span(tree, absent);
    mark->first = unit / span * span;
    mark->end = span < UINT64_MAX - mark->first ? mark->first + span : UINT64_MAX;
    if (at == NULL)
        return 0;
    leaf = mpgi_cache_find(&f->cache, tree->kind, 0, unit / tree->leaf_units);
    mark->known = leaf == NULL || !leaf->dirty; /* its slot holds what it was before the records */
    mark->slot = get_u64(at + REF_SLOT);
    mark->generation = get_u64(at + REF_GENERATION);
    mark->crc = get_u32(at + REF_CRC);
    return 0;
}

int mpgi_tree_seek(struct format_1 *f, struct tree *tree, uint64_t *unit)
{
    const unsigned char *root = mpgi_root_get(f, VERSION_NEWEST);
    unsigned height = mpgi_tree_height(tree, root);
    uint64_t coverage = mpgi_tree_coverage(tree, height);

    while (height > 0 && *unit < coverage) {
        const unsigned char *refs = root + tree->area;
        unsigned count = tree->root_refs;
        uint64_t base = 0; /* the first unit below refs */
        unsigned level = height;

        while (level > 0) {
            uint64_t span = mpgi_tree_span(tree, --level);
            uint64_t i = (*unit - base) / span;
            uint64_t child = base + i * span;
            unsigned absent;
            struct node *node;
            int error;

            /* What is below a reference without free units need not be looked at. */
            while (i < count && get_u64(refs + i * REF_SIZE + REF_SLOT) != 0 &&
                   get_u32(refs + i * REF_SIZE + REF_FREE) == 0) {
                i++;
                child += span;
                *unit = child;
            }
            if (i == count)
                break; /* go on behind this node, from the root */
            if (get_u64(refs + i * REF_SIZE + REF_SLOT) == 0 || level == 0)
                return 0;
            error = get_node(&node, f, tree, level, child / span, &absent);
            if (error || node == NULL)
                return error;
            refs = newest_content(node);
            count = tree->node_refs;
            base = child;
        }
    }
    return 0;
}

/* ---- Changing ------------------------------------------------------------------------------ */

/* The nodes that one change makes. */
struct growth {
    struct node *made[2 * HEIGHT_MAX + 1];
    uint64_t pairs[2 * HEIGHT_MAX + 1];
    unsigned count;
    unsigned taken;  /* of the pairs: those of other leaves, to be given back if it fails */
    unsigned height; /* that the tree will have */
};

static int make_node(struct format_1 *f, struct tree *tree, struct growth *growth, unsigned level,
                     uint64_t index)
{
    struct node *node = mpgi_node_new(tree->kind, level, index);

    if (node != NULL) {
        node->pair_checked = true;
        growth->made[growth->count++] = node;
        if (mpgi_versions_edit(&node->versions, f->cache.space.node_size) != NULL)
            return 0;
    }
    return mpgi_fail_memory("change metadata");
}

/* Gives a node on the way to what changes a pending version, if it exists. */
static int edit_node(struct node **node, struct format_1 *f, struct tree *tree, unsigned level,
                     uint64_t unit)
{
    uint64_t index = unit / mpgi_tree_span(tree, level);
    unsigned absent;
    int error = get_node(node, f, tree, level, index, &absent);

    if (error || *node == NULL || (*node)->versions.pending != NULL)
        return error;
    error = f->pairs->check(f, *node);
    if (error)
        return error;
    /* The check may have read other nodes, and this one may have left the cache for them. */
    error = get_node(node, f, tree, level, index, &absent);
    return error ? error : mpgi_node_edit(&f->cache, *node);
}

/*
 * Makes what is missing from the root to the leaf at `unit`, in memory and not linked to anything.
 */
static int make_path(struct format_1 *f, struct tree *tree, uint64_t unit, struct growth *growth)
{
    unsigned height = mpgi_tree_height(tree, mpgi_root_get(f, VERSION_NEWEST));
    bool exists = growth->height == height;
    int error;

    /*
     * The area's content moves one level down, and that node is below one for each further level.
     */
    for (unsigned level = height; level < growth->height; level++) {
        error = make_node(f, tree, growth, level, 0);
        if (error)
            return error;
    }
    if (growth->count > 0)
        memcpy(growth->made[0]->versions.pending->bytes + NODE_BODY,
               mpgi_root_get(f, VERSION_NEWEST) + tree->area, tree->area_size);
    for (unsigned level = growth->height; level-- > 0;) {
        uint64_t index = unit / mpgi_tree_span(tree, level);
        struct node *node = NULL;

        if (level >= height && index == 0)
            continue; /* made above */
        if (exists) {
            error = edit_node(&node, f, tree, level, unit);
            if (error)
                return error;
        }
        if (node == NULL) {
            exists = false;
            error = make_node(f, tree, growth, level, index);
            if (error)
                return error;
        }
    }
    return 0;
}

/* Whether pages are somebody's that nothing says so of yet. */
static bool others_are_held(const struct format_1 *f)
{
    return f->head.kept != NULL || (f->head.reserved != NULL && f->head.reserved->count > 0);
}

/* In the leaf that was made for that, if there is one and it has room: FILE_FULL. */
static int place_far(struct format_1 *f, struct tree *tree, struct growth *growth)
{
    uint64_t first = f->hints.far_leaf;
    struct node *leaf = NULL;
    int error = first != 0 ? mpgi_tree_leaf(&leaf, f, tree, first) : 0;

    if (error)
        return error;
    if (leaf == NULL)
        return MPG_E_FILE_FULL;
    error = mpgi_tree_edit(f, tree, first);
    if (error == 0)
        error = f->pairs->take_own(f, tree->edit.content, first, UINT64_MAX, growth->pairs,
                                   growth->count);
    if (error)
        return error;
    growth->taken = growth->count;
    /* The leaf may have been read, and others have left the cache for it. */
    return mpgi_cache_reserve(&f->cache, growth->count);
}

/* Pages for the slots of the new nodes. */
static int place(struct format_1 *f, struct tree *tree, uint64_t unit, struct growth *growth)
{
    uint64_t leaf_index = unit / tree->leaf_units;
    int error;

    if (tree->kind == TREE_SPACE) {
        struct node *leaf = growth->made[0];

        /* Where something above a leaf is missing, so is the leaf: it has room for all. */
        for (unsigned i = 0; i < growth->count; i++) {
            if (growth->made[i]->level == 0 && growth->made[i]->index == leaf_index)
                leaf = growth->made[i];
        }
        error =
            f->pairs->take_own(f, leaf->versions.pending->bytes + NODE_BODY,
                               leaf_index * tree->leaf_units, unit, growth->pairs, growth->count);
        /* All its pages are somebody's: elsewhere, where the tree is high enough. */
        if (error != MPG_E_FILE_FULL || !others_are_held(f) ||
            growth->height > mpgi_tree_height(tree, mpgi_root_get(f, VERSION_NEWEST)))
            return error;
        if (f->head.kept == NULL)
            return place_far(f, tree, growth);
    }
    while (growth->taken < growth->count) {
        error = f->pairs->take(f, &growth->pairs[growth->taken]);
        if (error)
            return error;
        growth->taken++;
    }
    /* What was taken may have made nodes, too. */
    return mpgi_cache_reserve(&f->cache, growth->count);
}

/* Links the new nodes into the tree. Cannot fail. */
static void link_nodes(struct format_1 *f, struct tree *tree, struct growth *growth)
{
    unsigned char *root = mpgi_root_pending(f);

    if (growth->height > root[tree->height_at]) {
        memset(root + tree->area, 0, tree->area_size);
        root[tree->height_at] = (unsigned char)growth->height;
    }
    for (unsigned i = 0; i < growth->count; i++) {
        growth->made[i]->pair = growth->pairs[i];
        f->gathered.structure = true;
        mpgi_cache_add_new(&f->cache, growth->made[i]);
    }
    for (unsigned i = 0; i < growth->count; i++) {
        const struct node *node = growth->made[i];
        unsigned char *at = root + tree->area + node->index * REF_SIZE;

        if (node->level + 1u < growth->height) {
            struct node *parent = mpgi_cache_find(&f->cache, tree->kind, node->level + 1u,
                                                  node->index / tree->node_refs);

            at = parent->versions.pending->bytes + NODE_BODY +
                 node->index % tree->node_refs * REF_SIZE;
        }
        put_u64(at + REF_SLOT, node->pair * 2);
        put_u64(at + REF_GENERATION, 0); /* the rest is known when the batch is sealed */
        put_u32(at + REF_CRC, 0);
        put_u32(at + REF_FREE, saturate_u32(mpgi_tree_span(tree, node->level)));
    }
}

static int grow_to(struct format_1 *f, struct tree *tree, uint64_t unit, unsigned height)
{
    struct growth growth = {.height = height};
    int error = make_path(f, tree, unit, &growth);

    if (error == 0 && growth.count == 0)
        return 0;
    if (error == 0)
        error = mpgi_cache_reserve(&f->cache, growth.count);
    if (error == 0)
        error = place(f, tree, unit, &growth);
    if (error == 0) {
        link_nodes(f, tree, &growth);
        return 0;
    }
    while (growth.taken > 0)
        f->pairs->give_back(f, growth.pairs[--growth.taken]);
    while (growth.count > 0)
        mpgi_node_free(growth.made[--growth.count]);
    return error;
}

/*
 * Where all pages that a leaf covers are somebody's, its pair, and those of what is made with it,
 * are pages of another leaf: one far away, behind the end of the file, of whose pages some are
 * nobody's.
 */
static int make_far_leaf(struct format_1 *f, struct tree *tree, unsigned height)
{
    uint64_t total = get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL);
    uint64_t end = min_u64(mpgi_tree_coverage(tree, height), f->space.limit);
    int error = MPG_E_FILE_FULL;

    for (uint64_t unit = (total / tree->leaf_units + 1) * tree->leaf_units;
         unit < end && error == MPG_E_FILE_FULL; unit += tree->leaf_units) {
        error = grow_to(f, tree, unit, height);
        if (error == 0)
            f->hints.far_leaf = unit;
    }
    return error;
}

/* Makes the leaf at `unit` and what is missing above it. */
static int make_leaf(struct format_1 *f, struct tree *tree, uint64_t unit, unsigned height)
{
    int error = grow_to(f, tree, unit, height);

    /* Who fills a file anew has a way of his own, so that it does not become longer. */
    if (error != MPG_E_FILE_FULL || tree->kind != TREE_SPACE || !others_are_held(f) ||
        f->head.kept != NULL)
        return error;
    error = make_far_leaf(f, tree, height);
    return error ? error : grow_to(f, tree, unit, height);
}

int mpgi_tree_edit(struct format_1 *f, struct tree *tree, uint64_t unit)
{
    struct node *leaf;
    unsigned height;
    int error;

    if (tree->edit.content != NULL && unit >= tree->edit.first && unit < tree->edit.end)
        return 0;
    error = mpgi_root_edit(f);
    if (error)
        return error;
    height = mpgi_tree_height(tree, mpgi_root_pending(f));
    while (mpgi_tree_coverage(tree, height) <= unit)
        height++;
    if (height == 0) {
        tree->edit.content = mpgi_root_pending(f) + tree->area;
        tree->edit.first = 0;
        tree->edit.end = tree->root_units;
        return 0;
    }
    tree->edit.content = NULL;
    leaf = mpgi_cache_find(&f->cache, tree->kind, 0, unit / tree->leaf_units);
    if (leaf == NULL || leaf->versions.pending == NULL) {
        error = make_leaf(f, tree, unit, height);
        if (error)
            return error;
        leaf = mpgi_cache_find(&f->cache, tree->kind, 0, unit / tree->leaf_units);
    }
    tree->edit.content = leaf->versions.pending->bytes + NODE_BODY;
    tree->edit.first = leaf->index * tree->leaf_units;
    tree->edit.end = tree->edit.first + tree->leaf_units;
    return 0;
}
