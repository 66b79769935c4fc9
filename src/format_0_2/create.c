/* SPDX-License-Identifier: MIT */
/* Format 0.2: a new file. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"
#include "os/grow.h"
#include "os/io.h"

int mpgi_0_2_create(struct file *file, const struct create_parameters *parameters)
{
    uint32_t page_size = parameters->page_size;
    uint64_t total = parameters->initial_pages;
    unsigned char *page;
    int result;

    if (total > most_pages(page_size))
        return mpgi_fail(MPG_E_FILE_FULL, "create", MPG_NO_PAGE,
                         "%s: format 0.2 holds %llu pages of %u bytes, not %llu", file->path,
                         (unsigned long long)most_pages(page_size), (unsigned)page_size,
                         (unsigned long long)total);
    result = mpgi_file_grow(file, total * page_size);
    if (result != 0)
        return result;
    page = calloc(1, page_size);
    if (page == NULL)
        return mpgi_fail_memory("create");
    put_u64(page + METADATA_TOTAL, total);
    put_u64(page + METADATA_FREE, total - FIRST_USER_PAGE);
    page[METADATA_BITMAP] = (1 << FIRST_USER_PAGE) - 1;
    mpgi_0_2_put_trailer(page, page_size, 0);
    for (uint64_t copy = 1; copy <= 2 && result == 0; copy++)
        result = mpgi_file_write(file, page, page_size, copy * page_size, copy);
    if (result == 0) {
        uint32_t metadata_crc = crc_of(page, page_size);

        memset(page, 0, page_size);
        memcpy(page + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4);
        page[SUPERBLOCK_VERSION + 1] = 2;
        put_u32(page + SUPERBLOCK_PAGE_SIZE_LOG2, (uint32_t)__builtin_ctz(page_size));
        put_u32(page + SUPER_METADATA_CRC, metadata_crc);
        result = mpgi_file_write(file, page, page_size, 0, 0);
    }
    free(page);
    return result;
}
