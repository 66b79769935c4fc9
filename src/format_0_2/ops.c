/* SPDX-License-Identifier: MIT */
/* Format 0.2 behind the seam: the space and the directory. */
#include "format_0_2/state.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/id_map.h"
#include "base/rules.h"
#include "format/page_uses.h"
#include "format_0_2/layout.h"
#include "os/io.h"

/* ---- facts ---- */

static uint64_t total_of(const struct format_0_2 *own, enum version version)
{
    return get_u64(mpgi_versions_get(&own->metadata, version)->bytes + METADATA_TOTAL);
}

static uint64_t total_pages(struct format *format, enum version version)
{
    return total_of(format_0_2_of(format), version);
}

static uint32_t block_count_of(const struct format_0_2 *own, enum version version)
{
    return get_u32(mpgi_versions_get(&own->index, version)->bytes + INDEX_COUNT);
}

static void facts(struct format *format, enum version version, struct mpg_stat *st)
{
    struct format_0_2 *own = format_0_2_of(format);
    const unsigned char *metadata = mpgi_versions_get(&own->metadata, version)->bytes;
    const unsigned char *uses = mpgi_versions_get(&own->uses, version)->bytes;
    const unsigned char *super = own->index.durable->bytes;
    uint32_t page_size = own->base.page_size;

    for (int i = 0; i < 4; i++)
        st->version[i] = super[4 + i];
    st->total_pages = get_u64(metadata + METADATA_TOTAL);
    st->generation = get_u64(metadata + METADATA_GENERATION);
    st->free_pages = get_u64(metadata + METADATA_FREE);
    st->protected_pages = get_u64(uses + USES_PROTECTED_COUNT);
    st->metadata_pages = FIRST_USER_PAGE + 2 * (uint64_t)block_count_of(own, version);
    if (own->bitmap_differs)
        st->regular_pages =
            mpgi_uses_count(uses + USES_ARRAY, FIRST_USER_PAGE, st->total_pages, MPG_USE_REGULAR);
    else
        st->regular_pages =
            st->total_pages - st->free_pages - st->metadata_pages - 2 * st->protected_pages;
    st->max_pages = most_pages(page_size);
    st->max_protected = (uint64_t)most_blocks(page_size) * entries_per_block(page_size);
}

/* ---- editing ---- */

/* Puts the bitmap and the free count right where the file had them wrong. */
static void rebuild_bitmap(struct format_0_2 *own)
{
    unsigned char *metadata = own->metadata.pending->bytes;
    const unsigned char *uses = own->uses.pending->bytes + USES_ARRAY;
    uint64_t total = get_u64(metadata + METADATA_TOTAL);
    uint64_t free_pages = 0;

    /* All of it: what is marked beyond the end would be allocated once the file has grown. */
    memset(metadata + METADATA_BITMAP, 0, own->base.page_size - METADATA_BITMAP - TRAILER_SIZE);
    for (uint64_t page = 0; page < total; page++) {
        if (mpgi_uses_get(uses, page) == MPG_USE_FREE)
            free_pages++;
        else
            metadata[METADATA_BITMAP + page / 8] |= (unsigned char)(1u << page % 8);
    }
    put_u64(metadata + METADATA_FREE, free_pages);
}

/*
 * Makes pending versions of all that any commit changes, so that sealing cannot fail. `pages` is
 * how many the uses must have room for.
 */
static int touch(struct format_0_2 *own, uint64_t pages)
{
    uint32_t page_size = own->base.page_size;
    bool clean = own->metadata.pending == NULL;

    if (mpgi_versions_edit(&own->index, page_size) == NULL ||
        mpgi_versions_edit(&own->uses, USES_ARRAY + pages / USES_PER_BYTE + 1) == NULL ||
        mpgi_versions_edit(&own->metadata, page_size) == NULL)
        return mpgi_fail_memory("edit");
    if (clean && own->bitmap_differs)
        rebuild_bitmap(own);
    return 0;
}

static int set_total(struct format *format, uint64_t total)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint64_t old = total_of(own, VERSION_NEWEST);
    int result = touch(own, total);
    unsigned char *metadata;

    if (result != 0)
        return result;
    metadata = own->metadata.pending->bytes;
    put_u64(metadata + METADATA_TOTAL, total);
    put_u64(metadata + METADATA_FREE, get_u64(metadata + METADATA_FREE) + total - old);
    return 0;
}

/* ---- the space ---- */

static int get_use(struct format *format, enum version version, uint64_t page,
                   enum mpg_page_use *use)
{
    const struct buffer *uses = mpgi_versions_get(&format_0_2_of(format)->uses, version);

    *use = mpgi_uses_get(uses->bytes + USES_ARRAY, page);
    return 0;
}

static int set_use(struct format *format, uint64_t page, enum mpg_page_use use)
{
    struct format_0_2 *own = format_0_2_of(format);
    int result = touch(own, total_of(own, VERSION_NEWEST));
    unsigned char *metadata, *uses;
    bool was_free, is_free = use == MPG_USE_FREE;
    unsigned char bit = (unsigned char)(1u << page % 8);

    if (result != 0)
        return result;
    metadata = own->metadata.pending->bytes;
    uses = own->uses.pending->bytes + USES_ARRAY;
    was_free = mpgi_uses_get(uses, page) == MPG_USE_FREE;
    mpgi_uses_set(uses, page, use);
    if (is_free)
        metadata[METADATA_BITMAP + page / 8] &= (unsigned char)~bit;
    else
        metadata[METADATA_BITMAP + page / 8] |= bit;
    put_u64(metadata + METADATA_FREE,
            get_u64(metadata + METADATA_FREE) + (uint64_t)is_free - (uint64_t)was_free);
    return 0;
}

static int find_free(struct format *format, uint64_t from, enum reuse reuse, uint64_t *page)
{
    struct format_0_2 *own = format_0_2_of(format);
    const struct buffer *versions[4] = {
        mpgi_versions_get(&own->uses, VERSION_NEWEST),
        RULE_HOLDS(2) ? own->uses.durable : NULL,
        RULE_HOLDS(2) ? own->uses.frozen : NULL,
        reuse == REUSE_SETTLED ? own->uses.previous : NULL,
    };
    const unsigned char *arrays[4];
    size_t lengths[4];
    bool keep_spare = own->spare_page != 0 && (reuse == REUSE_SETTLED || own->in_flight);

    for (int i = 0; i < 4; i++) {
        arrays[i] = versions[i] != NULL ? versions[i]->bytes + USES_ARRAY : NULL;
        lengths[i] = versions[i] != NULL ? versions[i]->size - USES_ARRAY : 0;
    }
    while (
        mpgi_uses_find_free(arrays, lengths, 4, from, most_pages(own->base.page_size), 1, page)) {
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
    uint64_t total = total_of(own, version);

    mpgi_uses_scan(mpgi_versions_get(&own->uses, version)->bytes + USES_ARRAY, first, total, use,
                   bits, words);
    *next = first + UINT64_C(64) * words < total ? first + UINT64_C(64) * words : UINT64_MAX;
    return 0;
}

/* ---- the directory ---- */

/* The block of an id in a version, or NULL. */
static const struct buffer *block_in(const struct format_0_2 *own, enum version version,
                                     uint64_t id)
{
    uint64_t number = id / entries_per_block(own->base.page_size);

    if (number >= block_count_of(own, version))
        return NULL;
    return mpgi_versions_get(&own->blocks[number]->content, version);
}

static int get_entry(struct format *format, enum version version, uint64_t id, struct entry *entry)
{
    struct format_0_2 *own = format_0_2_of(format);
    const struct buffer *block = block_in(own, version, id);
    uint32_t slot = (uint32_t)(id % entries_per_block(own->base.page_size));
    struct entry found;

    if (block == NULL || slot >= mpgi_0_2_slots(own, block->bytes))
        return MPG_E_NOT_ALLOCATED;
    mpgi_0_2_get_entry(block->bytes, slot, &found);
    if (!found.in_use)
        return MPG_E_NOT_ALLOCATED;
    *entry = found;
    return 0;
}

/* A page for the file's own use, marked so. */
static int take_page(struct format_0_2 *own, uint64_t *page)
{
    uint64_t from = 0;
    int result;

    do {
        result = find_free(&own->base, from, REUSE_RECENT, page);
        from = *page + 1;
    } while (result == 0 && own->base.reserved != NULL &&
             mpgi_id_map_find(own->base.reserved, *page) != NULL);
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
    unsigned char *index, *reference;
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
    if (result == 0 && mpgi_versions_edit(&block->content, page_size) == NULL)
        result = mpgi_fail_memory("alloc_protected");
    if (result != 0) {
        while (taken-- > 0)
            (void)set_use(&own->base, block->page[taken], MPG_USE_FREE);
        mpgi_0_2_drop_blocks(own, number);
        return result;
    }
    put_u32(block->content.pending->bytes + BLOCK_CAPACITY, entries_per_block(page_size));
    index = own->index.pending->bytes;
    reference = index + INDEX_REFERENCES + (size_t)number * REFERENCE_SIZE;
    put_u64(reference + REFERENCE_PAGE_A, block->page[0]);
    put_u64(reference + REFERENCE_PAGE_B, block->page[1]);
    put_u32(index + INDEX_COUNT, own->block_count);
    return 0;
}

/* Gives back the blocks from number `count` on, which this batch has added. */
static void remove_blocks(struct format_0_2 *own, uint32_t count)
{
    unsigned char *index = own->index.pending->bytes;

    for (uint32_t number = count; number < own->block_count; number++) {
        memset(index + INDEX_REFERENCES + (size_t)number * REFERENCE_SIZE, 0, REFERENCE_SIZE);
        for (int copy = 0; copy < 2; copy++)
            (void)set_use(&own->base, own->blocks[number]->page[copy], MPG_USE_FREE);
    }
    mpgi_0_2_drop_blocks(own, count);
    put_u32(index + INDEX_COUNT, count);
}

/* Whether this batch has added the block, and nothing is in it. */
static bool is_new_and_empty(const struct format_0_2 *own, const struct block *block)
{
    const struct versions *content = &block->content;

    if (content->durable != NULL || content->frozen != NULL || content->pending == NULL)
        return false;
    for (uint32_t slot = 0; slot < entries_per_block(own->base.page_size); slot++)
        if (content->pending->bytes[BLOCK_ENTRIES + (size_t)slot * ENTRY_SIZE + ENTRY_IN_USE] != 0)
            return false;
    return true;
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

static int put_entry(struct format *format, uint64_t id, const struct entry *entry)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint32_t page_size = own->base.page_size;
    uint32_t number = (uint32_t)(id / entries_per_block(page_size));
    uint32_t before = own->block_count;
    const struct buffer *newest;
    struct buffer *block;
    unsigned char *at, *count;
    bool was_in_use;
    int result = touch(own, total_of(own, VERSION_NEWEST));

    while (result == 0 && number >= own->block_count)
        result = add_block(own);
    if (result != 0) {
        if (own->block_count > before)
            remove_blocks(own, before);
        return result;
    }
    /* What is put behind the entries that the block says it has, nobody would find again. */
    newest = mpgi_versions_get(&own->blocks[number]->content, VERSION_NEWEST);
    if (id % entries_per_block(page_size) >= mpgi_0_2_slots(own, newest->bytes))
        return mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc_protected", id,
                         "%s: directory block %u has room for %u protected pages, not for %llu",
                         own->base.file->path, (unsigned)number,
                         (unsigned)mpgi_0_2_slots(own, newest->bytes), (unsigned long long)id);
    block = mpgi_versions_edit(&own->blocks[number]->content, page_size);
    if (block == NULL)
        return mpgi_fail_memory("edit");
    at = block->bytes + BLOCK_ENTRIES + (size_t)(id % entries_per_block(page_size)) * ENTRY_SIZE;
    was_in_use = at[ENTRY_IN_USE] != 0;
    at[ENTRY_IN_USE] = entry->in_use;
    put_u64(at + ENTRY_PAGE_A, entry->page[0]);
    put_u64(at + ENTRY_PAGE_B, entry->page[1]);
    at[ENTRY_ACTIVE] = entry->current;
    put_u64(at + ENTRY_GENERATION, entry->generation);
    put_u32(at + ENTRY_CRC, entry->crc);
    count = own->uses.pending->bytes + USES_PROTECTED_COUNT;
    put_u64(count, get_u64(count) + (uint64_t)entry->in_use - (uint64_t)was_in_use);
    return 0;
}

static int find_free_entry(struct format *format, uint64_t from, uint64_t *id)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint32_t per_block = entries_per_block(own->base.page_size);
    uint64_t most = (uint64_t)most_blocks(own->base.page_size) * per_block;

    for (uint64_t at = from; at < most; at++) {
        const struct buffer *block = block_in(own, VERSION_NEWEST, at);
        uint32_t slot = (uint32_t)(at % per_block);

        if (block != NULL && slot >= mpgi_0_2_slots(own, block->bytes))
            continue;
        if (block == NULL ||
            block->bytes[BLOCK_ENTRIES + (size_t)slot * ENTRY_SIZE + ENTRY_IN_USE] == 0) {
            *id = at;
            return 0;
        }
    }
    return mpgi_fail(MPG_E_DIRECTORY_FULL, "alloc_protected", MPG_NO_PAGE,
                     "%s: directory full: format 0.2 holds %llu protected pages",
                     own->base.file->path, (unsigned long long)most);
}

static int scan_entries(struct format *format, enum version version, uint64_t first, uint64_t *bits,
                        unsigned words, uint64_t *next)
{
    struct format_0_2 *own = format_0_2_of(format);
    uint64_t end = (uint64_t)block_count_of(own, version) * entries_per_block(own->base.page_size);

    memset(bits, 0, words * sizeof(*bits));
    for (uint64_t i = 0; i < UINT64_C(64) * words && first + i < end; i++) {
        struct entry entry;

        if (get_entry(format, version, first + i, &entry) == 0)
            bits[i / 64] |= UINT64_C(1) << i % 64;
    }
    *next = first + UINT64_C(64) * words < end ? first + UINT64_C(64) * words : UINT64_MAX;
    return 0;
}

static uint64_t next_generation(struct format *format, const struct entry *entry)
{
    (void)format;
    return entry->in_use ? entry->generation + 1 : 0;
}

static bool is_dirty(struct format *format)
{
    return format_0_2_of(format)->metadata.pending != NULL;
}

/* ---- checking ---- */

static int walk(struct format *format, void *context, void (*use)(void *context, uint64_t page),
                void (*fault)(void *context, int code, uint64_t page, const char *message))
{
    struct format_0_2 *own = format_0_2_of(format);

    for (uint32_t i = 0; i < block_count_of(own, VERSION_DURABLE); i++) {
        const struct block *block = own->blocks[i];

        use(context, block->page[0]);
        use(context, block->page[1]);
        if (block->damaged)
            fault(context, MPG_E_CORRUPT_PROTECTED_DIRECTORY, block->page[!block->active],
                  "the current copy of a directory block is damaged; what is seen is an older one");
    }
    if (own->bitmap_differs)
        fault(context, MPG_E_CORRUPT_METADATA, 1 + own->active,
              "the allocation bitmap contradicts its own count or the protected directory, or "
              "marks pages that the file has not");
    return 0;
}

static int load(struct format **format, struct file *file, bool read_only, size_t cache_size)
{
    return mpgi_0_2_load(format, &mpgi_format_0_2, file, read_only, cache_size);
}

const struct format_ops mpgi_format_0_2 = {
    .id = MPG_FORMAT_0_2,
    .create = mpgi_0_2_create,
    .load = load,
    .unload = mpgi_0_2_unload,
    .facts = facts,
    .total_pages = total_pages,
    .get_use = get_use,
    .set_use = set_use,
    .find_free = find_free,
    .set_total = set_total,
    .scan_use = scan_use,
    .get_entry = get_entry,
    .put_entry = put_entry,
    .undone = undone,
    .find_free_entry = find_free_entry,
    .scan_entries = scan_entries,
    .next_generation = next_generation,
    .seal = mpgi_0_2_seal,
    .write_nodes = mpgi_0_2_write_nodes,
    .look_again = mpgi_0_2_look_again,
    .write_root = mpgi_0_2_write_root,
    .restore_root = mpgi_0_2_restore_root,
    .publish = mpgi_0_2_publish,
    .discard = mpgi_0_2_discard,
    .is_dirty = is_dirty,
    .walk = walk,
};
