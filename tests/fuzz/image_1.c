/* SPDX-License-Identifier: MIT */
/* Sealing images of format 1: nodes, roots, and the records behind a root. */
#include <stdbool.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "fuzz/image_parts.h"
#include "support/harness.h"

#define NODES_MAX 512  /* looked at in one image, for its references may make rings */
#define RECORDS_MAX 64 /* and its records */
#define PARTS_MAX 64

/* An image of format 1. */
struct nodes {
    const struct image *image;
    uint32_t size; /* of a node */
    uint32_t seed;
    unsigned seen; /* nodes, so far */
};

/* ---- Nodes ---------------------------------------------------------------------------------- */

static uint32_t seal_node(const struct nodes *nodes, unsigned char *node)
{
    static const unsigned char zero[4];
    uint32_t crc;

    if (node[5] == UNSEALED)
        return get_u32(node + 28);
    crc = crc_extend(nodes->seed, node, 28);
    crc = crc_extend(crc, zero, sizeof(zero));
    crc = crc_extend(crc, node + 32, nodes->size - 32);
    put_u32(node + 28, crc);
    return crc;
}

static void note_header(const struct image *image, const unsigned char *node)
{
    image_note(image, node + 4, 1, FIELD_SMALL);
    image_note(image, node + 5, 1, FIELD_BYTE);
    image_note(image, node + 8, 8, FIELD_COUNT);
    image_note(image, node + 16, 8, FIELD_GENERATION);
    image_note(image, node + 24, 4, FIELD_COUNT);
}

static void seal_entries(const struct image *image, unsigned char *entries, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned char *entry = entries + i * 32;

        image_note(image, entry + 28, 1, FIELD_SMALL);
        if ((entry[28] & 1) == 0)
            continue;
        image_note(image, entry, 8, FIELD_PAGE);
        image_note(image, entry + 8, 1, FIELD_BYTE);
        image_note(image, entry + 16, 8, FIELD_GENERATION);
        image_note(image, entry + 29, 1, FIELD_BYTE);
        if (entry[29] != UNSEALED)
            put_u32(entry + 24, image_content_crc(image, get_u64(entry), get_u32(entry + 24)));
    }
}

static void note_uses(const struct image *image, const unsigned char *uses)
{
    unsigned count = (unsigned)(image->size / image->page_size / 4 + 1);

    for (unsigned i = 0; i < count && i < 64; i++)
        image_note(image, uses + i, 1, FIELD_BYTE);
}

/* The header that a node at this place must have. */
static void put_header(const struct nodes *nodes, unsigned char *node, bool directory,
                       unsigned level, uint64_t index)
{
    uint32_t refs = (nodes->size - 32) / 24;

    memcpy(node, directory ? "MPGD" : "MPGS", 4);
    node[4] = (unsigned char)level;
    put_u64(node + 8, index);
    put_u32(node + 24, level == 0 ? nodes->size : 32 + refs * 24);
}

/* The bytes of a slot, or NULL if the image has not all of them. */
static unsigned char *slot_at(const struct nodes *nodes, uint64_t slot)
{
    const struct image *image = nodes->image;
    uint64_t apart = image->page_size < 65536 ? 65536 / image->page_size : 1;
    uint64_t pair = slot / 2, offset;

    if (pair >= image->size / image->page_size)
        return NULL;
    offset = (pair + slot % 2 * apart) * image->page_size;
    return offset + nodes->size <= image->size ? image->bytes + offset : NULL;
}

static void seal_refs(struct nodes *nodes, unsigned char *refs, unsigned count, bool directory,
                      unsigned level, uint64_t first);

static void seal_reference(struct nodes *nodes, unsigned char *at, bool directory, unsigned level,
                           uint64_t index)
{
    const struct image *image = nodes->image;
    unsigned refs_in_node = (nodes->size - 32) / 24;
    unsigned char *node;

    image_note(image, at, 8, FIELD_SLOT);
    image_note(image, at + 8, 8, FIELD_GENERATION);
    image_note(image, at + 20, 4, FIELD_COUNT);
    node = slot_at(nodes, get_u64(at));
    if (node == NULL || ++nodes->seen > NODES_MAX)
        return;
    /* A page that was none becomes one; what is there already keeps its lies. */
    if (memcmp(node, "MPG", 3) != 0)
        put_header(nodes, node, directory, level, index);
    note_header(image, node);
    if (node[5] != UNSEALED)
        put_u64(node + 16, get_u64(at + 8));
    if (level > 0)
        seal_refs(nodes, node + 32, refs_in_node, directory, level - 1, index * refs_in_node);
    else if (directory)
        seal_entries(image, node + 32, (nodes->size - 32) / 32);
    else
        note_uses(image, node + 32);
    put_u32(at + 16, seal_node(nodes, node));
}

static void seal_refs(struct nodes *nodes, unsigned char *refs, unsigned count, bool directory,
                      unsigned level, uint64_t first)
{
    image_note(nodes->image, refs, 8, FIELD_SLOT);
    image_note(nodes->image, refs + 24, 8, FIELD_SLOT);
    for (unsigned i = 0; i < count; i++)
        if (get_u64(refs + i * 24) != 0)
            seal_reference(nodes, refs + i * 24, directory, level, first + i);
}

/* ---- Roots ---------------------------------------------------------------------------------- */

static void note_root(const struct image *image, const unsigned char *root)
{
    note_header(image, root);
    image_note(image, root + 32, 4, FIELD_SMALL);
    image_note(image, root + 36, 4, FIELD_SMALL);
    for (unsigned at = 56; at < 88; at += 8)
        image_note(image, root + at, 8, FIELD_COUNT);
    image_note(image, root + 88, 1, FIELD_SMALL);
    image_note(image, root + 89, 1, FIELD_SMALL);
    image_note(image, root + 120, 8, FIELD_PAGE);
    image_note(image, root + 128, 8, FIELD_PAGE);
}

static void seal_root(struct nodes *nodes, unsigned char *root)
{
    const struct image *image = nodes->image;
    uint32_t area = (nodes->size - 160) / 2;

    note_root(image, root);
    nodes->seen = 0;
    for (unsigned tree = 0; tree < 2; tree++) {
        unsigned char *content = root + 152 + tree * area;
        unsigned height = root[88 + tree];

        if (height > 0 && height <= 16)
            seal_refs(nodes, content, area / 24, tree == 1, height - 1, 0);
        else if (tree == 1)
            seal_entries(image, content, area / 32);
        else
            note_uses(image, content);
    }
    if (root[5] != UNSEALED)
        memcpy(root + nodes->size - 8, root + 16, 8);
    (void)seal_node(nodes, root);
}

/* ---- Records -------------------------------------------------------------------------------- */

/* What of a record's deltas is in blocks that come later. */
struct deltas {
    uint64_t redos, entries, spaces;
};

static void seal_deltas(const struct nodes *nodes, unsigned char *block, uint32_t at,
                        struct deltas *left)
{
    const struct image *image = nodes->image;

    for (; left->redos > 0 && at + 24 <= nodes->size; at += 24, left->redos--) {
        unsigned char *redo = block + at;

        image_note(image, redo, 8, FIELD_PAGE);
        image_note(image, redo + 8, 8, FIELD_PAGE);
        image_note(image, redo + 20, 1, FIELD_BYTE);
        if (redo[20] != UNSEALED)
            put_u32(redo + 16, image_content_crc(image, get_u64(redo + 8), get_u32(redo + 16)));
    }
    if (left->redos > 0)
        return;
    for (; left->entries > 0 && at + 24 <= nodes->size; at += 24, left->entries--) {
        unsigned char *delta = block + at;

        image_note(image, delta, 8, FIELD_COUNT);
        image_note(image, delta + 8, 8, FIELD_PAGE);
        image_note(image, delta + 20, 1, FIELD_SMALL);
        image_note(image, delta + 21, 1, FIELD_BYTE);
        if (delta[21] != UNSEALED && (delta[20] & 1) != 0)
            put_u32(delta + 16, image_content_crc(image, get_u64(delta + 8), get_u32(delta + 16)));
    }
    if (left->entries > 0)
        return;
    for (; left->spaces > 0 && at + 16 <= nodes->size; at += 16, left->spaces--) {
        image_note(image, block + at, 8, FIELD_PAGE);
        image_note(image, block + at + 8, 4, FIELD_COUNT);
        image_note(image, block + at + 12, 1, FIELD_SMALL);
    }
}

static uint32_t used_of(const struct nodes *nodes, const unsigned char *block, uint32_t least)
{
    uint32_t used = (uint32_t)min_u64(get_u32(block + 4), nodes->size);

    return used < least ? least : used;
}

/* The continuations that a record names, each with its share of the deltas. */
static void seal_parts(const struct nodes *nodes, unsigned char *record, uint64_t parts,
                       struct deltas *left)
{
    for (uint64_t i = 0; i < parts; i++) {
        unsigned char *name = record + 104 + i * 16;
        unsigned char *part = image_page(nodes->image, get_u64(name));

        image_note(nodes->image, name, 8, FIELD_PAGE);
        image_note(nodes->image, name + 12, 1, FIELD_BYTE);
        if (part == NULL || part == record)
            continue;
        image_note(nodes->image, part, 1, FIELD_BYTE);
        image_note(nodes->image, part + 4, 4, FIELD_COUNT);
        seal_deltas(nodes, part, 8, left);
        if (name[12] != UNSEALED)
            put_u32(name + 8, crc_extend(nodes->seed, part, used_of(nodes, part, 8)));
    }
}

static uint32_t crc_of_record(const struct nodes *nodes, const unsigned char *record)
{
    static const unsigned char zero[4];
    uint32_t crc = crc_extend(nodes->seed, record, 40);

    crc = crc_extend(crc, zero, sizeof(zero));
    return crc_extend(crc, record + 44, used_of(nodes, record, 104) - 44);
}

static void note_record(const struct image *image, const unsigned char *record)
{
    image_note(image, record, 1, FIELD_BYTE);
    image_note(image, record + 4, 4, FIELD_COUNT);
    image_note(image, record + 8, 8, FIELD_GENERATION);
    image_note(image, record + 16, 8, FIELD_PAGE);
    image_note(image, record + 44, 4, FIELD_SMALL);
    for (unsigned at = 48; at < 72; at += 8)
        image_note(image, record + at, 8, FIELD_COUNT);
    image_note(image, record + 72, 8, FIELD_PAGE);
    image_note(image, record + 80, 8, FIELD_PAGE);
    for (unsigned at = 88; at < 100; at += 4)
        image_note(image, record + at, 4, FIELD_SMALL);
    image_note(image, record + 46, 1, FIELD_BYTE);
    image_note(image, record + 47, 1, FIELD_BYTE);
    image_note(image, record + 100, 4, FIELD_SMALL);
}

/* The records behind a root, whose CRC and generation each of them has. */
static void seal_chain(const struct nodes *nodes, const unsigned char *root)
{
    uint32_t link = get_u32(root + 28);
    uint64_t place = get_u64(root + 120);

    for (unsigned i = 0; i < RECORDS_MAX; i++) {
        unsigned char *record = place >= 3 ? image_page(nodes->image, place) : NULL;
        struct deltas left;
        uint64_t parts;

        if (record == NULL || memcmp(record, "MPGL", 4) != 0)
            return;
        note_record(nodes->image, record);
        left = (struct deltas){get_u32(record + 100), get_u32(record + 88), get_u32(record + 92)};
        parts = min_u64(min_u64(get_u32(record + 96), PARTS_MAX), (nodes->size - 104) / 16);
        seal_deltas(nodes, record, (uint32_t)(104 + parts * 16), &left);
        seal_parts(nodes, record, parts, &left);
        if (record[47] != UNSEALED) {
            put_u64(record + 24, get_u64(root + 16));
            put_u32(record + 32, get_u32(root + 28));
            put_u32(record + 36, link);
        }
        if (record[46] != UNSEALED)
            put_u32(record + 40, crc_of_record(nodes, record));
        link = get_u32(record + 40);
        place = get_u64(record + 72);
    }
}

void image_seal_1(const struct image *image)
{
    unsigned char *page = image->bytes;
    struct nodes nodes = {.image = image};
    unsigned char *root[2];
    unsigned newer;

    nodes.size = (uint32_t)min_u64(image->page_size, 4096);
    nodes.seed = crc_of(page + 16, 16);
    for (unsigned at = 32; at < 56; at += 8)
        image_note(image, page + at, 8, FIELD_SMALL);
    put_u32(page + nodes.size - 4, crc_of(page, nodes.size - 4));
    root[0] = image_page(image, 1);
    root[1] = image_page(image, 2);
    if (root[0] == NULL || root[1] == NULL)
        return;
    /* Where the two disagree on a node that both refer to, the newer one is right. */
    newer = get_u64(root[1] + 16) > get_u64(root[0] + 16);
    for (unsigned i = 0; i < 2; i++) {
        unsigned char *each = root[i == 0 ? !newer : newer];

        seal_root(&nodes, each);
        seal_chain(&nodes, each);
    }
}
