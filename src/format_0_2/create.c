/* SPDX-License-Identifier: MIT */
/* Format 0.2: a new file. */
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"
#include "os/grow.h"
#include "os/io.h"
#include "os/new_file.h"

/* One metadata page, of a file without any page in use. */
static int write_metadata(const struct page_io *io, uint64_t page, uint64_t total,
                          uint64_t generation, uint32_t *crc)
{
    unsigned char head[METADATA_BITMAP + 1] = {0};
    struct sheet *content = mpgi_sheet_new();
    int result = 0;

    put_u64(head + METADATA_TOTAL, total);
    put_u64(head + METADATA_GENERATION, generation);
    put_u64(head + METADATA_FREE, total - FIRST_USER_PAGE);
    head[METADATA_BITMAP] = (1 << FIRST_USER_PAGE) - 1;
    if (content == NULL || !mpgi_sheet_write(content, head, 0, sizeof(head)) ||
        !mpgi_sheet_own(content, io->page_size - TRAILER_SIZE, TRAILER_SIZE))
        result = mpgi_fail_memory("create");
    if (result == 0) {
        mpgi_0_2_put_trailer(content, io->page_size, 0);
        *crc = mpgi_sheet_crc(content, 0, io->page_size);
        result = mpgi_0_2_write_page(content, io, 0, page);
    }
    mpgi_sheet_free(content);
    return result;
}

/*
 * Both: alike in a file that is new; in one that goes on from a generation the other one is the
 * state before.
 */
static int write_both(const struct page_io *io, uint64_t total, uint64_t generation, uint32_t *crc)
{
    uint64_t before = generation > 0 ? generation - 1 : 0;
    int result = write_metadata(io, 1, total, generation, crc);

    return result != 0 ? result : write_metadata(io, 2, total, before, crc);
}

static int write_page_0(const struct page_io *io, uint32_t metadata_crc)
{
    unsigned char head[SUPER_HEAD_SIZE] = {0};
    struct sheet *page = mpgi_sheet_new();
    int result;

    memcpy(head + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4);
    head[SUPERBLOCK_VERSION + 1] = 2;
    put_u32(head + SUPERBLOCK_PAGE_SIZE_LOG2, (uint32_t)__builtin_ctz(io->page_size));
    put_u32(head + SUPER_METADATA_CRC, metadata_crc);
    if (page != NULL && mpgi_sheet_write(page, head, 0, sizeof(head)))
        result = mpgi_0_2_write_page(page, io, 0, 0);
    else
        result = mpgi_fail_memory("create");
    mpgi_sheet_free(page);
    return result;
}

int mpgi_0_2_create(struct file *file, const struct create_parameters *parameters)
{
    uint32_t page_size = parameters->page_size;
    uint64_t total = parameters->initial_pages;
    struct page_io io;
    uint32_t crc = 0;
    int result;

    if (total > most_pages(page_size))
        return mpgi_fail(MPG_E_FILE_FULL, "create", MPG_NO_PAGE,
                         "%s: format 0.2 holds %llu pages of %u bytes, not %llu", file->path,
                         (unsigned long long)most_pages(page_size), (unsigned)page_size,
                         (unsigned long long)total);
    result = mpgi_file_grow(file, total * page_size);
    if (result != 0)
        return result;
    result = mpgi_0_2_io_init(&io, file, page_size);
    if (result == 0)
        result = write_both(&io, total, parameters->generation, &crc);
    if (result == 0)
        result = mpgi_new_file_complete(file);
    if (result == 0)
        result = write_page_0(&io, crc);
    mpgi_0_2_io_free(&io);
    return result;
}
