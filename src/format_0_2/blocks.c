/* SPDX-License-Identifier: MIT */
/* Format 0.2: what directory blocks look like, and the list of them. */
#include <stdlib.h>

#include "base/bytes.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"

uint64_t mpgi_0_2_entry_at(uint32_t slot)
{
    return BLOCK_ENTRIES + (uint64_t)slot * ENTRY_SIZE;
}

void mpgi_0_2_get_entry(const struct sheet *block, uint32_t slot, struct entry *entry)
{
    unsigned char at[ENTRY_SIZE];

    mpgi_sheet_read(block, at, mpgi_0_2_entry_at(slot), sizeof(at));
    entry->in_use = at[ENTRY_IN_USE] != 0;
    entry->page[0] = get_u64(at + ENTRY_PAGE_A);
    entry->page[1] = get_u64(at + ENTRY_PAGE_B);
    entry->current = at[ENTRY_ACTIVE] != 0;
    entry->generation = get_u64(at + ENTRY_GENERATION);
    entry->crc = get_u32(at + ENTRY_CRC);
}

bool mpgi_0_2_in_use(const struct sheet *block, uint32_t slot)
{
    uint64_t at = mpgi_0_2_entry_at(slot) + ENTRY_IN_USE;

    return mpgi_sheet_chunk(block, at / SHEET_CHUNK)[at % SHEET_CHUNK] != 0;
}

uint32_t mpgi_0_2_slots(const struct format_0_2 *own, const struct sheet *block)
{
    return (uint32_t)min_u64(mpgi_sheet_u32(block, BLOCK_CAPACITY),
                             entries_per_block(own->base.page_size));
}

uint32_t mpgi_0_2_next_slot(const struct format_0_2 *own, const struct sheet *block, uint32_t slot)
{
    uint32_t slots = mpgi_0_2_slots(own, block);

    while (slot < slots && !mpgi_0_2_in_use(block, slot)) {
        uint64_t number = mpgi_0_2_entry_at(slot) / SHEET_CHUNK;
        uint64_t held = mpgi_sheet_next(block, number);

        if (held == number)
            slot++;
        else if (held > own->base.page_size / SHEET_CHUNK)
            return UINT32_MAX;
        else /* the first that begins there */
            slot = (uint32_t)((held * SHEET_CHUNK - BLOCK_ENTRIES + ENTRY_SIZE - 1) / ENTRY_SIZE);
    }
    return slot < slots ? slot : UINT32_MAX;
}

uint64_t mpgi_0_2_reference_at(uint32_t number)
{
    return INDEX_REFERENCES + (uint64_t)number * REFERENCE_SIZE;
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

        mpgi_sheets_free(&block->content);
        free(block);
    }
}

bool mpgi_0_2_put_reference(struct format_0_2 *own, uint32_t number, const uint64_t *pages)
{
    unsigned char reference[REFERENCE_SIZE] = {0};

    if (pages != NULL) {
        put_u64(reference + REFERENCE_PAGE_A, pages[0]);
        put_u64(reference + REFERENCE_PAGE_B, pages[1]);
    }
    return mpgi_sheet_write(own->index.pending, reference, mpgi_0_2_reference_at(number),
                            sizeof(reference));
}
