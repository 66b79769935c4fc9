/* SPDX-License-Identifier: MIT */
/*
 * Floor 3: commits in format 0.2. Page 0 names the active metadata page and the active copy of
 * every directory block, so one write of page 0 commits any batch:
 *
 *     new directory blocks and metadata into inactive pages; sync; page 0; sync
 *
 * The first sync cannot be spared, not even where only the metadata changes: page 0 carries a
 * checksum of the metadata page, but of a page that ends with its own checksum, and so it is the
 * same number for all of them. If page 0 reached the disk without the metadata it names, it would
 * name the state before the last one, and nothing would be wrong with it.
 *
 * Page 0 is larger than a sector, and a torn write of it breaks the CRC of its index. A commit that
 * does not change the directory writes only its first 20 bytes, in one sector. For one that does,
 * the format has no second page 0, so it leaves a spare copy of the new one in a free page, where
 * it is nobody's and harms nobody, before it touches page 0. Where there is no free page there is
 * no spare.
 */
#include <stdlib.h>
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

/*
 * The highest page that is nobody's, now and after this commit, so that it rests out of the way; or
 * 0. What lies in the file beyond its total pages is nobody's either, nor are pages that
 * transactions hold: as every commit takes the highest, it overwrites the spare of one that a crash
 * cut short at the same generation, which could not be told from its own.
 */
static uint64_t choose_spare(const struct format_0_2 *own)
{
    const unsigned char *now = own->uses.durable->bytes + USES_ARRAY;
    const unsigned char *then = own->uses.frozen->bytes + USES_ARRAY;
    uint64_t durable_total = get_u64(own->metadata.durable->bytes + METADATA_TOTAL);
    uint64_t frozen_total = get_u64(own->metadata.frozen->bytes + METADATA_TOTAL);
    uint64_t page = min_u64(own->base.file->bytes / own->base.page_size,
                            max_u64(durable_total, frozen_total) + 1);

    while (--page >= FIRST_USER_PAGE) {
        if ((page >= durable_total || mpgi_uses_get(now, page) == MPG_USE_FREE) &&
            (page >= frozen_total || mpgi_uses_get(then, page) == MPG_USE_FREE))
            return page;
    }
    return 0;
}

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
    own->spare_page = own->frozen_blocks != NULL ? choose_spare(own) : 0;
}

/* ---- write ---- */

static int write_page(const struct format_0_2 *own, const struct buffer *content, uint64_t page)
{
    return mpgi_file_write(own->base.file, content->bytes, own->base.page_size,
                           page * own->base.page_size, page);
}

/* What a spare and the metadata page it goes with have in common. */
static uint32_t spare_check(const unsigned char *metadata, const unsigned char *index,
                            uint32_t page_size)
{
    uint32_t crc = crc_of(metadata + page_size - TRAILER_SIZE, TRAILER_SIZE);

    return crc_extend(crc, index + page_size - TRAILER_SIZE, TRAILER_SIZE);
}

/* Where it ends up it stays until another commit or an allocation takes the page. */
static int write_spare(const struct format_0_2 *own)
{
    uint64_t offset = own->spare_page * own->base.page_size;
    unsigned char head[SUPER_HEAD_SIZE] = {0};
    int result;

    memcpy(head + SPARE_TAG, SPARE_TAG_TEXT, 4);
    put_u64(head + SPARE_GENERATION, get_u64(own->metadata.frozen->bytes + METADATA_GENERATION));
    put_u32(head + SPARE_CHECK, spare_check(own->metadata.frozen->bytes, own->index.frozen->bytes,
                                            own->base.page_size));
    put_u32(head + SPARE_HEAD_CRC, crc_of(head, SPARE_HEAD_CRC));
    result = mpgi_file_write(own->base.file, head, sizeof(head), offset, own->spare_page);
    if (result == 0)
        result = mpgi_file_write(own->base.file, own->index.frozen->bytes + SUPER_HEAD_SIZE,
                                 own->base.page_size - SUPER_HEAD_SIZE, offset + SUPER_HEAD_SIZE,
                                 own->spare_page);
    return result;
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
        result = write_spare(own);
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

/* ---- the spare copy of page 0 ---- */

static bool is_spare(const unsigned char *page, uint32_t page_size, const unsigned char *metadata)
{
    return memcmp(page + SPARE_TAG, SPARE_TAG_TEXT, 4) == 0 &&
           get_u64(page + SPARE_GENERATION) == get_u64(metadata + METADATA_GENERATION) &&
           get_u32(page + SPARE_CHECK) == spare_check(metadata, page, page_size) &&
           get_u32(page + SPARE_HEAD_CRC) == crc_of(page, SPARE_HEAD_CRC) &&
           mpgi_0_2_trailer_fits(page, page_size, INDEX_COUNT);
}

bool mpgi_0_2_read_spare(const struct file *file, uint32_t page_size, const unsigned char *metadata,
                         unsigned char *page0)
{
    uint64_t total = get_u64(metadata + METADATA_TOTAL);
    unsigned char *page = malloc(page_size);
    bool found = false;

    for (uint64_t i = min_u64(file->bytes / page_size, total + 1);
         page != NULL && !found && i-- > FIRST_USER_PAGE;) {
        if (i < total && (metadata[METADATA_BITMAP + i / 8] >> i % 8 & 1) != 0)
            continue;
        if (mpgi_file_read(file, page, SPARE_HEAD_CRC, i * page_size, i) != 0)
            break;
        if (memcmp(page + SPARE_TAG, SPARE_TAG_TEXT, 4) != 0)
            continue;
        if (mpgi_file_read(file, page, page_size, i * page_size, i) != 0)
            break;
        found = is_spare(page, page_size, metadata);
    }
    if (found)
        memcpy(page0 + INDEX_COUNT, page + INDEX_COUNT, page_size - INDEX_COUNT);
    free(page);
    return found;
}
