/* SPDX-License-Identifier: MIT */
/* Salvaging a file of format 1: what is there, wherever it is. */
#include "format_1/salvage.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"

/* So much is read at once. */
#define CHUNK (UINT32_C(1) << 18)

/* ---- What is there ------------------------------------------------------------------------- */

static int add_node(struct findings *found, const struct found_node *node)
{
    struct found_node *nodes =
        mpgi_array_room(found->nodes, found->node_count, &found->node_capacity, sizeof(*nodes), 64);

    if (nodes == NULL)
        return mpgi_fail_memory("rescue");
    found->nodes = nodes;
    nodes[found->node_count++] = *node;
    return 0;
}

static int add_torn(struct findings *found, const struct found_node *node)
{
    struct found_node *torn =
        mpgi_array_room(found->torn, found->torn_count, &found->torn_capacity, sizeof(*torn), 64);

    if (torn == NULL)
        return mpgi_fail_memory("rescue");
    found->torn = torn;
    torn[found->torn_count++] = *node;
    return 0;
}

static int add_record(struct findings *found, const struct record *record)
{
    struct found_record *records = mpgi_array_room(found->records, found->record_count,
                                                   &found->record_capacity, sizeof(*records), 64);

    if (records == NULL)
        return mpgi_fail_memory("rescue");
    found->records = records;
    records[found->record_count++] = (struct found_record){record->generation, record->page};
    return 0;
}

/* Whether these may begin a node that a tree can have, at that level and index. */
static bool is_node_head(const struct format_1 *f, const unsigned char *head)
{
    bool is_space = memcmp(head, TYPE_SPACE, TYPE_SIZE) == 0;
    const struct tree *tree = is_space ? &f->space : &f->directory;
    uint32_t level = get_u32(head + NODE_LEVEL); /* zero stands behind it */

    return (is_space || memcmp(head, TYPE_DIRECTORY, TYPE_SIZE) == 0) && level <= HEIGHT_MAX &&
           get_u64(head + NODE_GENERATION) < GENERATION_END &&
           get_u32(head + NODE_USED) <= f->cache.space.node_size &&
           get_u64(head + NODE_INDEX) <= tree->limit / mpgi_tree_span(tree, level);
}

static int look_at_node(struct findings *found, const unsigned char *bytes, uint64_t at)
{
    struct found_node node = {
        .index = get_u64(bytes + NODE_INDEX),
        .generation = get_u64(bytes + NODE_GENERATION),
        .at = at,
        .crc = get_u32(bytes + NODE_CRC),
        .tree = memcmp(bytes, TYPE_SPACE, TYPE_SIZE) == 0 ? TREE_SPACE : TREE_DIRECTORY,
        .level = bytes[NODE_LEVEL],
    };

    if (node.crc == mpgi_node_crc(&found->f->cache.space, bytes))
        return add_node(found, &node);
    return at % found->salvage->page_size == 0 ? add_torn(found, &node) : 0;
}

static int look_at_record(struct findings *found, uint64_t page)
{
    struct salvage *salvage = found->salvage;
    const struct node_space *space = &found->f->cache.space;
    struct record record;
    int error = mpgi_record_read(&record, space, page);

    if (error != 0)
        return error == MPG_E_NO_MEMORY ? error : 0;
    error = mpgi_record_read_changes(&record, space);
    if (error == 0)
        error = add_record(found, &record);
    else if (error != MPG_E_NO_MEMORY)
        error = 0; /* no longer whole: most are left over, and what continued them is overwritten */
    if (error == 0)
        error = mpgi_salvage_set_owned(salvage, page);
    for (unsigned i = 0; i < record.part_count && error == 0; i++)
        error = mpgi_salvage_set_owned(salvage, record.parts[i].page);
    mpgi_record_free(&record);
    return error;
}

/* What begins with this page? */
static int look_at(struct findings *found, const unsigned char *bytes, uint64_t page)
{
    int error = mpgi_salvage_looked(found->salvage, page);

    if (error == 0 && memcmp(bytes, TYPE_RECORD, TYPE_SIZE) == 0)
        return look_at_record(found, page);
    if (error == 0 && is_node_head(found->f, bytes))
        return look_at_node(found, bytes, page * found->salvage->page_size);
    return error;
}

/*
 * Nodes that lie where no page begins: what was lost before them has moved them, or a disk has put
 * sectors into the place of others.
 */
static int look_between(struct findings *found, const unsigned char *bytes, size_t length,
                        uint64_t at)
{
    const struct format_1 *f = found->f;
    const unsigned char *end = bytes + length, *tag = bytes;
    unsigned char node[NODE_SIZE_MAX];
    int error = 0;

    /* Both types begin with the same three characters. */
    while (error == 0 && (tag = memmem(tag, (size_t)(end - tag), TYPE_SPACE, TYPE_SIZE - 1))) {
        uint64_t place = at + (uint64_t)(tag - bytes);

        if (end - tag >= NODE_BODY && place % found->salvage->page_size != 0 &&
            is_node_head(f, tag) &&
            mpgi_file_read(f->cache.space.file, node, f->cache.space.node_size, place,
                           place / found->salvage->page_size) == 0)
            error = look_at_node(found, node, place);
        tag += TYPE_SIZE - 1;
    }
    return error;
}

static int look_at_piece(struct findings *found, const unsigned char *bytes, size_t length,
                         uint64_t at)
{
    uint32_t page_size = found->salvage->page_size, step = found->f->cache.space.node_size;
    int error = 0;

    for (size_t i = 0; i < length && error == 0; i += step) {
        if ((at + i) % page_size == 0)
            error = look_at(found, bytes + i, (at + i) / page_size);
    }
    return error ? error : look_between(found, bytes, length, at);
}

static int scan(struct findings *found)
{
    const struct salvage *salvage = found->salvage;
    uint32_t step = found->f->cache.space.node_size;
    uint64_t end = salvage->pages * salvage->page_size;
    unsigned char *bytes = malloc(CHUNK);
    int error = bytes != NULL ? 0 : mpgi_fail_memory("rescue");

    for (uint64_t at = 0, data_end = end; at < end && error == 0;) {
        uint64_t data = mpgi_file_next_data(salvage->file, at, &data_end);
        size_t length;

        if (data >= end)
            break;
        at = max_u64(at, data / step * step);
        data_end = min_u64(data_end, end - step) / step * step + step;
        length = (size_t)min_u64(CHUNK, data_end - at);
        /* What cannot be read is zeros. That something is missed then shows itself. */
        (void)mpgi_file_read_sectors(salvage->file, bytes, length, at, at / salvage->page_size);
        error = look_at_piece(found, bytes, length, at);
        at += length;
    }
    free(bytes);
    return error;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static void read_roots(struct findings *found)
{
    const struct node_space *space = &found->f->cache.space;
    uint64_t generation[2] = {0, 0};

    for (unsigned i = 0; i < 2; i++) {
        const char *why = "it cannot be read";
        uint64_t at = (uint64_t)(i + 1) * space->page_size;

        if (i == 0 && found->salvage->root_at != 0)
            at = found->salvage->root_at;
        found->root_valid[i] =
            mpgi_file_read(space->file, found->roots[i], space->node_size, at, i + 1) == 0 &&
            mpgi_root_valid(found->f, found->roots[i], &why);
        if (found->root_valid[i])
            generation[i] = mpgi_root_generation(found->roots[i]);
        else
            mpgi_salvage_note(found->salvage, "root", i + 1, "page %u does not hold a root: %s",
                              i + 1, why);
    }
    found->newest =
        found->root_valid[1] && (!found->root_valid[0] || generation[1] > generation[0]);
}

/* What page 0 says, or what stands for it. */
static int learn_identity(struct salvage *salvage, struct format_1 *f)
{
    bool has_page_0 = false;

    if (salvage->headless) {
        f->superblock.page_size = salvage->page_size;
        memcpy(f->superblock.uuid, salvage->uuid, UUID_SIZE);
        mpgi_salvage_note(salvage, "superblock", 0,
                          "pages 0 to 2 do not say which file this is; what is further on "
                          "does, but for the label");
        return 0;
    }
    if (mpgi_learn_identity_1(salvage->file, &f->superblock, &has_page_0) != 0)
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "rescue", 0, "%s: it changed while it was read",
                         salvage->file->path);
    if (!has_page_0)
        mpgi_salvage_note(salvage, "superblock", 0,
                          "page 0 does not hold the superblock; a root says what it said, but the "
                          "label");
    memcpy(salvage->label, f->superblock.label, LABEL_SIZE);
    memcpy(salvage->uuid, f->superblock.uuid, UUID_SIZE);
    salvage->has_top = has_page_0;
    return 0;
}

static int begin(struct findings *found)
{
    struct salvage *salvage = found->salvage;
    struct format_1 *f = found->f = calloc(1, sizeof(*f));
    struct node_space *space;
    int error;

    /* There is always an array of nodes, also if none is found. */
    found->nodes = mpgi_array_grow(NULL, &found->node_capacity, sizeof(*found->nodes), 64);
    if (f == NULL || found->nodes == NULL)
        return mpgi_fail_memory("rescue");
    space = &f->cache.space;
    error = learn_identity(salvage, f);
    if (error)
        return error;
    f->head.file = salvage->file;
    f->head.page_size = salvage->page_size;
    space->file = salvage->file;
    space->page_size = salvage->page_size;
    space->node_size = node_size_of(space->page_size);
    space->seed = salvage->headless ? salvage->seed : crc_of(f->superblock.uuid, UUID_SIZE);
    mpgi_tree_init(&f->space, TREE_SPACE, space->page_size);
    mpgi_tree_init(&f->directory, TREE_DIRECTORY, space->page_size);
    return 0;
}

/* No number of a commit that was seen may come again. */
static void note_generation(const struct findings *found)
{
    uint64_t highest = 0;

    for (unsigned i = 0; i < 2; i++) {
        if (found->root_valid[i])
            highest = max_u64(highest, mpgi_root_generation(found->roots[i]));
    }
    for (size_t i = 0; i < found->node_count; i++)
        highest = max_u64(highest, found->nodes[i].generation);
    for (size_t i = 0; i < found->record_count; i++)
        highest = max_u64(highest, found->records[i].generation);
    found->salvage->generation = highest;
}

int mpgi_collect_1(struct salvage *salvage)
{
    struct findings *found = calloc(1, sizeof(*found));
    int error;

    if (found == NULL)
        return mpgi_fail_memory("rescue");
    found->salvage = salvage;
    error = begin(found);
    if (error == 0)
        read_roots(found);
    if (error == 0)
        error = scan(found);
    note_generation(found);
    if (error == 0)
        error = mpgi_salvage_join_1(found);
    free(found->f);
    free(found->nodes);
    free(found->torn);
    free(found->records);
    free(found);
    return error;
}
