/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2: the spare copy of page 0. A torn write of page 0 breaks the CRC of its index, and the format
 * has no second page 0. So a commit that changes the directory leaves a spare copy of the new one in a free
 * page, where it is nobody's and harms nobody, before it touches page 0. Where there is no free page there
 * is no spare.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "format/page_uses.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"
#include "os/io.h"

/*
 * The highest page that is nobody's, now and after this commit, so that it rests out of the way; or
 * 0. What lies in the file beyond its total pages is nobody's either, nor are pages that
 * transactions hold: as every commit takes the highest, it overwrites the spare of one that a crash
 * cut short at the same generation, which could not be told from its own.
 */
uint64_t mpgi_0_2_choose_spare(const struct format_0_2 *own)
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

/* What a spare and the metadata page it goes with have in common. */
static uint32_t spare_check(const unsigned char *metadata, const unsigned char *index,
                            uint32_t page_size)
{
    uint32_t crc = crc_of(metadata + page_size - TRAILER_SIZE, TRAILER_SIZE);

    return crc_extend(crc, index + page_size - TRAILER_SIZE, TRAILER_SIZE);
}

/* Where it ends up it stays until another commit or an allocation takes the page. */
int mpgi_0_2_write_spare(const struct format_0_2 *own)
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
