/* SPDX-License-Identifier: MIT */
/* Mending a file of format 1 where nothing is lost, or by choice the last commits. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format_1/salvage.h"

struct two_roots {
    struct format_1 f; /* not loaded: what judging roots needs */
    unsigned char root[2][NODE_SIZE_MAX];
    bool valid[2];
};

static int read_roots(struct two_roots *two, struct file *file)
{
    struct node_space *space = &two->f.cache.space;
    bool has_page_0;
    int error = mpgi_learn_identity_1(file, &two->f.superblock, &has_page_0);

    if (error)
        return error;
    space->file = file;
    space->page_size = two->f.superblock.page_size;
    space->node_size = node_size_of(space->page_size);
    space->seed = crc_of(two->f.superblock.uuid, UUID_SIZE);
    mpgi_tree_init(&two->f.space, TREE_SPACE, space->page_size);
    mpgi_tree_init(&two->f.directory, TREE_DIRECTORY, space->page_size);
    for (unsigned i = 0; i < 2; i++) {
        const char *why;

        two->valid[i] = mpgi_file_read(file, two->root[i], space->node_size,
                                       (uint64_t)(i + 1) * space->page_size, i + 1) == 0 &&
                        mpgi_root_valid(&two->f, two->root[i], &why);
    }
    return 0;
}

/* Features that this version does not know are not to be left out. */
static bool has_features(const unsigned char *root)
{
    return !is_zero(root + ROOT_FEATURES, 3 * sizeof(uint64_t));
}

static int mend_top(struct file *file, bool *mended)
{
    struct superblock superblock;
    struct two_roots *two;
    unsigned char page[NODE_SIZE_MAX];
    bool has_page_0;
    int error = mpgi_learn_identity_1(file, &superblock, &has_page_0);

    *mended = false;
    if (error != 0 || has_page_0)
        return error < 0 ? error : 0;
    two = calloc(1, sizeof(*two));
    if (two == NULL)
        return mpgi_fail_memory("repair");
    error = read_roots(two, file);
    for (unsigned i = 0; i < 2 && error == 0; i++) {
        if (two->valid[i] && has_features(two->root[i]))
            error =
                mpgi_fail(MPG_E_UNSUPPORTED_VERSION, "repair", i + 1,
                          "%s: the file uses features that this version does not know", file->path);
    }
    free(two);
    if (error)
        return error < 0 ? error : 0;
    superblock.version[0] = SB_MAJOR;
    error = mpgi_superblock_write(file, &superblock, page);
    *mended = error == 0;
    return error;
}

/* ---- nodes ---- */

struct mending {
    struct salvage *salvage;
    const struct node_space *space;
    const struct tree *tree;
    const unsigned char *root;
};

/* Writes the slot of a node that is not what the other one is. */
static int mend_node(const struct mending *m, const struct node_reference *reference,
                     unsigned char *bytes, unsigned whole)
{
    uint64_t page = slot_page(m->space->page_size, reference->pair, 1 - whole);
    int error = mpgi_node_read_slot(m->space, bytes, reference, 1 - whole);

    if (error == 0)
        return 0;
    error = mpgi_node_read_slot(m->space, bytes, reference, whole);
    if (error == 0)
        error = mpgi_file_write(m->space->file, bytes, m->space->node_size,
                                slot_offset(m->space->page_size, reference->pair, 1 - whole), page);
    if (error == 0)
        mpgi_salvage_note(m->salvage, "node-copy", page,
                          "page %" PRIu64 " does not hold node %" PRIu64
                          " of level %u of the %s tree: it is made anew from page %" PRIu64,
                          page, reference->index, reference->level,
                          m->tree->kind == TREE_SPACE ? "space" : "directory",
                          slot_page(m->space->page_size, reference->pair, whole));
    return error;
}

static int mend_below(const struct mending *m, const unsigned char *refs, unsigned count,
                      unsigned level, uint64_t first)
{
    unsigned char *bytes = malloc(m->space->node_size);
    int error = bytes != NULL ? 0 : mpgi_fail_memory("repair");

    for (unsigned i = 0; i < count && error == 0; i++) {
        struct node_reference reference;
        unsigned whole;

        mpgi_reference_get(&reference, refs + (size_t)i * REF_SIZE, m->tree->kind, level,
                           first + i);
        /* What neither slot holds is not for this to mend. */
        if (reference.pair == 0 || reference.generation > get_u64(m->root + ROOT_TWICE) ||
            mpgi_node_read(m->space, bytes, &reference, get_u64(m->root + ROOT_TOTAL), &whole) != 0)
            continue;
        error = mend_node(m, &reference, bytes, whole);
        if (error == 0 && level > 0 && mpgi_node_read_slot(m->space, bytes, &reference, whole) == 0)
            error = mend_below(m, bytes + NODE_BODY, m->tree->node_refs, level - 1,
                               (first + i) * m->tree->node_refs);
    }
    free(bytes);
    return error;
}

/* In a file that was closed: elsewhere the slots that are not current may have been written to. */
static int mend_nodes(const struct two_roots *two, struct salvage *salvage)
{
    unsigned newer = mpgi_root_generation(two->root[1]) > mpgi_root_generation(two->root[0]);
    struct mending m = {salvage, &two->f.cache.space, NULL, two->root[newer]};
    const struct tree *trees[] = {&two->f.space, &two->f.directory};
    int error = 0;

    if (!two->valid[0] || !two->valid[1] || get_u64(two->root[0] + ROOT_NEXT) != 0 ||
        get_u64(two->root[1] + ROOT_NEXT) != 0)
        return 0;
    for (unsigned i = 0; i < 2 && error == 0; i++) {
        unsigned height = mpgi_tree_height(trees[i], m.root);

        m.tree = trees[i];
        if (height > 0)
            error = mend_below(&m, m.root + trees[i]->area, trees[i]->root_refs, height - 1, 0);
    }
    return error;
}

/*
 * Both roots are written as a file is opened for writing whose roots are not both whole: that is
 * only told here.
 */
static int mend_copies(struct salvage *salvage)
{
    struct two_roots *two = calloc(1, sizeof(*two));
    int error = two != NULL ? read_roots(two, salvage->file) : mpgi_fail_memory("repair");

    if (error == 0)
        error = mend_nodes(two, salvage);

    for (unsigned i = 0; i < 2 && error == 0; i++) {
        if (!two->valid[i] && two->valid[!i])
            mpgi_salvage_note(salvage, "root", i + 1,
                              "page %u does not hold a root: it is made anew from the other one",
                              i + 1);
    }
    free(two);
    return error < 0 ? error : 0;
}

static int drop(const struct two_roots *two, struct file *file, uint64_t *dropped, uint64_t *kept)
{
    uint64_t generation[2];
    unsigned char zeros[NODE_SIZE_MAX] = {0};
    unsigned newer;

    if (!two->valid[0] || !two->valid[1])
        return 0;
    for (unsigned i = 0; i < 2; i++)
        generation[i] = mpgi_root_generation(two->root[i]);
    if (generation[0] == generation[1])
        return 0;
    newer = generation[1] > generation[0];
    *dropped = generation[newer];
    *kept = generation[!newer];
    return mpgi_file_write(file, zeros, two->f.cache.space.node_size,
                           (uint64_t)(newer + 1) * two->f.cache.space.page_size, newer + 1);
}

static int drop_newest(struct file *file, uint64_t *dropped, uint64_t *kept)
{
    struct two_roots *two = calloc(1, sizeof(*two));
    int error = two != NULL ? read_roots(two, file) : mpgi_fail_memory("repair");

    *dropped = *kept = 0;
    if (error == 0)
        error = drop(two, file, dropped, kept);
    free(two);
    return error < 0 ? error : 0;
}

const struct salvage_ops mpgi_salvage_1 = {
    .identify = mpgi_identify_1,
    .search = mpgi_search_1,
    .collect = mpgi_collect_1,
    .mend_top = mend_top,
    .mend_copies = mend_copies,
    .drop_newest = drop_newest,
};
