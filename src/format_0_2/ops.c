/* SPDX-License-Identifier: MIT */
/* Format 0.2 behind the seam: the space and the directory. */
#include "format_0_2/state.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/id_map.h"
#include "base/rules.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "os/io.h"

/* ---- facts ---- */

static uint64_t total_of(const struct format_0_2 *own, enum version version)
{
    return mpgi_sheet_u64(mpgi_sheets_get(&own->metadata, version), METADATA_TOTAL);
}

static uint64_t total_pages(struct format *format, enum version version)
{
    return total_of(format_0_2_of(format), version);
}

static uint32_t block_count_of(const struct format_0_2 *own, enum version version)
{
    return mpgi_sheet_u32(mpgi_sheets_get(&own->index, version), INDEX_COUNT);
}

static void facts(struct format *format, enum version version, struct mpg_stat *st)
{
    struct format_0_2 *own = format_0_2_of(format);
    const struct sheet *metadata = mpgi_sheets_get(&own->metadata, version);
    const struct sheet *uses = mpgi_sheets_get(&own->uses, version);
    uint32_t page_size = own->base.page_size;
    unsigned char version_bytes[4];

    mpgi_sheet_read(own->index.durable, version_bytes, SUPERBLOCK_VERSION, sizeof(version_bytes));
    for (int i = 0; i < 4; i++)
        st->version[i] = version_bytes[i];
    st->total_pages = mpgi_sheet_u64(metadata, METADATA_TOTAL);
    st->generation = mpgi_sheet_u64(metadata, METADATA_GENERATION);
    st->free_pages = mpgi_sheet_u64(metadata, METADATA_FREE);
    st->protected_pages = mpgi_sheet_u64(uses, USES_PROTECTED_COUNT);
    st->metadata_pages = FIRST_USER_PAGE + 2 * (uint64_t)block_count_of(own, version);
    if (own->bitmap_differs)
        st->regular_pages = mpgi_0_2_count_uses(uses, st->total_pages, MPG_USE_REGULAR);
    else
        st->regular_pages =
            st->total_pages - st->free_pages - st->metadata_pages - 2 * st->protected_pages;
    st->max_pages = most_pages(page_size);
    st->max_protected = (uint64_t)most_blocks(page_size) * entries_per_block(page_size);
}

/* ---- editing ---- */

static void add_to_free(struct sheet *metadata, uint64_t more, uint64_t fewer)
{
    mpgi_sheet_put_u64(metadata, METADATA_FREE,
                       mpgi_sheet_u64(metadata, METADATA_FREE) + more - fewer);
}

static int set_total(struct format *format, uint64_t total)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint64_t old = total_of(own, VERSION_NEWEST);
    int result = mpgi_0_2_touch(own);

    if (result != 0)
        return result;
    mpgi_sheet_put_u64(own->metadata.pending, METADATA_TOTAL, total);
    add_to_free(own->metadata.pending, total, old);
    return 0;
}

/* ---- the space ---- */

static int get_use(struct format *format, enum version version, uint64_t page,
                   enum mpg_page_use *use)
{
    *use = mpgi_0_2_use(mpgi_sheets_get(&format_0_2_of(format)->uses, version), page);
    return 0;
}

static int set_use(struct format *format, uint64_t page, enum mpg_page_use use)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint64_t at = METADATA_BITMAP + page / 8;
    unsigned char bit = (unsigned char)(1u << page % 8);
    bool was_free, is_free = use == MPG_USE_FREE;
    unsigned char *bitmap;
    int result = mpgi_0_2_touch(own);

    if (result != 0)
        return result;
    was_free = mpgi_0_2_use(own->uses.pending, page) == MPG_USE_FREE;
    bitmap = mpgi_sheet_edit(own->metadata.pending, at / SHEET_CHUNK);
    if (bitmap == NULL || !mpgi_0_2_set_use(own->uses.pending, page, use))
        return mpgi_fail_memory("edit");
    bitmap += at % SHEET_CHUNK;
    *bitmap = (unsigned char)(is_free ? *bitmap & ~bit : *bitmap | bit);
    add_to_free(own->metadata.pending, is_free, was_free);
    return 0;
}

static int find_free(struct format *format, uint64_t from, enum reuse reuse, uint64_t *page)
{
    struct format_0_2 *own = format_0_2_of(format);
    const struct sheet *versions[4] = {
        mpgi_sheets_get(&own->uses, VERSION_NEWEST),
        RULE_HOLDS(2) ? own->uses.durable : NULL,
        RULE_HOLDS(2) ? own->uses.frozen : NULL,
        reuse == REUSE_SETTLED ? own->uses.previous : NULL,
    };
    bool keep_spare = own->spare_page != 0 && (reuse == REUSE_SETTLED || own->in_flight);

    while (mpgi_0_2_find_free(versions, 4, from, most_pages(own->base.page_size), page)) {
        if (!keep_spare || *page != own->spare_page)
            return 0;
        from = *page + 1;
    }
    return mpgi_fail(MPG_E_FILE_FULL, "alloc", MPG_NO_PAGE,
                     "%s: file full: format 0.2 holds %llu pages of %u bytes", own->base.file->path,
                     (unsigned long long)most_pages(own->base.page_size),
                     (unsigned)own->base.page_size);
}

static int scan_use(struct format *format, enum version version, enum mpg_page_use use,
                    uint64_t first, uint64_t *bits, unsigned words, uint64_t *next)
{
    struct format_0_2 *own = format_0_2_of(format);

    mpgi_0_2_scan_uses(mpgi_sheets_get(&own->uses, version), total_of(own, version), use, first,
                       bits, words, next);
    return 0;
}

/* ---- the directory ---- */

/* The block of an id in a version, or NULL. */
static const struct sheet *block_in(const struct format_0_2 *own, enum version version, uint64_t id)
{
    uint64_t number = id / entries_per_block(own->base.page_size);

    if (number >= block_count_of(own, version))
        return NULL;
    return mpgi_sheets_get(&own->blocks[number]->content, version);
}

static int get_entry(struct format *format, enum version version, uint64_t id, struct entry *entry)
{
    struct format_0_2 *own = format_0_2_of(format);
    const struct sheet *block = block_in(own, version, id);
    uint32_t slot = (uint32_t)(id % entries_per_block(own->base.page_size));
    struct entry found;

    if (block == NULL || slot >= mpgi_0_2_slots(own, block))
        return MPG_E_NOT_ALLOCATED;
    mpgi_0_2_get_entry(block, slot, &found);
    if (!found.in_use)
        return MPG_E_NOT_ALLOCATED;
    *entry = found;
    return 0;
}

/* The lowest page that is free, and not somebody's already. */
static int find_page(struct format_0_2 *own, uint64_t *page)
{
    uint64_t from = 0;
    int result;

    do {
        result = find_free(&own->base, from, REUSE_RECENT, page);
        from = *page + 1;
    } while (result == 0 && mpgi_format_holds(&own->base, *page));
    return result;
}

/* A page for the file's own use, marked so. */
static int take_page(struct format_0_2 *own, uint64_t *page)
{
    int result = find_page(own, page);

    if (result == 0)
        result = mpgi_format_grow(&own->base, *page + 1);
    if (result == 0)
        result = set_use(&own->base, *page, MPG_USE_METADATA);
    return result;
}

static int add_block(struct format_0_2 *own)
{
    uint32_t page_size = own->base.page_size;
    uint32_t number = own->block_count;
    struct block *block;
    int result = 0, taken;

    if (number >= most_blocks(page_size))
        return mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc_protected", MPG_NO_PAGE,
                         "%s: directory full: format 0.2 holds %u protected pages",
                         own->base.file->path,
                         (unsigned)(most_blocks(page_size) * entries_per_block(page_size)));
    block = mpgi_0_2_new_block(own);
    if (block == NULL)
        return mpgi_fail_memory("alloc_protected");
    block->active = 1; /* so that the first commit writes copy a */
    for (taken = 0; taken < 2 && result == 0; taken += result == 0)
        result = take_page(own, &block->page[taken]);
    if (result == 0)
        result = mpgi_0_2_touch_page(&block->content, page_size, BLOCK_ENTRIES);
    if (result == 0 && !mpgi_0_2_put_reference(own, number, block->page))
        result = mpgi_fail_memory("alloc_protected");
    if (result != 0) {
        while (taken-- > 0)
            (void)set_use(&own->base, block->page[taken], MPG_USE_FREE);
        mpgi_0_2_drop_blocks(own, number);
        return result;
    }
    mpgi_sheet_put_u32(block->content.pending, BLOCK_CAPACITY, entries_per_block(page_size));
    mpgi_sheet_put_u32(own->index.pending, INDEX_COUNT, own->block_count);
    return 0;
}

/* The lowest page below `end` for a copy of a block, marked so. */
static int take_page_below(struct format_0_2 *own, uint64_t end, uint64_t *page)
{
    int result = find_page(own, page);

    if (result == 0 && *page >= end)
        result = mpgi_fail(MPG_E_FILE_FULL, "compact", MPG_NO_PAGE,
                           "%s: no page below %llu is free for the directory", own->base.file->path,
                           (unsigned long long)end);
    return result != 0 ? result : set_use(&own->base, *page, MPG_USE_METADATA);
}

/* The copy that does not count gets another page; the commit makes it the one that counts. */
static int move_block(struct format_0_2 *own, uint32_t number, uint64_t end)
{
    struct block *block = own->blocks[number];
    unsigned other = !block->active;
    uint64_t page;
    int result = mpgi_0_2_touch(own);

    if (result == 0)
        result = mpgi_0_2_touch_page(&block->content, own->base.page_size, BLOCK_ENTRIES);
    if (result == 0 && block->page[other] >= end) {
        result = take_page_below(own, end, &page);
        if (result == 0)
            result = set_use(&own->base, block->page[other], MPG_USE_FREE);
        if (result == 0)
            block->page[other] = page;
    }
    if (result == 0 && !mpgi_0_2_put_reference(own, number, block->page))
        result = mpgi_fail_memory("compact");
    return result;
}

static int move_down(struct format *format, uint64_t end, uint64_t *moved)
{
    struct format_0_2 *own = format_0_2_of(format);
    int result = 0;

    *moved = 0;
    for (uint32_t i = 0; i < own->block_count && result == 0; i++) {
        const struct block *block = own->blocks[i];

        if (block->page[0] < end && block->page[1] < end)
            continue;
        result = move_block(own, i, end);
        *moved += 1;
    }
    return result;
}

/* Gives back the blocks from number `count` on, which this batch has added. */
static void remove_blocks(struct format_0_2 *own, uint32_t count)
{
    for (uint32_t number = count; number < own->block_count; number++) {
        (void)mpgi_0_2_put_reference(own, number, NULL);
        for (int copy = 0; copy < 2; copy++)
            (void)set_use(&own->base, own->blocks[number]->page[copy], MPG_USE_FREE);
    }
    mpgi_0_2_drop_blocks(own, count);
    mpgi_sheet_put_u32(own->index.pending, INDEX_COUNT, count);
}

/* Whether this batch has added the block, and nothing is in it. */
static bool is_new_and_empty(const struct format_0_2 *own, const struct block *block)
{
    const struct sheet_versions *content = &block->content;

    if (content->durable != NULL || content->frozen != NULL || content->pending == NULL)
        return false;
    return mpgi_0_2_next_slot(own, content->pending, 0) == UINT32_MAX;
}

static void undone(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint32_t count = own->block_count;

    while (count > 0 && is_new_and_empty(own, own->blocks[count - 1]))
        count--;
    if (count < own->block_count)
        remove_blocks(own, count);
}

/* Makes a slot of a block, and all that sealing changes for it, this batch's own. */
static int touch_entry(struct format_0_2 *own, uint32_t number, uint32_t slot)
{
    struct sheet_versions *content = &own->blocks[number]->content;
    int result = mpgi_0_2_touch_page(content, own->base.page_size, BLOCK_ENTRIES);

    if (result == 0 &&
        (!mpgi_sheet_own(content->pending, mpgi_0_2_entry_at(slot), ENTRY_SIZE) ||
         !mpgi_sheet_own(own->index.pending, mpgi_0_2_reference_at(number), REFERENCE_SIZE)))
        result = mpgi_fail_memory("edit");
    return result;
}

static void write_entry(struct sheet *block, uint32_t slot, const struct entry *entry)
{
    unsigned char at[ENTRY_SIZE];

    at[ENTRY_IN_USE] = entry->in_use;
    put_u64(at + ENTRY_PAGE_A, entry->page[0]);
    put_u64(at + ENTRY_PAGE_B, entry->page[1]);
    at[ENTRY_ACTIVE] = entry->current;
    put_u64(at + ENTRY_GENERATION, entry->generation);
    put_u32(at + ENTRY_CRC, entry->crc);
    (void)mpgi_sheet_write(block, at, mpgi_0_2_entry_at(slot), sizeof(at));
}

static int put_entry(struct format *format, uint64_t id, const struct entry *entry)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint32_t per_block = entries_per_block(own->base.page_size);
    uint32_t number = (uint32_t)(id / per_block), slot = (uint32_t)(id % per_block);
    uint32_t before = own->block_count;
    const struct sheet *newest;
    struct sheet *uses;
    bool was_in_use;
    int result = mpgi_0_2_touch(own);

    while (result == 0 && number >= own->block_count)
        result = add_block(own);
    if (result != 0) {
        if (own->block_count > before)
            remove_blocks(own, before);
        return result;
    }
    /* What is put behind the entries that the block says it has, nobody would find again. */
    newest = mpgi_sheets_get(&own->blocks[number]->content, VERSION_NEWEST);
    if (slot >= mpgi_0_2_slots(own, newest))
        return mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc_protected", id,
                         "%s: directory block %u has room for %u protected pages, not for %llu",
                         own->base.file->path, (unsigned)number,
                         (unsigned)mpgi_0_2_slots(own, newest), (unsigned long long)id);
    result = touch_entry(own, number, slot);
    if (result != 0)
        return result;
    uses = own->uses.pending;
    was_in_use = mpgi_0_2_in_use(own->blocks[number]->content.pending, slot);
    write_entry(own->blocks[number]->content.pending, slot, entry);
    mpgi_sheet_put_u64(uses, USES_PROTECTED_COUNT,
                       mpgi_sheet_u64(uses, USES_PROTECTED_COUNT) + (uint64_t)entry->in_use -
                           (uint64_t)was_in_use);
    return 0;
}

static int find_free_entry(struct format *format, uint64_t from, uint64_t *id)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint32_t per_block = entries_per_block(own->base.page_size);
    uint64_t most = (uint64_t)most_blocks(own->base.page_size) * per_block;

    for (uint64_t at = from; at < most; at++) {
        const struct sheet *block = block_in(own, VERSION_NEWEST, at);
        uint32_t slot = (uint32_t)(at % per_block);

        if (block != NULL && slot >= mpgi_0_2_slots(own, block)) {
            at += per_block - slot - 1; /* the next block */
            continue;
        }
        if (block == NULL || !mpgi_0_2_in_use(block, slot)) {
            *id = at;
            return 0;
        }
    }
    return mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc_protected", MPG_NO_PAGE,
                     "%s: directory full: format 0.2 holds %llu protected pages",
                     own->base.file->path, (unsigned long long)most);
}

/* The lowest id >= `id` in use, or UINT64_MAX. */
static uint64_t next_in_use(const struct format_0_2 *own, enum version version, uint64_t id)
{
    uint32_t per_block = entries_per_block(own->base.page_size);
    uint32_t slot = (uint32_t)(id % per_block);
    uint32_t count = block_count_of(own, version);

    for (uint64_t number = id / per_block; number < count; number++, slot = 0) {
        const struct sheet *block = block_in(own, version, number * per_block);
        uint32_t found = block != NULL ? mpgi_0_2_next_slot(own, block, slot) : UINT32_MAX;

        if (found != UINT32_MAX)
            return number * per_block + found;
    }
    return UINT64_MAX;
}

static int scan_entries(struct format *format, enum version version, uint64_t first, uint64_t *bits,
                        unsigned words, uint64_t *next)
{
    const struct format_0_2 *own = format_0_2_of(format);
    uint64_t behind = first + UINT64_C(64) * words;
    uint64_t id;

    memset(bits, 0, words * sizeof(*bits));
    for (id = next_in_use(own, version, first); id < behind; id = next_in_use(own, version, id + 1))
        bits[(id - first) / 64] |= UINT64_C(1) << (id - first) % 64;
    *next = id != UINT64_MAX ? id - id % 64 : UINT64_MAX;
    return 0;
}

static bool is_pinned(const struct format *format, uint64_t page)
{
    return format->is_pinned != NULL && format->is_pinned(format->pager, page);
}

/* The new content goes to the other copy, which no view may show. */
static int renew_entry(struct format *format, uint64_t id, const struct entry *old, bool again,
                       struct entry *entry)
{
    *entry = *old;
    if (!again) {
        entry->current = !old->current;
        entry->generation = old->generation + 1;
    }
    if (!is_pinned(format, entry_page(entry)))
        return 0;
    return mpgi_fail(MPG_E_BUSY, "write", id,
                     "%s: a view shows the copy of protected page %llu that this would overwrite",
                     format->file->path, (unsigned long long)id);
}

static bool same_state(const struct format *a, const struct format *b)
{
    const struct format_0_2 *one = (const struct format_0_2 *)(const void *)a;
    const struct format_0_2 *other = (const struct format_0_2 *)(const void *)b;

    return mpgi_sheet_u64(one->metadata.durable, METADATA_GENERATION) ==
           mpgi_sheet_u64(other->metadata.durable, METADATA_GENERATION);
}

static bool is_dirty(struct format *format)
{
    return format_0_2_of(format)->metadata.pending != NULL;
}

/* ---- checking ---- */

static int walk(struct format *format, void *context, void (*use)(void *context, uint64_t page),
                format_fault *fault)
{
    struct format_0_2 *own = format_0_2_of(format);

    for (uint32_t i = 0; i < block_count_of(own, VERSION_DURABLE); i++) {
        const struct block *block = own->blocks[i];

        use(context, block->page[0]);
        use(context, block->page[1]);
        if (block->damaged)
            fault(context,
                  &(mpg_fault){MPG_E_CORRUPT_PROTECTED_DIRECTORY, block->page[!block->active],
                               "the current copy of a directory block is damaged; what is seen "
                               "is an older one",
                               "block", 0, 0, 0, 0});
    }
    if (own->metadata_damaged)
        fault(context, &(mpg_fault){MPG_E_CORRUPT_METADATA, 2 - own->active,
                                    "the metadata page that page 0 names is damaged; what is seen "
                                    "is an older one",
                                    "metadata", 0, 0, 0, 0});
    if (own->bitmap_differs)
        fault(context, &(mpg_fault){MPG_E_CORRUPT_METADATA, 1 + own->active,
                                    "the allocation bitmap contradicts its own count or the "
                                    "protected directory, or marks pages that the file has not",
                                    "bitmap", 0, 0, 0, 0});
    return mpgi_0_2_warn_of_copies(own, context, fault);
}

static int load(struct format **format, struct file *file, bool read_only, size_t cache_size)
{
    return mpgi_0_2_load(format, &mpgi_format_0_2, file, read_only, cache_size);
}

const struct format_ops mpgi_format_0_2 = {
    .id = MPG_FORMAT_0_2,
    .copies = 2,
    .create = mpgi_0_2_create,
    .load = load,
    .unload = mpgi_0_2_unload,
    .same_state = same_state,
    .settle = mpgi_0_2_settle,
    .facts = facts,
    .total_pages = total_pages,
    .get_use = get_use,
    .set_use = set_use,
    .find_free = find_free,
    .rests = mpgi_0_2_rests,
    .set_total = set_total,
    .scan_use = scan_use,
    .get_entry = get_entry,
    .put_entry = put_entry,
    .undone = undone,
    .find_free_entry = find_free_entry,
    .scan_entries = scan_entries,
    .renew_entry = renew_entry,
    .seal = mpgi_0_2_seal,
    .write_contents = mpgi_0_2_write_contents,
    .look_again = mpgi_0_2_look_again,
    .write_root = mpgi_0_2_write_root,
    .take_back = mpgi_0_2_take_back,
    .publish = mpgi_0_2_publish,
    .discard = mpgi_0_2_discard,
    .is_dirty = is_dirty,
    .make_alike = mpgi_0_2_make_alike,
    .move_down = move_down,
    .walk = walk,
};
