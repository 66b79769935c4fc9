/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2: versions that a commit can change without fail; and the last commit before closing,
 * which changes nothing.
 */
#include "base/error.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"

/* Puts the bitmap and the free count right where the file had them wrong. */
static int rebuild_bitmap(struct format_0_2 *own)
{
    /* All of it: what is marked beyond the end would be allocated once the file has grown. */
    struct sheet *made =
        mpgi_0_2_make_bitmap(own->uses.pending, own->metadata.pending, own->base.page_size);

    if (made == NULL)
        return mpgi_fail_memory("edit");
    mpgi_sheet_free(own->metadata.pending);
    own->metadata.pending = made;
    return 0;
}

int mpgi_0_2_touch_page(struct sheet_versions *versions, uint32_t page_size, size_t head)
{
    struct sheet *pending = mpgi_sheets_edit(versions);

    if (pending == NULL || !mpgi_sheet_own(pending, 0, head) ||
        !mpgi_sheet_own(pending, page_size - TRAILER_SIZE, TRAILER_SIZE))
        return mpgi_fail_memory("edit");
    return 0;
}

int mpgi_0_2_touch(struct format_0_2 *own)
{
    uint32_t page_size = own->base.page_size;
    bool clean = own->metadata.pending == NULL;
    int result = mpgi_0_2_touch_page(&own->index, page_size, INDEX_REFERENCES);

    if (result == 0 && (mpgi_sheets_edit(&own->uses) == NULL ||
                        !mpgi_sheet_own(own->uses.pending, USES_PROTECTED_COUNT, sizeof(uint64_t))))
        result = mpgi_fail_memory("edit");
    if (result == 0)
        result = mpgi_0_2_touch_page(&own->metadata, page_size, METADATA_BITMAP);
    if (result == 0 && clean && own->bitmap_differs)
        result = rebuild_bitmap(own);
    if (result != 0 && clean) { /* nothing is pending, then, and the next call begins anew */
        mpgi_sheet_free(own->metadata.pending);
        own->metadata.pending = NULL;
    }
    return result;
}

int mpgi_0_2_make_alike(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);
    int result = 0;

    if (!own->differs)
        return 0;
    for (uint32_t i = 0; i < own->block_count && result == 0; i++) {
        if (own->blocks[i]->differs)
            result =
                mpgi_0_2_touch_page(&own->blocks[i]->content, own->base.page_size, BLOCK_ENTRIES);
    }
    if (result == 0)
        result = mpgi_0_2_touch(own);
    own->making_alike = result == 0;
    return result;
}
