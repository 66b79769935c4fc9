/* SPDX-License-Identifier: MIT */
#include "life/compact_plan.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "os/io.h"

#define WORDS 64

/* Free pages beside those that contents of protected pages need, for the next commits. */
#define SPARE_PAGES 8
/* Of so many pages one may be metadata. */
#define COVERED_PAGES 256

/* ---- What is in use ------------------------------------------------------------------------ */

struct claims {
    struct compact_plan *plan;
    const char *path;
    int result;
};

static int fail_damaged(const struct claims *claims, uint64_t page)
{
    return mpgi_fail(MPG_E_CORRUPT_METADATA, "compact", page,
                     "%s: page %llu is used for two things at once: see what a check says",
                     claims->path, (unsigned long long)page);
}

/* A page is somebody's, and was nobody's before. */
static void claim(struct claims *claims, uint64_t page)
{
    struct sheet *used = claims->plan->used;

    if (claims->result != 0)
        return;
    if (page >= claims->plan->state.total || mpgi_sheet_bit(used, page))
        claims->result = fail_damaged(claims, page);
    else if (!mpgi_sheet_set_bit(used, page, true))
        claims->result = mpgi_fail_memory("compact");
}

static void claim_metadata(void *context, uint64_t page)
{
    claim(context, page);
}

static void note_fault(void *context, const mpg_fault *fault)
{
    struct claims *claims = context;

    if (claims->result == 0 && fault->code != 0)
        claims->result = mpgi_fail(fault->code, "compact", fault->page, "%s", fault->message);
}

/*
 * What is marked as in use, though nothing names it, keeps nobody from anything; but it is left
 * alone until it is gone.
 */
static int claim_marked(struct compact_plan *plan, struct format *format)
{
    uint64_t bits[WORDS];
    int result = 0;

    for (uint64_t first = 0, next; first != UINT64_MAX && result == 0; first = next) {
        result = format->ops->scan_use(format, VERSION_DURABLE, MPG_USE_METADATA, first, bits,
                                       WORDS, &next);
        for (unsigned word = 0; word < WORDS && result == 0; word++) {
            for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
                uint64_t page = first + 64 * word + (unsigned)__builtin_ctzll(left);

                if (!mpgi_sheet_set_bit(plan->used, page, true))
                    return mpgi_fail_memory("compact");
            }
        }
    }
    return result;
}

static void claim_contents(struct claims *claims)
{
    const struct copy_state *state = &claims->plan->state;

    for (size_t i = 0; i < state->run_count; i++) {
        for (uint64_t k = 0; k < state->runs[i].count; k++)
            claim(claims, state->runs[i].first + k);
    }
    for (size_t i = 0; i < state->entry_count; i++) {
        const struct entry *entry = &state->entries[i].entry;

        claim(claims, entry_page(entry));
        if (claims->plan->copies == 2)
            claim(claims, entry->page[!entry->current]);
    }
}

int mpgi_compact_plan_begin(struct compact_plan *plan, struct format *format)
{
    struct claims claims = {plan, format->file->path, 0};
    int result;

    *plan = (struct compact_plan){0};
    plan->copies = format->ops->copies;
    plan->used = mpgi_sheet_new();
    result = plan->used != NULL ? mpgi_copy_state_read(&plan->state, format)
                                : mpgi_fail_memory("compact");
    for (uint64_t page = 0; page < FIRST_USER_PAGE && result == 0; page++)
        claim(&claims, page);
    if (result == 0)
        result = format->ops->walk(format, &claims, claim_metadata, note_fault);
    if (result == 0)
        claim_contents(&claims);
    if (result == 0)
        result = claims.result;
    return result != 0 ? result : claim_marked(plan, format);
}

void mpgi_compact_plan_end(struct compact_plan *plan)
{
    mpgi_copy_state_free(&plan->state);
    mpgi_sheet_free(plan->used);
    mpgi_sheet_free(plan->kept);
    free(plan->moves);
    *plan = (struct compact_plan){0};
}

/* ---- How short ----------------------------------------------------------------------------- */

static uint64_t regular_end(const struct copy_state *state)
{
    const struct copy_run *last = state->runs + state->run_count;

    return state->run_count > 0 ? last[-1].first + last[-1].count : 0;
}

uint64_t mpgi_compact_least(const struct compact_plan *plan, uint64_t metadata, bool renumber)
{
    const struct copy_state *state = &plan->state;
    uint64_t contents = state->regular + 2 * (uint64_t)state->entry_count;
    uint64_t least = FIRST_USER_PAGE + contents + contents / COVERED_PAGES + SPARE_PAGES + metadata;

    return renumber ? least : max_u64(least, regular_end(state));
}

/* ---- What moves ---------------------------------------------------------------------------- */

/* Regular pages from `end` on, and contents from `total` on. */
static size_t count_moves(const struct compact_plan *plan, uint64_t total, uint64_t end)
{
    const struct copy_state *state = &plan->state;
    size_t count = 0;

    for (size_t i = 0; i < state->run_count; i++) {
        uint64_t first = max_u64(state->runs[i].first, end);
        uint64_t behind = state->runs[i].first + state->runs[i].count;

        count += first < behind ? behind - first : 0;
    }
    for (size_t i = 0; i < state->entry_count; i++) {
        const struct entry *entry = &state->entries[i].entry;

        count += entry_page(entry) >= total;
        count += plan->copies == 2 && entry->page[!entry->current] >= total;
    }
    return count;
}

static void list_moves(struct compact_plan *plan)
{
    const struct copy_state *state = &plan->state;
    size_t count = 0;

    for (size_t i = 0; i < state->run_count; i++) {
        uint64_t behind = state->runs[i].first + state->runs[i].count;

        for (uint64_t page = max_u64(state->runs[i].first, plan->regular_end); page < behind;
             page++)
            plan->moves[count++] =
                (struct compact_move){.from = page, .id = MPG_NO_PAGE, .has_content = true};
    }
    plan->regular_moves = count;
    for (size_t i = 0; i < state->entry_count; i++) {
        const struct entry *entry = &state->entries[i].entry;

        for (unsigned copy = 0; copy < max_u64(plan->copies, 1); copy++) {
            if (entry->page[copy] >= plan->total)
                plan->moves[count++] = (struct compact_move){
                    .from = entry->page[copy],
                    .id = state->entries[i].id,
                    .crc = entry->crc,
                    .has_content = copy == entry->current,
                };
        }
    }
    plan->move_count = count;
}

/* To the lowest pages that are free. 1: there are too few. */
static int place_moves(struct compact_plan *plan)
{
    uint64_t page = FIRST_USER_PAGE;

    for (size_t i = 0; i < plan->move_count; i++, page++) {
        while (page < plan->total && mpgi_sheet_bit(plan->kept, page))
            page++;
        if (page >= plan->total)
            return 1;
        plan->moves[i].to = page;
        if (!mpgi_sheet_set_bit(plan->kept, page, true))
            return mpgi_fail_memory("compact");
    }
    return 0;
}

int mpgi_compact_moves(struct compact_plan *plan, uint64_t total, uint64_t end)
{
    size_t count = count_moves(plan, total, end);

    mpgi_sheet_free(plan->kept);
    free(plan->moves);
    plan->total = total;
    plan->regular_end = end;
    plan->moves = calloc(count + 1, sizeof(*plan->moves));
    plan->kept = mpgi_sheet_copy(plan->used);
    if (plan->moves == NULL || plan->kept == NULL)
        return mpgi_fail_memory("compact");
    list_moves(plan);
    return place_moves(plan);
}
