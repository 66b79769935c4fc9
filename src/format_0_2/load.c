/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2: loading a file. Nothing that a file says is believed unchecked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "format/page_uses.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"
#include "os/io.h"

static int read_page(const struct file *file, unsigned char *data, uint32_t page_size,
                     uint64_t page)
{
    return mpgi_file_read(file, data, page_size, page * page_size, page);
}

static int check_metadata(const struct format_0_2 *own, const unsigned char *metadata,
                          uint64_t page)
{
    const struct file *file = own->base.file;
    uint32_t page_size = own->base.page_size;
    uint64_t total = get_u64(metadata + METADATA_TOTAL);

    if (total > most_pages(page_size) || total < FIRST_USER_PAGE)
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", page,
                         "%s: metadata page %llu counts %llu pages; 3 to %llu are possible",
                         file->path, (unsigned long long)page, (unsigned long long)total,
                         (unsigned long long)most_pages(page_size));
    if (total * page_size > file->bytes)
        return mpgi_fail(MPG_E_TRUNCATED, "open", page,
                         "%s: it has %llu bytes, but its metadata counts %llu pages of %u bytes",
                         file->path, (unsigned long long)file->bytes, (unsigned long long)total,
                         (unsigned)page_size);
    return 0;
}

/* Chooses the metadata page: the active one if it is whole and the superblock's, else the other. */
static int load_metadata(struct format_0_2 *own)
{
    const unsigned char *super = own->index.durable->bytes;
    unsigned char *metadata = own->metadata.durable->bytes;
    const struct file *file = own->base.file;
    uint32_t page_size = own->base.page_size;
    unsigned active = super[SUPER_ACTIVE];
    int result;

    if (active > 1)
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: the superblock names metadata %u; there are 0 and 1", file->path,
                         active);
    result = read_page(file, metadata, page_size, 1 + active);
    if (result != 0)
        return result;
    own->active = active;
    if (mpgi_0_2_trailer_fits(metadata, page_size, 0) &&
        get_u32(super + SUPER_METADATA_CRC) == crc_of(metadata, page_size))
        return check_metadata(own, metadata, 1 + active);
    own->active = !active;
    result = read_page(file, metadata, page_size, 1 + own->active);
    if (result != 0)
        return result;
    if (!mpgi_0_2_trailer_fits(metadata, page_size, 0))
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", 1 + active,
                         "%s: neither metadata page (1, 2) matches its checksum", file->path);
    return check_metadata(own, metadata, 1 + own->active);
}

/* Whether the other metadata page is the newer one, though page 0 does not name it. */
static bool is_newer(const struct format_0_2 *own, const unsigned char *other)
{
    const unsigned char *metadata = own->metadata.durable->bytes;

    return mpgi_0_2_trailer_fits(other, own->base.page_size, 0) &&
           get_u64(other + METADATA_GENERATION) > get_u64(metadata + METADATA_GENERATION) &&
           check_metadata(own, other, 1 + !own->active) == 0;
}

/*
 * Page 0 was torn while a commit wrote it. All else of that commit was durable by then, so its
 * spare copy of page 0 is as good; it goes with the newer metadata page, whichever of the two page
 * 0's first sector names. A spare of the commit before is no help: generations come again after a
 * crash, so it may be that of a commit that never was.
 */
static int recover_index(struct format_0_2 *own)
{
    unsigned char *index = own->index.durable->bytes;
    const struct file *file = own->base.file;
    uint32_t page_size = own->base.page_size;
    struct buffer *other = mpgi_buffer_new(page_size);
    uint32_t recorded = get_u32(index + page_size - TRAILER_SIZE);
    uint32_t found = crc_of(index + INDEX_COUNT, page_size - TRAILER_SIZE - INDEX_COUNT);
    int result;

    if (other == NULL)
        return mpgi_fail_memory("open");
    result = read_page(file, other->bytes, page_size, 1 + !own->active);
    if (result == 0 && is_newer(own, other->bytes)) {
        free(own->metadata.durable);
        own->metadata.durable = other;
        own->active = !own->active;
        other = NULL;
    }
    free(other);
    if (result != 0 || mpgi_0_2_read_spare(file, page_size, own->metadata.durable->bytes, index))
        return result;
    return mpgi_fail_crc(MPG_E_CORRUPT_DIRECTORY_INDEX, "open", 0, recorded, found, file->path,
                         "the directory index");
}

static int load_index(struct format_0_2 *own)
{
    const unsigned char *index = own->index.durable->bytes;
    uint32_t page_size = own->base.page_size;
    int result = 0;

    if (get_u32(index + INDEX_COUNT) == 0)
        return 0;
    if (!mpgi_0_2_trailer_fits(index, page_size, INDEX_COUNT))
        result = recover_index(own);
    if (result == 0 && get_u32(index + INDEX_COUNT) > most_blocks(page_size))
        result = mpgi_fail(MPG_E_CORRUPT_DIRECTORY_INDEX, "open", 0,
                           "%s: the directory index counts %u blocks; it has room for %u",
                           own->base.file->path, (unsigned)get_u32(index + INDEX_COUNT),
                           (unsigned)most_blocks(page_size));
    return result;
}

/* Notes that a page belongs to the directory. Each page may belong to one thing only. */
static int claim_page(struct format_0_2 *own, uint64_t page, enum mpg_page_use use,
                      const char *what, uint64_t number)
{
    unsigned char *uses = own->uses.durable->bytes + USES_ARRAY;
    const unsigned char *metadata = own->metadata.durable->bytes;
    uint64_t total = get_u64(metadata + METADATA_TOTAL);
    const char *path = own->base.file->path;

    if (page < FIRST_USER_PAGE || page >= total)
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "open", page,
                         "%s: %s %llu names page %llu; 3 to %llu are possible", path, what,
                         (unsigned long long)number, (unsigned long long)page,
                         (unsigned long long)total - 1);
    if (mpgi_uses_get(uses, page) >= MPG_USE_PROTECTED)
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "open", page,
                         "%s: %s %llu names page %llu, which something else has", path, what,
                         (unsigned long long)number, (unsigned long long)page);
    /* After a fall-back to older metadata it may be free there: it must not be given out. */
    if (mpgi_uses_get(uses, page) == MPG_USE_FREE)
        own->bitmap_differs = true;
    mpgi_uses_set(uses, page, use);
    return 0;
}

/* Whether a copy of a directory block can be used: whole, and with no more entries than fit. */
static bool is_block(const unsigned char *content, uint32_t page_size)
{
    return mpgi_0_2_trailer_fits(content, page_size, 0) &&
           get_u32(content + BLOCK_CAPACITY) <= entries_per_block(page_size);
}

static int load_block(struct format_0_2 *own, uint32_t number)
{
    const unsigned char *reference =
        own->index.durable->bytes + INDEX_REFERENCES + (size_t)number * REFERENCE_SIZE;
    struct block *block = own->blocks[number];
    uint32_t page_size = own->base.page_size;
    int result = 0;

    block->page[0] = get_u64(reference + REFERENCE_PAGE_A);
    block->page[1] = get_u64(reference + REFERENCE_PAGE_B);
    block->active = reference[REFERENCE_ACTIVE] != 0;
    for (int copy = 0; copy < 2 && result == 0; copy++)
        result = claim_page(own, block->page[copy], MPG_USE_METADATA, "directory block", number);
    if (result != 0)
        return result;
    block->content.durable = mpgi_buffer_new(page_size);
    if (block->content.durable == NULL)
        return mpgi_fail_memory("open");
    for (int attempt = 0; attempt < 2; attempt++) {
        unsigned char *content = block->content.durable->bytes;

        result = read_page(own->base.file, content, page_size, block->page[block->active]);
        if (result != 0 || is_block(content, page_size))
            return result;
        block->active = !block->active;
        block->damaged = true;
    }
    return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "open", block->page[block->active],
                     "%s: neither copy of directory block %u (pages %llu, %llu) is whole",
                     own->base.file->path, (unsigned)number, (unsigned long long)block->page[0],
                     (unsigned long long)block->page[1]);
}

static int load_entries(struct format_0_2 *own, uint32_t number)
{
    const unsigned char *content = own->blocks[number]->content.durable->bytes;
    unsigned char *header = own->uses.durable->bytes;
    uint32_t per_block = entries_per_block(own->base.page_size);
    uint32_t slots = mpgi_0_2_slots(own, content);

    for (uint32_t slot = 0; slot < slots; slot++) {
        uint64_t id = (uint64_t)number * per_block + slot;
        struct entry entry;

        mpgi_0_2_get_entry(content, slot, &entry);
        if (!entry.in_use)
            continue;
        for (int copy = 0; copy < 2; copy++) {
            int result = claim_page(own, entry.page[copy], MPG_USE_PROTECTED, "protected page", id);

            if (result != 0)
                return result;
        }
        put_u64(header + USES_PROTECTED_COUNT, get_u64(header + USES_PROTECTED_COUNT) + 1);
    }
    return 0;
}

/* Whether the bitmap marks pages that the file has not. */
static bool marks_beyond(const struct format_0_2 *own, uint64_t total)
{
    const unsigned char *bitmap = own->metadata.durable->bytes + METADATA_BITMAP;
    uint64_t first = total / 8;

    if (total % 8 != 0 && bitmap[first++] >> total % 8 != 0)
        return true;
    return !is_zero(bitmap + first, (size_t)(most_pages(own->base.page_size) / 8 - first));
}

/* What the bitmap alone says; the directory's pages are set apart afterwards. */
static int load_bitmap(struct format_0_2 *own)
{
    const unsigned char *metadata = own->metadata.durable->bytes;
    uint64_t total = get_u64(metadata + METADATA_TOTAL);
    uint64_t free_pages = 0;
    unsigned char *uses;

    own->uses.durable = mpgi_buffer_new(USES_ARRAY + total / USES_PER_BYTE + 1);
    if (own->uses.durable == NULL)
        return mpgi_fail_memory("open");
    uses = own->uses.durable->bytes + USES_ARRAY;
    for (uint64_t page = 0; page < total; page++) {
        bool allocated = metadata[METADATA_BITMAP + page / 8] >> page % 8 & 1;

        if (page < FIRST_USER_PAGE)
            mpgi_uses_set(uses, page, MPG_USE_METADATA);
        else if (allocated)
            mpgi_uses_set(uses, page, MPG_USE_REGULAR);
        free_pages += !allocated;
    }
    own->bitmap_differs = free_pages != get_u64(metadata + METADATA_FREE) ||
                          (metadata[METADATA_BITMAP] & 7) != 7 || marks_beyond(own, total);
    return 0;
}

static int load_directory(struct format_0_2 *own)
{
    uint32_t count = get_u32(own->index.durable->bytes + INDEX_COUNT);
    int result = 0;

    /* All blocks first: an entry must not name a page of any of them. */
    while (own->block_count < count && result == 0) {
        if (mpgi_0_2_new_block(own) == NULL)
            return mpgi_fail_memory("open");
        result = load_block(own, own->block_count - 1);
    }
    for (uint32_t number = 0; number < count && result == 0; number++)
        result = load_entries(own, number);
    return result;
}

/*
 * Whether page 0 and then the metadata are still what was loaded. Page 0 alone does not tell, for
 * every second commit makes the same one; the metadata carries its generation. While both stay, at
 * most one commit has been at work, and that leaves alone all that this page 0 names. Otherwise
 * what was read may be parts of different commits.
 */
static int check_not_overtaken(const struct format_0_2 *own, const unsigned char *page0)
{
    const unsigned char *metadata = own->metadata.durable->bytes;
    uint32_t page_size = own->base.page_size;
    unsigned char *now = malloc(page_size);
    bool same = false;
    int result;

    if (now == NULL)
        return mpgi_fail_memory("open");
    result = read_page(own->base.file, now, page_size, 0);
    if (result == 0 && memcmp(page0, now, page_size) == 0) {
        result = read_page(own->base.file, now, page_size, 1 + own->active);
        same = result == 0 && memcmp(metadata, now, page_size) == 0;
    }
    free(now);
    if (result != 0 || same)
        return result;
    return mpgi_fail(MPG_E_STALE, "open", 0, "%s: a writer commits faster than it can be read",
                     own->base.file->path);
}

static int load_parts(struct format_0_2 *own)
{
    int result = load_metadata(own);

    if (result == 0)
        result = load_index(own);
    if (result == 0)
        result = load_bitmap(own);
    if (result == 0)
        result = load_directory(own);
    return result;
}

static int load_all(struct format_0_2 *own)
{
    uint32_t page_size = own->base.page_size;
    unsigned char *page0;
    int result;

    own->index.durable = mpgi_buffer_new(page_size);
    own->metadata.durable = mpgi_buffer_new(page_size);
    if (own->index.durable == NULL || own->metadata.durable == NULL)
        return mpgi_fail_memory("open");
    result = read_page(own->base.file, own->index.durable->bytes, page_size, 0);
    if (result != 0 || !own->base.read_only)
        return result != 0 ? result : load_parts(own);
    page0 = malloc(page_size); /* what is loaded may come from a spare copy instead */
    if (page0 == NULL)
        return mpgi_fail_memory("open");
    memcpy(page0, own->index.durable->bytes, page_size);
    result = load_parts(own);
    if (result == 0)
        result = check_not_overtaken(own, page0);
    free(page0);
    return result;
}

/*
 * For a writer: page 0 is to say what was found. Where its index came from the spare copy, that is
 * good only until the next commit. And where it names a metadata page that is not whole, the next
 * commit would write a whole one there before it is complete.
 *
 * Page 0 is written even if it says so already: the page cache may show one that the disk lacks, for
 * its sync has failed and the process died before it put back the one before (rule 6). What it names
 * was synced before it was written, but for the metadata of a file that was just made.
 */
static int mend_page_0(struct format_0_2 *own)
{
    const unsigned char *metadata = own->metadata.durable->bytes;
    uint32_t page_size = own->base.page_size;
    unsigned char *found = own->index.durable->bytes;
    struct buffer *present = mpgi_buffer_new(page_size);
    int result;

    if (present == NULL)
        return mpgi_fail_memory("open");
    found[SUPER_ACTIVE] = (unsigned char)own->active;
    put_u32(found + SUPER_METADATA_CRC, crc_of(metadata, page_size));
    result = read_page(own->base.file, present->bytes, page_size, 0);
    own->base.replaced = present;
    if (result != 0 || (!RULE_HOLDS(RULE_6_AGAIN) && memcmp(present->bytes, found, page_size) == 0))
        return result;
    if (get_u64(metadata + METADATA_GENERATION) == 0)
        result = mpgi_file_write(own->base.file, metadata, page_size,
                                 (1 + own->active) * (uint64_t)page_size, 1 + own->active);
    return result != 0 ? result : mpgi_file_write(own->base.file, found, page_size, 0, 0);
}

int mpgi_0_2_load(struct format **format, const struct format_ops *ops, struct file *file,
                  bool read_only, size_t cache_size)
{
    unsigned char head[SUPERBLOCK_HEAD_SIZE];
    struct format_0_2 *own;
    int result = mpgi_file_read(file, head, sizeof(head), 0, 0);

    if (result != 0)
        return result;
    own = calloc(1, sizeof(*own));
    if (own == NULL)
        return mpgi_fail_memory("open");
    own->base.ops = ops;
    own->base.file = file;
    own->base.read_only = read_only;
    own->base.cache_size = cache_size;
    own->base.page_size = UINT32_C(1) << (get_u32(head + SUPERBLOCK_PAGE_SIZE_LOG2) & 31);
    result = load_all(own);
    if (result == 0 && !read_only)
        result = mend_page_0(own);
    if (result != 0) {
        mpgi_0_2_unload(&own->base);
        return result;
    }
    *format = &own->base;
    return 0;
}

void mpgi_0_2_unload(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);

    free(format->replaced);
    mpgi_0_2_drop_blocks(own, 0);
    free(own->blocks);
    mpgi_versions_free(&own->metadata);
    mpgi_versions_free(&own->index);
    mpgi_versions_free(&own->uses);
    free(own);
}
