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
#include <stdlib.h>

#include "base/error.h"
#include "base/id_map.h"
#include "base/rules.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"
#include "os/io.h"

/* ---- seal ---- */

static void seal_block(struct format_0_2 *own, uint32_t number)
{
    struct block *block = own->blocks[number];
    unsigned char active = !block->active;

    if (block->content.pending == NULL)
        return;
    mpgi_0_2_put_trailer(block->content.pending, own->base.page_size, 0);
    (void)mpgi_sheet_write(own->index.pending, &active,
                           mpgi_0_2_reference_at(number) + REFERENCE_ACTIVE, 1);
    mpgi_sheets_freeze(&block->content);
    block->next_frozen = own->frozen_blocks;
    own->frozen_blocks = block;
}

/* Notes which page each new content goes to. */
static int seal_contents(struct format_0_2 *own, const struct id_map *contents)
{
    int result = 0;

    free(own->contents);
    own->content_count = 0;
    own->contents = calloc(contents->count + 1, sizeof(*own->contents));
    if (own->contents == NULL)
        return mpgi_fail_memory("commit");
    for (size_t i = 0; i < contents->capacity && result == 0; i++) {
        const struct id_slot *slot = &contents->slots[i];
        struct entry entry;

        if (!slot->used || slot->value.pointer == NULL)
            continue;
        result = own->base.ops->get_entry(&own->base, VERSION_NEWEST, slot->id, &entry);
        if (result == 0)
            own->contents[own->content_count++] =
                (struct new_content){entry_page(&entry), slot->value.pointer};
    }
    return result;
}

int mpgi_0_2_seal(struct format *format, const struct id_map *contents, bool unsynced_zeros,
                  bool *ordered)
{
    static const unsigned char version[4] = {0, 2, 0, 0};
    struct format_0_2 *own = format_0_2_of(format);
    uint32_t page_size = own->base.page_size;
    struct sheet *metadata = own->metadata.pending;
    struct sheet *index = own->index.pending;
    unsigned char active = !own->active;
    int result = seal_contents(own, contents);

    (void)unsynced_zeros;
    if (result != 0)
        return result;
    for (uint32_t i = 0; i < own->block_count; i++)
        seal_block(own, i);
    mpgi_sheet_put_u64(metadata, METADATA_GENERATION,
                       mpgi_sheet_u64(metadata, METADATA_GENERATION) + 1);
    mpgi_0_2_put_trailer(metadata, page_size, 0);
    (void)mpgi_sheet_write(index, &active, SUPER_ACTIVE, 1);
    (void)mpgi_sheet_write(index, version, SUPERBLOCK_VERSION, sizeof(version));
    mpgi_sheet_put_u32(index, SUPER_METADATA_CRC, mpgi_sheet_crc(metadata, 0, page_size));
    if (mpgi_sheet_u32(index, INDEX_COUNT) > 0)
        mpgi_0_2_put_trailer(index, page_size, INDEX_COUNT);
    mpgi_sheets_freeze(&own->metadata);
    mpgi_sheets_freeze(&own->index);
    mpgi_sheets_freeze(&own->uses);
    own->in_flight = true;
    *ordered = true;
    mpgi_0_2_prepare_spare(own);
    return 0;
}

/* ---- write ---- */

int mpgi_0_2_write_contents(struct format *format, bool ordered)
{
    struct format_0_2 *own = format_0_2_of(format);
    int result = 0;

    (void)ordered;
    for (size_t i = 0; i < own->content_count && result == 0; i++)
        result =
            mpgi_file_write(own->base.file, own->contents[i].data, own->base.page_size,
                            own->contents[i].page * own->base.page_size, own->contents[i].page);
    for (const struct block *block = own->frozen_blocks; block != NULL && result == 0;
         block = block->next_frozen) {
        const struct sheet *content = block->content.frozen;

        result = mpgi_0_2_write_page(content, &own->io, 0, block->page[!block->active]);
        /* A new block's other page holds what its last owner left, perhaps an old block. */
        if (result == 0 && block->content.durable == NULL)
            result = mpgi_0_2_write_page(content, &own->io, 0, block->page[block->active]);
    }
    if (result == 0)
        result = mpgi_0_2_write_page(own->metadata.frozen, &own->io, 0, 1 + !own->active);
    if (result == 0 && own->spare_page != 0)
        result = mpgi_0_2_write_spare(own);
    return result;
}

/* ---- rule 12 ---- */

/* So much of a page is compared, and the checksum at its end, which goes for the rest. */
#define COMPARED SHEET_CHUNK

static int shows_trailer(bool *same, const struct format_0_2 *own, const struct sheet *content,
                         uint64_t page)
{
    uint64_t end = own->base.page_size - TRAILER_SIZE;
    unsigned char trailer[TRAILER_SIZE];

    mpgi_sheet_read(content, trailer, end, sizeof(trailer));
    return mpgi_file_shows(same, own->base.file, trailer, sizeof(trailer),
                           page * own->base.page_size + end, page);
}

static int shows_page(bool *same, const struct format_0_2 *own, const struct sheet *content,
                      uint64_t page)
{
    uint32_t page_size = own->base.page_size;
    size_t length = page_size < COMPARED ? page_size : COMPARED;
    int result = mpgi_file_shows(same, own->base.file, mpgi_sheet_chunk(content, 0), length,
                                 page * page_size, page);

    if (result != 0 || !*same || page_size <= COMPARED)
        return result;
    return shows_trailer(same, own, content, page);
}

static int shows_head(bool *same, const struct format_0_2 *own, const struct sheet *index)
{
    unsigned char head[SUPER_HEAD_SIZE];

    mpgi_sheet_read(index, head, 0, sizeof(head));
    return mpgi_file_shows(same, own->base.file, head, sizeof(head), 0, 0);
}

/*
 * What another writer of this format does to the same state may end in the same page 0 and the same
 * metadata: all commits of contents look alike there, and so do two files to which the same was
 * done with other contents. Directory blocks tell them apart: all that there are, up to so many;
 * then the one that the last commit wrote, and the others in turn.
 */
void mpgi_0_2_choose_witnesses(struct format_0_2 *own, const struct block *written)
{
    uint32_t count = own->block_count;

    own->witness_count = 0;
    if (written != NULL)
        own->witnesses[own->witness_count++] = written;
    for (uint32_t i = 0; i < count && own->witness_count < WITNESSES; i++) {
        const struct block *block = own->blocks[own->next_witness++ % count];

        if (block != written && block->content.durable != NULL && !block->damaged)
            own->witnesses[own->witness_count++] = block;
    }
    own->next_witness = count > 0 ? own->next_witness % count : 0;
}

static int shows_block(bool *same, const struct format_0_2 *own, const struct block *block,
                       const struct sheet *content, unsigned copy)
{
    return shows_trailer(same, own, content, block->page[copy]);
}

static int shows_durable(bool *same, const struct format_0_2 *own, bool with_head)
{
    int result = shows_page(same, own, own->metadata.durable, 1 + own->active);

    if (result == 0 && *same && with_head)
        result = shows_head(same, own, own->index.durable);
    for (unsigned i = 0; i < own->witness_count && result == 0 && *same; i++) {
        const struct block *block = own->witnesses[i];

        result = shows_block(same, own, block, block->content.durable, block->active);
    }
    return result;
}

/* What the commit in flight has written below page 0. */
static int shows_frozen(bool *same, const struct format_0_2 *own)
{
    const struct block *block = own->frozen_blocks;
    int result = shows_page(same, own, own->metadata.frozen, 1 + !own->active);

    if (result == 0 && *same && block != NULL)
        result = shows_block(same, own, block, block->content.frozen, !block->active);
    return result;
}

int mpgi_0_2_look_again(struct format *format, enum look look, bool *same)
{
    const struct format_0_2 *own = format_0_2_of(format);
    int result;

    /* Page 0 is what a commit writes over, which may be going on. */
    if (look == LOOK_ASIDE)
        return shows_durable(same, own, !own->in_flight);
    if (look == LOOK_BEFORE)
        return shows_durable(same, own, true);
    result = shows_durable(same, own, false);
    if (result == 0 && *same)
        result = shows_head(same, own, own->index.frozen);
    return result == 0 && *same ? shows_frozen(same, own) : result;
}

static int write_index(const struct format_0_2 *own, const struct sheet *index)
{
    unsigned char head[SUPER_HEAD_SIZE];

    if (own->frozen_blocks != NULL)
        return mpgi_0_2_write_page(index, &own->io, 0, 0);
    mpgi_sheet_read(index, head, 0, sizeof(head));
    return mpgi_file_write(own->base.file, head, sizeof(head), 0, 0);
}

int mpgi_0_2_write_root(struct format *format)
{
    const struct format_0_2 *own = format_0_2_of(format);

    return write_index(own, own->index.frozen);
}

/*
 * Rule 12: whether what this commit has written, page 0 perhaps in part, is there, and not somebody
 * else's.
 */
static bool is_own_commit(const struct format_0_2 *own)
{
    unsigned char written[SUPER_HEAD_SIZE], before[SUPER_HEAD_SIZE];
    bool same = false;
    int result;

    if (!RULE_HOLDS(12))
        return true;
    mpgi_sheet_read(own->index.frozen, written, 0, sizeof(written));
    mpgi_sheet_read(own->index.durable, before, 0, sizeof(before));
    result = mpgi_file_shows_written(&same, own->base.file, written, before, sizeof(written), 0, 0);
    if (result == 0 && same)
        result = shows_frozen(&same, own);
    return result == 0 && same;
}

bool mpgi_0_2_take_back(struct format *format, enum commit_step step, bool no_space)
{
    const struct format_0_2 *own = format_0_2_of(format);
    bool same = false;

    if ((step == STEP_ROOT || step == STEP_LAST_SYNC) && !is_own_commit(own))
        return false;
    if ((step == STEP_ROOT || step == STEP_LAST_SYNC) && RULE_HOLDS(6))
        (void)write_index(own, own->index.durable);
    if (step == STEP_ROOT && no_space)
        return mpgi_0_2_look_again(format, LOOK_BEFORE, &same) == 0 && same;
    return step == STEP_CONTENTS;
}

/* ---- afterwards ---- */

/*
 * What the page that a commit has left behind holds: the version before, or in a new block the
 * same.
 */
static void leave_page(struct block *block, uint32_t page_size)
{
    const struct sheet *left =
        block->content.durable != NULL ? block->content.durable : block->content.frozen;

    block->other_trailer = mpgi_0_2_trailer(left, page_size);
    block->other_known = true;
    block->other_synced = true;
    block->active = !block->active;
    block->damaged = false;
}

void mpgi_0_2_publish(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);
    const struct block *written;

    for (struct block *block = own->frozen_blocks; block != NULL; block = block->next_frozen) {
        block->differs = block->content.durable != NULL && !own->making_alike;
        leave_page(block, own->base.page_size);
    }
    own->differs = !own->making_alike;
    own->making_alike = false;
    for (struct block *block = own->unsynced_blocks; block != NULL; block = block->next_unsynced)
        block->other_synced = true;
    own->unsynced_blocks = NULL;
    written = own->frozen_blocks;
    own->frozen_blocks = NULL;
    for (uint32_t i = 0; i < own->block_count; i++)
        mpgi_sheets_publish(&own->blocks[i]->content);
    own->active = !own->active;
    own->metadata_damaged = false;
    own->bitmap_differs = false;
    own->in_flight = false;
    mpgi_sheets_publish(&own->metadata);
    mpgi_sheets_publish(&own->index);
    mpgi_sheets_publish(&own->uses);
    mpgi_0_2_choose_witnesses(own, written);
}

void mpgi_0_2_discard(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint32_t durable_count = mpgi_sheet_u32(own->index.durable, INDEX_COUNT);

    for (struct block *block = own->frozen_blocks; block != NULL; block = block->next_frozen)
        block->other_known = false; /* any part of it may have been written */
    own->unsynced_blocks = NULL;
    mpgi_sheets_discard(&own->metadata);
    mpgi_sheets_discard(&own->index);
    mpgi_sheets_discard(&own->uses);
    mpgi_0_2_drop_blocks(own, durable_count);
    for (uint32_t i = 0; i < own->block_count; i++)
        mpgi_sheets_discard(&own->blocks[i]->content);
    own->frozen_blocks = NULL;
    own->in_flight = false;
    own->making_alike = false;
    own->spare_page = 0;
}
