/* SPDX-License-Identifier: MIT */
/*
 * A batch becomes durable, in one of two ways.
 *
 *     a record   contents, continuations, the record at the place that was named for it: one sync
 *     a root     contents, nodes, the root: one sync; where a record cannot say what the batch did, where it is
 *                time for a checkpoint, or where there is no place for a record
 *
 * An ordered commit has one sync more, before the record or the root.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "format_1/state.h"

/* Nodes that may be in memory only: a checkpoint comes before there are more. */
#define DIRTY_NODES_MAX 256

/* ---- Sealing ------------------------------------------------------------------------------- */

static void reset_gathered(struct format_1 *f)
{
    f->gathered.entries.count = 0;
    f->gathered.runs.count = 0;
    f->gathered.handed_out = 0;
    f->gathered.new_entries = 0;
    f->gathered.unplaced = 0;
    f->gathered.structure = false;
    f->gathered.entries_came_or_went = false;
    f->gathered.sealing = false;
    free(f->gathered.redos.at);
    f->gathered.redos = (struct redos){0};
}

static void reset_sealed(struct format_1 *f)
{
    struct sealed *sealed = &f->sealed;

    mpgi_changes_free(&sealed->changes);
    free(sealed->replaced);
    free(sealed->blocks);
    sealed->replaced = NULL;
    sealed->blocks = NULL;
    sealed->second = false;
    sealed->sync_failed = false;
    free(sealed->redos.at);
    sealed->redos = (struct redos){0};
    memset(&sealed->record, 0, sizeof(sealed->record));
    sealed->kind = SEALED_NOTHING;
    mpgi_output_clear(&sealed->contents);
    mpgi_output_clear(&sealed->marks);
    mpgi_id_map_clear(&f->rest.chosen);
    f->head.replaced_entries = NULL;
    f->head.replaced_count = 0;
}

bool mpgi_commit_fits_record(const struct format_1 *f, struct record_amounts amounts)
{
    uint64_t total = get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL);

    return f->rest.next != 0 && !f->gathered.structure &&
           f->chain.records < mpgi_chain_limit(total) &&
           mpgi_record_parts(f->cache.space.node_size, amounts) <= PARTS_MAX;
}

bool mpgi_commit_wants_checkpoint(const struct format_1 *f)
{
    return mpgi_cache_unwritten(&f->cache) > DIRTY_NODES_MAX;
}

static bool may_be_record(const struct format_1 *f)
{
    const struct changes *changes = &f->sealed.changes;
    const struct record_amounts amounts = {f->gathered.redos.count, changes->count,
                                           changes->run_count};

    /* One with redos must be, and was preceded by a checkpoint if that was due. */
    return mpgi_commit_fits_record(f, amounts) &&
           (amounts.redos > 0 || !mpgi_commit_wants_checkpoint(f));
}

/* Whose content is replaced or freed: so that what views show is left alone. */
static int note_replaced(struct format_1 *f)
{
    const struct changes *changes = &f->sealed.changes;
    struct replaced_entry *replaced;

    if (changes->count == 0)
        return 0;
    replaced = calloc(changes->count, sizeof(*replaced));
    if (replaced == NULL)
        return mpgi_fail_memory("commit");
    f->sealed.replaced = replaced;
    for (size_t i = 0; i < changes->count; i++) {
        uint64_t id = changes->entries[i].entry.id;
        int error = 0;

        replaced[i].id = id;
        if (changes->entries[i].old_page != 0)
            error = mpgi_directory_get(&f->head, VERSION_DURABLE, id, &replaced[i].old);
        if (error)
            return error;
    }
    f->head.replaced_entries = replaced;
    f->head.replaced_count = changes->count;
    return 0;
}

/* The new contents, each to its page. Zeros that are there already need not be written. */
static int add_contents(struct format_1 *f, bool unsynced_zeros, struct output *output)
{
    const struct changes *changes = &f->sealed.changes;
    uint32_t page_size = f->head.page_size;

    if (!mpgi_output_reserve(output, changes->new_contents))
        return mpgi_fail_memory("commit");
    for (size_t i = 0; i < changes->count; i++) {
        const struct entry_change *change = &changes->entries[i];
        uint64_t page = change->entry.page;

        if (!change->is_new || (change->data == NULL && !unsynced_zeros &&
                                mpgi_file_is_hole(f->head.file, page * page_size, page_size)))
            continue;
        mpgi_output_add(output, page * page_size, page_size, change->data, page);
    }
    return 0;
}

/* ---- A record ------------------------------------------------------------------------------ */

/* The pages for continuations, and the place of the record after the next. 1 if there are none. */
static int choose_places(struct format_1 *f, struct record *record)
{
    const struct changes *changes = &f->sealed.changes;
    const struct entry_change *last = NULL;
    uint64_t behind;
    int error = 0;

    for (unsigned i = 0; i < record->part_count && error == 0; i++)
        error = mpgi_place_one(f, &record->parts[i].page);
    if (error)
        return error;
    for (size_t i = 0; i < changes->count; i++) {
        if (changes->entries[i].is_new)
            last = &changes->entries[i];
    }
    if (last != NULL)
        behind = last->entry.page + 1;
    else if (record->redo_count != 0)
        behind = max_u64(record->page, record->redos[record->redo_count - 1].from) + 1;
    else
        behind = record->page + 1;
    /* Rule P7: places are named two ahead, or the end could not be told from a gap. */
    record->next = f->rest.after;
    if (record->next != 0)
        error = mpgi_place_record(f, behind, record->next, changes->new_contents, &record->after);
    if (!RULE_HOLDS(RULE_TWO_AHEAD) && error == 0 && record->after != 0)
        record->next = record->after;
    return error == 1 ? 0 : error; /* without a place the chain ends in an orderly way */
}

static void fill_record(struct format_1 *f, struct record *record, bool ordered)
{
    const unsigned char *root = mpgi_root_pending(f);

    record->page = f->rest.next;
    record->generation = f->sealed.generation;
    record->root_generation = mpgi_root_generation(f->chain.root);
    record->root_crc = f->chain.root_crc;
    record->link = f->chain.link;
    record->ordered = ordered;
    record->redos = f->gathered.redos.at;
    record->redo_count = (uint32_t)f->gathered.redos.count;
    record->total = get_u64(root + ROOT_TOTAL);
    record->free = get_u64(root + ROOT_FREE);
    record->protected_pages = get_u64(root + ROOT_PROTECTED);
}

static int encode_record(struct format_1 *f, struct record *record)
{
    const struct changes *changes = &f->sealed.changes;
    struct record_entry *entries = calloc(changes->count + 1, sizeof(*entries));

    f->sealed.blocks = malloc((size_t)(1 + record->part_count) * f->cache.space.node_size);
    if (entries == NULL || f->sealed.blocks == NULL) {
        free(entries);
        return mpgi_fail_memory("commit");
    }
    for (size_t i = 0; i < changes->count; i++)
        entries[i] = changes->entries[i].entry;
    record->entries = entries;
    record->runs = changes->runs;
    mpgi_record_encode(record, &f->cache.space, f->sealed.blocks);
    record->entries = NULL;
    record->runs = NULL;
    free(entries);
    return 0;
}

static int add_record(struct format_1 *f, const struct record *record)
{
    const struct node_space *space = &f->cache.space;
    struct output *marks = &f->sealed.marks;
    unsigned other = 3 - f->chain.root_page;

    if (!mpgi_output_reserve(marks, 2 + (size_t)record->part_count) ||
        !mpgi_rest_reserve(&f->rest, 1 + (size_t)record->part_count + record->redo_count))
        return mpgi_fail_memory("commit");
    mpgi_output_add(marks, record->page * space->page_size, space->node_size, f->sealed.blocks,
                    record->page);
    for (unsigned i = 0; i < record->part_count; i++)
        mpgi_output_add(marks, record->parts[i].page * space->page_size, space->node_size,
                        f->sealed.blocks + (size_t)(1 + i) * space->node_size,
                        record->parts[i].page);
    /*
     * Rule L11: a root that goes bad must not lead back to the one before it, whose chain is gone.
     */
    f->sealed.second = f->chain.second_is_due;
    if (f->sealed.second)
        mpgi_output_add(marks, (uint64_t)other * space->page_size, space->node_size, f->chain.root,
                        other);
    return 0;
}

/* What is to be in pages that are in use goes beside them first. */
static int add_redos(struct format_1 *f, struct output *output)
{
    const struct redos *redos = &f->gathered.redos;
    uint32_t page_size = f->head.page_size;

    if (!mpgi_output_reserve(output, redos->count))
        return mpgi_fail_memory("commit");
    for (size_t i = 0; i < redos->count; i++)
        mpgi_output_add(output, redos->at[i].from * page_size, page_size,
                        redos->contents[i].content, redos->at[i].from);
    return 0;
}

/* 1: there is no room for its continuations. */
static int seal_record(struct format_1 *f, bool unsynced_zeros, bool ordered)
{
    struct record *record = &f->sealed.record;
    int error;

    memset(record, 0, sizeof(*record));
    fill_record(f, record, ordered);
    record->entry_count = (uint32_t)f->sealed.changes.count;
    record->run_count = (uint32_t)f->sealed.changes.run_count;
    record->part_count = mpgi_record_parts(
        f->cache.space.node_size,
        (struct record_amounts){record->redo_count, record->entry_count, record->run_count});
    error = choose_places(f, record);
    if (error == 0)
        error = encode_record(f, record);
    if (error == 0)
        error = add_record(f, record);
    if (error == 0)
        error = add_contents(f, unsynced_zeros, ordered ? &f->sealed.contents : &f->sealed.marks);
    if (error == 0)
        error = add_redos(f, ordered ? &f->sealed.contents : &f->sealed.marks);
    if (error)
        return error;
    mpgi_tree_count(f, &f->space);
    if (f->gathered.entries_came_or_went)
        mpgi_tree_count(f, &f->directory);
    f->directory.edit.content = NULL;
    put_u64(mpgi_root_pending(f) + NODE_GENERATION, f->sealed.generation);
    f->sealed.kind = SEALED_RECORD;
    f->sealed.redos = f->gathered.redos;
    f->gathered.redos = (struct redos){0};
    return 0;
}

/* ---- A root -------------------------------------------------------------------------------- */

/*
 * The places of the two records that follow it; none with the first commit, which may be the only
 * one.
 */
static int name_places(struct format_1 *f, unsigned char *root)
{
    uint64_t expected = f->sealed.changes.new_contents;
    uint64_t next = 0, after = 0;
    int error = 1;

    if (f->commits > 0)
        error = mpgi_place_record(f, 0, 0, expected, &next);
    if (error == 0)
        error = mpgi_place_record(f, 0, next, expected, &after);
    if (error == 1)
        error = 0;
    put_u64(root + ROOT_NEXT, next);
    put_u64(root + ROOT_AFTER, after);
    return error;
}

static int seal_root(struct format_1 *f, bool unsynced_zeros, bool *ordered)
{
    unsigned char *root = mpgi_root_pending(f);
    int error;

    mpgi_checkpoint_let_go(f, &f->rest.chosen);
    mpgi_output_clear(&f->sealed.contents);
    mpgi_output_clear(&f->sealed.marks);
    if (mpgi_cache_unwritten(&f->cache) + f->sealed.changes.count > SINGLE_SYNC_UNITS)
        *ordered = true;
    error = name_places(f, root);
    if (error == 0)
        error = mpgi_checkpoint_salt(root, f->head.file);
    if (error == 0)
        error = mpgi_checkpoint_seal(f, f->sealed.generation, *ordered, false, &f->sealed.contents,
                                     &f->sealed.marks);
    if (error == 0)
        error = add_contents(f, unsynced_zeros, &f->sealed.contents);
    if (error == 0)
        f->sealed.kind = SEALED_ROOT;
    return error;
}

/* ---- Either -------------------------------------------------------------------------------- */

/* Room for these is seen to beforehand, so this is not expected. */
static int fail_redos(const struct format_1 *f)
{
    return mpgi_fail(MPG_E_NO_SPACE, "commit", f->gathered.redos.contents[0].page,
                     "%s: no pages are free for new contents of pages in use", f->head.file->path);
}

/* There are too few pages for the contents: what rests may come back, or the file grow. */
static int find_room(struct format_1 *f)
{
    uint64_t total = get_u64(mpgi_root_get(f, VERSION_NEWEST) + ROOT_TOTAL);
    int error;

    if (f->gathered.redos.count > 0)
        return fail_redos(f);
    if (f->rest.next != 0 || f->rest.current.count > 0 || f->rest.old.count > 0)
        return SEAL_NEEDS_ROOM;
    error = mpgi_format_grow(&f->head, total + f->sealed.changes.new_contents);
    if (error == 0 || (f->head.lingering != NULL && f->head.lingering->count == 0))
        return error;
    return mpgi_fail(MPG_E_BUSY, "commit", MPG_NO_PAGE,
                     "%s: views and snapshots show the pages that the commit would need",
                     f->head.file->path);
}

static int place_contents(struct format_1 *f)
{
    for (;;) {
        const struct redos *redos = &f->gathered.redos;
        uint64_t last = redos->count > 0 ? redos->at[redos->count - 1].from : f->rest.next;
        uint64_t near = may_be_record(f) ? last + 1 : 0;
        int error = mpgi_place_contents(f, &f->sealed.changes, near, redos->count == 0);

        if (error == 1)
            error = find_room(f);
        else
            return error;
        if (error != 0)
            return error;
    }
}

static int seal(struct format_1 *f, const struct id_map *contents, bool unsynced_zeros,
                bool *ordered)
{
    int error = mpgi_changes_collect(f, contents, &f->sealed.changes);

    if (error == 0)
        error = note_replaced(f);
    if (error == 0)
        error = place_contents(f);
    if (error)
        return error;
    if (f->sealed.changes.new_contents > SINGLE_SYNC_UNITS)
        *ordered = true;
    error = 1;
    if (may_be_record(f))
        error = seal_record(f, unsynced_zeros, *ordered);
    if (error == 1 && f->gathered.redos.count > 0)
        return fail_redos(f);
    if (error == 1)
        error = seal_root(f, unsynced_zeros, ordered);
    return error;
}

int mpgi_commit_seal(struct format *format, const struct id_map *contents, bool unsynced_zeros,
                     bool *ordered)
{
    struct format_1 *f = format_1_of(format);
    int error;

    f->gathered.sealing = true;
    f->sealed.generation = f->next_generation++;
    error = seal(f, contents, unsynced_zeros, ordered);
    if (error) {
        f->gathered.sealing = false;
        mpgi_checkpoint_let_go(f, &f->rest.chosen);
        reset_sealed(f);
        return error;
    }
    mpgi_output_sort(&f->sealed.contents);
    mpgi_output_sort(&f->sealed.marks);
    mpgi_cache_freeze(&f->cache);
    mpgi_versions_freeze(&f->root);
    reset_gathered(f);
    f->entry_freed = UINT64_MAX;
    mpgi_space_sealed(f);
    return 0;
}

/* ---- Writing ------------------------------------------------------------------------------- */

/* Zeros over the beginning of a record. */
static int write_zeros(struct format_1 *f, uint64_t page)
{
    static const unsigned char zeros[NODE_SIZE_MAX];
    const struct node_space *space = &f->cache.space;

    return mpgi_file_write(space->file, zeros, space->node_size, page * space->page_size, page);
}

/*
 * Where a full disk had no room for taking a record back, that comes before anything else is
 * written.
 */
static int take_back_first(struct format_1 *f)
{
    int error;

    if (f->chain.to_annul == 0)
        return 0;
    error = write_zeros(f, f->chain.to_annul);
    if (error)
        return error;
    error = mpgi_file_sync(f->cache.space.file);
    f->sealed.sync_failed = error != 0;
    if (error == 0)
        f->chain.to_annul = 0;
    return error;
}

int mpgi_commit_write_contents(struct format *format, bool ordered)
{
    struct format_1 *f = format_1_of(format);
    int error = take_back_first(f);

    (void)ordered;
    return error != 0 ? error : mpgi_output_write(&f->sealed.contents, format->file);
}

int mpgi_commit_write_root(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    return mpgi_output_write(&f->sealed.marks, format->file);
}

/*
 * Rule L8: a record whose writing failed must never count: not later either, with contents that
 * another commit happens to write to the same places.
 */
static bool annul(struct format_1 *f, bool sync)
{
    uint64_t page = f->sealed.record.page;
    struct record there;
    int error;

    if (mpgi_look_at_record(f) != 0)
        return false;
    error = write_zeros(f, page);
    /* Rule 13: where there was no room for it, there may be none for zeros. */
    if (error == MPG_E_NO_SPACE && RULE_HOLDS(13)) {
        if (mpgi_record_read(&there, &f->cache.space, page) != 1)
            f->chain.to_annul = page;
        return true;
    }
    if (error != 0)
        return false;
    return !sync || !RULE_HOLDS(RULE_ANNUL_SYNC) || mpgi_file_sync(f->cache.space.file) == 0;
}

bool mpgi_commit_take_back(struct format *format, enum commit_step step, bool no_space)
{
    struct format_1 *f = format_1_of(format);

    f->chain.other_unknown |= f->sealed.second;
    if (step == STEP_CONTENTS)
        return !f->sealed.sync_failed;
    if (step == STEP_FIRST_SYNC || step == STEP_REDO)
        return false; /* … and it stands: who opens the file carries the redos out */
    if (f->sealed.kind == SEALED_RECORD && step == STEP_ROOT)
        return !RULE_HOLDS(RULE_ANNUL) || annul(f, true);
    if (f->sealed.kind == SEALED_RECORD)
        (void)annul(f, false);
    if (f->sealed.kind != SEALED_ROOT)
        return false;
    (void)mpgi_checkpoint_restore(f, f->root.frozen->bytes);
    /* Rule 13: a root that was written in part is none. */
    f->chain.other_unknown |= step == STEP_ROOT;
    return step == STEP_ROOT && no_space;
}

/* ---- The end ------------------------------------------------------------------------------- */

/* What this commit freed rests for one more; what the one before it freed does not any longer. */
static void note_freed(struct format_1 *f)
{
    const struct changes *changes = &f->sealed.changes;
    struct number_list *freed = &f->freed;

    mpgi_place_freed(f);
    for (size_t i = 0; i < changes->count; i++) {
        /* Where memory runs out the pool finds them later. */
        if (changes->entries[i].old_page != 0 &&
            mpgi_numbers_add(freed, changes->entries[i].old_page) && !mpgi_numbers_add(freed, 1))
            freed->count--;
    }
    for (size_t i = 0; i < changes->run_count; i++) {
        if (changes->runs[i].use == MPG_USE_FREE &&
            mpgi_numbers_add(freed, changes->runs[i].first) &&
            !mpgi_numbers_add(freed, changes->runs[i].count))
            freed->count--;
    }
}

static void publish_record(struct format_1 *f)
{
    const struct record *record = &f->sealed.record;
    struct chain *chain = &f->chain;

    chain->link = record->crc;
    chain->generation = record->generation;
    chain->records++;
    chain->is_twice = false;
    mpgi_rest_add(&f->rest, record->page);
    for (unsigned i = 0; i < record->part_count; i++)
        mpgi_rest_add(&f->rest, record->parts[i].page);
    for (uint32_t i = 0; i < record->redo_count && RULE_HOLDS(RULE_REDO_RESTS); i++)
        mpgi_rest_add(&f->rest, record->redos[i].from);
    chain->is_named = false;
    f->rest.next = record->next;
    f->rest.after = record->after;
    chain->last_page = record->page;
    memcpy(chain->last_head, f->sealed.blocks, sizeof(chain->last_head));
    if (f->sealed.second) {
        memcpy(chain->other_head, chain->root, sizeof(chain->other_head));
        chain->other_unknown = false;
        chain->second_is_due = false;
        mpgi_checkpoint_let_go(f, &f->rest.old);
    }
}

void mpgi_commit_publish(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    if (f->root.frozen == NULL)
        return;
    mpgi_cache_publish(&f->cache);
    mpgi_versions_publish(&f->root);
    note_freed(f);
    if (f->sealed.kind == SEALED_RECORD)
        publish_record(f);
    else
        mpgi_checkpoint_publish(f);
    f->commits++;
    mpgi_space_published(f);
    reset_sealed(f);
}

void mpgi_commit_forget(struct format_1 *f)
{
    mpgi_cache_discard(&f->cache);
    mpgi_versions_discard(&f->root);
    f->space.edit.content = NULL;
    f->directory.edit.content = NULL;
    f->entry_hint = 0;
    f->entry_freed = UINT64_MAX;
    reset_gathered(f);
    reset_sealed(f);
    mpgi_pool_reset(&f->pool);
    f->freed.count = 0;
    mpgi_space_discarded(f);
}

void mpgi_commit_discard(struct format *format)
{
    struct format_1 *f = format_1_of(format);

    mpgi_commit_forget(f);
    /* Rule 8: nodes of the discarded commit may be on the disk, so its generation is used up. */
    if (!RULE_HOLDS(8))
        f->next_generation = f->chain.generation + 1;
}
