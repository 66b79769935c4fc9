/* SPDX-License-Identifier: MIT */
/* Format 0.2: what pages of metadata and directory blocks look like, and the list of blocks. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"

void mpgi_0_2_put_trailer(unsigned char *page, uint32_t page_size, uint32_t first)
{
    uint32_t end = page_size - TRAILER_SIZE;

    put_u32(page + end, crc_of(page + first, end - first));
}

bool mpgi_0_2_trailer_fits(const unsigned char *page, uint32_t page_size, uint32_t first)
{
    uint32_t end = page_size - TRAILER_SIZE;

    return get_u32(page + end) == crc_of(page + first, end - first);
}

void mpgi_0_2_get_entry(const unsigned char *block, uint32_t slot, struct entry *entry)
{
    const unsigned char *at = block + BLOCK_ENTRIES + (size_t)slot * ENTRY_SIZE;

    entry->in_use = at[ENTRY_IN_USE] != 0;
    entry->page[0] = get_u64(at + ENTRY_PAGE_A);
    entry->page[1] = get_u64(at + ENTRY_PAGE_B);
    entry->current = at[ENTRY_ACTIVE] != 0;
    entry->generation = get_u64(at + ENTRY_GENERATION);
    entry->crc = get_u32(at + ENTRY_CRC);
}

uint32_t mpgi_0_2_slots(const struct format_0_2 *own, const unsigned char *block)
{
    return (uint32_t)min_u64(get_u32(block + BLOCK_CAPACITY),
                             entries_per_block(own->base.page_size));
}

struct block *mpgi_0_2_new_block(struct format_0_2 *own)
{
    struct block *block;

    if (own->block_count == own->block_capacity) {
        uint32_t capacity = own->block_capacity == 0 ? 4 : own->block_capacity * 2;
        struct block **blocks = realloc(own->blocks, capacity * sizeof(struct block *));

        if (blocks == NULL)
            return NULL;
        own->blocks = blocks;
        own->block_capacity = capacity;
    }
    block = calloc(1, sizeof(*block));
    if (block != NULL)
        own->blocks[own->block_count++] = block;
    return block;
}

void mpgi_0_2_drop_blocks(struct format_0_2 *own, uint32_t count)
{
    while (own->block_count > count) {
        struct block *block = own->blocks[--own->block_count];

        mpgi_versions_free(&block->content);
        free(block);
    }
}
