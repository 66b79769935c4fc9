/* SPDX-License-Identifier: MIT */
/* Salvaging a file of format 1: which file is it, and what is there, wherever it is. */
#include "format_1/salvage.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"

/* So much is read at once. */
#define CHUNK (UINT32_C(1) << 18)

/* ---- Which file it is ---------------------------------------------------------------------- */

/* What page 0 says, where its checksum holds. */
static bool read_page_0(const struct file *file, unsigned char *page, uint32_t *page_size)
{
    uint32_t log2, size;

    if (mpgi_file_read(file, page, UINT32_C(1) << PAGE_LOG2_MIN, 0, 0) != 0 ||
        memcmp(page + SB_TAG, SB_TAG_BYTES, 4) != 0 || page[SB_VERSION] != SB_MAJOR)
        return false;
    log2 = get_u32(page + SB_LOG2);
    if (log2 < PAGE_LOG2_MIN || log2 > PAGE_LOG2_MAX)
        return false;
    *page_size = UINT32_C(1) << log2;
    size = node_size_of(*page_size);
    return mpgi_file_read(file, page, size, 0, 0) == 0 &&
           crc_of(page, size - SB_CRC_SIZE) == get_u32(page + size - SB_CRC_SIZE);
}

/* A root says of itself which file it is of, and its checksum agrees with that. */
static bool is_any_root(const struct file *file, unsigned char *root, uint32_t page_size,
                        uint64_t page)
{
    struct node_space space = {.page_size = page_size, .node_size = node_size_of(page_size)};

    if (mpgi_file_read(file, root, space.node_size, page * page_size, page) != 0 ||
        memcmp(root + NODE_TYPE, TYPE_ROOT, TYPE_SIZE) != 0 ||
        get_u32(root + ROOT_LOG2) != (uint32_t)__builtin_ctz(page_size))
        return false;
    space.seed = crc_of(root + ROOT_UUID, UUID_SIZE);
    return get_u32(root + NODE_CRC) == mpgi_node_crc(&space, root);
}

/* Without page 0: whichever page size makes a root of page 1 or 2. */
static bool find_root(const struct file *file, unsigned char *root, uint32_t *page_size)
{
    for (unsigned log2 = PAGE_LOG2_MIN; log2 <= PAGE_LOG2_MAX; log2++) {
        for (uint64_t page = 1; page <= 2; page++) {
            *page_size = UINT32_C(1) << log2;
            if (is_any_root(file, root, *page_size, page))
                return true;
        }
    }
    return false;
}

/* Whether page 1 or 2 is a root of the file that page 0 says it is. */
static bool agrees(const struct file *file, const struct superblock *superblock)
{
    unsigned char root[NODE_SIZE_MAX];

    for (uint64_t page = 1; page <= 2; page++) {
        if (is_any_root(file, root, superblock->page_size, page) &&
            memcmp(root + ROOT_UUID, superblock->uuid, UUID_SIZE) == 0)
            return true;
    }
    return false;
}

int mpgi_learn_identity_1(const struct file *file, struct superblock *superblock, bool *has_page_0)
{
    unsigned char bytes[NODE_SIZE_MAX];
    uint32_t page_size;

    memset(superblock, 0, sizeof(*superblock));
    *has_page_0 = read_page_0(file, bytes, &superblock->page_size);
    if (*has_page_0) {
        memcpy(superblock->uuid, bytes + SB_UUID, UUID_SIZE);
        memcpy(superblock->label, bytes + SB_LABEL, LABEL_SIZE);
        superblock->created = get_u64(bytes + SB_CREATED);
        if (agrees(file, superblock))
            return 0;
    }
    /* A page 0 of another file, whole as it may be, is none. */
    if (!find_root(file, bytes, &page_size))
        return *has_page_0 ? 0 : 1;
    *has_page_0 = false;
    memset(superblock, 0, sizeof(*superblock));
    superblock->page_size = page_size;
    memcpy(superblock->uuid, bytes + ROOT_UUID, UUID_SIZE);
    return 0;
}

int mpgi_identify_1(struct salvage *salvage)
{
    struct superblock superblock;
    bool has_page_0;
    int result = mpgi_learn_identity_1(salvage->file, &superblock, &has_page_0);

    salvage->format = MPG_FORMAT_1;
    salvage->page_size = superblock.page_size;
    return result;
}

/* ---- What is there ------------------------------------------------------------------------- */

static int add_node(struct findings *found, const struct found_node *node)
{
    if (found->node_count == found->node_capacity) {
        size_t more = found->node_capacity * 2 + 64;
        void *moved = realloc(found->nodes, more * sizeof(*found->nodes));

        if (moved == NULL)
            return mpgi_fail_memory("rescue");
        found->nodes = moved;
        found->node_capacity = more;
    }
    found->nodes[found->node_count++] = *node;
    return 0;
}

static int add_record(struct findings *found, const struct record *record)
{
    if (found->record_count == found->record_capacity) {
        size_t more = found->record_capacity * 2 + 64;
        void *moved = realloc(found->records, more * sizeof(*found->records));

        if (moved == NULL)
            return mpgi_fail_memory("rescue");
        found->records = moved;
        found->record_capacity = more;
    }
    found->records[found->record_count++] = (struct found_record){record->generation, record->page};
    return 0;
}

/* Whether a block is a node that a tree can have, at that level and index. */
static bool is_node(const struct format_1 *f, const unsigned char *bytes, enum tree_kind kind)
{
    const struct node_space *space = &f->cache.space;
    const struct tree *tree = kind == TREE_SPACE ? &f->space : &f->directory;
    unsigned level = bytes[NODE_LEVEL];

    if (level > HEIGHT_MAX || get_u64(bytes + NODE_GENERATION) >= GENERATION_END ||
        get_u64(bytes + NODE_INDEX) > tree->limit / mpgi_tree_span(tree, level))
        return false;
    return get_u32(bytes + NODE_CRC) == mpgi_node_crc(space, bytes);
}

static int look_at_node(struct findings *found, const unsigned char *bytes, enum tree_kind kind,
                        uint64_t page)
{
    struct found_node node = {
        .index = get_u64(bytes + NODE_INDEX),
        .generation = get_u64(bytes + NODE_GENERATION),
        .at = page * found->salvage->page_size,
        .crc = get_u32(bytes + NODE_CRC),
        .tree = (uint8_t)kind,
        .level = bytes[NODE_LEVEL],
    };

    return is_node(found->f, bytes, kind) ? add_node(found, &node) : 0;
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

/* What begins here? */
static int look_at(struct findings *found, const unsigned char *bytes, uint64_t page)
{
    if (memcmp(bytes, TYPE_SPACE, TYPE_SIZE) == 0)
        return look_at_node(found, bytes, TREE_SPACE, page);
    if (memcmp(bytes, TYPE_DIRECTORY, TYPE_SIZE) == 0)
        return look_at_node(found, bytes, TREE_DIRECTORY, page);
    if (memcmp(bytes, TYPE_RECORD, TYPE_SIZE) == 0)
        return look_at_record(found, page);
    return 0;
}

/* Reads a range; what cannot be read is zeros. That something is missed then shows itself. */
static void read_range(struct findings *found, unsigned char *bytes, uint32_t length, uint64_t at)
{
    struct salvage *salvage = found->salvage;
    uint32_t step = found->f->cache.space.node_size;

    if (mpgi_file_read(salvage->file, bytes, length, at, at / salvage->page_size) == 0)
        return;
    for (uint32_t done = 0; done < length; done += step) {
        uint64_t page = (at + done) / salvage->page_size;

        if (mpgi_file_read(salvage->file, bytes + done, step, at + done, page) != 0)
            memset(bytes + done, 0, step);
    }
}

/* Small pages: many at once. */
static int scan_small(struct findings *found, unsigned char *bytes)
{
    struct salvage *salvage = found->salvage;
    uint32_t page_size = salvage->page_size;
    uint64_t end = salvage->pages * page_size;
    int error = 0;

    for (uint64_t at = 0; at < end && error == 0;) {
        uint64_t data = mpgi_file_next_data(salvage->file, at, NULL);
        uint32_t length;

        if (data >= end)
            break;
        at = max_u64(at, data / page_size * page_size);
        length = (uint32_t)min_u64(CHUNK, end - at);
        read_range(found, bytes, length, at);
        for (uint32_t i = 0; i < length && error == 0; i += page_size) {
            uint64_t page = (at + i) / page_size;

            error = look_at(found, bytes + i, page);
            if (error == 0)
                error = mpgi_salvage_looked(salvage, page);
        }
        at += length;
    }
    return error;
}

/* Large ones: where a node can begin. */
static int scan_large(struct findings *found, unsigned char *bytes)
{
    struct salvage *salvage = found->salvage;
    uint32_t size = found->f->cache.space.node_size;
    int error = 0;

    for (uint64_t page = FIRST_USER_PAGE; page < salvage->pages && error == 0; page++) {
        uint64_t data = mpgi_file_next_data(salvage->file, page * salvage->page_size, NULL);

        page = max_u64(page, data / salvage->page_size);
        if (page < salvage->pages &&
            !mpgi_file_is_hole(salvage->file, page * salvage->page_size, size)) {
            read_range(found, bytes, size, page * salvage->page_size);
            error = look_at(found, bytes, page);
        }
        if (error == 0)
            error = mpgi_salvage_looked(salvage, page);
    }
    return error;
}

static void read_roots(struct findings *found)
{
    const struct node_space *space = &found->f->cache.space;
    uint64_t generation[2] = {0, 0};

    for (unsigned i = 0; i < 2; i++) {
        const char *why = "it cannot be read";

        found->root_valid[i] = mpgi_file_read(space->file, found->roots[i], space->node_size,
                                              (uint64_t)(i + 1) * space->page_size, i + 1) == 0 &&
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

/* Looks at every page. */
static int scan(struct findings *found)
{
    unsigned char *bytes = malloc(CHUNK);
    int error;

    if (bytes == NULL)
        return mpgi_fail_memory("rescue");
    read_roots(found);
    if (found->salvage->page_size <= NODE_SIZE_MAX)
        error = scan_small(found, bytes);
    else
        error = scan_large(found, bytes);
    free(bytes);
    return error;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static int begin(struct findings *found)
{
    struct salvage *salvage = found->salvage;
    struct format_1 *f = found->f = calloc(1, sizeof(*f));
    struct node_space *space;
    bool has_page_0;

    if (f == NULL)
        return mpgi_fail_memory("rescue");
    space = &f->cache.space;
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
    f->head.file = salvage->file;
    f->head.page_size = salvage->page_size;
    space->file = salvage->file;
    space->page_size = salvage->page_size;
    space->node_size = node_size_of(space->page_size);
    space->seed = crc_of(f->superblock.uuid, UUID_SIZE);
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
        error = scan(found);
    note_generation(found);
    if (error == 0)
        error = mpgi_salvage_join_1(found);
    free(found->f);
    free(found->nodes);
    free(found->records);
    free(found);
    return error;
}
