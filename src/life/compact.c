/* SPDX-License-Identifier: MIT */
/*
 * A file made shorter, in place.
 *
 * In format 1 in one step, which is repeated while it gains something:
 *
 *     plan     how many pages the file needs; what lies behind them goes to free pages before them
 *     build    the metadata of the shorter file, in memory, with pages for its nodes that are free as well
 *     write    contents and nodes, all of them into free pages; sync
 *     root     over the root that is not the durable one; sync
 *     again    the same state over the other root; sync (rule 9)
 *     cut      the file
 *
 * So a crash leaves the state of before or of afterwards, and what is in use is never written over.
 * The second step has the pages that the old metadata had.
 *
 * In format 0.2 page 0 names the places of directory blocks: a commit moves contents of protected
 * pages and of each block the copy that does not count, the next one the other copies; one more
 * gives regular pages their numbers and counts fewer pages, and another one counts them in the
 * other metadata page.
 */
#include "life/compact.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "pager/edit.h"
#include "pager/settle.h"

/* Bytes that are moved at once. */
#define COMPACT_BUFFER ((size_t)1 << 20)
/*
 * Of a file's least length, by what more is tried where it does not do; then by twice that, and so
 * on.
 */
#define STEP_PART 1024
#define STEP_LEAST 8
/* Steps at most. */
#define MOST_ROUNDS 8
/* Words of 64 pages that are looked at at once. */
#define WORDS 64

/* ---- What is told ahead -------------------------------------------------------------------- */

static int tell_moves(const struct compact *compact, const struct compact_plan *plan)
{
    const mpg_compact_options *options = compact->options;

    for (size_t i = 0; i < plan->regular_moves && options->moved != NULL; i++) {
        const struct compact_move *move = &plan->moves[i];

        if (!options->moved(options->context, (mpg_page_id){move->from}, (mpg_page_id){move->to},
                            plan->total))
            return mpgi_fail(MPG_E_CANCELLED, "compact", MPG_NO_PAGE, "%s: cancelled",
                             compact->pager->file.path);
    }
    return 0;
}

static void count_moves(struct compact *compact, const struct compact_plan *plan)
{
    compact->result.moved_regular += plan->regular_moves;
    for (size_t i = plan->regular_moves; i < plan->move_count; i++)
        compact->result.moved_protected += plan->moves[i].has_content;
}

static void expect_moves(struct compact *compact, const struct compact_plan *plan)
{
    compact->expected = compact->done;
    for (size_t i = 0; i < plan->move_count; i++)
        compact->expected += plan->moves[i].has_content ? compact->pager->page_size : 0;
}

/* Contents to their new places, and who is to know of regular pages told. */
static int write_regular(struct compact *compact, const struct compact_plan *plan)
{
    int result = tell_moves(compact, plan);

    return result != 0 ? result : mpgi_compact_write(compact, plan->moves, plan->regular_moves);
}

static int write_protected(struct compact *compact, const struct compact_plan *plan)
{
    return mpgi_compact_write(compact, plan->moves + plan->regular_moves,
                              plan->move_count - plan->regular_moves);
}

/* ---- Where the metadata can be made anew --------------------------------------------------- */

/*
 * The path to the last page first: where a node finds no page among those it covers, the tree is as
 * high as it will be.
 */
static int put_last(struct format *format, uint64_t total)
{
    int result = format->ops->set_use(format, total - 1, MPG_USE_REGULAR);

    return result != 0 ? result : format->ops->set_use(format, total - 1, MPG_USE_FREE);
}

static int put_regular(struct format *format, const struct compact_plan *plan)
{
    const struct copy_state *state = &plan->state;
    size_t moved = 0;
    int result = 0;

    for (size_t i = 0; i < state->run_count; i++) {
        uint64_t end = state->runs[i].first + state->runs[i].count;

        for (uint64_t page = state->runs[i].first; page < end && result == 0; page++) {
            uint64_t to = page >= plan->regular_end ? plan->moves[moved++].to : page;

            result = format->ops->set_use(format, to, MPG_USE_REGULAR);
        }
    }
    return result;
}

static int put_entries(struct format *format, const struct compact_plan *plan)
{
    const struct copy_state *state = &plan->state;
    size_t moved = plan->regular_moves;
    struct mpg_stat facts = {0};
    int result = 0;

    format->ops->facts(format, VERSION_DURABLE, &facts);
    for (size_t i = 0; i < state->entry_count && result == 0; i++) {
        const struct copy_entry *from = &state->entries[i];
        struct entry made = {
            .page = {entry_page(&from->entry), 0},
            .generation = facts.generation + 1,
            .crc = from->entry.crc,
            .in_use = true,
        };

        if (moved < plan->move_count && plan->moves[moved].id == from->id)
            made.page[0] = plan->moves[moved++].to;
        result = format->ops->put_entry(format, from->id, &made);
    }
    return result;
}

/* In memory. 1: it does not fit into so few pages. */
static int build(struct compact *compact, const struct compact_plan *plan)
{
    struct format *format = compact->pager->format;
    const struct format_ops *ops = format->ops;
    bool unavailable = false;
    int result = ops->begin_anew(format, plan->total, &unavailable);

    compact->pager->unavailable |= unavailable;
    format->kept = plan->kept;
    if (result == 0)
        result = put_last(format, plan->total);
    if (result == 0)
        result = put_regular(format, plan);
    if (result == 0)
        result = put_entries(format, plan);
    format->kept = NULL;
    if (result == MPG_E_FILE_FULL)
        return 1;
    if (result != 0)
        return result;
    return ops->total_pages(format, VERSION_NEWEST) > plan->total || ops->spare(format) < 0;
}

/* The shortest file that can be had. 1: none that is shorter. */
static int find_shortest(struct compact *compact, struct compact_plan *plan, bool renumber)
{
    uint64_t least = mpgi_compact_least(plan, 0, renumber);
    uint64_t step = max_u64(least / STEP_PART, STEP_LEAST);

    for (uint64_t total = least; total < plan->state.total; total += step, step *= 2) {
        int result = mpgi_compact_moves(plan, total, renumber ? least : UINT64_MAX);

        if (result == 0)
            result = build(compact, plan);
        if (result != 1)
            return result;
    }
    return 1;
}

static int make_anew(struct compact *compact, bool renumber)
{
    struct compact_plan plan = {0};
    int result = mpgi_compact_plan_begin(&plan, compact->pager->format);

    if (result == 0)
        result = find_shortest(compact, &plan, renumber);
    if (result == 0) {
        expect_moves(compact, &plan);
        result = write_regular(compact, &plan);
    }
    if (result == 0)
        result = write_protected(compact, &plan);
    if (result == 0)
        result = mpgi_compact_commit(compact->pager);
    if (result == 0)
        count_moves(compact, &plan);
    mpgi_compact_plan_end(&plan);
    return result;
}

/* ---- Where it is moved --------------------------------------------------------------------- */

static int move_entry(struct format *format, const struct compact_move *move)
{
    struct entry entry;
    int result = format->ops->get_entry(format, VERSION_NEWEST, move->id, &entry);

    if (result == 0)
        result = format->ops->set_use(format, move->to, MPG_USE_PROTECTED);
    if (result == 0)
        result = format->ops->set_use(format, move->from, MPG_USE_FREE);
    if (result != 0)
        return result;
    entry.page[entry.page[0] == move->from ? 0 : 1] = move->to;
    return format->ops->put_entry(format, move->id, &entry);
}

static int move_regular(struct format *format, const struct compact_move *move)
{
    int result = format->ops->set_use(format, move->to, MPG_USE_REGULAR);

    return result != 0 ? result : format->ops->set_use(format, move->from, MPG_USE_FREE);
}

/*
 * Commits until all metadata is where it is to be, with the protected pages in the first of them.
 */
static int commit_moves(struct compact *compact, const struct compact_plan *plan)
{
    mpg_pager *pager = compact->pager;
    struct format *format = pager->format;
    uint64_t moved = 0;
    int result = 0;

    for (size_t i = plan->regular_moves; i < plan->move_count && result == 0; i++)
        result = move_entry(format, &plan->moves[i]);
    do {
        format->kept = plan->kept; /* where regular pages go, too */
        if (result == 0)
            result = format->ops->move_down(format, plan->total, &moved);
        format->kept = NULL;
        if (result == 0 && format->ops->is_dirty(format))
            result = mpgi_compact_commit(pager);
    } while (result == 0 && moved > 0);
    return result;
}

/*
 * One commit has the new numbers of regular pages and the new total: who is to find out which
 * numbers count goes by that. It changes no directory block, so it leaves no spare of page 0, which
 * might come to lie where the contents are by now. The other one is for the other metadata page, of
 * which opening may take the older one.
 */
static int count_fewer(struct compact *compact, const struct compact_plan *plan)
{
    struct format *format = compact->pager->format;
    int result = 0;

    for (size_t i = 0; i < plan->regular_moves && result == 0; i++)
        result = move_regular(format, &plan->moves[i]);
    for (unsigned i = 0; i < 2 && result == 0; i++) {
        result = format->ops->set_total(format, plan->total);
        if (result == 0)
            result = mpgi_compact_commit(compact->pager);
    }
    return result;
}

/* Whether there is room for what lies behind `total`, metadata included. 1: no. */
static int find_moves(struct compact_plan *plan, uint64_t total, uint64_t regular_end)
{
    int result = mpgi_compact_moves(plan, total, regular_end);
    uint64_t missing = 0, free = 0;

    if (result != 0)
        return result;
    for (uint64_t page = FIRST_USER_PAGE; page < plan->state.total; page++) {
        bool used = mpgi_sheet_bit(plan->kept, page);

        free += page < total && !used;
        missing += page >= total && used;
    }
    for (size_t i = 0; i < plan->move_count; i++)
        missing -= plan->moves[i].from >= total;
    return free < missing;
}

static int move_down(struct compact *compact, bool renumber)
{
    struct compact_plan plan = {0};
    struct mpg_stat facts = {0};
    uint64_t least = 0, total = 0;
    int result = mpgi_compact_plan_begin(&plan, compact->pager->format);

    if (result == 0) {
        compact->pager->ops->facts(compact->pager->format, VERSION_DURABLE, &facts);
        least = mpgi_compact_least(&plan, facts.metadata_pages, renumber);
        total = least;
        result = 1;
    }
    for (; result == 1 && total < plan.state.total; total += STEP_LEAST)
        result = find_moves(&plan, total, renumber ? least : UINT64_MAX);
    if (result == 0) {
        expect_moves(compact, &plan);
        result = write_protected(compact, &plan);
    }
    if (result == 0)
        result = commit_moves(compact, &plan);
    if (result == 0)
        result = write_regular(compact, &plan);
    if (result == 0)
        result = count_fewer(compact, &plan);
    if (result == 0)
        count_moves(compact, &plan);
    mpgi_compact_plan_end(&plan);
    return result;
}

/* ---- The whole ----------------------------------------------------------------------------- */

/* 1: no shorter than it is. */
static int make_step(struct compact *compact, bool renumber)
{
    mpg_pager *pager = compact->pager;
    int result = pager->ops->begin_anew != NULL ? make_anew(compact, renumber)
                                                : move_down(compact, renumber);

    if (result != 0)
        return result;
    compact->result.pages_after = pager->ops->total_pages(pager->format, VERSION_DURABLE);
    return mpgi_compact_cut(pager);
}

static int make_shorter(struct compact *compact)
{
    bool renumber = (compact->options->flags & MPG_COMPACT_RENUMBER) != 0;
    /*
     * What an earlier one that was killed, or a growth that failed, has left behind the last page.
     */
    int result = mpgi_compact_cut(compact->pager);

    for (unsigned round = 0; round < MOST_ROUNDS && result == 0; round++)
        result = make_step(compact, renumber && round == 0);
    return result == 1 ? 0 : result;
}

static int start(struct compact *compact)
{
    struct mpg_stat facts = {0};
    int result;

    compact->capacity = COMPACT_BUFFER;
    compact->buffer = malloc(compact->capacity);
    if (compact->buffer == NULL)
        return mpgi_fail_memory("compact");
    compact->pager->ops->facts(compact->pager->format, VERSION_DURABLE, &facts);
    compact->result.pages_before = compact->result.pages_after = facts.total_pages;
    result = make_shorter(compact);
    free(compact->buffer);
    return result;
}

int mpgi_compact(mpg_compact_result *result, mpg_pager *pager, const mpg_compact_options *options)
{
    struct compact compact = {.pager = pager, .options = options};
    int made = start(&compact);

    if (made != 0)
        return made;
    *result = compact.result;
    return 0;
}

/* ---- An open file -------------------------------------------------------------------------- */

static int check_options(const mpg_compact_options *options)
{
    if (options->size != sizeof(*options))
        return mpgi_fail(MPG_E_INVALID, "compact", MPG_NO_PAGE,
                         "options of %zu bytes are not of this version (%zu)", options->size,
                         sizeof(*options));
    return mpgi_check_flags(options->flags, MPG_COMPACT_RENUMBER, "compact");
}

/* From then on a view is taken with the lock only. */
static int find_view(bool *shown, mpg_pager *pager)
{
    uint64_t bits[WORDS];
    int result = 0;

    *shown = false;
    for (uint64_t first = 0, next; first != UINT64_MAX && result == 0; first = next) {
        result = pager->ops->scan_use(pager->format, VERSION_DURABLE, MPG_USE_PROTECTED, first,
                                      bits, WORDS, &next);
        for (unsigned word = 0; word < WORDS && result == 0; word++) {
            for (uint64_t left = bits[word]; left != 0; left &= left - 1)
                *shown |=
                    mpgi_is_pinned(pager, first + 64 * word + (unsigned)__builtin_ctzll(left));
        }
    }
    return result;
}

/* Nobody shows, holds or is about to write what may move. */
static int check_idle(mpg_pager *pager)
{
    bool shown;
    int result = find_view(&shown, pager);

    if (result != 0)
        return result;
    if (!shown && pager->snapshots == NULL && pager->lingering.count == 0 &&
        pager->writers.count == 0 && pager->reserved.count == 0 &&
        pager->reserved_protected.count == 0)
        return 0;
    return mpgi_fail(MPG_E_BUSY, "compact", MPG_NO_PAGE,
                     "%s: a view, a snapshot, a writer or a transaction is open", pager->file.path);
}

/* What is known without the lock of where contents are. */
static void forget_places(mpg_pager *pager)
{
    mpgi_known_forget_all(&pager->regular);
    mpgi_known_forget_all(&pager->writable);
    mpgi_entries_forget_all(&pager->entries);
    mpgi_id_map_clear(&pager->verified);
    pager_search_page(pager, 0);
    pager_search_protected(pager, 0);
}

/* Waits for its turn, with all durable that gathered. Returns with the lock held. */
static int begin(mpg_pager *pager)
{
    int result = 0;

    for (;;) {
        pager_lock(pager);
        while (pager->in_flight != NULL || pager->given_back != NULL)
            (void)pthread_cond_wait(&pager->settled, &pager->lock);
        if (result != 0 || !pager->ops->is_dirty(pager->format))
            break;
        pager_unlock(pager);
        result = mpgi_edit_sync(pager, "compact");
    }
    /*
     * What was found is written again before anything is built on it, if opening had no room for
     * that.
     */
    if (result == 0)
        result = mpgi_settle_late(pager);
    return result != 0 ? result : check_idle(pager);
}

/*
 * What was built in memory and not committed is forgotten, and what the disk says loaded, as in
 * opening.
 */
static int load_again(mpg_pager *pager)
{
    struct format *format;
    int result = mpgi_load_state(&format, pager->ops, &pager->file, pager->format->cache_size,
                                 pager->page_size);

    if (result != 0)
        return result;
    pager->ops->unload(pager->format);
    pager->format = format;
    mpgi_pager_tell(pager, format);
    return mpgi_settle_found(pager);
}

/*
 * After a sync that failed nothing may be written any more, but what was built and not committed
 * must not be shown either.
 */
static void show_durable(mpg_pager *pager)
{
    struct format *format;

    if (pager->ops->load(&format, &pager->file, true, pager->format->cache_size) != 0)
        return;
    pager->ops->unload(pager->format);
    pager->format = format;
    mpgi_pager_tell(pager, format);
}

int mpg_compact(mpg_compact_result *result, mpg_pager *pager, const mpg_compact_options *options)
{
    static const mpg_compact_options defaults = MPG_COMPACT_OPTIONS_INIT;
    mpg_compact_result made;
    mpg_error_info error;
    int outcome;

    if (options == NULL)
        options = &defaults;
    outcome = check_options(options);
    if (outcome == 0)
        outcome = mpg_sync(pager);
    if (outcome != 0)
        return outcome;
    outcome = begin(pager);
    if (outcome == 0) {
        forget_places(pager);
        outcome = mpgi_explain_damage(pager, mpgi_compact(&made, pager, options));
        (void)mpg_last_error(&error);
        if (!pager->unavailable && !pager->file.changed)
            pager->unavailable = load_again(pager) != 0;
        if (pager->unavailable)
            show_durable(pager);
        forget_places(pager);
        if (outcome != 0)
            (void)mpgi_fail_again(&error);
    }
    pager_unlock(pager);
    if (outcome == 0 && result != NULL)
        *result = made;
    return outcome;
}
