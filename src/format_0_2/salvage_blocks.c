/* SPDX-License-Identifier: MIT */
/* Salvaging a file of format 0.2: which directory block is which, of those that were found. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format_0_2/layout.h"
#include "format_0_2/salvage.h"

/* ---- Reading ------------------------------------------------------------------------------- */

struct sheet *mpgi_salvage_page_0_2(const struct remains *r, uint64_t page)
{
    struct sheet *sheet = mpgi_sheet_new();

    if (sheet != NULL && page < r->salvage->pages)
        (void)mpgi_0_2_read_page(sheet, &r->own.io, page);
    return sheet;
}

bool mpgi_is_block_0_2(const struct remains *r, const struct sheet *content)
{
    uint32_t page_size = r->salvage->page_size;
    uint32_t capacity = mpgi_sheet_u32(content, BLOCK_CAPACITY);

    return capacity > 0 && capacity <= entries_per_block(page_size) &&
           mpgi_sheet_u32(content, BLOCK_CAPACITY + 4) == 0 &&
           mpgi_0_2_trailer_fits(content, page_size, 0);
}

/* A copy of a block, NULL if it is not whole or memory ran out. */
static struct sheet *read_copy(const struct remains *r, const struct salvaged_block *block,
                               unsigned copy)
{
    struct sheet *content = block->named ? mpgi_salvage_page_0_2(r, block->page[copy]) : NULL;

    if (content != NULL && mpgi_is_block_0_2(r, content))
        return content;
    mpgi_sheet_free(content);
    return NULL;
}

/* ---- What the index says ------------------------------------------------------------------- */

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

bool mpgi_is_newer_0_2(const struct format_0_2 *own, const struct sheet *other,
                       const struct sheet *active)
{
    for (uint32_t slot = 0; (slot = mpgi_0_2_next_slot(own, other, slot)) != UINT32_MAX; slot++) {
        struct entry newer, counts;

        mpgi_0_2_get_entry(other, slot, &newer);
        mpgi_0_2_get_entry(active, slot, &counts);
        if (counts.page[0] == newer.page[0] && counts.page[1] == newer.page[1] &&
            newer.generation > counts.generation)
            return true;
    }
    return false;
}

/* ---- Blocks that nothing names ------------------------------------------------------------- */

/*
 * Whether two pages hold copies of one block: they name the same pages for the first entry that
 * both have.
 */
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

int mpgi_doubt_block_0_2(const struct remains *r, uint32_t number)
{
    uint64_t per_block = entries_per_block(r->salvage->page_size);

    return mpgi_salvage_doubt(&r->salvage->doubtful_ids, number * per_block,
                              (number + UINT64_C(1)) * per_block);
}

/*
 * Whether a block was in this page before one of its copies was put elsewhere: another one that is
 * named says the same.
 */
static int is_left_behind(const struct remains *r, uint64_t page, bool *left)
{
    struct sheet *content = mpgi_salvage_page_0_2(r, page);
    int error = content != NULL ? 0 : mpgi_fail_memory("rescue");

    *left = false;
    for (uint32_t i = 0; i < r->block_count && error == 0 && !*left; i++) {
        for (unsigned copy = 0; copy < 2 && r->blocks[i].named && !*left; copy++) {
            struct sheet *other = read_copy(r, &r->blocks[i], copy);

            *left =
                other != NULL && (are_copies(r, content, other) || are_copies(r, other, content));
            mpgi_sheet_free(other);
        }
    }
    mpgi_sheet_free(content);
    return error;
}

/* Looks among the found blocks behind number `i` for the other copy of it. */
static int find_copy(const struct remains *r, size_t i, struct salvaged_block *block)
{
    struct sheet *one = mpgi_salvage_page_0_2(r, r->found[i]);
    int error = one != NULL ? 0 : mpgi_fail_memory("rescue");

    for (size_t k = i + 1; k < r->found_count && error == 0 && block->page[1] == 0; k++) {
        struct sheet *other =
            is_named(r, r->found[k]) ? NULL : mpgi_salvage_page_0_2(r, r->found[k]);

        if (other != NULL && (are_copies(r, one, other) || are_copies(r, other, one))) {
            block->page[1] = r->found[k];
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
        bool left = false;

        if (!is_named(r, r->found[i]))
            error = is_left_behind(r, r->found[i], &left);
        if (error || left || is_named(r, r->found[i]))
            continue;
        while (number < r->block_count && r->blocks[number].named)
            number++;
        if (number == r->block_count)
            return 0;
        block = &r->blocks[number];
        *block = (struct salvaged_block){.page = {r->found[i], 0}, .named = true, .guessed = true};
        mpgi_salvage_note(r->salvage, "guessed", r->found[i],
                          "nothing says which number the directory block in page %llu has; it is "
                          "taken for number %u: the ids of its protected pages may be others",
                          (unsigned long long)r->found[i], (unsigned)number);
        error = find_copy(r, i, block);
        if (error == 0)
            error = mpgi_doubt_block_0_2(r, number);
    }
    return error;
}

int mpgi_name_blocks_0_2(struct remains *r)
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

void mpgi_find_moved_blocks_0_2(struct remains *r)
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
