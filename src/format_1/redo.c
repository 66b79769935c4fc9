/* SPDX-License-Identifier: MIT */
/*
 * Regular pages that are in use get new contents, all of them or none.
 *
 * They have no other place to go to: their number is their place. So the new contents go to free
 * pages first, and the record of a commit says which, with their checksums: its redos. Once that is
 * durable the contents are put into the pages themselves and synced, and a mark behind the record
 * says so. Who opens the file and finds such a record last, and no mark, does it once more. The
 * mark needs no sync of its own: whatever makes a later change of those pages durable makes the
 * mark durable, too.
 *
 *     contents beside, record · sync · contents into their pages · sync · mark
 *
 * Whatever comes after that record needs no redo, for nothing is written before the mark is. The
 * pages beside rest with the chain.
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

/* Free pages that there are to be besides, where some were missing: for records. */
#define SPARE_PAGES 4

/*
 * Sees to it that there are so many that the space tree knows of, though none of them is in use
 * then, and that they may be had once what is pending is committed.
 */
static int make_pages(struct format_1 *f, size_t count)
{
    uint64_t page = 0;
    size_t found = 0;
    int error = 0;

    for (; found < count + SPARE_PAGES && error == 0; page++) {
        error = mpgi_space_find_free(&f->head, page, REUSE_RECENT, &page);
        if (error == 0 && page >= get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL))
            error = mpgi_format_grow(&f->head, page + 1);
        /* What a transaction allocates is free until its commit. */
        found += !mpgi_format_holds(&f->head, page);
    }
    /* What the last commit freed rests for one more, and the pool looks again. */
    mpgi_pool_reset(&f->pool);
    if (error == 0)
        error = mpgi_root_edit(f);
    return error ? error : REDO_NEEDS_PAGES;
}

static int fail_size(const struct format_1 *f)
{
    return mpgi_fail(MPG_E_UNSUPPORTED, "commit", MPG_NO_PAGE,
                     "%s: a transaction cannot change so much together with regular pages in use",
                     f->head.file->path);
}

static void drop_redos(struct format_1 *f)
{
    free(f->gathered.redos.at);
    f->gathered.redos = (struct redos){0};
    mpgi_checkpoint_let_go(f, &f->rest.chosen);
}

/* There is no place for a record: others come with a root, if that has not just been tried. */
static bool begin_chain(struct format_1 *f)
{
    f->wants_chain = f->chain.records > 0 || !f->chain.is_named;
    return f->wants_chain;
}

int mpgi_redo_prepare(struct format *format, size_t count, size_t others, size_t changes)
{
    struct format_1 *f = format_1_of(format);
    struct record_amounts amounts = {count, others, changes};
    unsigned parts = mpgi_record_parts(f->cache.space.node_size, amounts);
    size_t pages = count + others + parts;
    struct record_redo *redos;
    int error;

    f->wants_chain = false;
    if (count > mpgi_record_most_redos(format->page_size) || parts > PARTS_MAX)
        return fail_size(f);
    if (!mpgi_commit_fits_record(f, amounts) || mpgi_commit_wants_checkpoint(f))
        return begin_chain(f) ? SEAL_NEEDS_ROOM : make_pages(f, pages);
    redos = calloc(count, sizeof(*redos));
    if (redos == NULL)
        return mpgi_fail_memory("commit");
    error = mpgi_place_beside(f, count, others + parts, redos);
    f->gathered.redos.at = redos;
    return error == 1 ? make_pages(f, pages) : error;
}

int mpgi_redo_stage(struct format *format, const struct page_content *contents, size_t count)
{
    struct format_1 *f = format_1_of(format);
    struct redos *redos = &f->gathered.redos;
    int error = mpgi_root_edit(f);

    if (error)
        return error;
    redos->contents = contents;
    redos->count = count;
    for (size_t i = 0; i < count; i++) {
        redos->at[i].page = contents[i].page;
        redos->at[i].crc = crc_of(contents[i].content, format->page_size);
    }
    return 0;
}

int mpgi_redo_check(struct format *format)
{
    struct format_1 *f = format_1_of(format);
    struct record_amounts amounts = {f->gathered.redos.count, f->gathered.entries.count,
                                     f->gathered.runs.count / 2};

    if (!f->gathered.structure && mpgi_commit_fits_record(f, amounts))
        return 0;
    drop_redos(f);
    if (f->gathered.structure)
        return REDO_NEEDS_PAGES; /* its nodes first, by a root */
    return begin_chain(f) ? SEAL_NEEDS_ROOM : fail_size(f);
}

void mpgi_redo_cancel(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    f->wants_chain = false;
    drop_redos(f);
}

bool mpgi_redo_is_sealed(const struct format *format)
{
    const struct format_1 *f = (const struct format_1 *)(const void *)format;

    return f->sealed.redos.count != 0;
}

int mpgi_redo_write(struct format *format)
{
    const struct redos *redos = &format_1_of(format)->sealed.redos;
    int error = 0;

    for (size_t i = 0; i < redos->count && error == 0; i++)
        error =
            mpgi_file_write(format->file, redos->contents[i].content, format->page_size,
                            redos->contents[i].page * format->page_size, redos->contents[i].page);
    return error;
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
    if (record->redo_count == 0)
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
    uint32_t page_size = f->head.page_size;
    size_t alignment = min_u64(page_size, ALIGNMENT_MAX);
    struct format_redo *redo = &f->head.redo;
    int error = 0;

    if (record->redo_count == 0 || !RULE_HOLDS(RULE_REDO))
        return 0;
    redo->pages = calloc(record->redo_count, sizeof(*redo->pages));
    redo->contents = aligned_alloc(alignment, (size_t)record->redo_count * page_size);
    if (redo->pages == NULL || redo->contents == NULL)
        return mpgi_fail_memory("open");
    for (uint32_t i = 0; i < record->redo_count && error == 0; i++) {
        redo->pages[i] = record->redos[i].page;
        error = read_content(f, &record->redos[i], redo->contents + (size_t)i * page_size);
    }
    redo->count = error == 0 ? record->redo_count : 0;
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

    if (f->head.redo.count == 0 || !RULE_HOLDS(RULE_REDO_AGAIN))
        return 0;
    for (unsigned i = 0; i < record->part_count && error == 0; i++)
        error = write_block_again(f, record->parts[i].page);
    return error ? error : write_block_again(f, record->page);
}

void mpgi_redo_forget(struct format *format)
{
    free(format->redo.pages);
    free(format->redo.contents);
    format->redo = (struct format_redo){0};
}

int mpgi_redo_carry_out(struct format_1 *f)
{
    const struct format_redo *redo = &f->head.redo;
    uint64_t page_size = f->head.page_size;
    int error = 0;

    if (redo->count == 0)
        return 0;
    for (size_t i = 0; i < redo->count && error == 0; i++)
        error = mpgi_file_write(f->head.file, redo->contents + i * page_size, page_size,
                                redo->pages[i] * page_size, redo->pages[i]);
    return error ? error : mpgi_file_sync(f->head.file);
}
