/* SPDX-License-Identifier: MIT */
/*
 * Sealing, format by format, after doc/format.md. Marks for the sealer, in bytes that are zero in a
 * good file: a node of format 1 whose byte 5, or an entry whose byte 29, is UNSEALED keeps its
 * checksum; in format 0.2 byte 13 of page 0 has a bit for each checksum to keep, and byte 4 of a
 * block is UNSEALED for its own, byte 5 for those of its entries.
 */
#include "fuzz/image.h"

#include <stdbool.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "support/harness.h"

#define UNSEALED 0xee
#define NODES_MAX 512 /* looked at in one image, for its references may make rings */

#define PAGE_LOG2_MAX_HERE 16 /* larger pages leave no room for anything in an image */

struct image {
    unsigned char *bytes;
    size_t size;
    uint32_t page_size;
    struct field_list *list;
    /* Format 1: */
    uint32_t node_size;
    uint32_t seed;
    unsigned nodes; /* seen so far */
};

static void note(const struct image *image, const unsigned char *at, unsigned width,
                 enum field_kind kind)
{
    struct field_list *list = image->list;

    if (list == NULL || list->count == FUZZ_FIELDS_MAX)
        return;
    list->fields[list->count++] =
        (struct field){(uint32_t)(at - image->bytes), (uint8_t)width, (uint8_t)kind};
}

/* The bytes of a page, or NULL if the image has not all of them. */
static unsigned char *page_at(const struct image *image, uint64_t page)
{
    return page < image->size / image->page_size ? image->bytes + page * image->page_size : NULL;
}

static uint32_t content_crc(const struct image *image, uint64_t page, uint32_t otherwise)
{
    const unsigned char *content = page_at(image, page);

    return content != NULL ? crc_of(content, image->page_size) : otherwise;
}

/* ---- Format 1 ------------------------------------------------------------------------------- */

static uint32_t seal_node(const struct image *image, unsigned char *node)
{
    static const unsigned char zero[4];
    uint32_t crc;

    if (node[5] == UNSEALED)
        return get_u32(node + 28);
    crc = crc_extend(image->seed, node, 28);
    crc = crc_extend(crc, zero, sizeof(zero));
    crc = crc_extend(crc, node + 32, image->node_size - 32);
    put_u32(node + 28, crc);
    return crc;
}

static void note_header(const struct image *image, const unsigned char *node)
{
    note(image, node + 4, 1, FIELD_SMALL);
    note(image, node + 5, 1, FIELD_BYTE);
    note(image, node + 8, 8, FIELD_COUNT);
    note(image, node + 16, 8, FIELD_GENERATION);
    note(image, node + 24, 4, FIELD_COUNT);
}

static void seal_entries(const struct image *image, unsigned char *entries, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned char *entry = entries + i * 32;

        note(image, entry + 28, 1, FIELD_SMALL);
        if ((entry[28] & 1) == 0)
            continue;
        note(image, entry, 8, FIELD_PAGE);
        note(image, entry + 8, 8, FIELD_PAGE);
        note(image, entry + 16, 8, FIELD_GENERATION);
        note(image, entry + 29, 1, FIELD_BYTE);
        if (entry[29] != UNSEALED)
            put_u32(entry + 24, content_crc(image, get_u64(entry + (entry[28] & 2 ? 8 : 0)),
                                            get_u32(entry + 24)));
    }
}

static void note_uses(const struct image *image, const unsigned char *uses)
{
    unsigned count = (unsigned)(image->size / image->page_size / 4 + 1);

    for (unsigned i = 0; i < count && i < 64; i++)
        note(image, uses + i, 1, FIELD_BYTE);
}

/* The header that a node at this place must have. */
static void put_header(const struct image *image, unsigned char *node, bool directory,
                       unsigned level, uint64_t index)
{
    uint32_t refs = (image->node_size - 32) / 24;

    memcpy(node, directory ? "MPGD" : "MPGS", 4);
    node[4] = (unsigned char)level;
    put_u64(node + 8, index);
    put_u32(node + 24, level == 0 ? image->node_size : 32 + refs * 24);
}

static void seal_refs(struct image *image, unsigned char *refs, unsigned count, bool directory,
                      unsigned level, uint64_t first)
{
    unsigned refs_in_node = (image->node_size - 32) / 24;

    note(image, refs, 8, FIELD_SLOT);
    note(image, refs + 24, 8, FIELD_SLOT);
    for (unsigned i = 0; i < count; i++) {
        unsigned char *at = refs + i * 24;
        uint64_t slot = get_u64(at), pair = slot / 2;
        uint64_t offset, index = first + i;
        unsigned char *node;

        if (slot == 0)
            continue;
        note(image, at, 8, FIELD_SLOT);
        note(image, at + 8, 8, FIELD_GENERATION);
        note(image, at + 20, 4, FIELD_COUNT);
        if (pair >= image->size / image->page_size || ++image->nodes > NODES_MAX)
            continue;
        offset = image->page_size < 8192
                     ? (pair + slot % 2) * image->page_size
                     : pair * image->page_size + slot % 2 * image->page_size / 2;
        if (offset + image->node_size > image->size)
            continue;
        node = image->bytes + offset;
        /* A page that was none becomes one; what is there already keeps its lies. */
        if (memcmp(node, "MPG", 3) != 0)
            put_header(image, node, directory, level, index);
        note_header(image, node);
        if (node[5] != UNSEALED)
            put_u64(node + 16, get_u64(at + 8));
        if (level > 0)
            seal_refs(image, node + 32, refs_in_node, directory, level - 1, index * refs_in_node);
        else if (directory)
            seal_entries(image, node + 32, (image->node_size - 32) / 32);
        else
            note_uses(image, node + 32);
        put_u32(at + 16, seal_node(image, node));
    }
}

static void seal_root(struct image *image, unsigned char *root)
{
    uint32_t area = (image->node_size - 128) / 2;

    note_header(image, root);
    note(image, root + 32, 4, FIELD_SMALL);
    note(image, root + 36, 4, FIELD_SMALL);
    for (unsigned at = 56; at < 88; at += 8)
        note(image, root + at, 8, FIELD_COUNT);
    note(image, root + 88, 1, FIELD_SMALL);
    note(image, root + 89, 1, FIELD_SMALL);
    image->nodes = 0;
    for (unsigned tree = 0; tree < 2; tree++) {
        unsigned char *content = root + 120 + tree * area;
        unsigned height = root[88 + tree];

        if (height > 0 && height <= 16)
            seal_refs(image, content, area / 24, tree == 1, height - 1, 0);
        else if (tree == 1)
            seal_entries(image, content, area / 32);
        else
            note_uses(image, content);
    }
    if (root[5] != UNSEALED)
        memcpy(root + image->node_size - 8, root + 16, 8);
    (void)seal_node(image, root);
}

static void seal_1(struct image *image)
{
    unsigned char *page = image->bytes;
    unsigned char *root[2];
    unsigned newer;

    image->node_size = (uint32_t)min_u64(image->page_size, 4096);
    image->seed = crc_of(page + 16, 16);
    for (unsigned at = 32; at < 56; at += 8)
        note(image, page + at, 8, FIELD_SMALL);
    put_u32(page + image->node_size - 4, crc_of(page, image->node_size - 4));
    root[0] = page_at(image, 1);
    root[1] = page_at(image, 2);
    if (root[0] == NULL || root[1] == NULL)
        return;
    /* Where the two disagree on a node that both refer to, the newer one is right. */
    newer = get_u64(root[1] + 16) > get_u64(root[0] + 16);
    seal_root(image, root[!newer]);
    seal_root(image, root[newer]);
}

/* ---- Format 0.2 ----------------------------------------------------------------------------- */

enum { KEEP_A = 1, KEEP_B = 2, KEEP_METADATA = 4, KEEP_INDEX = 8 };

static void seal_trailer(const struct image *image, unsigned char *page, uint32_t first)
{
    put_u32(page + image->page_size - 4, crc_of(page + first, image->page_size - 4 - first));
}

static void seal_block(const struct image *image, unsigned char *block)
{
    uint32_t most = (image->page_size - 12) / 30;

    note(image, block, 4, FIELD_COUNT);
    note(image, block + 4, 1, FIELD_BYTE);
    note(image, block + 5, 1, FIELD_BYTE);
    for (uint32_t i = 0; i < most; i++) {
        unsigned char *entry = block + 8 + i * 30;

        note(image, entry, 1, FIELD_SMALL);
        if (entry[0] == 0)
            continue;
        note(image, entry + 1, 8, FIELD_PAGE);
        note(image, entry + 9, 8, FIELD_PAGE);
        note(image, entry + 17, 1, FIELD_SMALL);
        note(image, entry + 18, 8, FIELD_GENERATION);
        if (block[5] != UNSEALED)
            put_u32(entry + 26,
                    content_crc(image, get_u64(entry + (entry[17] ? 9 : 1)), get_u32(entry + 26)));
    }
    if (block[4] != UNSEALED)
        seal_trailer(image, block, 0);
}

static void seal_metadata(const struct image *image, unsigned char *metadata, bool keep)
{
    for (unsigned at = 0; at < 24; at += 8)
        note(image, metadata + at, 8, at == 8 ? FIELD_GENERATION : FIELD_COUNT);
    for (unsigned i = 0; i < image->size / image->page_size / 8 + 1 && i < 64; i++)
        note(image, metadata + 24 + i, 1, FIELD_BYTE);
    if (!keep)
        seal_trailer(image, metadata, 0);
}

/* What a spare copy of page 0 says that it goes with: checksums that stand at the ends of pages. */
static uint32_t spare_check(const struct image *image, const unsigned char *metadata,
                            const unsigned char *spare)
{
    size_t end = image->page_size - 4;
    uint64_t count = min_u64(get_u32(spare + 20), (image->page_size - 28) / 17);
    uint32_t crc = crc_extend(crc_of(metadata + end, 4), spare + end, 4);

    for (uint64_t i = 0; i < 2 * count; i++) {
        const unsigned char *page = page_at(image, get_u64(spare + 24 + i / 2 * 17 + i % 2 * 8));

        if (page != NULL)
            crc = crc_extend(crc, page + end, 4);
    }
    return crc;
}

/* Spare copies of page 0 belong to the newer metadata. */
static void seal_spares(const struct image *image, const unsigned char *metadata)
{
    for (uint64_t page = 3; page < image->size / image->page_size; page++) {
        unsigned char *spare = page_at(image, page);

        if (memcmp(spare, "MPSP", 4) != 0)
            continue;
        note(image, spare + 4, 8, FIELD_GENERATION);
        note(image, spare + 20, 4, FIELD_COUNT);
        note(image, spare + 24, 8, FIELD_PAGE);
        note(image, spare + 32, 8, FIELD_PAGE);
        seal_trailer(image, spare, 20);
        put_u32(spare + 12, spare_check(image, metadata, spare));
        put_u32(spare + 16, crc_of(spare, 16));
    }
}

static void seal_0_2(const struct image *image)
{
    unsigned char *page = image->bytes;
    unsigned char *metadata[2] = {page_at(image, 1), page_at(image, 2)};
    uint64_t count = min_u64(get_u32(page + 20), (image->page_size - 28) / 17);
    unsigned keep = page[13];

    if (metadata[0] == NULL || metadata[1] == NULL)
        return;
    note(image, page + 12, 1, FIELD_SMALL);
    note(image, page + 13, 1, FIELD_SMALL);
    note(image, page + 20, 4, FIELD_COUNT);
    seal_metadata(image, metadata[0], keep & KEEP_A);
    seal_metadata(image, metadata[1], keep & KEEP_B);
    for (unsigned i = 0; i < count; i++) {
        unsigned char *reference = page + 24 + i * 17;

        note(image, reference, 8, FIELD_PAGE);
        note(image, reference + 8, 8, FIELD_PAGE);
        note(image, reference + 16, 1, FIELD_SMALL);
        for (unsigned copy = 0; copy < 2; copy++) {
            uint64_t number = get_u64(reference + copy * 8);

            if (number >= 3 && page_at(image, number) != NULL)
                seal_block(image, page_at(image, number));
        }
    }
    if ((keep & KEEP_METADATA) == 0)
        put_u32(page + 16, crc_of(metadata[page[12] & 1], image->page_size));
    if ((keep & KEEP_INDEX) == 0)
        seal_trailer(image, page, 20);
    seal_spares(image, metadata[get_u64(metadata[1] + 8) > get_u64(metadata[0] + 8)]);
}

/* ---- Both ----------------------------------------------------------------------------------- */

void image_seal(unsigned char *bytes, size_t size, struct field_list *list)
{
    struct image image = {.bytes = bytes, .size = size, .list = list};
    uint32_t log2;

    if (list != NULL)
        list->count = 0;
    if (size < 16)
        return;
    log2 = get_u32(bytes + 8);
    note(&image, bytes + 4, 1, FIELD_SMALL);
    note(&image, bytes + 8, 4, FIELD_SMALL);
    if (memcmp(bytes, "MPPG", 4) != 0 || log2 < 10 || log2 > PAGE_LOG2_MAX_HERE)
        return;
    image.page_size = UINT32_C(1) << log2;
    if (size < 3 * (size_t)image.page_size)
        return;
    if (bytes[4] == 1)
        seal_1(&image);
    else if (bytes[4] == 0)
        seal_0_2(&image);
}
