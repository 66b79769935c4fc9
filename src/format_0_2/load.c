/* SPDX-License-Identifier: MIT */
/*
 * Format 0.2: loading a file. Nothing that a file says is believed unchecked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "format/page_uses.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/state.h"
#include "os/io.h"

static int check_metadata(const struct format_0_2 *own, const struct sheet *metadata, uint64_t page)
{
    const struct file *file = own->base.file;
    uint32_t page_size = own->base.page_size;
    uint64_t total = mpgi_sheet_u64(metadata, METADATA_TOTAL);

    if (total > most_pages(page_size) || total < FIRST_USER_PAGE)
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", page,
                         "%s: metadata page %llu counts %llu pages; 3 to %llu are possible",
                         file->path, (unsigned long long)page, (unsigned long long)total,
                         (unsigned long long)most_pages(page_size));
    if (total > file->bytes / page_size)
        return mpgi_fail(MPG_E_TRUNCATED, "open", page,
                         "%s: it has %llu bytes, but its metadata counts %llu pages of %u bytes",
                         file->path, (unsigned long long)file->bytes, (unsigned long long)total,
                         (unsigned)page_size);
    return 0;
}

/* Reads a page into a new sheet. */
static int read_sheet(struct sheet **sheet, const struct format_0_2 *own, uint64_t page)
{
    struct sheet *made = mpgi_sheet_new();
    int result = made != NULL ? mpgi_0_2_read_page(made, &own->io, page) : mpgi_fail_memory("open");

    if (result != 0) {
        mpgi_sheet_free(made);
        return result;
    }
    mpgi_sheet_free(*sheet);
    *sheet = made;
    return 0;
}

/* Chooses the metadata page: the active one if it is whole and the superblock's, else the other. */
static int load_metadata(struct format_0_2 *own)
{
    const struct sheet *super = own->index.durable;
    const struct file *file = own->base.file;
    uint32_t page_size = own->base.page_size;
    unsigned char active;
    int result;

    mpgi_sheet_read(super, &active, SUPER_ACTIVE, 1);
    if (active > 1)
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: the superblock names metadata %u; there are 0 and 1", file->path,
                         active);
    result = read_sheet(&own->metadata.durable, own, 1 + active);
    if (result != 0)
        return result;
    own->active = active;
    if (mpgi_0_2_trailer_fits(own->metadata.durable, page_size, 0) &&
        mpgi_sheet_u32(super, SUPER_METADATA_CRC) ==
            mpgi_sheet_crc(own->metadata.durable, 0, page_size))
        return check_metadata(own, own->metadata.durable, 1 + active);
    own->active = !active;
    result = read_sheet(&own->metadata.durable, own, 1 + own->active);
    if (result != 0)
        return result;
    /* Only of a new file whose creation was cut short is the other one as good. */
    own->metadata_damaged =
        active != 0 || mpgi_sheet_u64(own->metadata.durable, METADATA_GENERATION) != 0;
    if (!mpgi_0_2_trailer_fits(own->metadata.durable, page_size, 0))
        return mpgi_fail(MPG_E_CORRUPT_METADATA, "open", 1 + active,
                         "%s: neither metadata page (1, 2) matches its checksum", file->path);
    return check_metadata(own, own->metadata.durable, 1 + own->active);
}

/* Whether the other metadata page is the newer one, though page 0 does not name it. */
static bool is_newer(const struct format_0_2 *own, const struct sheet *other)
{
    return mpgi_0_2_trailer_fits(other, own->base.page_size, 0) &&
           mpgi_sheet_u64(other, METADATA_GENERATION) >
               mpgi_sheet_u64(own->metadata.durable, METADATA_GENERATION) &&
           check_metadata(own, other, 1 + !own->active) == 0;
}

/*
 * Page 0 was torn while a commit wrote it. If that was one of ours, all else of it was durable by
 * then, and its spare copy of page 0 is as good; it goes with the newer metadata page, whichever of
 * the two page 0's first sector names. A spare of the commit before is no help: generations come
 * again after a crash, so it may be that of a commit that never was.
 */
static int recover_index(struct format_0_2 *own)
{
    struct sheet *index = own->index.durable;
    uint32_t page_size = own->base.page_size;
    uint32_t recorded = mpgi_0_2_trailer(index, page_size);
    uint32_t found_crc = mpgi_sheet_crc(index, INDEX_COUNT, page_size - TRAILER_SIZE);
    struct sheet *other = NULL;
    bool found = false;
    int result = read_sheet(&other, own, 1 + !own->active);

    if (result == 0 && is_newer(own, other)) {
        mpgi_sheet_free(own->metadata.durable);
        own->metadata.durable = other;
        own->active = !own->active;
        own->metadata_damaged = false;
        other = NULL;
    }
    mpgi_sheet_free(other);
    if (result == 0)
        result = mpgi_0_2_read_spare(&found, &own->io, own->metadata.durable, index);
    if (result != 0 || found)
        return result;
    return mpgi_fail_crc(MPG_E_CORRUPT_DIRECTORY_INDEX, "open", 0, recorded, found_crc,
                         own->base.file->path, "the directory index");
}

static int load_index(struct format_0_2 *own)
{
    const struct sheet *index = own->index.durable;
    uint32_t page_size = own->base.page_size;
    int result = 0;

    if (mpgi_sheet_u32(index, INDEX_COUNT) == 0)
        return 0;
    if (!mpgi_0_2_trailer_fits(index, page_size, INDEX_COUNT))
        result = recover_index(own);
    if (result == 0 && mpgi_sheet_u32(index, INDEX_COUNT) > most_blocks(page_size))
        result = mpgi_fail(MPG_E_CORRUPT_DIRECTORY_INDEX, "open", 0,
                           "%s: the directory index counts %u blocks; it has room for %u",
                           own->base.file->path, (unsigned)mpgi_sheet_u32(index, INDEX_COUNT),
                           (unsigned)most_blocks(page_size));
    return result;
}

/* Notes that a page belongs to the directory. Each page may belong to one thing only. */
static int claim_page(struct format_0_2 *own, uint64_t page, enum mpg_page_use use,
                      const char *what, uint64_t number)
{
    struct sheet *uses = own->uses.durable;
    uint64_t total = mpgi_sheet_u64(own->metadata.durable, METADATA_TOTAL);
    const char *path = own->base.file->path;

    if (page < FIRST_USER_PAGE || page >= total)
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "open", page,
                         "%s: %s %llu names page %llu; 3 to %llu are possible", path, what,
                         (unsigned long long)number, (unsigned long long)page,
                         (unsigned long long)total - 1);
    if (mpgi_0_2_use(uses, page) >= MPG_USE_PROTECTED)
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "open", page,
                         "%s: %s %llu names page %llu, which something else has", path, what,
                         (unsigned long long)number, (unsigned long long)page);
    /* After a fall-back to older metadata it may be free there: it must not be given out. */
    if (mpgi_0_2_use(uses, page) == MPG_USE_FREE)
        own->bitmap_differs = true;
    return mpgi_0_2_set_use(uses, page, use) ? 0 : mpgi_fail_memory("open");
}

/* Whether a copy of a directory block can be used: whole, and with no more entries than fit. */
static bool is_block(const struct sheet *content, uint32_t page_size)
{
    return mpgi_0_2_trailer_fits(content, page_size, 0) &&
           mpgi_sheet_u32(content, BLOCK_CAPACITY) <= entries_per_block(page_size);
}

static int load_content(struct format_0_2 *own, struct block *block, uint32_t number)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        int result = read_sheet(&block->content.durable, own, block->page[block->active]);

        if (result != 0)
            return result;
        if (is_block(block->content.durable, own->base.page_size))
            return own->base.read_only ? 0 : mpgi_0_2_read_other_trailer(&own->io, block);
        block->active = !block->active;
        block->damaged = true;
    }
    return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "open", block->page[block->active],
                     "%s: neither copy of directory block %u (pages %llu, %llu) is whole",
                     own->base.file->path, (unsigned)number, (unsigned long long)block->page[0],
                     (unsigned long long)block->page[1]);
}

static int load_block(struct format_0_2 *own, uint32_t number)
{
    unsigned char reference[REFERENCE_SIZE];
    struct block *block = own->blocks[number];
    int result = 0;

    mpgi_sheet_read(own->index.durable, reference, mpgi_0_2_reference_at(number),
                    sizeof(reference));
    block->page[0] = get_u64(reference + REFERENCE_PAGE_A);
    block->page[1] = get_u64(reference + REFERENCE_PAGE_B);
    block->active = reference[REFERENCE_ACTIVE] != 0;
    for (int copy = 0; copy < 2 && result == 0; copy++)
        result = claim_page(own, block->page[copy], MPG_USE_METADATA, "directory block", number);
    return result != 0 ? result : load_content(own, block, number);
}

static int load_entries(struct format_0_2 *own, uint32_t number)
{
    const struct sheet *content = own->blocks[number]->content.durable;
    uint64_t first = (uint64_t)number * entries_per_block(own->base.page_size);
    uint64_t count = 0;

    for (uint32_t slot = 0; (slot = mpgi_0_2_next_slot(own, content, slot)) != UINT32_MAX; slot++) {
        struct entry entry;

        mpgi_0_2_get_entry(content, slot, &entry);
        for (int copy = 0; copy < 2; copy++) {
            int result = claim_page(own, entry.page[copy], MPG_USE_PROTECTED, "protected page",
                                    first + slot);

            if (result != 0)
                return result;
        }
        count++;
    }
    count += mpgi_sheet_u64(own->uses.durable, USES_PROTECTED_COUNT);
    mpgi_sheet_put_u64(own->uses.durable, USES_PROTECTED_COUNT, count);
    return 0;
}

/* What the bitmap alone says; the directory's pages are set apart afterwards. */
static int load_bitmap(struct format_0_2 *own)
{
    const struct sheet *metadata = own->metadata.durable;
    struct sheet *uses = own->uses.durable = mpgi_sheet_new();
    uint64_t total = mpgi_sheet_u64(metadata, METADATA_TOTAL);
    uint64_t allocated = 0;
    bool beyond = false, enough;

    enough = uses != NULL && mpgi_sheet_own(uses, USES_PROTECTED_COUNT, sizeof(uint64_t)) &&
             mpgi_0_2_read_bitmap(uses, metadata, own->base.page_size, &allocated, &beyond);
    own->bitmap_differs = beyond || total - allocated != mpgi_sheet_u64(metadata, METADATA_FREE);
    for (uint64_t page = 0; page < FIRST_USER_PAGE && enough; page++) {
        if (mpgi_0_2_use(uses, page) == MPG_USE_FREE)
            own->bitmap_differs = true;
        enough = mpgi_0_2_set_use(uses, page, MPG_USE_METADATA);
    }
    return enough ? 0 : mpgi_fail_memory("open");
}

static int load_directory(struct format_0_2 *own)
{
    uint32_t count = mpgi_sheet_u32(own->index.durable, INDEX_COUNT);
    int result = 0;

    /* All blocks first: an entry must not name a page of any of them. */
    while (own->block_count < count && result == 0) {
        if (mpgi_0_2_new_block(own) == NULL)
            return mpgi_fail_memory("open");
        result = load_block(own, own->block_count - 1);
    }
    for (uint32_t number = 0; number < count && result == 0; number++)
        result = load_entries(own, number);
    if (result == 0)
        mpgi_0_2_choose_witnesses(own, NULL);
    return result;
}

/*
 * Whether page 0 and then the metadata are still what was loaded. Page 0 alone does not tell, for
 * every second commit makes the same one; the metadata carries its generation. While both stay, at
 * most one commit has been at work, and that leaves alone all that this page 0 names. Otherwise
 * what was read may be parts of different commits.
 */
static int check_not_overtaken(const struct format_0_2 *own, const struct sheet *page_0)
{
    struct sheet *now = NULL;
    bool same = false;
    int result = read_sheet(&now, own, 0);

    if (result == 0 && mpgi_sheet_equal(page_0, now)) {
        result = read_sheet(&now, own, 1 + own->active);
        same = result == 0 && mpgi_sheet_equal(own->metadata.durable, now);
    }
    mpgi_sheet_free(now);
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
    int result = mpgi_0_2_io_init(&own->io, own->base.file, own->base.page_size);

    if (result == 0)
        result = read_sheet(&own->index.durable, own, 0);
    if (result != 0)
        return result;
    /* What is loaded may come from a spare copy instead. */
    own->page_0_before = mpgi_sheet_copy(own->index.durable);
    if (own->page_0_before == NULL)
        return mpgi_fail_memory("open");
    result = load_parts(own);
    if (result == 0 && own->base.read_only)
        result = check_not_overtaken(own, own->page_0_before);
    return result;
}

/*
 * Rule 12, where a lock keeps nobody out: page 0 is not written over newer work of somebody else.
 * Page 0 may say the same after two commits, the metadata do not.
 */
static int check_still_here(const struct format_0_2 *own)
{
    struct sheet *page_0 = NULL;
    struct sheet *metadata = NULL;
    bool same;
    int result;

    if (!own->base.file->sharing.lock_is_local)
        return 0;
    mpgi_file_forget(own->base.file, 0, (uint64_t)3 * own->base.page_size);
    result = read_sheet(&page_0, own, 0);
    if (result == 0)
        result = read_sheet(&metadata, own, 1 + own->active);
    same = result != 0 || (mpgi_sheet_equal(page_0, own->page_0_before) &&
                           mpgi_sheet_equal(metadata, own->metadata.durable));
    mpgi_sheet_free(page_0);
    mpgi_sheet_free(metadata);
    return same ? result : mpgi_file_fail_changed(own->base.file, "it was being opened");
}

/*
 * For a writer: page 0 is to say what was found. Where its index came from the spare copy, that is
 * good only until the next commit. And where it names a metadata page that is not whole, the next
 * commit would write a whole one there before it is complete.
 *
 * Page 0 is written even if it says so already: the page cache may show one that the disk lacks,
 * for its sync has failed and the process died before it put back the one before (rule 6). What it
 * names was synced before it was written, but for the metadata of a file that was just made.
 */
static int mend_page_0(struct format_0_2 *own)
{
    const struct sheet *metadata = own->metadata.durable;
    struct sheet *found = own->index.durable;
    unsigned char active = (unsigned char)own->active;
    int result;

    if (!mpgi_sheet_own(found, 0, SUPER_HEAD_SIZE))
        return mpgi_fail_memory("open");
    (void)mpgi_sheet_write(found, &active, SUPER_ACTIVE, 1);
    mpgi_sheet_put_u32(found, SUPER_METADATA_CRC, mpgi_sheet_crc(metadata, 0, own->base.page_size));
    result = check_still_here(own);
    if (result != 0 || (!RULE_HOLDS(RULE_6_AGAIN) && mpgi_sheet_equal(own->page_0_before, found)))
        return result;
    if (mpgi_sheet_u64(metadata, METADATA_GENERATION) == 0)
        result = mpgi_0_2_write_page(metadata, &own->io, 0, 1 + own->active);
    return result != 0 ? result : mpgi_0_2_write_page(found, &own->io, 0, 0);
}

int mpgi_0_2_settle(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);
    int result = own->unsettled ? mend_page_0(own) : 0;
    mpg_error_info error;

    own->unsettled = result != 0;
    if (result == 0)
        result = RULE_HOLDS(1) ? mpgi_file_sync(format->file) : 0;
    if (result == 0 || own->unsettled)
        return result;
    own->unsettled = true;
    (void)mpg_last_error(&error);
    if (own->page_0_before != NULL)
        (void)mpgi_0_2_write_page(own->page_0_before, &own->io, 0, 0);
    return mpgi_fail_again(&error);
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
    /* Rule 13: settling tries again. */
    own->unsettled = result == MPG_E_NO_SPACE && RULE_HOLDS(13);
    if (result != 0 && !own->unsettled) {
        mpgi_0_2_unload(&own->base);
        return result;
    }
    *format = &own->base;
    return 0;
}

void mpgi_0_2_unload(struct format *format)
{
    struct format_0_2 *own = format_0_2_of(format);

    free(own->contents);
    mpgi_0_2_io_free(&own->io);
    mpgi_sheet_free(own->page_0_before);
    mpgi_0_2_drop_blocks(own, 0);
    free(own->blocks);
    mpgi_sheets_free(&own->metadata);
    mpgi_sheets_free(&own->index);
    mpgi_sheets_free(&own->uses);
    free(own);
}
