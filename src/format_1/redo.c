/* SPDX-License-Identifier: MIT */
/*
 * A regular page that is in use gets a new content, all of it or nothing.
 *
 * It has no other place to go to: its number is its place. So the new content goes to a free page first, and the record of
 * a commit says which, with its checksum: its redo. Once that is durable the content is put into the page itself and
 * synced, and a mark behind the record says so. Who opens the file and finds such a record last, and no mark, does it once
 * more. The mark needs no sync of its own: whatever makes a later change of that page durable makes the mark durable, too.
 *
 *     content beside, record · sync · content into its page · sync · mark
 *
 * Whatever comes after that record needs no redo, for nothing is written before the mark is. The page beside rests with
 * the chain.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "format_1/state.h"

/* Addresses of contents that readers get are aligned as those in the map are, up to this. */
#define ALIGNMENT_MAX 4096

/* ---- A commit ------------------------------------------------------------------------------ */

/* Free pages that there are to be where one was missing: for the content, and for records. */
#define SPARE_PAGES 4

/*
 * Sees to it that there are some that the space tree knows of, though none of them is in use then, and that they may be
 * had once what is pending is committed.
 */
static int make_pages(struct format_1 *f)
{
    uint64_t page = 0;
    int error = 0;

    for (unsigned i = 0; i < SPARE_PAGES && error == 0; i++, page++) {
        error = mpgi_space_find_free(&f->head, page, REUSE_RECENT, &page);
        if (error == 0 && page >= get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL))
            error = mpgi_format_grow(&f->head, page + 1);
    }
    /* What the last commit freed rests for one more, and the pool looks again. */
    mpgi_pool_reset(&f->pool);
    if (error == 0)
        error = mpgi_root_edit(f);
    return error ? error : REDO_NEEDS_PAGES;
}

int mpgi_redo_prepare(struct format *format)
{
    struct format_1 *f = format_1_of(format);
    int error;

    f->wants_chain = !mpgi_commit_may_be_record(f, true);
    if (f->wants_chain && f->chain.records == 0 && f->chain.is_named)
        return make_pages(f); /* a fold has just been tried */
    if (f->wants_chain)
        return SEAL_NEEDS_ROOM;
    error = mpgi_place_near(f, f->rest.next + 1, &f->gathered.redo.from);
    return error == 1 ? make_pages(f) : error;
}

int mpgi_redo_stage(struct format *format, uint64_t page, const void *content)
{
    struct format_1 *f = format_1_of(format);
    int error = mpgi_root_edit(f);

    if (error)
        return error;
    f->gathered.redo.page = page;
    f->gathered.redo.crc = crc_of(content, f->head.page_size);
    f->gathered.redo_content = content;
    return 0;
}

void mpgi_redo_cancel(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    f->wants_chain = false;
    f->gathered.redo = (struct record_redo){0};
    f->gathered.redo_content = NULL;
    mpgi_checkpoint_let_go(f, &f->rest.chosen);
}

bool mpgi_redo_is_sealed(const struct format *format)
{
    const struct format_1 *f = (const struct format_1 *)(const void *)format;

    return f->sealed.record.redo.page != 0;
}

int mpgi_redo_write(struct format *format)
{
    const struct format_1 *f = format_1_of(format);
    uint64_t page = f->sealed.record.redo.page;

    return mpgi_file_write(format->file, f->sealed.redo_content, format->page_size,
                           page * format->page_size, page);
}

int mpgi_redo_mark(struct format *format)
{
    const struct format_1 *f = format_1_of(format);
    const struct record *record = &f->sealed.record;
    unsigned char mark[MARK_SIZE];

    if (!RULE_HOLDS(RULE_REDO_MARK))
        return 0;
    mpgi_record_mark(mark, record);
    return mpgi_file_write(format->file, mark, sizeof(mark),
                           mpgi_record_mark_at(record, &f->cache.space), record->page);
}

/* ---- Opening ------------------------------------------------------------------------------- */

int mpgi_redo_is_marked(bool *marked, const struct format_1 *f, const struct record *record)
{
    unsigned char mark[MARK_SIZE], there[MARK_SIZE];
    int error;

    *marked = false;
    if (record->redo.page == 0)
        return 0;
    mpgi_record_mark(mark, record);
    error = mpgi_file_read(f->head.file, there, sizeof(there),
                           mpgi_record_mark_at(record, &f->cache.space), record->page);
    *marked = error == 0 && memcmp(mark, there, sizeof(mark)) == 0;
    return error;
}

static int read_content(const struct format_1 *f, const struct record_redo *redo, void *content)
{
    uint32_t page_size = f->head.page_size;
    int error =
        mpgi_file_read(f->head.file, content, page_size, redo->from * page_size, redo->from);
    uint32_t crc = error == 0 ? crc_of(content, page_size) : 0;

    if (error == 0 && crc != redo->crc)
        error = mpgi_fail_crc(MPG_E_CORRUPT_PAGE, "open", redo->page, redo->crc, crc,
                              f->head.file->path, "the new content of regular page");
    return error;
}

int mpgi_redo_load(struct format_1 *f, const struct record *record)
{
    size_t alignment = min_u64(f->head.page_size, ALIGNMENT_MAX);
    struct format_redo *redo = &f->head.redo;
    int error;

    if (record->redo.page == 0 || !RULE_HOLDS(RULE_REDO))
        return 0;
    redo->content = aligned_alloc(alignment, f->head.page_size);
    if (redo->content == NULL)
        return mpgi_fail_memory("open");
    error = read_content(f, &record->redo, redo->content);
    redo->page = error == 0 ? record->redo.page : 0;
    return error;
}

static int write_block_again(const struct format_1 *f, uint64_t page)
{
    const struct node_space *space = &f->cache.space;
    unsigned char block[NODE_SIZE_MAX];
    uint64_t offset = page * space->page_size;
    int error = mpgi_file_read(space->file, block, space->node_size, offset, page);

    return error ? error : mpgi_file_write(space->file, block, space->node_size, offset, page);
}

int mpgi_redo_write_again(const struct format_1 *f, const struct record *record)
{
    int error = 0;

    if (f->head.redo.page == 0 || !RULE_HOLDS(RULE_REDO_AGAIN))
        return 0;
    for (unsigned i = 0; i < record->part_count && error == 0; i++)
        error = write_block_again(f, record->parts[i].page);
    return error ? error : write_block_again(f, record->page);
}

void mpgi_redo_forget(struct format *format)
{
    free(format->redo.content);
    format->redo = (struct format_redo){0};
}

int mpgi_redo_carry_out(struct format_1 *f)
{
    const struct format_redo *redo = &f->head.redo;
    uint32_t page_size = f->head.page_size;
    int error;

    if (redo->page == 0)
        return 0;
    error =
        mpgi_file_write(f->head.file, redo->content, page_size, redo->page * page_size, redo->page);
    return error ? error : mpgi_file_sync(f->head.file);
}
