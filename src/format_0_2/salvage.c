/* SPDX-License-Identifier: MIT */
/*
 * Salvaging a file of format 0.2.
 *
 * Metadata pages and directory blocks end with their own checksums, so that they are known wherever
 * they are. What only page 0 says is which number a directory block has. Where its index is lost, a
 * spare of page 0 may say it, or what is left of the index; blocks that nothing names any more get
 * the numbers that are left, in the order of their pages.
 *
 * Of the two copies of a block the active one counts; without an index, that in which the entries'
 * generations are higher. The other one says what a protected page held before. An entry of a copy
 * that is not whole proves nothing, but where its checksum fits to the content of its page, that
 * content proves the entry.
 */
#include "format/salvage.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/salvage.h"
#include "format_0_2/state.h"
#include "os/io.h"

/*
 * What an entry's place in the order of states is: an active copy, another one, one that is not
 * whole.
 */
enum known { KNOWN_TORN, KNOWN_OLDER, KNOWN_ACTIVE };

/* ---- Reading ------------------------------------------------------------------------------- */

static int note_block(struct remains *r, uint64_t page)
{
    uint64_t *found =
        mpgi_array_room(r->found, r->found_count, &r->found_capacity, sizeof(*found), 16);

    if (found == NULL)
        return mpgi_fail_memory("rescue");
    r->found = found;
    r->found[r->found_count++] = page;
    return 0;
}

/* Looks for directory blocks in all pages. */
static int find_blocks(struct remains *r)
{
    const struct salvage *salvage = r->salvage;
    uint32_t page_size = salvage->page_size;
    int error = 0;

    for (uint64_t page = FIRST_USER_PAGE; page < salvage->pages && error == 0; page++) {
        uint64_t data = mpgi_file_next_data(salvage->file, page * page_size, NULL);
        unsigned char head[BLOCK_ENTRIES];

        if (data >= (page + 1) * page_size) {
            page = data / page_size - 1;
            continue;
        }
        if (mpgi_file_read(salvage->file, head, sizeof(head), page * page_size, page) == 0 &&
            mpgi_looks_like_block_0_2(head, page_size) &&
            mpgi_has_trailer_0_2(salvage->file, page_size, page))
            error = note_block(r, page);
        if (error == 0)
            error = mpgi_salvage_looked(salvage, page);
    }
    return error;
}

/* ---- The space ----------------------------------------------------------------------------- */

static int read_metadata(struct remains *r)
{
    for (unsigned i = 0; i < 2; i++) {
        if (!mpgi_is_metadata_0_2(r->salvage->file, r->salvage->page_size, i + 1)) {
            mpgi_salvage_note(r->salvage, "metadata", i + 1, "metadata page %u is not whole",
                              i + 1);
            continue;
        }
        r->metadata[i] = mpgi_salvage_page_0_2(r, i + 1);
        if (r->metadata[i] == NULL)
            return mpgi_fail_memory("rescue");
    }
    return 0;
}

/* The metadata page that counts; *older: one that is lost may have been newer. */
static const struct sheet *choose_metadata(const struct remains *r, bool *older)
{
    unsigned char head[SUPER_HEAD_SIZE];
    bool has_page_0;

    *older = r->metadata[0] == NULL || r->metadata[1] == NULL;
    mpgi_sheet_read(r->index, head, 0, sizeof(head));
    has_page_0 =
        memcmp(head + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4) == 0 && head[SUPER_ACTIVE] <= 1;
    if (has_page_0 && r->metadata[head[SUPER_ACTIVE]] != NULL) {
        *older = false;
        return r->metadata[head[SUPER_ACTIVE]];
    }
    if (r->metadata[0] == NULL || r->metadata[1] == NULL)
        return r->metadata[0] != NULL ? r->metadata[0] : r->metadata[1];
    return r->metadata[mpgi_sheet_u64(r->metadata[1], METADATA_GENERATION) >
                       mpgi_sheet_u64(r->metadata[0], METADATA_GENERATION)];
}

static int take_space(struct remains *r)
{
    struct salvage *salvage = r->salvage;
    bool older;
    const struct sheet *metadata = choose_metadata(r, &older);
    int error = 0;

    salvage->all_allocated = true;
    if (metadata != NULL)
        salvage->total = mpgi_sheet_u64(metadata, METADATA_TOTAL);
    for (uint64_t page = FIRST_USER_PAGE; metadata != NULL && page < salvage->total && error == 0;
         page++) {
        uint64_t at = METADATA_BITMAP + page / 8;

        if (mpgi_sheet_chunk(metadata, at / SHEET_CHUNK)[at % SHEET_CHUNK] >> page % 8 & 1)
            error = mpgi_salvage_set_regular(salvage, page, true);
    }
    if (error == 0 && older)
        error = mpgi_salvage_doubt(&salvage->doubtful_pages, FIRST_USER_PAGE, salvage->pages);
    return error;
}

/* ---- The index ----------------------------------------------------------------------------- */

static bool is_second_newer(const struct remains *r)
{
    return r->metadata[0] == NULL ||
           (r->metadata[1] != NULL && mpgi_sheet_u64(r->metadata[1], METADATA_GENERATION) >
                                          mpgi_sheet_u64(r->metadata[0], METADATA_GENERATION));
}

/*
 * Reads page 0; where its index is torn, a spare may have it, or at least say which block is which.
 */
static int read_index(struct remains *r)
{
    struct salvage *salvage = r->salvage;
    const struct sheet *metadata = NULL;
    bool found = false, older;
    int error;

    r->index = mpgi_salvage_page_0_2(r, 0);
    if (r->index == NULL)
        return mpgi_fail_memory("rescue");
    error = read_metadata(r);
    if (error)
        return error;
    if (mpgi_size_by_page_0_2(salvage->file) == salvage->page_size &&
        (mpgi_sheet_u32(r->index, INDEX_COUNT) == 0 ||
         mpgi_0_2_trailer_fits(r->index, salvage->page_size, INDEX_COUNT))) {
        r->index_holds = mpgi_sheet_u32(r->index, INDEX_COUNT) <= most_blocks(salvage->page_size);
    } else {
        if (choose_metadata(r, &older) != NULL)
            metadata = r->metadata[is_second_newer(r)];
        error = mpgi_0_2_read_spare(&found, &r->own.io, metadata, r->index);
        r->index_holds = error == 0 && found && metadata != NULL;
        r->index_guessed = found && metadata == NULL;
        error = error == MPG_E_NO_MEMORY ? error : 0;
    }
    if (error == 0 && !(r->index_holds && !found))
        mpgi_salvage_note(salvage, "index", 0, "page 0 does not hold the directory index; %s",
                          r->index_holds ? "a spare of it does"
                          : found        ? "a spare of it, perhaps an older one, does"
                                         : "directory blocks tell themselves");
    return error;
}

/* ---- Entries ------------------------------------------------------------------------------- */

static int add_entry(const struct remains *r, const struct sheet *block, uint32_t number,
                     uint32_t slot, enum known known)
{
    uint64_t pages = r->salvage->pages;
    struct salvage_entry said = {
        .id = (uint64_t)number * entries_per_block(r->salvage->page_size) + slot,
        .known = known,
        .proven = known != KNOWN_TORN,
        .guessed = r->blocks[number].guessed,
    };
    struct entry entry;

    mpgi_0_2_get_entry(block, slot, &entry);
    said.in_use = entry.in_use;
    said.crc = entry.crc;
    said.generation = entry.generation;
    said.page = entry_page(&entry);
    said.other = entry.page[!entry.current];
    if (known == KNOWN_TORN && (!said.in_use || said.page < FIRST_USER_PAGE || said.page >= pages))
        return 0;
    return mpgi_salvage_add_entry(r->salvage, &said);
}

/* All slots that one of the copies says are in use; what each of them says. */
static int take_entries(const struct remains *r, uint32_t number, struct sheet *const *copies,
                        const enum known *known)
{
    int error = 0;

    for (uint32_t slot = 0; error == 0; slot++) {
        uint32_t next = mpgi_0_2_next_slot(&r->own, copies[0], slot);

        next = (uint32_t)min_u64(next, mpgi_0_2_next_slot(&r->own, copies[1], slot));
        if (next == UINT32_MAX)
            break;
        slot = next;
        for (unsigned i = 0; i < 2 && error == 0; i++)
            error = add_entry(r, copies[i], number, slot, known[i]);
    }
    return error;
}

/* What a copy of a block is worth. */
static enum known worth_of(const struct remains *r, const struct salvaged_block *block,
                           unsigned copy, const struct sheet *content)
{
    if (!mpgi_is_block_0_2(r, content) || block->moved)
        return KNOWN_TORN;
    return block->active == copy ? KNOWN_ACTIVE : KNOWN_OLDER;
}

/* Neither copy of a block is whole: contents that nothing else proves pass for regular pages. */
static void tell_unnamed(struct remains *r, const struct salvaged_block *block, uint64_t first)
{
    r->salvage->unnamed = true;
    mpgi_salvage_note(
        r->salvage, "orphan", block->page[0],
        "nothing is known of protected pages %llu to %llu but what proves itself: other "
        "contents of them are saved as regular pages",
        (unsigned long long)first,
        (unsigned long long)first + entries_per_block(r->salvage->page_size) - 1);
}

/* A block of which the copy that counts is whole, and older than the other one. */
static int tell_later(struct remains *r, uint32_t number, struct sheet *const *copies)
{
    const struct salvaged_block *block = &r->blocks[number];
    uint64_t counts = block->page[block->active], other = block->page[!block->active];

    if (!mpgi_is_newer_0_2(&r->own, copies[!block->active], copies[block->active]))
        return 0;
    r->salvage->unfinished = true;
    mpgi_salvage_note(r->salvage, "block", other,
                      "page %llu has a later state of directory block %u than page %llu, which "
                      "counts: a crash cut a commit short, or what counts is older than it was",
                      (unsigned long long)other, (unsigned)number, (unsigned long long)counts);
    return mpgi_doubt_block_0_2(r, number);
}

/* What is left of an index may name either copy: the later one counts. */
static void choose_copy(const struct remains *r, struct salvaged_block *block,
                        struct sheet *const *copies)
{
    if (!r->index_holds && mpgi_is_block_0_2(r, copies[0]) && mpgi_is_block_0_2(r, copies[1]) &&
        mpgi_is_newer_0_2(&r->own, copies[!block->active], copies[block->active]))
        block->active = !block->active;
}

/* Copies are alike where nothing has happened since the file was closed. */
static bool differ(const struct remains *r, struct sheet *const *copies)
{
    uint32_t page_size = r->salvage->page_size;

    return mpgi_0_2_trailer(copies[0], page_size) != mpgi_0_2_trailer(copies[1], page_size);
}

/* What a copy of a block is worth; of one that is not whole all slots will be looked at. */
static int judge_copy(const struct remains *r, uint32_t number, unsigned copy,
                      struct sheet *content, enum known *known)
{
    const struct salvaged_block *block = &r->blocks[number];
    uint64_t page = block->page[copy];
    unsigned char capacity[4];
    int error = page >= FIRST_USER_PAGE ? mpgi_salvage_set_owned(r->salvage, page) : 0;

    *known = worth_of(r, block, copy, content);
    if (error != 0 || *known != KNOWN_TORN)
        return error;
    put_u32(capacity, entries_per_block(r->salvage->page_size));
    if (!mpgi_sheet_write(content, capacity, BLOCK_CAPACITY, sizeof(capacity)))
        return mpgi_fail_memory("rescue");
    if (page != 0)
        mpgi_salvage_note(r->salvage, "block", page, "directory block %u, page %llu, is not whole",
                          (unsigned)number, (unsigned long long)page);
    return 0;
}

static int take_block(struct remains *r, uint32_t number)
{
    struct salvaged_block *block = &r->blocks[number];
    uint64_t first = (uint64_t)number * entries_per_block(r->salvage->page_size);
    struct sheet *copies[2] = {mpgi_salvage_page_0_2(r, block->page[0]),
                               mpgi_salvage_page_0_2(r, block->page[1])};
    enum known known[2] = {KNOWN_TORN, KNOWN_TORN};
    unsigned torn = 0;
    int error = copies[0] != NULL && copies[1] != NULL ? 0 : mpgi_fail_memory("rescue");

    if (error == 0)
        choose_copy(r, block, copies);
    for (unsigned i = 0; i < 2 && error == 0; i++) {
        torn += !mpgi_is_block_0_2(r, copies[i]);
        error = judge_copy(r, number, i, copies[i], &known[i]);
    }
    if (torn == 2)
        tell_unnamed(r, block, first);
    if (error == 0 && (known[block->active] == KNOWN_TORN ||
                       (torn == 0 && r->index_guessed && differ(r, copies))))
        error = mpgi_doubt_block_0_2(r, number);
    if (error == 0 && known[0] != KNOWN_TORN && known[1] != KNOWN_TORN)
        error = tell_later(r, number, copies);
    if (error == 0)
        error = take_entries(r, number, copies, known);
    mpgi_sheet_free(copies[0]);
    mpgi_sheet_free(copies[1]);
    return error;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static int collect_all(struct remains *r)
{
    int error = mpgi_0_2_io_init(&r->own.io, r->salvage->file, r->salvage->page_size);

    if (error == 0)
        error = read_index(r);
    for (unsigned i = 0; i < 2; i++) {
        if (r->metadata[i] != NULL)
            r->salvage->generation = max_u64(r->salvage->generation,
                                             mpgi_sheet_u64(r->metadata[i], METADATA_GENERATION));
    }
    if (error == 0)
        error = take_space(r);
    if (error == 0 && !(r->index_holds && mpgi_sheet_u32(r->index, INDEX_COUNT) == 0))
        error = find_blocks(r);
    if (error == 0)
        error = mpgi_name_blocks_0_2(r);
    if (error == 0)
        mpgi_find_moved_blocks_0_2(r);
    for (uint32_t i = 0; i < r->block_count && error == 0; i++) {
        if (r->blocks[i].named)
            error = take_block(r, i);
    }
    return error;
}

int mpgi_collect_0_2(struct salvage *salvage)
{
    struct remains *r = calloc(1, sizeof(*r));
    int error;

    if (r == NULL)
        return mpgi_fail_memory("rescue");
    r->salvage = salvage;
    r->own.base.page_size = salvage->page_size;
    r->own.base.file = salvage->file;
    salvage->total = salvage->pages;
    error = collect_all(r);
    mpgi_0_2_io_free(&r->own.io);
    mpgi_sheet_free(r->index);
    mpgi_sheet_free(r->metadata[0]);
    mpgi_sheet_free(r->metadata[1]);
    free(r->found);
    free(r->blocks);
    free(r);
    return error;
}
