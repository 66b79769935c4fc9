/* SPDX-License-Identifier: MIT */
/*
 * Salvaging a file of format 0.2.
 *
 * Metadata pages and directory blocks end with their own checksums, so that they are known wherever they are.
 * What only page 0 says is which number a directory block has. Where its index is lost, a spare of page 0 may say it,
 * or what is left of the index; blocks that nothing names any more get the numbers that are left, in the order of their pages.
 *
 * Of the two copies of a block the active one counts; without an index, that in which the entries' generations are higher.
 * The other one says what a protected page held before. An entry of a copy that is not whole proves nothing,
 * but where its checksum fits to the content of its page, that content proves the entry.
 */
#include "format/salvage.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format/superblock.h"
#include "format_0_2/layout.h"
#include "format_0_2/salvage.h"
#include "format_0_2/state.h"
#include "os/io.h"

/* What an entry's place in the order of states is: an active copy, another one, one that is not whole. */
enum known { KNOWN_TORN, KNOWN_OLDER, KNOWN_ACTIVE };

/* A directory block, by its number. */
struct salvaged_block {
    uint64_t page[2]; /* 0: not known */
    unsigned active;
    bool named; /* by the index, or what is left of it */
    bool
        moved; /* what is in its pages may be another's: nothing in a block says which number it has */
};

struct remains {
    struct salvage *salvage;
    struct format_0_2 own;     /* not loaded: what reading blocks needs */
    struct sheet *index;       /* page 0, or a spare; owned */
    struct sheet *metadata[2]; /* NULL: not whole; owned */
    bool index_holds;
    uint64_t *found; /* pages that hold whole blocks, ascending; owned */
    size_t found_count, found_capacity;
    struct salvaged_block *blocks; /* owned */
    uint32_t block_count;
};

/* ---- Which file it is ---------------------------------------------------------------------- */

/* Whether a page ends with the checksum of all before it. */
static bool has_trailer(const struct file *file, uint32_t page_size, uint64_t page)
{
    unsigned char trailer[TRAILER_SIZE];
    uint64_t at = page * page_size;
    uint32_t crc;

    return at <= file->bytes && page_size <= file->bytes - at &&
           mpgi_file_read(file, trailer, sizeof(trailer), at + page_size - TRAILER_SIZE, page) ==
               0 &&
           mpgi_file_crc(file, &crc, page_size - TRAILER_SIZE, at, page) == 0 &&
           crc == get_u32(trailer);
}

bool mpgi_is_metadata_0_2(const struct file *file, uint32_t page_size, uint64_t page)
{
    unsigned char head[METADATA_BITMAP + 1];
    uint64_t total;

    if (page * page_size > file->bytes || file->bytes - page * page_size < page_size ||
        mpgi_file_read(file, head, sizeof(head), page * page_size, page) != 0)
        return false;
    total = get_u64(head + METADATA_TOTAL);
    return total >= FIRST_USER_PAGE && total <= most_pages(page_size) &&
           get_u64(head + METADATA_FREE) <= total && has_trailer(file, page_size, page);
}

/* What page 0 says, if it looks like one; 0 otherwise. */
static uint32_t size_by_page_0(const struct file *file)
{
    unsigned char head[SUPERBLOCK_HEAD_SIZE];
    uint32_t log2;

    if (mpgi_file_read(file, head, sizeof(head), 0, 0) != 0 ||
        memcmp(head + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4) != 0 ||
        head[SUPERBLOCK_VERSION] != 0 || head[SUPERBLOCK_VERSION + 1] > 2)
        return 0;
    log2 = get_u32(head + SUPERBLOCK_PAGE_SIZE_LOG2);
    if (log2 > 30 || UINT32_C(1) << log2 < MPG_PAGE_SIZE_MIN ||
        file->bytes >> log2 < FIRST_USER_PAGE)
        return 0;
    return UINT32_C(1) << log2;
}

int mpgi_identify_0_2(struct salvage *salvage)
{
    const struct file *file = salvage->file;
    uint32_t said = size_by_page_0(file);

    salvage->format = MPG_FORMAT_0_2;
    salvage->page_size = said;
    if (said != 0 && (mpgi_is_metadata_0_2(file, said, 1) || mpgi_is_metadata_0_2(file, said, 2)))
        return 0;
    for (uint32_t size = MPG_PAGE_SIZE_MIN; size <= MPG_PAGE_SIZE_MAX; size *= 2) {
        salvage->page_size = size;
        if (mpgi_is_metadata_0_2(file, size, 1) || mpgi_is_metadata_0_2(file, size, 2))
            return 0;
    }
    salvage->page_size = said;
    return said != 0 ? 0 : 1;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* What can be read of a page: what cannot be is zeros. */
static struct sheet *read_page(const struct remains *r, uint64_t page)
{
    struct sheet *sheet = mpgi_sheet_new();

    if (sheet != NULL && page < r->salvage->pages)
        (void)mpgi_0_2_read_page(sheet, &r->own.io, page);
    return sheet;
}

static bool is_block(const struct remains *r, const struct sheet *content)
{
    uint32_t page_size = r->salvage->page_size;
    uint32_t capacity = mpgi_sheet_u32(content, BLOCK_CAPACITY);

    return capacity > 0 && capacity <= entries_per_block(page_size) &&
           mpgi_sheet_u32(content, BLOCK_CAPACITY + 4) == 0 &&
           mpgi_0_2_trailer_fits(content, page_size, 0);
}

static int note_block(struct remains *r, uint64_t page)
{
    if (r->found_count == r->found_capacity) {
        size_t more = r->found_capacity * 2 + 16;
        void *moved = realloc(r->found, more * sizeof(*r->found));

        if (moved == NULL)
            return mpgi_fail_memory("rescue");
        r->found = moved;
        r->found_capacity = more;
    }
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
            get_u32(head) > 0 && get_u32(head) <= entries_per_block(page_size) &&
            get_u32(head + 4) == 0 && has_trailer(salvage->file, page_size, page))
            error = note_block(r, page);
        if (error == 0)
            error = mpgi_salvage_looked(salvage, page);
    }
    return error;
}

static bool is_found(const struct remains *r, uint64_t page)
{
    for (size_t low = 0, high = r->found_count; low < high;) {
        size_t middle = low + (high - low) / 2;

        if (r->found[middle] == page)
            return true;
        if (r->found[middle] < page)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
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
        r->metadata[i] = read_page(r, i + 1);
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

/* Reads page 0; where its index is torn, a spare may have it. */
static int read_index(struct remains *r)
{
    struct salvage *salvage = r->salvage;
    bool found = false, older;
    int error;

    r->index = read_page(r, 0);
    if (r->index == NULL)
        return mpgi_fail_memory("rescue");
    error = read_metadata(r);
    if (error)
        return error;
    if (size_by_page_0(salvage->file) == salvage->page_size &&
        (mpgi_sheet_u32(r->index, INDEX_COUNT) == 0 ||
         mpgi_0_2_trailer_fits(r->index, salvage->page_size, INDEX_COUNT))) {
        r->index_holds = mpgi_sheet_u32(r->index, INDEX_COUNT) <= most_blocks(salvage->page_size);
    } else if (choose_metadata(r, &older) != NULL) {
        unsigned newer =
            r->metadata[0] == NULL ||
            (r->metadata[1] != NULL && mpgi_sheet_u64(r->metadata[1], METADATA_GENERATION) >
                                           mpgi_sheet_u64(r->metadata[0], METADATA_GENERATION));

        error = mpgi_0_2_read_spare(&found, &r->own.io, r->metadata[newer], r->index);
        r->index_holds = error == 0 && found;
        error = error == MPG_E_NO_MEMORY ? error : 0;
    }
    if (error == 0 && !(r->index_holds && !found))
        mpgi_salvage_note(salvage, "index", 0, "page 0 does not hold the directory index; %s",
                          found ? "a spare of it does" : "directory blocks tell themselves");
    return error;
}

/* What the index says of a block, or what is left of it. */
static void read_reference(const struct remains *r, uint32_t number, struct salvaged_block *block)
{
    unsigned char reference[REFERENCE_SIZE];

    mpgi_sheet_read(r->index, reference, mpgi_0_2_reference_at(number), sizeof(reference));
    block->page[0] = get_u64(reference + REFERENCE_PAGE_A);
    block->page[1] = get_u64(reference + REFERENCE_PAGE_B);
    block->active = reference[REFERENCE_ACTIVE] != 0;
}

/* How many blocks there are: as the index says, or so many as there can be. */
static uint32_t count_blocks(const struct remains *r)
{
    uint32_t most = most_blocks(r->salvage->page_size);
    uint32_t said = mpgi_sheet_u32(r->index, INDEX_COUNT);

    if (r->index_holds)
        return said;
    return (uint32_t)min_u64(most, max_u64(said <= most ? said : 0, r->found_count));
}

static bool is_named(const struct remains *r, uint64_t page)
{
    for (uint32_t i = 0; i < r->block_count; i++) {
        if (r->blocks[i].page[0] == page || r->blocks[i].page[1] == page)
            return true;
    }
    return false;
}

/* ---- Blocks that nothing names ------------------------------------------------------------- */

/* The sum of the generations of all entries, which rises with each commit. */
static uint64_t age_of(const struct remains *r, const struct sheet *block)
{
    uint64_t sum = 0;

    for (uint32_t slot = 0; (slot = mpgi_0_2_next_slot(&r->own, block, slot)) != UINT32_MAX;
         slot++) {
        struct entry entry;

        mpgi_0_2_get_entry(block, slot, &entry);
        sum += entry.generation;
    }
    return sum;
}

/* Whether two pages hold copies of one block: they name the same pages for the first entry that both have. */
static bool are_copies(const struct remains *r, const struct sheet *a, const struct sheet *b)
{
    for (uint32_t slot = 0; (slot = mpgi_0_2_next_slot(&r->own, a, slot)) != UINT32_MAX; slot++) {
        struct entry one, other;

        mpgi_0_2_get_entry(a, slot, &one);
        mpgi_0_2_get_entry(b, slot, &other);
        if (other.page[0] != 0)
            return one.page[0] == other.page[0] && one.page[1] == other.page[1];
    }
    return false;
}

/* Looks among the found blocks behind number `i` for the other copy of it. */
static int find_copy(const struct remains *r, size_t i, struct salvaged_block *block)
{
    struct sheet *one = read_page(r, r->found[i]);
    int error = one != NULL ? 0 : mpgi_fail_memory("rescue");

    for (size_t k = i + 1; k < r->found_count && error == 0 && block->page[1] == 0; k++) {
        struct sheet *other = is_named(r, r->found[k]) ? NULL : read_page(r, r->found[k]);

        if (other != NULL && (are_copies(r, one, other) || are_copies(r, other, one))) {
            block->page[1] = r->found[k];
            block->active = age_of(r, other) > age_of(r, one);
        }
        mpgi_sheet_free(other);
    }
    mpgi_sheet_free(one);
    return error;
}

/* Gives the numbers that are left to the blocks that are left. */
static int name_the_rest(struct remains *r)
{
    uint32_t number = 0;
    int error = 0;

    for (size_t i = 0; i < r->found_count && error == 0; i++) {
        struct salvaged_block *block;

        if (is_named(r, r->found[i]))
            continue;
        while (number < r->block_count && r->blocks[number].named)
            number++;
        if (number == r->block_count)
            return 0;
        block = &r->blocks[number];
        *block = (struct salvaged_block){.page = {r->found[i], 0}, .named = true};
        mpgi_salvage_note(r->salvage, "guessed", r->found[i],
                          "nothing says which number the directory block in page %llu has; it is "
                          "taken for number %u: the ids of its protected pages may be others",
                          (unsigned long long)r->found[i], (unsigned)number);
        error = find_copy(r, i, block);
        if (error == 0)
            error = mpgi_salvage_doubt(&r->salvage->doubtful_ids,
                                       (uint64_t)number * entries_per_block(r->salvage->page_size),
                                       (number + UINT64_C(1)) *
                                           entries_per_block(r->salvage->page_size));
    }
    return error;
}

static int name_blocks(struct remains *r)
{
    uint32_t count = count_blocks(r);

    r->blocks = calloc((size_t)count + 1, sizeof(*r->blocks));
    if (r->blocks == NULL)
        return mpgi_fail_memory("rescue");
    for (uint32_t i = 0; i < count; i++) {
        struct salvaged_block block = {.named = true};

        read_reference(r, i, &block);
        if (r->index_holds || is_found(r, block.page[0]) || is_found(r, block.page[1]))
            r->blocks[i] = block;
    }
    r->block_count = count;
    return r->index_holds ? 0 : name_the_rest(r);
}

/* ---- Blocks in each other's place ---------------------------------------------------------- */

/* How many entries two blocks have of which both name the same pages, and of which they do not. */
struct likeness {
    unsigned same, other;
};

static void compare(const struct remains *r, const struct sheet *a, const struct sheet *b,
                    struct likeness *likeness)
{
    for (uint32_t slot = 0; (slot = mpgi_0_2_next_slot(&r->own, a, slot)) != UINT32_MAX; slot++) {
        struct entry one, other;

        mpgi_0_2_get_entry(a, slot, &one);
        mpgi_0_2_get_entry(b, slot, &other);
        if (other.page[0] == 0)
            continue;
        if (one.page[0] == other.page[0] && one.page[1] == other.page[1])
            likeness->same++;
        else
            likeness->other++;
    }
}

/* A copy of a block, NULL if it is not whole or memory ran out. */
static struct sheet *read_copy(const struct remains *r, const struct salvaged_block *block,
                               unsigned copy)
{
    struct sheet *content = block->named ? read_page(r, block->page[copy]) : NULL;

    if (content != NULL && is_block(r, content))
        return content;
    mpgi_sheet_free(content);
    return NULL;
}

/* Whether the copies of a block do not belong together, or only one of them is whole. */
static bool is_suspect(const struct remains *r, const struct salvaged_block *block, bool *differ)
{
    struct sheet *one = read_copy(r, block, 0), *other = read_copy(r, block, 1);
    bool whole = one != NULL && other != NULL;
    struct likeness likeness = {0, 0};

    if (whole)
        compare(r, one, other, &likeness);
    *differ = likeness.same == 0 && likeness.other > 0;
    mpgi_sheet_free(one);
    mpgi_sheet_free(other);
    return !whole || *differ;
}

/* Whether a block's copy is also what another block shows. */
static bool find_double(struct remains *r, uint32_t number, const struct sheet *content)
{
    bool found = false;

    for (uint32_t i = 0; i < r->block_count; i++) {
        for (unsigned copy = 0; copy < 2 && i != number; copy++) {
            struct sheet *other = read_copy(r, &r->blocks[i], copy);
            struct likeness likeness = {0, 0};

            if (other != NULL)
                compare(r, content, other, &likeness);
            mpgi_sheet_free(other);
            if (likeness.same == 0 || likeness.same < likeness.other)
                continue;
            r->blocks[i].moved = true;
            found = true;
        }
    }
    return found;
}

/* Looks for blocks that parts of the file which changed places have put into each other's. */
static void find_moved(struct remains *r)
{
    for (uint32_t i = 0; i < r->block_count; i++) {
        struct salvaged_block *block = &r->blocks[i];
        bool differ;

        if (!block->named || !is_suspect(r, block, &differ))
            continue;
        block->moved |= differ;
        for (unsigned copy = 0; copy < 2; copy++) {
            struct sheet *content = read_copy(r, block, copy);

            if (content != NULL)
                block->moved |= find_double(r, i, content);
            mpgi_sheet_free(content);
        }
    }
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
    if (!is_block(r, content) || block->moved)
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

static int take_block(struct remains *r, uint32_t number)
{
    struct salvaged_block *block = &r->blocks[number];
    uint64_t first = (uint64_t)number * entries_per_block(r->salvage->page_size);
    struct sheet *copies[2] = {read_page(r, block->page[0]), read_page(r, block->page[1])};
    enum known known[2];
    unsigned torn = 0;
    int error = copies[0] != NULL && copies[1] != NULL ? 0 : mpgi_fail_memory("rescue");

    for (unsigned i = 0; i < 2 && error == 0; i++) {
        known[i] = worth_of(r, block, i, copies[i]);
        torn += !is_block(r, copies[i]);
        if (block->page[i] >= FIRST_USER_PAGE)
            error = mpgi_salvage_set_owned(r->salvage, block->page[i]);
        /* So that all slots are looked at. */
        if (error == 0 && known[i] == KNOWN_TORN) {
            unsigned char capacity[4];

            put_u32(capacity, entries_per_block(r->salvage->page_size));
            if (!mpgi_sheet_write(copies[i], capacity, BLOCK_CAPACITY, sizeof(capacity)))
                error = mpgi_fail_memory("rescue");
        }
        if (error == 0 && known[i] == KNOWN_TORN && block->page[i] != 0)
            mpgi_salvage_note(r->salvage, "block", block->page[i],
                              "directory block %u, page %llu, is not whole", (unsigned)number,
                              (unsigned long long)block->page[i]);
    }
    if (torn == 2)
        tell_unnamed(r, block, first);
    if (error == 0 && known[block->active] == KNOWN_TORN)
        error = mpgi_salvage_doubt(&r->salvage->doubtful_ids, first,
                                   first + entries_per_block(r->salvage->page_size));
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
        error = name_blocks(r);
    if (error == 0)
        find_moved(r);
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
