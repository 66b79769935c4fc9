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
    struct record_amounts amounts;
    uint32_t first; /* offset of the first of them in the block */
    uint32_t used;
};

/* What stands before the changes in a record: with redos goes room for the mark behind all. */
struct lead {
    unsigned parts;
    bool redos;
};

/* How many things of a size go into what is left of a block, which is made less. */
static uint64_t take(uint32_t *room, uint64_t count, uint32_t size)
{
    uint64_t taken = min_u64(count, *room / size);

    *room -= (uint32_t)taken * size;
    return taken;
}

/* What block number `block` takes of what is left. */
static struct share share_of(uint32_t node_size, struct lead lead, unsigned block,
                             struct record_amounts left)
{
    struct share share = {.first = CONTINUATION_BODY};
    uint32_t room, all;

    if (block == 0)
        share.first = RECORD_BODY + lead.parts * PART_SIZE;
    all = room = node_size - share.first - (block == 0 && lead.redos ? MARK_SIZE : 0);
    share.amounts.redos = take(&room, left.redos, REDO_SIZE);
    if (share.amounts.redos == left.redos)
        share.amounts.entries = take(&room, left.entries, DELTA_SIZE);
    if (share.amounts.redos == left.redos && share.amounts.entries == left.entries)
        share.amounts.runs = take(&room, left.runs, RUN_SIZE);
    share.used = share.first + all - room;
    return share;
}

static void add_amounts(struct record_amounts *to, const struct record_amounts *what)
{
    to->redos += what->redos;
    to->entries += what->entries;
    to->runs += what->runs;
}

static struct record_amounts without(const struct record_amounts *all,
                                     const struct record_amounts *what)
{
    return (struct record_amounts){all->redos - what->redos, all->entries - what->entries,
                                   all->runs - what->runs};
}

static bool fits(uint32_t node_size, struct lead lead, struct record_amounts left)
{
    for (unsigned block = 0; block <= lead.parts; block++) {
        struct share share = share_of(node_size, lead, block, left);

        left = without(&left, &share.amounts);
    }
    return left.redos == 0 && left.entries == 0 && left.runs == 0;
}

/* The most continuations that a record can name: one redo at least is in the record itself. */
static unsigned most_parts(uint32_t node_size, bool has_redos)
{
    uint32_t room = node_size - RECORD_BODY - (has_redos ? REDO_SIZE + MARK_SIZE : 0);

    return (unsigned)min_u64(PARTS_MAX, room / PART_SIZE);
}

unsigned mpgi_record_parts(uint32_t node_size, struct record_amounts amounts)
{
    bool has_redos = amounts.redos != 0;

    for (unsigned parts = 0; parts <= most_parts(node_size, has_redos); parts++) {
        if (fits(node_size, (struct lead){parts, has_redos}, amounts))
            return parts;
    }
    return PARTS_MAX + 1;
}

uint64_t mpgi_record_most_redos(uint32_t page_size)
{
    return page_size < REDO_BYTES_MAX ? REDO_BYTES_MAX / page_size : 1;
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

static void put_redo(unsigned char *at, const struct record_redo *redo)
{
    put_u64(at + REDO_PAGE, redo->page);
    put_u64(at + REDO_FROM, redo->from);
    put_u32(at + REDO_CRC, redo->crc);
}

/* Puts a block's share of a record's changes into it, those that follow the ones already put. */
static void put_changes(unsigned char *block, const struct share *share,
                        const struct record *record, const struct record_amounts *put)
{
    unsigned char *at = block + share->first;

    for (uint64_t i = 0; i < share->amounts.redos; i++, at += REDO_SIZE)
        put_redo(at, &record->redos[put->redos + i]);
    for (uint64_t i = 0; i < share->amounts.entries; i++, at += DELTA_SIZE)
        put_entry(at, &record->entries[put->entries + i]);
    for (uint64_t i = 0; i < share->amounts.runs; i++, at += RUN_SIZE)
        put_run(at, &record->runs[put->runs + i]);
}

static struct lead lead_of(const struct record *record)
{
    return (struct lead){record->part_count, record->redo_count != 0};
}

static struct record_amounts amounts_of(const struct record *record)
{
    return (struct record_amounts){record->redo_count, record->entry_count, record->run_count};
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
    put_u32(block + RECORD_REDOS, record->redo_count);
    for (unsigned i = 0; i < record->part_count; i++) {
        put_u64(block + RECORD_BODY + i * PART_SIZE + PART_PAGE, record->parts[i].page);
        put_u32(block + RECORD_BODY + i * PART_SIZE + PART_CRC, record->parts[i].crc);
    }
}

void mpgi_record_encode(struct record *record, const struct node_space *space,
                        unsigned char *blocks)
{
    uint32_t size = space->node_size;
    struct record_amounts all = amounts_of(record), put = {0};
    uint32_t used = 0;

    memset(blocks, 0, (size_t)(1 + record->part_count) * size);
    for (unsigned i = 0; i <= record->part_count; i++) {
        unsigned char *block = blocks + (size_t)i * size;
        struct share share = share_of(size, lead_of(record), i, without(&all, &put));

        put_changes(block, &share, record, &put);
        add_amounts(&put, &share.amounts);
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
    uint32_t used = get_u32(block + RECORD_USED), redos = get_u32(block + RECORD_REDOS);

    if (memcmp(block + RECORD_TYPE, TYPE_RECORD, TYPE_SIZE) != 0 || used < RECORD_BODY ||
        used > space->node_size)
        return false;
    if (get_u32(block + RECORD_CRC) != crc_of_record(space, block) && RULE_HOLDS(RULE_RECORD_CRC))
        return false;
    if (get_u64(block + RECORD_PAGE) != page)
        return false;
    if (redos > mpgi_record_most_redos(space->page_size) ||
        (redos != 0 && used > space->node_size - MARK_SIZE))
        return false;
    return get_u64(block + RECORD_GENERATION) < GENERATION_END &&
           get_u32(block + RECORD_PARTS) <= most_parts(space->node_size, redos != 0);
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
    record->redo_count = get_u32(block + RECORD_REDOS);
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
    record->page = page;
    return 0;
}

static void get_redo(struct record_redo *redo, const unsigned char *at)
{
    redo->page = get_u64(at + REDO_PAGE);
    redo->from = get_u64(at + REDO_FROM);
    redo->crc = get_u32(at + REDO_CRC);
}

static void get_entry(struct record_entry *entry, const unsigned char *at)
{
    entry->id = get_u64(at + DELTA_ID);
    entry->page = get_u64(at + DELTA_PAGE);
    entry->crc = get_u32(at + DELTA_CRC);
    entry->in_use = (at[DELTA_FLAGS] & ENTRY_IN_USE) != 0;
}

static void get_run(struct record_run *run, const unsigned char *at)
{
    run->first = get_u64(at + RUN_FIRST);
    run->count = get_u32(at + RUN_COUNT);
    run->use = at[RUN_USE];
}

/* Takes a block's share of a record's changes, those that follow the ones that it has. */
static void get_changes(struct record *record, const struct record_amounts *got,
                        const unsigned char *block, const struct share *share)
{
    const unsigned char *at = block + share->first;

    for (uint64_t i = 0; i < share->amounts.redos; i++, at += REDO_SIZE)
        get_redo(&record->redos[got->redos + i], at);
    for (uint64_t i = 0; i < share->amounts.entries; i++, at += DELTA_SIZE)
        get_entry(&record->entries[got->entries + i], at);
    for (uint64_t i = 0; i < share->amounts.runs; i++, at += RUN_SIZE)
        get_run(&record->runs[got->runs + i], at);
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
    struct record_amounts all = amounts_of(record), got = {0};
    unsigned char block[NODE_SIZE_MAX];

    if (!fits(space->node_size, lead_of(record), all))
        return 1;
    record->redos = calloc((size_t)record->redo_count + 1, sizeof(*record->redos));
    record->entries = calloc((size_t)record->entry_count + 1, sizeof(*record->entries));
    record->runs = calloc((size_t)record->run_count + 1, sizeof(*record->runs));
    if (record->redos == NULL || record->entries == NULL || record->runs == NULL)
        return mpgi_fail_memory("open");
    for (unsigned i = 0; i <= record->part_count; i++) {
        struct share share = share_of(space->node_size, lead_of(record), i, without(&all, &got));
        int error = read_share(record, space, i, block, &share);

        if (error)
            return error;
        get_changes(record, &got, block, &share);
        add_amounts(&got, &share.amounts);
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
    free(record->redos);
    free(record->entries);
    free(record->runs);
    record->redos = NULL;
    record->entries = NULL;
    record->runs = NULL;
}
