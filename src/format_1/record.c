/* SPDX-License-Identifier: MIT */
#include "format_1/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "mappedpages.h"

/* ---- Where the changes are ----------------------------------------------------------------- */

/* The changes that one block holds. */
struct share {
    uint64_t entries;
    uint64_t runs;
    uint32_t first; /* offset of the first of them in the block */
    uint32_t used;
};

/* What stands before the changes in a record: with its redo goes room for the mark behind them. */
struct lead {
    unsigned parts;
    bool redo;
};

/* What block number `block` takes of what is left. */
static struct share share_of(uint32_t node_size, struct lead lead, unsigned block, uint64_t entries,
                             uint64_t runs)
{
    struct share share = {.first = CONTINUATION_BODY};
    uint32_t room;

    if (block == 0)
        share.first = RECORD_BODY + lead.parts * PART_SIZE + (lead.redo ? REDO_SIZE : 0);
    room = node_size - share.first - (block == 0 && lead.redo ? MARK_SIZE : 0);
    share.entries = min_u64(entries, room / DELTA_SIZE);
    room -= (uint32_t)share.entries * DELTA_SIZE;
    if (share.entries == entries)
        share.runs = min_u64(runs, room / RUN_SIZE);
    share.used =
        share.first + (uint32_t)share.entries * DELTA_SIZE + (uint32_t)share.runs * RUN_SIZE;
    return share;
}

static bool fits(uint32_t node_size, struct lead lead, uint64_t entries, uint64_t runs)
{
    for (unsigned block = 0; block <= lead.parts; block++) {
        struct share share = share_of(node_size, lead, block, entries, runs);

        entries -= share.entries;
        runs -= share.runs;
    }
    return entries == 0 && runs == 0;
}

/* The most continuations that a record can name. */
static unsigned most_parts(uint32_t node_size, bool redo)
{
    uint32_t room = node_size - RECORD_BODY - (redo ? REDO_SIZE + MARK_SIZE : 0);

    return (unsigned)min_u64(PARTS_MAX, room / PART_SIZE);
}

unsigned mpgi_record_parts(uint32_t node_size, uint64_t entries, uint64_t runs, bool redo)
{
    for (unsigned parts = 0; parts <= most_parts(node_size, redo); parts++) {
        if (fits(node_size, (struct lead){parts, redo}, entries, runs))
            return parts;
    }
    return PARTS_MAX + 1;
}

/* ---- Writing ------------------------------------------------------------------------------- */

static uint32_t crc_of_record(const struct node_space *space, const unsigned char *block)
{
    static const unsigned char zero[4];
    uint32_t used = get_u32(block + RECORD_USED);
    uint32_t crc = crc_extend(space->seed, block, RECORD_CRC);

    crc = crc_extend(crc, zero, sizeof(zero));
    return crc_extend(crc, block + RECORD_CRC + 4, used - RECORD_CRC - 4);
}

static void put_entry(unsigned char *at, const struct record_entry *entry)
{
    put_u64(at + DELTA_ID, entry->id);
    put_u64(at + DELTA_PAGE, entry->page);
    put_u32(at + DELTA_CRC, entry->crc);
    at[DELTA_FLAGS] = entry->in_use ? ENTRY_IN_USE : 0;
}

static void put_run(unsigned char *at, const struct record_run *run)
{
    put_u64(at + RUN_FIRST, run->first);
    put_u32(at + RUN_COUNT, run->count);
    at[RUN_USE] = run->use;
}

/* Puts a block's share of a record's changes into it, those that follow the first ones already put. */
static void put_changes(unsigned char *block, const struct share *share,
                        const struct record *record, uint64_t entries, uint64_t runs)
{
    unsigned char *at = block + share->first;

    for (uint64_t i = 0; i < share->entries; i++, at += DELTA_SIZE)
        put_entry(at, &record->entries[entries + i]);
    for (uint64_t i = 0; i < share->runs; i++, at += RUN_SIZE)
        put_run(at, &record->runs[runs + i]);
}

static void put_redo(unsigned char *at, const struct record_redo *redo)
{
    put_u64(at + REDO_PAGE, redo->page);
    put_u64(at + REDO_FROM, redo->from);
    put_u32(at + REDO_CRC, redo->crc);
}

static struct lead lead_of(const struct record *record)
{
    return (struct lead){record->part_count, record->redo.page != 0};
}

static void put_head(unsigned char *block, const struct record *record, uint32_t used)
{
    memcpy(block + RECORD_TYPE, TYPE_RECORD, TYPE_SIZE);
    put_u32(block + RECORD_USED, used);
    put_u64(block + RECORD_GENERATION, record->generation);
    put_u64(block + RECORD_PAGE, record->page);
    put_u64(block + RECORD_ROOT_GENERATION, record->root_generation);
    put_u32(block + RECORD_ROOT_CRC, record->root_crc);
    put_u32(block + RECORD_LINK, record->link);
    put_u32(block + RECORD_FLAGS, record->ordered ? RECORD_ORDERED : 0);
    put_u64(block + RECORD_TOTAL, record->total);
    put_u64(block + RECORD_FREE, record->free);
    put_u64(block + RECORD_PROTECTED, record->protected_pages);
    put_u64(block + RECORD_NEXT, record->next);
    put_u64(block + RECORD_AFTER, record->after);
    put_u32(block + RECORD_ENTRIES, record->entry_count);
    put_u32(block + RECORD_RUNS, record->run_count);
    put_u32(block + RECORD_PARTS, record->part_count);
    put_u32(block + RECORD_REDOS, record->redo.page != 0);
    for (unsigned i = 0; i < record->part_count; i++) {
        put_u64(block + RECORD_BODY + i * PART_SIZE + PART_PAGE, record->parts[i].page);
        put_u32(block + RECORD_BODY + i * PART_SIZE + PART_CRC, record->parts[i].crc);
    }
    if (record->redo.page != 0)
        put_redo(block + RECORD_BODY + record->part_count * PART_SIZE, &record->redo);
}

void mpgi_record_encode(struct record *record, const struct node_space *space,
                        unsigned char *blocks)
{
    uint32_t size = space->node_size;
    uint64_t entries = 0, runs = 0; /* that are in a block already */
    uint32_t used = 0;

    memset(blocks, 0, (size_t)(1 + record->part_count) * size);
    for (unsigned i = 0; i <= record->part_count; i++) {
        unsigned char *block = blocks + (size_t)i * size;
        struct share share = share_of(size, lead_of(record), i, record->entry_count - entries,
                                      record->run_count - runs);

        put_changes(block, &share, record, entries, runs);
        entries += share.entries;
        runs += share.runs;
        if (i == 0) {
            used = share.used;
            continue;
        }
        memcpy(block + CONTINUATION_TYPE, TYPE_CONTINUATION, TYPE_SIZE);
        put_u32(block + CONTINUATION_USED, share.used);
        record->parts[i - 1].crc = crc_extend(space->seed, block, share.used);
    }
    record->used = used;
    put_head(blocks, record, used);
    record->crc = crc_of_record(space, blocks);
    put_u32(blocks + RECORD_CRC, record->crc);
}

/* ---- Reading ------------------------------------------------------------------------------- */

static int read_block(unsigned char *block, const struct node_space *space, uint64_t page)
{
    return mpgi_file_read(space->file, block, space->node_size, page * space->page_size, page);
}

/* Whether a block is a whole record that belongs into a page. */
static bool is_record(const struct node_space *space, const unsigned char *block, uint64_t page)
{
    uint32_t used = get_u32(block + RECORD_USED);

    if (memcmp(block + RECORD_TYPE, TYPE_RECORD, TYPE_SIZE) != 0 || used < RECORD_BODY ||
        used > space->node_size)
        return false;
    if (get_u32(block + RECORD_CRC) != crc_of_record(space, block) && RULE_HOLDS(RULE_RECORD_CRC))
        return false;
    if (get_u64(block + RECORD_PAGE) != page)
        return false;
    if (get_u32(block + RECORD_REDOS) > 1 ||
        (get_u32(block + RECORD_REDOS) == 1 && used > space->node_size - MARK_SIZE))
        return false;
    return get_u64(block + RECORD_GENERATION) < GENERATION_END &&
           get_u32(block + RECORD_PARTS) <=
               most_parts(space->node_size, get_u32(block + RECORD_REDOS) == 1);
}

static void get_redo(struct record_redo *redo, const unsigned char *at)
{
    redo->page = get_u64(at + REDO_PAGE);
    redo->from = get_u64(at + REDO_FROM);
    redo->crc = get_u32(at + REDO_CRC);
}

static void get_head(struct record *record, const unsigned char *block)
{
    memset(record, 0, sizeof(*record));
    record->generation = get_u64(block + RECORD_GENERATION);
    record->page = get_u64(block + RECORD_PAGE);
    record->root_generation = get_u64(block + RECORD_ROOT_GENERATION);
    record->root_crc = get_u32(block + RECORD_ROOT_CRC);
    record->link = get_u32(block + RECORD_LINK);
    record->crc = get_u32(block + RECORD_CRC);
    record->used = get_u32(block + RECORD_USED);
    record->ordered = (get_u32(block + RECORD_FLAGS) & RECORD_ORDERED) != 0;
    record->total = get_u64(block + RECORD_TOTAL);
    record->free = get_u64(block + RECORD_FREE);
    record->protected_pages = get_u64(block + RECORD_PROTECTED);
    record->next = get_u64(block + RECORD_NEXT);
    record->after = get_u64(block + RECORD_AFTER);
    record->entry_count = get_u32(block + RECORD_ENTRIES);
    record->run_count = get_u32(block + RECORD_RUNS);
    record->part_count = get_u32(block + RECORD_PARTS);
    for (unsigned i = 0; i < record->part_count; i++) {
        record->parts[i].page = get_u64(block + RECORD_BODY + i * PART_SIZE + PART_PAGE);
        record->parts[i].crc = get_u32(block + RECORD_BODY + i * PART_SIZE + PART_CRC);
    }
    if (get_u32(block + RECORD_REDOS) != 0)
        get_redo(&record->redo, block + RECORD_BODY + record->part_count * PART_SIZE);
}

int mpgi_record_read(struct record *record, const struct node_space *space, uint64_t page)
{
    unsigned char block[NODE_SIZE_MAX];
    int error = read_block(block, space, page);

    if (error)
        return error == MPG_E_TRUNCATED ? 1 : error;
    if (!is_record(space, block, page))
        return 1;
    get_head(record, block);
    if (get_u32(block + RECORD_REDOS) != 0 && record->redo.page == 0)
        return 1;
    record->page = page;
    return 0;
}

static void get_changes(const unsigned char *block, const struct share *share,
                        struct record_entry *entries, struct record_run *runs)
{
    const unsigned char *at = block + share->first;

    for (uint64_t i = 0; i < share->entries; i++, at += DELTA_SIZE) {
        entries[i].id = get_u64(at + DELTA_ID);
        entries[i].page = get_u64(at + DELTA_PAGE);
        entries[i].crc = get_u32(at + DELTA_CRC);
        entries[i].in_use = (at[DELTA_FLAGS] & ENTRY_IN_USE) != 0;
    }
    for (uint64_t i = 0; i < share->runs; i++, at += RUN_SIZE) {
        runs[i].first = get_u64(at + RUN_FIRST);
        runs[i].count = get_u32(at + RUN_COUNT);
        runs[i].use = at[RUN_USE];
    }
}

/* Whether a block is what the record's i-th continuation is said to be. */
static bool is_part(const struct node_space *space, const unsigned char *block, uint32_t used,
                    const struct record_part *part)
{
    if (!RULE_HOLDS(RULE_PART_CRC))
        return true;
    return memcmp(block + CONTINUATION_TYPE, TYPE_CONTINUATION, TYPE_SIZE) == 0 &&
           get_u32(block + CONTINUATION_USED) == used &&
           crc_extend(space->seed, block, used) == part->crc;
}

/* Block number i: 0 is the record itself, which may have been replaced since its head was read. */
static int read_share(struct record *record, const struct node_space *space, unsigned i,
                      unsigned char *block, const struct share *share)
{
    const struct record_part *part = &record->parts[i > 0 ? i - 1 : 0];
    int error = read_block(block, space, i == 0 ? record->page : part->page);

    if (error)
        return error == MPG_E_TRUNCATED ? 1 : error;
    if (i > 0)
        return is_part(space, block, share->used, part) ? 0 : 1;
    if (!is_record(space, block, record->page) || get_u32(block + RECORD_CRC) != record->crc)
        return 1;
    return get_u32(block + RECORD_USED) == share->used || !RULE_HOLDS(RULE_RECORD_CRC) ? 0 : 1;
}

int mpgi_record_read_changes(struct record *record, const struct node_space *space)
{
    uint64_t entries = 0, runs = 0; /* that were read already */
    unsigned char block[NODE_SIZE_MAX];

    if (!fits(space->node_size, lead_of(record), record->entry_count, record->run_count))
        return 1;
    record->entries = calloc((size_t)record->entry_count + 1, sizeof(*record->entries));
    record->runs = calloc((size_t)record->run_count + 1, sizeof(*record->runs));
    if (record->entries == NULL || record->runs == NULL)
        return mpgi_fail_memory("open");
    for (unsigned i = 0; i <= record->part_count; i++) {
        struct share share = share_of(space->node_size, lead_of(record), i,
                                      record->entry_count - entries, record->run_count - runs);
        int error = read_share(record, space, i, block, &share);

        if (error)
            return error;
        get_changes(block, &share, record->entries + entries, record->runs + runs);
        entries += share.entries;
        runs += share.runs;
    }
    return 0;
}

uint64_t mpgi_record_mark_at(const struct record *record, const struct node_space *space)
{
    return record->page * space->page_size + record->used;
}

void mpgi_record_mark(unsigned char mark[MARK_SIZE], const struct record *record)
{
    memcpy(mark + MARK_TYPE, TYPE_MARK, TYPE_SIZE);
    put_u32(mark + MARK_CRC, record->crc);
}

void mpgi_record_free(struct record *record)
{
    free(record->entries);
    free(record->runs);
    record->entries = NULL;
    record->runs = NULL;
}
