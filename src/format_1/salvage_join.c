/* SPDX-License-Identifier: MIT */
/*
 * Salvaging a file of format 1: from what was found to what the file says.
 *
 * The trees are followed from the newest root. Where a reference leads to a node that is not whole
 * any more, the other slot of its pair is taken, which is older, and what it covers is in doubt.
 * Below a node of which nothing is left, the nodes tell themselves what they are. Then come the
 * records, which are newer than the trees.
 *
 * An entry says as of which commit it is so; of what is said twice the newer counts. An entry in a
 * node that is not whole proves nothing, but where its checksum fits to the content of its page,
 * that content proves the entry.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format_1/salvage.h"

/* ---- The nodes that were found ------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct found_node *one = a, *other = b;

    if (one->tree != other->tree)
        return one->tree < other->tree ? -1 : 1;
    if (one->level != other->level)
        return one->level < other->level ? -1 : 1;
    if (one->index != other->index)
        return one->index < other->index ? -1 : 1;
    return (one->generation < other->generation) - (one->generation > other->generation);
}

/* The first node at or behind a place, or the end of the array. */
static struct found_node *lower_bound(const struct join *join, unsigned level, uint64_t index)
{
    struct found_node key = {
        .tree = (uint8_t)join->tree->kind,
        .level = (uint8_t)level,
        .index = index,
        .generation = UINT64_MAX,
    };
    size_t low = 0, high = join->found->node_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (by_place(&join->found->nodes[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return join->found->nodes + low;
}

static bool is_at(const struct join *join, const struct found_node *node, unsigned level,
                  uint64_t first, uint64_t end)
{
    return node < join->found->nodes + join->found->node_count && node->tree == join->tree->kind &&
           node->level == level && node->index >= first && node->index < end;
}

/* The newest version of a node, or NULL. */
static struct found_node *newest_of(const struct join *join, unsigned level, uint64_t index)
{
    struct found_node *node = lower_bound(join, level, index);

    return is_at(join, node, level, index, index + 1) ? node : NULL;
}

/* The version that a reference names, in whichever slot. */
static struct found_node *named_by(const struct join *join, const struct node_reference *reference)
{
    struct found_node *node = lower_bound(join, reference->level, reference->index);

    for (; is_at(join, node, reference->level, reference->index, reference->index + 1); node++) {
        if (node->generation == reference->generation && node->crc == reference->crc)
            return node;
    }
    return NULL;
}

/* Whether the other slot of a node is whole, which lies so far before it or behind it. */
static bool has_twin(const struct join *join, const struct found_node *node)
{
    uint64_t step = slot_offset(join->salvage->page_size, 0, 1);

    for (const struct found_node *other = lower_bound(join, node->level, node->index);
         is_at(join, other, node->level, node->index, node->index + 1); other++) {
        if (other->at == node->at + step || other->at + step == node->at)
            return true;
    }
    return false;
}

/* Whether anything is left at or below a place. */
static bool has_anything(const struct join *join, unsigned level, uint64_t index)
{
    uint64_t first = index, end = index + 1;

    for (;; level--) {
        if (is_at(join, lower_bound(join, level, first), level, first, end))
            return true;
        if (level == 0)
            return false;
        if (end > UINT64_MAX / join->tree->node_refs)
            return false;
        first *= join->tree->node_refs;
        end *= join->tree->node_refs;
    }
}

/* ---- Leaves -------------------------------------------------------------------------------- */

/* Whether a node could be read: the bytes of it, whatever they are. */
static bool read_node(const struct join *join, unsigned char *bytes, uint64_t at)
{
    const struct node_space *space = &join->found->f->cache.space;
    uint64_t end = join->salvage->pages * space->page_size;

    return at < end && end - at >= space->node_size &&
           mpgi_file_read(space->file, bytes, space->node_size, at, at / space->page_size) == 0;
}

static int own_pair(const struct join *join, uint64_t pair)
{
    int error = 0;

    for (unsigned i = 0; i < PAIR_PAGES && error == 0; i++)
        error = mpgi_salvage_set_owned(join->salvage, slot_page(join->salvage->page_size, pair, i));
    return error;
}

static int note_leaf(struct join *join, uint64_t index, uint64_t known)
{
    if (join->leaf_count == join->leaf_capacity) {
        size_t more = join->leaf_capacity * 2 + 64;
        void *moved = realloc(join->leaves, more * sizeof(*join->leaves));

        if (moved == NULL)
            return mpgi_fail_memory("rescue");
        join->leaves = moved;
        join->leaf_capacity = more;
    }
    join->leaves[join->leaf_count++] = (struct applied){index, known};
    return 0;
}

/* The uses of pages [first, first + count). */
static int take_uses(struct join *join, const unsigned char *uses, uint64_t index, uint64_t count,
                     uint64_t known)
{
    uint64_t first = index * join->tree->leaf_units;
    int error = note_leaf(join, index, known);

    for (uint64_t i = 0; i < count && first + i < join->salvage->total && error == 0; i++) {
        enum mpg_page_use use = mpgi_uses_get(uses, i);

        if (use == MPG_USE_REGULAR)
            error = mpgi_salvage_set_regular(join->salvage, first + i, true);
        else if (use == MPG_USE_PROTECTED)
            error = mpgi_salvage_set_content(join->salvage, first + i);
    }
    return error;
}

/* Entries of a leaf that is whole as of commit `known`; or of one that is not, if `known` is 0. */
static int take_entries(struct join *join, const unsigned char *content, uint64_t index,
                        uint64_t count, uint64_t known)
{
    int error = 0;

    for (uint64_t i = 0; i < count && error == 0; i++) {
        struct salvage_entry said = {.id = index * join->tree->leaf_units + i, .known = known};
        struct entry entry;

        mpgi_entry_read(&entry, content + i * ENTRY_SIZE);
        said.page = entry_page(&entry);
        said.crc = entry.crc;
        said.in_use = entry.in_use;
        said.generation = entry.generation;
        said.proven = known != 0;
        if (known == 0) {
            if (!entry.in_use || entry.generation >= GENERATION_END)
                continue;
            said.known = entry.generation;
        }
        error = mpgi_salvage_add_entry(join->salvage, &said);
    }
    return error;
}

static int take_leaf(struct join *join, const struct found_node *node, uint64_t known)
{
    unsigned char bytes[NODE_SIZE_MAX];

    if (!read_node(join, bytes, node->at))
        return 0;
    if (join->tree->kind == TREE_SPACE)
        return take_uses(join, bytes + NODE_BODY, node->index, join->tree->leaf_units, known);
    return take_entries(join, bytes + NODE_BODY, node->index, join->tree->leaf_units, known);
}

/* What a directory leaf that is not whole says, sector by sector. */
static int take_torn(struct join *join, uint64_t index, uint64_t at)
{
    unsigned char bytes[NODE_SIZE_MAX];

    if (join->tree->kind != TREE_DIRECTORY || !read_node(join, bytes, at))
        return 0;
    return take_entries(join, bytes + NODE_BODY, index, join->tree->leaf_units, 0);
}

static int doubt(struct join *join, unsigned level, uint64_t index)
{
    uint64_t span = mpgi_tree_span(join->tree, level);
    uint64_t first = index > UINT64_MAX / span ? UINT64_MAX : index * span;
    uint64_t end = span > UINT64_MAX - first ? UINT64_MAX : first + span;

    if (join->tree->kind == TREE_SPACE)
        return mpgi_salvage_doubt(&join->salvage->doubtful_pages, first,
                                  min_u64(end, join->salvage->pages));
    return mpgi_salvage_doubt(&join->salvage->doubtful_ids, first, end);
}

/* ---- Following ----------------------------------------------------------------------------- */

static int follow(struct join *join, const unsigned char *refs, unsigned count, unsigned level,
                  uint64_t first, uint64_t known, bool whole);

static int follow_node(struct join *join, const struct found_node *node, uint64_t known, bool whole)
{
    unsigned char bytes[NODE_SIZE_MAX];

    if (node->level == 0)
        return take_leaf(join, node, known);
    if (!read_node(join, bytes, node->at))
        return 0;
    return follow(join, bytes + NODE_BODY, join->tree->node_refs, node->level - 1u,
                  node->index * join->tree->node_refs, known, whole);
}

static int visit_unnamed(struct join *join, unsigned level, uint64_t index);

/* Nothing tells which nodes there are below a place. */
static int visit_below(struct join *join, unsigned level, uint64_t index)
{
    int error = 0;

    for (unsigned i = 0; i < join->tree->node_refs && error == 0; i++)
        error = visit_unnamed(join, level - 1, index * join->tree->node_refs + i);
    return error;
}

/* A node that nothing names which could be believed. */
static int visit_unnamed(struct join *join, unsigned level, uint64_t index)
{
    struct found_node *node = newest_of(join, level, index);
    bool is_space = join->tree->kind == TREE_SPACE;
    int error = 0;

    if (index > join->tree->limit / mpgi_tree_span(join->tree, level))
        return 0;
    if (is_space ? index * mpgi_tree_span(join->tree, level) >= join->salvage->pages
                 : !has_anything(join, level, index))
        return 0;
    if (node == NULL)
        return level == 0 ? doubt(join, level, index) : visit_below(join, level, index);
    error = mpgi_salvage_set_owned(join->salvage, node->at / join->salvage->page_size);
    /* Its other slot, which lies before it or behind it, may have held a newer one. */
    if (error == 0 && level == 0 && !has_twin(join, node)) {
        uint64_t step = slot_offset(join->salvage->page_size, 0, 1);

        error = doubt(join, level, index);
        if (error == 0)
            error = take_torn(join, index, node->at + step);
        if (error == 0)
            error = take_torn(join, index, node->at - step);
    }
    return error ? error : follow_node(join, node, node->generation, has_twin(join, node));
}

/* A reference leads to a node that is not whole any more. */
static int visit_lost(struct join *join, const struct node_reference *reference)
{
    unsigned level = reference->level;
    uint64_t index = reference->index;
    struct found_node *node = newest_of(join, level, index);
    int error = 0;

    mpgi_salvage_note(
        join->salvage, "node", reference->pair,
        "node %" PRIu64 " of level %u of the %s tree, in page %" PRIu64 ", is not whole; %s", index,
        level, join->tree->kind == TREE_SPACE ? "space" : "directory", reference->pair,
        node != NULL ? "an older version of it is" : "no other version of it is");
    if (level == 0) {
        error = doubt(join, level, index);
        for (unsigned slot = 0; slot < 2 && error == 0; slot++)
            error = take_torn(join, index,
                              slot_offset(join->salvage->page_size, reference->pair, slot));
    }
    if (error || node == NULL)
        return error || level == 0 ? error : visit_below(join, level, index);
    return follow_node(join, node, node->generation, false);
}

/* Nodes [first, first + count) of a level. `whole`: what is not named there does not exist. */
static int follow(struct join *join, const unsigned char *refs, unsigned count, unsigned level,
                  uint64_t first, uint64_t known, bool whole)
{
    int error = 0;

    for (unsigned i = 0; i < count && error == 0; i++) {
        const unsigned char *at = refs + (size_t)i * REF_SIZE;
        struct node_reference reference;
        struct found_node *node;

        if (get_u64(at + REF_SLOT) == 0) {
            error = whole ? 0 : visit_unnamed(join, level, first + i);
            continue;
        }
        mpgi_reference_get(&reference, at, join->tree->kind, level, first + i);
        error = own_pair(join, reference.pair);
        if (error)
            break;
        node = named_by(join, &reference);
        if (!whole && node != newest_of(join, level, first + i))
            error = visit_unnamed(join, level,
                                  first + i); /* the reference is older than what there is */
        else if (node == NULL)
            error = visit_lost(join, &reference);
        else
            error = follow_node(join, node, known, whole);
    }
    return error;
}

/* ---- A whole tree -------------------------------------------------------------------------- */

/* What the area of a root says at height 0. */
static int take_area(struct join *join, const unsigned char *root)
{
    const unsigned char *area = root + join->tree->area;
    uint64_t known = mpgi_root_generation(root);

    if (join->tree->kind == TREE_SPACE)
        return take_uses(join, area, 0, join->tree->root_units, known);
    return take_entries(join, area, 0, join->tree->root_units, known);
}

/* Neither root is left: the nodes tell how high the tree was. */
static int join_without_root(struct join *join)
{
    unsigned level = HEIGHT_MAX;
    uint64_t most;
    int error = 0;

    while (level > 0 && !is_at(join, lower_bound(join, level, 0), level, 0, UINT64_MAX))
        level--;
    most = join->tree->kind == TREE_SPACE
               ? join->salvage->pages / mpgi_tree_span(join->tree, level) + 1
               : join->tree->root_refs;
    for (uint64_t i = 0; i < most && error == 0; i++)
        error = visit_unnamed(join, level, i);
    if (error == 0 && join->tree->kind == TREE_DIRECTORY)
        error = mpgi_salvage_doubt(&join->salvage->doubtful_ids, 0, UINT64_MAX);
    return error;
}

static int join_tree(struct join *join, const struct tree *tree)
{
    const struct findings *found = join->found;
    const unsigned char *root = found->roots[found->newest];
    unsigned height;

    join->tree = tree;
    if (!has_root(found))
        return join_without_root(join);
    height = mpgi_tree_height(tree, root);
    if (height == 0)
        return take_area(join, root);
    /* Where a newer root is lost, nodes that it led to may be there. */
    return follow(join, root + tree->area, tree->root_refs, height - 1, 0,
                  mpgi_root_generation(root), !join->salvage->outdated);
}

/*
 * Leaves of the directory that are whole nowhere, and that only their own beginning names: what
 * leads to them is lost, too. Where nothing is lost, such a leaf is what a crash left, and never
 * counted.
 */
static int take_torn_leaves(struct join *join)
{
    const struct findings *found = join->found;
    struct salvage *salvage = join->salvage;
    int error = 0;

    for (size_t i = 0; i < found->torn_count && error == 0; i++) {
        const struct found_node *torn = &found->torn[i];

        if (torn->tree != TREE_DIRECTORY || torn->level != 0 ||
            newest_of(join, 0, torn->index) != NULL)
            continue;
        mpgi_salvage_sort(&salvage->doubtful_ids);
        if (has_root(found) &&
            !mpgi_salvage_doubts(&salvage->doubtful_ids, torn->index * join->tree->leaf_units))
            continue;
        error = doubt(join, 0, torn->index);
        if (error == 0)
            error = take_torn(join, torn->index, torn->at);
    }
    return error;
}

/* The other root, if its directory is in it: older contents, should the newer be gone. */
static int take_other_root(struct join *join)
{
    const struct findings *found = join->found;
    const unsigned char *root = found->roots[!found->newest];

    join->tree = &found->f->directory;
    if (!found->root_valid[!found->newest] || mpgi_tree_height(join->tree, root) > 0)
        return 0;
    return take_area(join, root);
}

int mpgi_salvage_join_1(struct findings *found)
{
    struct join join = {.found = found, .salvage = found->salvage};
    int error;

    found->salvage->total = found->salvage->pages;
    if (found->node_count > 0)
        qsort(found->nodes, found->node_count, sizeof(*found->nodes), by_place);
    error = mpgi_salvage_chain_1(&join);
    if (error == 0)
        error = join_tree(&join, &found->f->space);
    if (error == 0)
        error = join_tree(&join, &found->f->directory);
    if (error == 0)
        error = take_torn_leaves(&join);
    if (error == 0)
        error = take_other_root(&join);
    if (error == 0)
        error = mpgi_salvage_records_1(&join);
    /* A root that is not where it belongs may be any. */
    if (error == 0 && found->salvage->headless)
        error = mpgi_salvage_doubt(&found->salvage->doubtful_ids, 0, UINT64_MAX);
    if (error == 0 && found->salvage->headless)
        error = mpgi_salvage_doubt(&found->salvage->doubtful_pages, 0, found->salvage->pages);
    free(join.leaves);
    return error;
}
