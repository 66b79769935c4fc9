/* SPDX-License-Identifier: MIT */
/* Salvaging a file of format 1: what its records say, which are newer than its trees. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format_1/salvage.h"

/* ---- The records --------------------------------------------------------------------------- */

static int by_generation(const void *a, const void *b)
{
    const struct found_record *one = a, *other = b;

    return compare_u64(&one->generation, &other->generation);
}

/* The commit as of which the uses of a page are known. */
static uint64_t known_of(const struct join *join, uint64_t page)
{
    uint64_t index = page / join->found->f->space.leaf_units;
    size_t low = 0, high = join->leaf_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (join->leaves[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < join->leaf_count && join->leaves[low].index == index ? join->leaves[low].known : 0;
}

static int apply_runs(const struct join *join, const struct record *record)
{
    struct salvage *salvage = join->salvage;
    int error = 0;

    for (uint32_t i = 0; i < record->run_count; i++) {
        const struct record_run *run = &record->runs[i];
        uint64_t end = run->first + min_u64(run->count, UINT64_MAX - run->first);

        end = min_u64(end, salvage->total);
        for (uint64_t page = run->first; page < end && error == 0; page++) {
            if (record->generation > known_of(join, page))
                error = mpgi_salvage_set_regular(salvage, page, run->use == MPG_USE_REGULAR);
        }
    }
    return error;
}

static int apply_entries(const struct join *join, const struct record *record)
{
    int error = 0;

    for (uint32_t i = 0; i < record->entry_count && error == 0; i++) {
        struct salvage_entry said = {
            .id = record->entries[i].id,
            .page = record->entries[i].page,
            .known = record->generation,
            .generation = record->generation,
            .crc = record->entries[i].crc,
            .in_use = record->entries[i].in_use,
            .proven = true,
        };

        error = mpgi_salvage_add_entry(join->salvage, &said);
    }
    return error;
}

/* One record, once more read whole. */
static int apply_record(struct join *join, uint64_t page)
{
    struct record record;
    int error = mpgi_record_read(&record, &join->found->f->cache.space, page);

    if (error != 0)
        return error == MPG_E_NO_MEMORY ? error : 0;
    error = mpgi_record_read_changes(&record, &join->found->f->cache.space);
    if (error != 0) {
        mpgi_record_free(&record);
        return error == MPG_E_NO_MEMORY ? error : 0;
    }
    error = apply_runs(join, &record);
    if (error == 0)
        error = apply_entries(join, &record);
    mpgi_record_free(&record);
    return error;
}

int mpgi_salvage_records_1(struct join *join)
{
    struct findings *found = join->found;
    int error = 0;

    if (found->record_count > 0)
        qsort(found->records, found->record_count, sizeof(*found->records), by_generation);
    for (size_t i = 0; i < found->record_count && error == 0; i++)
        error = apply_record(join, found->records[i].page);
    return error;
}

/* ---- The chain ----------------------------------------------------------------------------- */

/* What a record gives pages counts as long as nothing says that it is there. */
static int note_redos(const struct findings *found, const struct record *record)
{
    struct salvage *salvage = found->salvage;
    bool marked = true;

    salvage->redo_count = 0;
    if (record->redo_count == 0 || mpgi_redo_is_marked(&marked, found->f, record) != 0 || marked)
        return 0;
    free(salvage->redos);
    salvage->redos = calloc(record->redo_count, sizeof(*salvage->redos));
    if (salvage->redos == NULL)
        return mpgi_fail_memory("rescue");
    for (uint32_t i = 0; i < record->redo_count; i++) {
        const struct record_redo *redo = &record->redos[i];

        salvage->redos[salvage->redo_count++] =
            (struct salvage_redo){redo->page, redo->from, redo->crc};
    }
    return 0;
}

/*
 * Follows the chain of the newest root. *last: the number of its last commit; *total: pages
 * afterwards.
 */
static int follow_chain(const struct findings *found, uint64_t *last, uint64_t *total)
{
    const unsigned char *root = found->roots[found->newest];
    struct chain_end end;
    int error = 0;

    *last = mpgi_root_generation(root);
    *total = get_u64(root + ROOT_TOTAL);
    mpgi_chain_begin(&end, root);
    for (unsigned i = 0; i < RECORDS_MAX && error == 0; i++) {
        struct record record;

        if (mpgi_chain_read(found->f, &end, end.next, false, &record) != 0)
            break;
        *total = record.total;
        *last = record.generation;
        error = note_redos(found, &record);
        mpgi_chain_advance(&end, &record);
        mpgi_record_free(&record);
    }
    return error;
}

/*
 * Records that are newer than a commit, but for the next one, which a crash may have left without
 * its contents: what they follow was durable.
 */
static uint64_t count_newer_records(const struct findings *found, uint64_t last)
{
    uint64_t newer = 0;

    for (size_t i = 0; i < found->record_count; i++)
        newer += found->records[i].generation > last + 1;
    return newer;
}

/*
 * Nodes that are; a crash leaves such if it tears a root. With both roots it is what it left of a
 * commit that never was.
 */
static uint64_t count_newer_nodes(const struct findings *found, uint64_t last)
{
    uint64_t newer = 0;

    for (size_t i = 0; i < found->node_count && !(found->root_valid[0] && found->root_valid[1]);
         i++)
        newer += found->nodes[i].generation > last;
    return newer;
}

int mpgi_salvage_chain_1(struct join *join)
{
    struct salvage *salvage = join->salvage;
    const struct findings *found = join->found;
    uint64_t last = 0, newer, records;
    int error = has_root(found) ? follow_chain(found, &last, &salvage->total) : 0;

    if (error != 0 || !has_root(found))
        return error;
    records = count_newer_records(found, last);
    newer = records + count_newer_nodes(found, last);
    if (newer == 0)
        return 0;
    salvage->outdated = true;
    salvage->cut_off = records > 0;
    mpgi_salvage_note(salvage, "record", MPG_NO_PAGE,
                      "a record or root behind commit %" PRIu64 " is lost, and %" PRIu64
                      " later ones or nodes are there: what it changed is not known",
                      last, newer);
    error = mpgi_salvage_doubt(&salvage->doubtful_ids, 0, UINT64_MAX);
    return error ? error : mpgi_salvage_doubt(&salvage->doubtful_pages, 0, salvage->pages);
}
