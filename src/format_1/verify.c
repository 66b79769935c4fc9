/* SPDX-License-Identifier: MIT */
/*
 * Is all there that the last commit wrote? It had one sync for everything, so its root or record
 * may be there, and something that it refers to may not (rule 4).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "format_1/state.h"

/* Protected data is read in pieces of this size. */
#define PIECE 65536

/* Bytes of contents that are read ahead at most. */
#define READ_AHEAD_MAX ((uint64_t)16 << 20)

struct verification {
    struct format_1 *f;
    const unsigned char *root;
    uint64_t generation;
    uint64_t total;
    unsigned units; /* nodes and entries seen that this commit wrote */
    unsigned char *piece;
    bool again; /* write what was verified again */
};

static int count_unit(struct verification *v)
{
    if (++v->units > SINGLE_SYNC_UNITS)
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", MPG_NO_PAGE,
                         "%s: commit %" PRIu64 " wrote more than one sync may carry",
                         v->f->head.file->path, v->generation);
    return 0;
}

/* ---- Is its commit complete? --------------------------------------------------------------- */

/* The checksum of a page; writes its pieces again, where that is asked for. */
static int read_page(struct verification *v, uint64_t page, bool again, uint32_t *crc)
{
    struct file *file = v->f->head.file;
    uint32_t page_size = v->f->head.page_size;
    uint32_t length = page_size < PIECE ? page_size : PIECE;

    *crc = 0;
    for (uint32_t at = 0; at < page_size; at += length) {
        uint64_t offset = page * page_size + at;
        int error = mpgi_file_read(file, v->piece, length, offset, page);

        if (error == 0 && again)
            error = mpgi_file_write(file, v->piece, length, offset, page);
        if (error)
            return error;
        *crc = crc_extend(*crc, v->piece, length);
    }
    return 0;
}

static int verify_data(struct verification *v, const char *what, uint64_t id, uint64_t page,
                       uint32_t expected)
{
    uint32_t crc;
    int error;

    if (page < FIRST_USER_PAGE || page >= v->total)
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "open", page,
                         "%s: the content of %s %" PRIu64 " is said to be in page %" PRIu64,
                         v->f->head.file->path, what, id, page);
    error = read_page(v, page, false, &crc);
    if (error)
        return error;
    if (crc != expected)
        return mpgi_fail_crc(MPG_E_CORRUPT_PAGE, "open", id, expected, crc, v->f->head.file->path,
                             what);
    return v->again ? read_page(v, page, true, &crc) : 0;
}

static int verify_entries(struct verification *v, const unsigned char *content, uint64_t first,
                          uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct entry entry;
        int error;

        mpgi_entry_read(&entry, content + i * ENTRY_SIZE);
        if (!entry.in_use || entry.generation != v->generation)
            continue;
        error = count_unit(v);
        if (error == 0)
            error = verify_data(v, "protected page", first + i, entry_page(&entry), entry.crc);
        if (error)
            return error;
    }
    return 0;
}

/* The nodes that the commit wrote below these references, to children of `level`. */
static int verify_refs(struct verification *v, const struct tree *tree, const unsigned char *refs,
                       unsigned count, unsigned level, uint64_t first)
{
    const struct node_space *space = &v->f->cache.space;
    unsigned char *bytes = malloc(space->node_size);
    int error = bytes != NULL ? 0 : mpgi_fail_memory("open");

    for (unsigned i = 0; i < count && error == 0; i++) {
        struct node_reference reference;
        unsigned slot;

        mpgi_reference_get(&reference, refs + i * REF_SIZE, tree->kind, level, first + i);
        if (reference.pair == 0 || reference.generation != v->generation)
            continue;
        error = count_unit(v);
        if (error == 0)
            error = mpgi_node_read(space, bytes, &reference, v->total, &slot);
        if (error == 0 && v->again)
            error = mpgi_file_write(space->file, bytes, space->node_size,
                                    slot_offset(space->page_size, reference.pair, reference.slot),
                                    reference.pair);
        if (error)
            break;
        if (level > 0)
            error = verify_refs(v, tree, bytes + NODE_BODY, tree->node_refs, level - 1,
                                (first + i) * tree->node_refs);
        else if (tree->kind == TREE_DIRECTORY)
            error = verify_entries(v, bytes + NODE_BODY, (first + i) * tree->leaf_units,
                                   tree->leaf_units);
    }
    free(bytes);
    return error;
}

static int verify_tree(struct verification *v, const struct tree *tree)
{
    unsigned height = mpgi_tree_height(tree, v->root);
    const unsigned char *area = v->root + tree->area;

    if (height > 0)
        return verify_refs(v, tree, area, tree->root_refs, height - 1, 0);
    if (tree->kind == TREE_DIRECTORY)
        return verify_entries(v, area, 0, tree->root_units);
    return 0;
}

int mpgi_verify_root(struct format_1 *f, const unsigned char *root, bool again)
{
    struct verification v = {
        .f = f,
        .root = root,
        .generation = mpgi_root_generation(root),
        .total = get_u64(root + ROOT_TOTAL),
        .again = again,
    };
    int error;

    if (get_u32(root + ROOT_FLAGS) & ROOT_ORDERED || !RULE_HOLDS(4) ||
        !RULE_HOLDS(RULE_ROOT_IS_VERIFIED))
        return 0;
    v.piece = malloc(PIECE);
    if (v.piece == NULL)
        return mpgi_fail_memory("open");
    error = verify_tree(&v, &f->space);
    if (error == 0)
        error = verify_tree(&v, &f->directory);
    free(v.piece);
    return error;
}

/*
 * Has the contents of a record read ahead, all at once, as far as they are not too much for memory.
 */
static void read_ahead(const struct format_1 *f, const struct record *record)
{
    uint32_t page_size = f->head.page_size;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < record->entry_count && bytes < READ_AHEAD_MAX; i++) {
        const struct record_entry *entry = &record->entries[i];

        if (!entry->in_use || entry->page >= record->total)
            continue;
        mpgi_file_will_need(f->head.file, entry->page * page_size, page_size);
        bytes += page_size;
    }
}

int mpgi_verify_record(struct format_1 *f, const struct record *record, bool again)
{
    struct verification v = {.f = f, .total = record->total, .again = again};
    int error = 0;

    v.piece = malloc(PIECE);
    if (v.piece == NULL)
        return mpgi_fail_memory("open");
    read_ahead(f, record);
    for (uint32_t i = 0; i < record->entry_count && error == 0; i++) {
        const struct record_entry *entry = &record->entries[i];

        if (entry->in_use)
            error = verify_data(&v, "protected page", entry->id, entry->page, entry->crc);
    }
    for (uint32_t i = 0; i < record->redo_count && error == 0; i++) {
        const struct record_redo *redo = &record->redos[i];

        error = verify_data(&v, "regular page", redo->page, redo->from, redo->crc);
    }
    free(v.piece);
    return error;
}

bool mpgi_is_about_the_file(int error)
{
    return error != 0 && error != MPG_E_IO && error != MPG_E_NO_MEMORY;
}
