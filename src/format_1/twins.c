/* SPDX-License-Identifier: MIT */
/*
 * Nodes in both of their slots. A commit writes the slot that is not current, and leaves the other
 * one as it was. Closing makes them the same, so that a slot that goes bad costs nothing: whoever
 * follows a reference looks into the other slot, and generation and CRC say whether what is there
 * is what the reference is to.
 *
 * A root says up to which generation all nodes are there twice (ROOT_TWICE), and what leads to a
 * node is no older than it is; so only what was written since is looked at.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format_1/state.h"

struct twins {
    struct format_1 *f;
    const struct tree *tree;
    uint64_t since; /* nodes of a later generation are looked at */
    uint64_t total;
};

/* Whether the file says of itself, elsewhere, that a node may be written there. */
static bool is_pair(const struct twins *twins, uint64_t pair)
{
    uint32_t page_size = twins->f->cache.space.page_size;

    for (unsigned i = 0; i < PAIR_PAGES; i++) {
        enum mpg_page_use use;

        if (mpgi_space_get_use(&twins->f->head, VERSION_DURABLE, slot_page(page_size, pair, i),
                               &use) != 0 ||
            use != MPG_USE_METADATA)
            return false;
    }
    return true;
}

/* What is damaged already stays so: it keeps nobody from closing a file. */
static int write_twin(const struct twins *twins, const struct node_reference *reference,
                      unsigned char *bytes, bool *read)
{
    const struct node_space *space = &twins->f->cache.space;
    unsigned slot;
    int error = mpgi_node_read(space, bytes, reference, twins->total, &slot);

    *read = error == 0;
    if (error != 0 || !is_pair(twins, reference->pair))
        return error == MPG_E_NO_MEMORY ? error : 0;
    return mpgi_file_write(space->file, bytes, space->node_size,
                           slot_offset(space->page_size, reference->pair, 1 - slot),
                           reference->pair);
}

static int write_below(const struct twins *twins, const unsigned char *refs, unsigned count,
                       unsigned level, uint64_t first)
{
    unsigned char *bytes = malloc(twins->f->cache.space.node_size);
    int error = bytes != NULL ? 0 : mpgi_fail_memory("close");

    for (unsigned i = 0; i < count && error == 0; i++) {
        struct node_reference reference;
        bool read;

        mpgi_reference_get(&reference, refs + (size_t)i * REF_SIZE, twins->tree->kind, level,
                           first + i);
        if (reference.pair == 0 || reference.generation <= twins->since)
            continue;
        error = write_twin(twins, &reference, bytes, &read);
        if (error == 0 && read && level > 0)
            error = write_below(twins, bytes + NODE_BODY, twins->tree->node_refs, level - 1,
                                (first + i) * twins->tree->node_refs);
    }
    free(bytes);
    return error;
}

/* Whether the root leads to anything that is not there twice. */
static bool is_single(const struct tree *tree, const unsigned char *root)
{
    const unsigned char *area = root + tree->area;

    for (unsigned i = 0; i < tree->root_refs && mpgi_tree_height(tree, root) > 0; i++) {
        const unsigned char *at = area + (size_t)i * REF_SIZE;

        if (get_u64(at + REF_SLOT) != 0 &&
            get_u64(at + REF_GENERATION) > get_u64(root + ROOT_TWICE))
            return true;
    }
    return false;
}

bool mpgi_twins_missing(const struct format_1 *f, const unsigned char *root)
{
    return is_single(&f->space, root) || is_single(&f->directory, root);
}

int mpgi_twins_write(struct format_1 *f, const unsigned char *root, uint64_t since)
{
    const struct tree *trees[] = {&f->space, &f->directory};
    int error = 0;

    for (unsigned i = 0; i < 2 && error == 0; i++) {
        struct twins twins = {f, trees[i], since, get_u64(root + ROOT_TOTAL)};
        unsigned height = mpgi_tree_height(trees[i], root);

        if (height > 0)
            error = write_below(&twins, root + trees[i]->area, trees[i]->root_refs, height - 1, 0);
    }
    /* Rule 13: all of it is there once. */
    return error == MPG_E_NO_SPACE ? 0 : error;
}
