/* SPDX-License-Identifier: MIT */
/* Mending a file of format 1 where nothing is lost, or by choice the last commits. */
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

/* Both roots are written as a file is opened for writing whose roots are not both whole: that is only told here. */
static int mend_copies(struct salvage *salvage)
{
    struct two_roots *two = calloc(1, sizeof(*two));
    int error = two != NULL ? read_roots(two, salvage->file) : mpgi_fail_memory("repair");

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
    .collect = mpgi_collect_1,
    .mend_top = mend_top,
    .mend_copies = mend_copies,
    .drop_newest = drop_newest,
};
