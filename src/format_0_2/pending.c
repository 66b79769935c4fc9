/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2: versions that a commit can change without fail; and the last commit before closing,
 * which changes nothing.
 */
#include "base/bytes.h"
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

/* ---- the last commit before closing ---- */

/*
 * Bytes that the copies of a block are apart, where there is room for it: disks lose sectors in
 * runs.
 */
#define APART 65536

static bool is_far(const struct format_0_2 *own, uint64_t page, uint64_t other)
{
    uint64_t distance = page < other ? other - page : page - other;

    return distance * own->base.page_size >= APART;
}

/* The lowest free page of the file that is far from another one; 0 if there is none. */
static uint64_t find_far(struct format_0_2 *own, uint64_t other)
{
    uint64_t total = mpgi_sheet_u64(own->metadata.pending, METADATA_TOTAL);
    const uint64_t from[] = {FIRST_USER_PAGE, other + APART / own->base.page_size};

    for (unsigned i = 0; i < 2; i++) {
        uint64_t page;

        if (own->base.ops->find_free(&own->base, from[i], REUSE_SETTLED, &page) == 0 &&
            page < total && is_far(own, page, other) && !mpgi_format_holds(&own->base, page))
            return page;
    }
    return 0;
}

/*
 * The copy that does not count, which the commit makes the one that does, goes to a page that is
 * far from the other's.
 */
static int spread_block(struct format_0_2 *own, uint32_t number)
{
    struct block *block = own->blocks[number];
    uint64_t *page = &block->page[!block->active];
    uint64_t stays = block->page[block->active];
    uint64_t far = 0;
    int result;

    if (!block->damaged && block->content.durable != NULL && !is_far(own, *page, stays))
        far = find_far(own, stays);
    if (far == 0)
        return 0;
    result = mpgi_0_2_touch_page(&block->content, own->base.page_size, BLOCK_ENTRIES);
    if (result == 0)
        result = own->base.ops->set_use(&own->base, far, MPG_USE_METADATA);
    if (result == 0)
        result = own->base.ops->set_use(&own->base, *page, MPG_USE_FREE);
    if (result != 0)
        return result;
    *page = far;
    return mpgi_0_2_put_reference(own, number, block->page) ? 0 : mpgi_fail_memory("close");
}

int mpgi_0_2_make_alike(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);
    int result = 0;

    if (!own->differs)
        return 0;
    result = mpgi_0_2_touch(own);
    for (uint32_t i = 0; i < own->block_count && result == 0; i++) {
        if (own->blocks[i]->differs)
            result =
                mpgi_0_2_touch_page(&own->blocks[i]->content, own->base.page_size, BLOCK_ENTRIES);
        if (result == 0)
            result = spread_block(own, i);
    }
    own->making_alike = result == 0;
    return result;
}
