/* SPDX-License-Identifier: MIT */
/*
 * Salvaging a file of format 0.2: which file is it? Page 0 says its page size, and a metadata page
 * ends where its checksum holds. Where all three are gone, a directory block does, whose entries
 * fit to contents.
 */
#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/salvage.h"
#include "format_0_2/state.h"
#include "os/io.h"

/* So many entries of a block are tried. */
#define ENTRIES_TRIED 16

bool mpgi_has_trailer_0_2(const struct file *file, uint32_t page_size, uint64_t page)
{
    unsigned char trailer[TRAILER_SIZE];
    uint64_t at = page * page_size;
    uint32_t crc;

    return at <= file->bytes && page_size <= file->bytes - at &&
           mpgi_file_read(file, trailer, sizeof(trailer), at + page_size - TRAILER_SIZE, page) ==
               0 &&
           mpgi_file_crc(file, &crc, page_size - TRAILER_SIZE, at, page) == 0 &&
           crc == get_u32(trailer);
}

bool mpgi_is_metadata_0_2(const struct file *file, uint32_t page_size, uint64_t page)
{
    unsigned char head[METADATA_BITMAP + 1];
    uint64_t total;

    if (page * page_size > file->bytes || file->bytes - page * page_size < page_size ||
        mpgi_file_read(file, head, sizeof(head), page * page_size, page) != 0)
        return false;
    total = get_u64(head + METADATA_TOTAL);
    return total >= FIRST_USER_PAGE && total <= most_pages(page_size) &&
           get_u64(head + METADATA_FREE) <= total && mpgi_has_trailer_0_2(file, page_size, page);
}

uint32_t mpgi_size_by_page_0_2(const struct file *file)
{
    unsigned char head[SUPERBLOCK_HEAD_SIZE];
    uint32_t log2;

    if (mpgi_file_read(file, head, sizeof(head), 0, 0) != 0 ||
        memcmp(head + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4) != 0 ||
        head[SUPERBLOCK_VERSION] != 0 || head[SUPERBLOCK_VERSION + 1] > 2)
        return 0;
    log2 = get_u32(head + SUPERBLOCK_PAGE_SIZE_LOG2);
    if (log2 > 30 || UINT32_C(1) << log2 < MPG_PAGE_SIZE_MIN ||
        file->bytes >> log2 < FIRST_USER_PAGE)
        return 0;
    return UINT32_C(1) << log2;
}

int mpgi_identify_0_2(struct salvage *salvage)
{
    const struct file *file = salvage->file;
    uint32_t said = mpgi_size_by_page_0_2(file);

    salvage->format = MPG_FORMAT_0_2;
    salvage->page_size = said;
    if (said != 0 && (mpgi_is_metadata_0_2(file, said, 1) || mpgi_is_metadata_0_2(file, said, 2)))
        return 0;
    for (uint32_t size = MPG_PAGE_SIZE_MIN; size <= MPG_PAGE_SIZE_MAX; size *= 2) {
        salvage->page_size = size;
        if (mpgi_is_metadata_0_2(file, size, 1) || mpgi_is_metadata_0_2(file, size, 2))
            return 0;
    }
    salvage->page_size = said;
    return said != 0 ? 0 : 1;
}

/* ---- without pages 0 to 2 ---- */

bool mpgi_looks_like_block_0_2(const unsigned char *head, uint32_t page_size)
{
    return get_u32(head) > 0 && get_u32(head) <= entries_per_block(page_size) &&
           get_u32(head + 4) == 0;
}

/* Whether an entry of a block fits to what is in its page. */
static bool names_content(const struct page_io *io, const struct sheet *block)
{
    uint32_t count = (uint32_t)min_u64(entries_per_block(io->page_size), ENTRIES_TRIED);

    for (uint32_t slot = 0; slot < count; slot++) {
        struct entry entry;
        uint64_t page;
        uint32_t crc;

        mpgi_0_2_get_entry(block, slot, &entry);
        page = entry_page(&entry);
        if (entry.in_use && page >= FIRST_USER_PAGE && page < io->file->bytes / io->page_size &&
            mpgi_file_crc(io->file, &crc, io->page_size, page * io->page_size, page) == 0 &&
            crc == entry.crc)
            return true;
    }
    return false;
}

static bool is_proven_block(const struct page_io *io, uint64_t page)
{
    struct sheet *block = mpgi_sheet_new();
    bool proven = block != NULL && mpgi_0_2_read_page(block, io, page) == 0 &&
                  mpgi_0_2_trailer_fits(block, io->page_size, 0) && names_content(io, block);

    mpgi_sheet_free(block);
    return proven;
}

/*
 * Whether a file with pages of that size has a directory block that proves itself: 0; 1: it has
 * none.
 */
static int search_blocks(const struct salvage *salvage, uint32_t page_size)
{
    struct file *file = salvage->file;
    struct page_io io;
    int result = mpgi_0_2_io_init(&io, file, page_size);

    if (result == 0)
        result = 1;
    for (uint64_t page = FIRST_USER_PAGE; page < file->bytes / page_size && result == 1; page++) {
        uint64_t at = page * page_size, data = mpgi_file_next_data(file, at, NULL);
        unsigned char head[BLOCK_ENTRIES];
        int stopped;

        if (data >= at + page_size) {
            page = data / page_size - 1;
            continue;
        }
        stopped = mpgi_salvage_looked(salvage, page);
        if (stopped != 0 ||
            (mpgi_file_read(file, head, sizeof(head), at, page) == 0 &&
             mpgi_looks_like_block_0_2(head, page_size) && is_proven_block(&io, page)))
            result = stopped;
    }
    mpgi_0_2_io_free(&io);
    return result;
}

int mpgi_search_0_2(struct salvage *salvage)
{
    int result = 1;

    salvage->format = MPG_FORMAT_0_2;
    for (uint32_t size = MPG_PAGE_SIZE_MIN;
         result == 1 && size <= MPG_PAGE_SIZE_MAX && size < salvage->file->bytes; size *= 2) {
        salvage->page_size = size;
        result = search_blocks(salvage, size);
    }
    salvage->headless = result == 0;
    return result;
}
