/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2: the spare copy of page 0. A torn write of page 0 breaks the CRC of its index, and the
 * format has no second page 0. So a commit that changes the directory leaves a spare copy of the
 * new one in a free page, where it is nobody's and harms nobody, before it touches page 0. Where
 * there is no free page there is no spare.
 *
 * The spare stays when its commit is long done, and programs that know nothing of it go on: the
 * crate commits protected pages by writing a directory block and page 0, without touching the
 * metadata. A spare that such a commit has outdated must not bring the older index back. So it says
 * what it goes with: the metadata page, and both pages of each directory block, by the checksums at
 * their ends. Any commit that changes the directory writes at least one of these pages.
 *
 * Such a checksum that was only read may be in the page cache alone, after a sync that failed (rule
 * 6). A spare that names it would be good for nothing after a crash. So the commit writes it again,
 * as it was read.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"

/*
 * The highest page that is nobody's, now and after this commit, so that it rests out of the way; or
 * 0. What lies in the file beyond its total pages is nobody's either, nor are pages that
 * transactions hold: as every commit takes the highest, it overwrites the spare of one that a crash
 * cut short at the same generation, which could not be told from its own.
 */
static uint64_t choose_page(const struct format_0_2 *own)
{
    const struct sheet *now = own->uses.durable;
    const struct sheet *then = own->uses.frozen;
    uint64_t durable_total = mpgi_sheet_u64(own->metadata.durable, METADATA_TOTAL);
    uint64_t frozen_total = mpgi_sheet_u64(own->metadata.frozen, METADATA_TOTAL);
    uint64_t page = min_u64(own->base.file->bytes / own->base.page_size,
                            max_u64(durable_total, frozen_total) + 1);

    while (--page >= FIRST_USER_PAGE) {
        if ((page >= durable_total || mpgi_0_2_use(now, page) == MPG_USE_FREE) &&
            (page >= frozen_total || mpgi_0_2_use(then, page) == MPG_USE_FREE))
            return page;
    }
    return 0;
}

/* ---- what a spare goes with ---- */

static uint32_t add_trailer(uint32_t crc, uint32_t trailer)
{
    unsigned char bytes[TRAILER_SIZE];

    put_u32(bytes, trailer);
    return crc_extend(crc, bytes, sizeof(bytes));
}

static uint32_t begin_check(const struct sheet *metadata, const struct sheet *index,
                            uint32_t page_size)
{
    return add_trailer(add_trailer(0, mpgi_0_2_trailer(metadata, page_size)),
                       mpgi_0_2_trailer(index, page_size));
}

static int read_trailer(uint32_t *trailer, const struct page_io *io, uint64_t page)
{
    unsigned char bytes[TRAILER_SIZE];
    int result = mpgi_file_read(io->file, bytes, sizeof(bytes),
                                (page + 1) * io->page_size - TRAILER_SIZE, page);

    *trailer = get_u32(bytes);
    return result;
}

int mpgi_0_2_read_other_trailer(const struct page_io *io, struct block *block)
{
    int result = read_trailer(&block->other_trailer, io, block->page[!block->active]);

    block->other_known = result == 0;
    block->other_synced = false;
    return result;
}

/* What stands at the ends of a block's pages once the frozen version is written. */
static bool sealed_trailers(uint32_t *trailers, const struct format_0_2 *own, struct block *block)
{
    uint32_t page_size = own->base.page_size;
    const struct sheet *frozen = block->content.frozen;
    const struct sheet *durable = block->content.durable;

    if (frozen != NULL) {
        trailers[!block->active] = mpgi_0_2_trailer(frozen, page_size);
        trailers[block->active] = mpgi_0_2_trailer(durable != NULL ? durable : frozen, page_size);
        return true;
    }
    /* Only where a commit failed, so that the page may have any part of what it wrote. */
    if (!block->other_known && mpgi_0_2_read_other_trailer(&own->io, block) != 0)
        return false;
    trailers[block->active] = mpgi_0_2_trailer(durable, page_size);
    trailers[!block->active] = block->other_trailer;
    return true;
}

void mpgi_0_2_prepare_spare(struct format_0_2 *own)
{
    uint32_t count = mpgi_sheet_u32(own->index.frozen, INDEX_COUNT);
    uint32_t crc = begin_check(own->metadata.frozen, own->index.frozen, own->base.page_size);

    own->unsynced_blocks = NULL;
    /*
     * The last one before the file is closed: for a page 0 that goes bad, not for one that is torn.
     */
    own->spare_page =
        own->frozen_blocks != NULL || (own->making_alike && count > 0) ? choose_page(own) : 0;
    for (uint32_t i = 0; i < count && own->spare_page != 0; i++) {
        struct block *block = own->blocks[i];
        uint32_t trailers[2];

        if (!sealed_trailers(trailers, own, block)) {
            own->spare_page = 0;
            break;
        }
        crc = add_trailer(add_trailer(crc, trailers[0]), trailers[1]);
        if (block->content.frozen == NULL && !block->other_synced) {
            block->next_unsynced = own->unsynced_blocks;
            own->unsynced_blocks = block;
        }
    }
    own->spare_check = crc;
}

/* Writes what the spare relies on and may be in the page cache alone. */
static int write_trailers(const struct format_0_2 *own)
{
    int result = 0;

    for (const struct block *block = own->unsynced_blocks; block != NULL && result == 0;
         block = block->next_unsynced) {
        uint64_t page = block->page[!block->active];
        unsigned char trailer[TRAILER_SIZE];

        put_u32(trailer, block->other_trailer);
        result = mpgi_file_write(own->base.file, trailer, sizeof(trailer),
                                 (page + 1) * own->base.page_size - TRAILER_SIZE, page);
    }
    return result;
}

/* The same for a spare that was found, by what stands in the file. */
static int found_check(uint32_t *crc, const struct page_io *io, const struct sheet *metadata,
                       const struct sheet *index)
{
    uint32_t count = mpgi_sheet_u32(index, INDEX_COUNT);
    uint64_t pages = io->file->bytes / io->page_size;
    int result = 0;

    *crc = begin_check(metadata, index, io->page_size);
    if (count > most_blocks(io->page_size))
        return MPG_E_CORRUPT_DIRECTORY_INDEX;
    for (uint32_t i = 0; i < 2 * count && result == 0; i++) {
        uint64_t page = mpgi_sheet_u64(index, mpgi_0_2_reference_at(i / 2) + REFERENCE_PAGE_A +
                                                  i % 2 * sizeof(uint64_t));
        uint32_t trailer = 0;

        if (page < FIRST_USER_PAGE || page >= pages)
            return MPG_E_CORRUPT_DIRECTORY_INDEX;
        result = read_trailer(&trailer, io, page);
        *crc = add_trailer(*crc, trailer);
    }
    return result;
}

/* ---- writing and finding it ---- */

/* Where it ends up it stays until another commit or an allocation takes the page. */
int mpgi_0_2_write_spare(const struct format_0_2 *own)
{
    uint64_t offset = own->spare_page * own->base.page_size;
    unsigned char head[SUPER_HEAD_SIZE] = {0};
    int result = write_trailers(own);

    if (result != 0)
        return result;
    memcpy(head + SPARE_TAG, SPARE_TAG_TEXT, 4);
    put_u64(head + SPARE_GENERATION, mpgi_sheet_u64(own->metadata.frozen, METADATA_GENERATION));
    put_u32(head + SPARE_CHECK, own->spare_check);
    put_u32(head + SPARE_HEAD_CRC, crc_of(head, SPARE_HEAD_CRC));
    result = mpgi_file_write(own->base.file, head, sizeof(head), offset, own->spare_page);
    if (result == 0)
        result = mpgi_0_2_write_page(own->index.frozen, &own->io, SUPER_HEAD_SIZE, own->spare_page);
    return result;
}

/* A spare is looked for that goes with a metadata page; or, with NULL, the newest one. */
struct spare_search {
    const struct page_io *io;
    const struct sheet *metadata;
    uint64_t newest; /* of those found, if nothing says which one it is to be */
};

/* Whether the head of a spare is whole, and it may be the one that is looked for. */
static bool is_head(const struct spare_search *search, const unsigned char *head)
{
    uint64_t generation = get_u64(head + SPARE_GENERATION);

    if (memcmp(head + SPARE_TAG, SPARE_TAG_TEXT, 4) != 0 ||
        get_u32(head + SPARE_HEAD_CRC) != crc_of(head, SPARE_HEAD_CRC))
        return false;
    return search->metadata == NULL
               ? generation >= search->newest
               : generation == mpgi_sheet_u64(search->metadata, METADATA_GENERATION);
}

/* Whether the page that begins with this head holds a spare that counts; if so it is in *spare. */
static int try_spare(struct sheet *spare, bool *counts, struct spare_search *search,
                     const unsigned char *head, uint64_t page)
{
    uint32_t crc;
    int result;

    *counts = false;
    if (!is_head(search, head))
        return 0;
    result = mpgi_0_2_read_page(spare, search->io, page);
    if (result != 0 || !mpgi_0_2_trailer_fits(spare, search->io->page_size, INDEX_COUNT))
        return result;
    if (search->metadata == NULL) {
        search->newest = get_u64(head + SPARE_GENERATION);
        *counts = true;
        return 0;
    }
    result = found_check(&crc, search->io, search->metadata, spare);
    *counts = result == 0 && crc == get_u32(head + SPARE_CHECK);
    return result == MPG_E_CORRUPT_DIRECTORY_INDEX ? 0 : result;
}

static bool is_free(const struct sheet *metadata, uint64_t page)
{
    uint64_t at = METADATA_BITMAP + page / 8;

    if (metadata == NULL || page >= mpgi_sheet_u64(metadata, METADATA_TOTAL))
        return true;
    return (mpgi_sheet_chunk(metadata, at / SHEET_CHUNK)[at % SHEET_CHUNK] >> page % 8 & 1) == 0;
}

/* page0 becomes the spare, but for its head. */
static int take_spare(struct sheet *page0, struct sheet *spare)
{
    unsigned char head[SUPER_HEAD_SIZE];
    struct sheet replaced = *page0;

    mpgi_sheet_read(page0, head, 0, sizeof(head));
    if (!mpgi_sheet_write(spare, head, 0, sizeof(head)))
        return mpgi_fail_memory("open");
    *page0 = *spare;
    *spare = replaced;
    return 0;
}

int mpgi_0_2_read_spare(bool *found, const struct page_io *io, const struct sheet *metadata,
                        struct sheet *page0)
{
    struct spare_search search = {io, metadata, 0};
    uint64_t end = io->file->bytes / io->page_size;
    int result = 0;

    *found = false;
    if (metadata != NULL)
        end = min_u64(end, mpgi_sheet_u64(metadata, METADATA_TOTAL) + 1);
    /* Upwards, for that is how holes are skipped; the highest that counts is the last one taken. */
    for (uint64_t page = FIRST_USER_PAGE; page < end && result == 0; page++) {
        unsigned char head[SUPER_HEAD_SIZE];
        uint64_t data = mpgi_file_next_data(io->file, page * io->page_size, NULL);
        struct sheet *spare;
        bool counts;

        if (data >= (page + 1) * io->page_size) {
            page = data / io->page_size - 1;
            continue;
        }
        if (!is_free(metadata, page) || data >= page * io->page_size + sizeof(head))
            continue;
        result = mpgi_file_read(io->file, head, sizeof(head), page * io->page_size, page);
        if (result != 0 || memcmp(head + SPARE_TAG, SPARE_TAG_TEXT, 4) != 0)
            continue;
        spare = mpgi_sheet_new();
        if (spare == NULL)
            return mpgi_fail_memory("open");
        result = try_spare(spare, &counts, &search, head, page);
        if (result == 0 && counts) {
            result = take_spare(page0, spare);
            *found = result == 0;
        }
        mpgi_sheet_free(spare);
    }
    return result;
}

int mpgi_0_2_rests(struct format *format, uint64_t page, bool *rests)
{
    const struct format_0_2 *own = format_0_2_of(format);
    unsigned char tag[sizeof(SPARE_TAG_TEXT) - 1];
    int result = mpgi_file_read(format->file, tag, sizeof(tag), page * format->page_size, page);

    *rests =
        result != 0 || page == own->spare_page || memcmp(tag, SPARE_TAG_TEXT, sizeof(tag)) == 0;
    return result;
}
