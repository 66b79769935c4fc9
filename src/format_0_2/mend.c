/* SPDX-License-Identifier: MIT */
/*
 * Mending a file of format 0.2 where nothing is lost: the head of page 0, and copies that do not
 * count.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/salvage.h"
#include "format_0_2/state.h"

/* ---- page 0 ---- */

/* Which metadata page is the newer one of those that are whole. */
static int choose_active(unsigned *active, const struct file *file, uint32_t page_size)
{
    uint64_t generation[2] = {0, 0};
    bool whole[2] = {false, false};

    for (unsigned i = 0; i < 2; i++) {
        unsigned char number[8];
        int error;

        whole[i] = mpgi_is_metadata_0_2(file, page_size, i + 1);
        error = mpgi_file_read(file, number, sizeof(number),
                               (uint64_t)(i + 1) * page_size + METADATA_GENERATION, i + 1);
        if (whole[i] && error)
            return error;
        generation[i] = whole[i] ? get_u64(number) : 0;
    }
    *active = whole[1] && (!whole[0] || generation[1] > generation[0]);
    return 0;
}

static bool is_head(const unsigned char *head, uint32_t page_size)
{
    return memcmp(head + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4) == 0 &&
           head[SUPERBLOCK_VERSION] == 0 && head[SUPERBLOCK_VERSION + 1] <= 2 &&
           get_u32(head + SUPERBLOCK_PAGE_SIZE_LOG2) == (uint32_t)__builtin_ctz(page_size) &&
           head[SUPER_ACTIVE] <= 1;
}

/* The head again, of a page 0 whose index is whole and says that there are blocks. */
static int write_head(struct file *file, const struct page_io *io, struct sheet *page, bool *mended)
{
    unsigned char head[SUPER_HEAD_SIZE] = {0};
    struct sheet *metadata;
    unsigned active;
    int error = choose_active(&active, file, io->page_size);

    if (error)
        return error;
    metadata = mpgi_sheet_new();
    error = metadata != NULL ? mpgi_0_2_read_page(metadata, io, 1 + active)
                             : mpgi_fail_memory("repair");
    if (error == 0) {
        memcpy(head + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4);
        head[SUPERBLOCK_VERSION + 1] = 2;
        put_u32(head + SUPERBLOCK_PAGE_SIZE_LOG2, (uint32_t)__builtin_ctz(io->page_size));
        head[SUPER_ACTIVE] = (unsigned char)active;
        put_u32(head + SUPER_METADATA_CRC, mpgi_sheet_crc(metadata, 0, io->page_size));
        error = mpgi_sheet_write(page, head, 0, sizeof(head)) ? 0 : mpgi_fail_memory("repair");
    }
    mpgi_sheet_free(metadata);
    if (error == 0)
        error = mpgi_0_2_write_page(page, io, 0, 0);
    *mended = error == 0;
    return error;
}

/*
 * Without a whole index nothing is done: of a page 0 that is all zeros, or begins so, it says that
 * there is no directory, and every content would be taken for a regular page.
 */
static int mend_top(struct file *file, const struct page_io *io, bool *mended)
{
    unsigned char head[SUPER_HEAD_SIZE];
    struct sheet *page = mpgi_sheet_new();
    int error = page != NULL ? mpgi_0_2_read_page(page, io, 0) : mpgi_fail_memory("repair");

    if (error == 0) {
        uint32_t count = mpgi_sheet_u32(page, INDEX_COUNT);

        mpgi_sheet_read(page, head, 0, sizeof(head));
        if (!is_head(head, io->page_size) && count > 0 && count <= most_blocks(io->page_size) &&
            mpgi_0_2_trailer_fits(page, io->page_size, INDEX_COUNT))
            error = write_head(file, io, page, mended);
    }
    mpgi_sheet_free(page);
    return error;
}

static int mend_top_of(struct file *file, bool *mended)
{
    struct salvage salvage = {.file = file};
    struct page_io io;
    int error = mpgi_identify_0_2(&salvage);

    *mended = false;
    if (error != 0 || (!mpgi_is_metadata_0_2(file, salvage.page_size, 1) &&
                       !mpgi_is_metadata_0_2(file, salvage.page_size, 2)))
        return error < 0 ? error : 0;
    error = mpgi_0_2_io_init(&io, file, salvage.page_size);
    if (error == 0)
        error = mend_top(file, &io, mended);
    mpgi_0_2_io_free(&io);
    return error;
}

/* ---- copies that do not count ---- */

struct mending {
    struct salvage *salvage;
    struct page_io io;
};

static int copy_page(const struct mending *m, uint64_t from, uint64_t to)
{
    struct sheet *page = mpgi_sheet_new();
    int error = page != NULL ? mpgi_0_2_read_page(page, &m->io, from) : mpgi_fail_memory("repair");

    if (error == 0)
        error = mpgi_0_2_write_page(page, &m->io, 0, to);
    mpgi_sheet_free(page);
    return error;
}

static bool is_all_zeros(const struct sheet *sheet)
{
    for (uint64_t number = 0; (number = mpgi_sheet_next(sheet, number)) != UINT64_MAX; number++) {
        if (!is_zero(mpgi_sheet_chunk(sheet, number), SHEET_CHUNK))
            return false;
    }
    return true;
}

/*
 * Whether a page holds a directory block; one that is all zeros was never written, which is no
 * damage.
 */
enum block_state { BLOCK_WHOLE, BLOCK_ZEROS, BLOCK_BROKEN };

static enum block_state look_at_block(const struct page_io *io, uint64_t page)
{
    struct sheet *content = mpgi_sheet_new();
    enum block_state state = BLOCK_BROKEN;

    if (content != NULL && mpgi_0_2_read_page(content, io, page) == 0) {
        if (mpgi_0_2_trailer_fits(content, io->page_size, 0) &&
            mpgi_sheet_u32(content, BLOCK_CAPACITY) <= entries_per_block(io->page_size))
            state = BLOCK_WHOLE;
        else if (is_all_zeros(content))
            state = BLOCK_ZEROS;
    }
    mpgi_sheet_free(content);
    return state;
}

static int mend_block(const struct mending *m, const struct sheet *index, uint32_t number)
{
    unsigned char reference[REFERENCE_SIZE];
    uint64_t page[2], pages = m->io.file->bytes / m->io.page_size;
    unsigned active;

    mpgi_sheet_read(index, reference, mpgi_0_2_reference_at(number), sizeof(reference));
    page[0] = get_u64(reference + REFERENCE_PAGE_A);
    page[1] = get_u64(reference + REFERENCE_PAGE_B);
    active = reference[REFERENCE_ACTIVE] != 0;
    if (page[0] < FIRST_USER_PAGE || page[1] < FIRST_USER_PAGE || page[0] >= pages ||
        page[1] >= pages)
        return 0;
    if (look_at_block(&m->io, page[!active]) != BLOCK_BROKEN ||
        look_at_block(&m->io, page[active]) != BLOCK_WHOLE)
        return 0;
    mpgi_salvage_note(m->salvage, "block-copy", page[!active],
                      "the copy of directory block %u in page %llu, which does not count, is not "
                      "whole: it becomes what counts once more",
                      (unsigned)number, (unsigned long long)page[!active]);
    return copy_page(m, page[active], page[!active]);
}

/* In time proportional to what is not a hole. */
static bool is_whole_metadata(const struct page_io *io, uint64_t page)
{
    struct sheet *content = mpgi_sheet_new();
    bool whole = content != NULL && mpgi_0_2_read_page(content, io, page) == 0 &&
                 mpgi_0_2_trailer_fits(content, io->page_size, 0);

    mpgi_sheet_free(content);
    return whole;
}

static int mend_metadata(const struct mending *m, unsigned active)
{
    const struct file *file = m->salvage->file;

    if (active > 1 || mpgi_is_metadata_0_2(file, m->io.page_size, 2 - active) ||
        !mpgi_is_metadata_0_2(file, m->io.page_size, 1 + active))
        return 0;
    mpgi_salvage_note(m->salvage, "metadata-copy", 2 - active,
                      "metadata page %u, which does not count, is not whole: it becomes what "
                      "counts once more",
                      2 - active);
    return copy_page(m, 1 + active, 2 - active);
}

static int mend_all(const struct mending *m)
{
    struct sheet *index = mpgi_sheet_new();
    unsigned char active = 0;
    uint32_t count = 0;
    int error = index != NULL ? mpgi_0_2_read_page(index, &m->io, 0) : mpgi_fail_memory("repair");

    if (error == 0) {
        mpgi_sheet_read(index, &active, SUPER_ACTIVE, 1);
        count = mpgi_sheet_u32(index, INDEX_COUNT);
        if (count > most_blocks(m->io.page_size) ||
            !mpgi_0_2_trailer_fits(index, m->io.page_size, INDEX_COUNT))
            count = 0; /* it does not hold, and nothing is to be believed */
        error = mend_metadata(m, active);
    }
    for (uint32_t i = 0; i < count && error == 0; i++)
        error = mend_block(m, index, i);
    mpgi_sheet_free(index);
    return error;
}

static int mend_copies(struct salvage *salvage)
{
    struct mending m = {.salvage = salvage};
    int error = mpgi_0_2_io_init(&m.io, salvage->file, salvage->page_size);

    if (error == 0)
        error = mend_all(&m);
    mpgi_0_2_io_free(&m.io);
    return error;
}

/* ---- warnings ---- */

/* Without the lock a writer may be at it. */
static void warn_of_newer(const struct format_0_2 *own, const struct page_io *io, uint32_t number,
                          void *context, format_fault *fault)
{
    const struct block *block = own->blocks[number];
    uint64_t page = block->page[!block->active];
    struct sheet *other =
        own->base.read_only && own->base.file->holds_lock ? mpgi_sheet_new() : NULL;
    char message[200];

    if (other != NULL && mpgi_0_2_read_page(other, io, page) == 0 &&
        mpgi_0_2_trailer_fits(other, io->page_size, 0) &&
        mpgi_sheet_u32(other, BLOCK_CAPACITY) <= entries_per_block(io->page_size) &&
        mpgi_is_newer_0_2(own, other, block->content.durable)) {
        (void)snprintf(message, sizeof(message),
                       "page %llu has a later state of directory block %u than page %llu, which "
                       "counts: a crash cut a commit short, or what counts is older than it was",
                       (unsigned long long)page, (unsigned)number,
                       (unsigned long long)block->page[block->active]);
        fault(context, &(mpg_fault){0, page, message, "unfinished", 0, 0, 0, 0});
    }
    mpgi_sheet_free(other);
}

static void warn_of_copies(const struct format_0_2 *own, const struct page_io *io, void *context,
                           format_fault *fault)
{
    unsigned other = 2 - own->active;
    char message[160];

    if (!own->metadata_damaged && !is_whole_metadata(io, other)) {
        (void)snprintf(message, sizeof(message),
                       "metadata page %u, which does not count, is not whole", other);
        fault(context, &(mpg_fault){0, other, message, "metadata-copy", 0, 0, 0, 0});
    }
    for (uint32_t i = 0; i < own->block_count; i++) {
        const struct block *block = own->blocks[i];
        uint64_t page = block->page[!block->active];

        if (!block->damaged)
            warn_of_newer(own, io, i, context, fault);
        if (block->damaged || look_at_block(io, page) != BLOCK_BROKEN)
            continue;
        (void)snprintf(message, sizeof(message),
                       "the copy of directory block %u in page %llu, which does not count, is not "
                       "whole",
                       (unsigned)i, (unsigned long long)page);
        fault(context, &(mpg_fault){0, page, message, "block-copy", 0, 0, 0, 0});
    }
}

/*
 * The copies are what a commit in flight writes, by way of the piece of memory that is the
 * format's.
 */
int mpgi_0_2_warn_of_copies(struct format_0_2 *own, void *context, format_fault *fault)
{
    struct page_io io;
    int result;

    if (own->metadata.frozen != NULL || own->index.frozen != NULL || own->frozen_blocks != NULL)
        return 0;
    result = mpgi_0_2_io_init(&io, own->io.file, own->io.page_size);
    if (result != 0)
        return result;
    warn_of_copies(own, &io, context, fault);
    mpgi_0_2_io_free(&io);
    return 0;
}

const struct salvage_ops mpgi_salvage_0_2 = {
    .identify = mpgi_identify_0_2,
    .search = mpgi_search_0_2,
    .collect = mpgi_collect_0_2,
    .mend_top = mend_top_of,
    .mend_copies = mend_copies,
};
