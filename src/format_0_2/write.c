/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2: the commit. Page 0 names the active metadata page and the active copy of
 * every directory block, so one write of page 0 commits any batch:
 *
 *     new directory blocks and metadata into inactive pages; sync; page 0; sync
 *
 * The first sync cannot be spared, not even where only the metadata changes: page 0 carries a
 * checksum of the metadata page, but of a page that ends with its own checksum, and so it is the
 * same number for all of them. If page 0 reached the disk without the metadata it names, it would
 * name the state before the last one, and nothing would be wrong with it.
 *
 * Page 0 is larger than a sector. A commit that does not change the directory writes only its first
 * 20 bytes, in one sector. One that does leaves a spare copy of it first (spare.c).
 */
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "format/page_uses.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"
#include "os/io.h"

/* ---- seal ---- */

static void seal_block(struct format_0_2 *own, uint32_t number)
{
    struct block *block = own->blocks[number];
    unsigned char *reference =
        own->index.pending->bytes + INDEX_REFERENCES + (size_t)number * REFERENCE_SIZE;

    if (block->content.pending == NULL)
        return;
    mpgi_0_2_put_trailer(block->content.pending->bytes, own->base.page_size, 0);
    reference[REFERENCE_ACTIVE] = !block->active;
    mpgi_versions_freeze(&block->content);
    block->next_frozen = own->frozen_blocks;
    own->frozen_blocks = block;
}

void mpgi_0_2_seal(struct format *format, bool *ordered)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint32_t page_size = own->base.page_size;
    unsigned char *metadata = own->metadata.pending->bytes;
    unsigned char *index = own->index.pending->bytes;

    for (uint32_t i = 0; i < own->block_count; i++)
        seal_block(own, i);
    put_u64(metadata + METADATA_GENERATION, get_u64(metadata + METADATA_GENERATION) + 1);
    mpgi_0_2_put_trailer(metadata, page_size, 0);
    index[SUPER_ACTIVE] = !own->active;
    memset(index + SUPERBLOCK_VERSION, 0, 4);
    index[SUPERBLOCK_VERSION + 1] = 2;
    put_u32(index + SUPER_METADATA_CRC, crc_of(metadata, page_size));
    if (get_u32(index + INDEX_COUNT) > 0)
        mpgi_0_2_put_trailer(index, page_size, INDEX_COUNT);
    mpgi_versions_freeze(&own->metadata);
    mpgi_versions_freeze(&own->index);
    mpgi_versions_freeze(&own->uses);
    own->in_flight = true;
    *ordered = true;
    own->spare_page = own->frozen_blocks != NULL ? mpgi_0_2_choose_spare(own) : 0;
}

/* ---- write ---- */

static int write_page(const struct format_0_2 *own, const struct buffer *content, uint64_t page)
{
    return mpgi_file_write(own->base.file, content->bytes, own->base.page_size,
                           page * own->base.page_size, page);
}

int mpgi_0_2_write_nodes(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);
    int result = 0;

    for (const struct block *block = own->frozen_blocks; block != NULL && result == 0;
         block = block->next_frozen) {
        result = write_page(own, block->content.frozen, block->page[!block->active]);
        /* A new block's other page holds what its last owner left, perhaps an old block. */
        if (result == 0 && block->content.durable == NULL)
            result = write_page(own, block->content.frozen, block->page[block->active]);
    }
    if (result == 0)
        result = write_page(own, own->metadata.frozen, 1 + !own->active);
    if (result == 0 && own->spare_page != 0)
        result = mpgi_0_2_write_spare(own);
    return result;
}

/* ---- rule 12 ---- */

/* So much of a page is compared, and the checksum at its end, which goes for the rest. */
#define COMPARED 4096

static int shows_page(bool *same, const struct format_0_2 *own, const struct buffer *content,
                      uint64_t page)
{
    uint32_t page_size = own->base.page_size;
    size_t length = page_size < COMPARED ? page_size : COMPARED;
    int result =
        mpgi_file_shows(same, own->base.file, content->bytes, length, page * page_size, page);

    if (result != 0 || !*same || page_size <= COMPARED)
        return result;
    return mpgi_file_shows(same, own->base.file, content->bytes + page_size - TRAILER_SIZE,
                           TRAILER_SIZE, (page + 1) * page_size - TRAILER_SIZE, page);
}

static int shows_head(bool *same, const struct format_0_2 *own, const struct buffer *index)
{
    return mpgi_file_shows(same, own->base.file, index->bytes, SUPER_HEAD_SIZE, 0, 0);
}

/*
 * What another writer of this format does to the same state may end in the same page 0 and the same
 * metadata: all commits of contents look alike there. A directory block tells them apart.
 */
static int shows_block(bool *same, const struct format_0_2 *own, const struct block *block,
                       const struct buffer *content, unsigned copy)
{
    uint32_t end = own->base.page_size - TRAILER_SIZE;
    uint64_t page = block->page[copy];

    return mpgi_file_shows(same, own->base.file, content->bytes + end, TRAILER_SIZE,
                           page * own->base.page_size + end, page);
}

static int shows_durable(bool *same, const struct format_0_2 *own, bool with_head)
{
    int result = shows_page(same, own, own->metadata.durable, 1 + own->active);

    if (result == 0 && *same && with_head)
        result = shows_head(same, own, own->index.durable);
    if (result == 0 && *same && own->witness != NULL)
        result = shows_block(same, own, own->witness, own->witness->content.durable,
                             own->witness->active);
    return result;
}

int mpgi_0_2_look_again(struct format *format, enum look look, bool *same)
{
    const struct format_0_2 *own = format_0_2_of(format);
    const struct block *block = own->frozen_blocks;
    int result;

    /* Page 0 is what a commit writes over, which may be going on. */
    if (look == LOOK_ASIDE)
        return shows_durable(same, own, !own->in_flight);
    if (look == LOOK_BEFORE)
        return shows_durable(same, own, true);
    result = shows_durable(same, own, false);
    if (result == 0 && *same)
        result = shows_head(same, own, own->index.frozen);
    if (result == 0 && *same)
        result = shows_page(same, own, own->metadata.frozen, 1 + !own->active);
    if (result == 0 && *same && block != NULL)
        result = shows_block(same, own, block, block->content.frozen, !block->active);
    return result;
}

static int write_index(const struct format_0_2 *own, const struct buffer *index)
{
    if (own->frozen_blocks != NULL)
        return write_page(own, index, 0);
    return mpgi_file_write(own->base.file, index->bytes, SUPER_HEAD_SIZE, 0, 0);
}

int mpgi_0_2_write_root(struct format *format)
{
    const struct format_0_2 *own = format_0_2_of(format);

    return write_index(own, own->index.frozen);
}

int mpgi_0_2_restore_root(struct format *format)
{
    const struct format_0_2 *own = format_0_2_of(format);

    return write_index(own, own->index.durable);
}

/* ---- afterwards ---- */

static void publish(struct versions *versions)
{
    if (versions->frozen != NULL)
        mpgi_versions_publish(versions);
    else
        mpgi_versions_forget_previous(versions);
}

void mpgi_0_2_publish(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);

    for (struct block *block = own->frozen_blocks; block != NULL; block = block->next_frozen) {
        block->active = !block->active;
        block->damaged = false;
    }
    if (own->frozen_blocks != NULL)
        own->witness = own->frozen_blocks;
    own->frozen_blocks = NULL;
    for (uint32_t i = 0; i < own->block_count; i++)
        publish(&own->blocks[i]->content);
    own->active = !own->active;
    own->bitmap_differs = false;
    own->in_flight = false;
    publish(&own->metadata);
    publish(&own->index);
    publish(&own->uses);
}

void mpgi_0_2_discard(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint32_t durable_count = get_u32(own->index.durable->bytes + INDEX_COUNT);

    mpgi_versions_discard(&own->metadata);
    mpgi_versions_discard(&own->index);
    mpgi_versions_discard(&own->uses);
    mpgi_0_2_drop_blocks(own, durable_count);
    for (uint32_t i = 0; i < own->block_count; i++)
        mpgi_versions_discard(&own->blocks[i]->content);
    own->frozen_blocks = NULL;
    own->in_flight = false;
    own->spare_page = 0;
}
