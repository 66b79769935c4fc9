/* SPDX-License-Identifier: MIT */
#include "life/copy_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/error.h"
#include "os/io.h"

#define WORDS 64

void mpgi_copy_state_free(struct copy_state *state)
{
    free(state->runs);
    free(state->entries);
    free(state->spans);
    memset(state, 0, sizeof(*state));
}

/* Room for one more in an array; false: no memory. */
static bool make_room(void **array, size_t *capacity, size_t count, size_t size)
{
    void *grown = mpgi_array_room(*array, count, capacity, size, 64);

    if (grown == NULL)
        return false;
    *array = grown;
    return true;
}

int mpgi_copy_state_add_page(struct copy_state *state, uint64_t page)
{
    struct copy_run *last = state->run_count > 0 ? &state->runs[state->run_count - 1] : NULL;
    void *runs = state->runs;

    state->regular++;
    if (last != NULL && last->first + last->count == page) {
        last->count++;
        return 0;
    }
    if (!make_room(&runs, &state->run_capacity, state->run_count, sizeof(*state->runs)))
        return mpgi_fail_memory("copy");
    state->runs = runs;
    state->runs[state->run_count++] = /* NOLINT(clang-analyzer-core.NullDereference) */
        (struct copy_run){page, 1};
    return 0;
}

static int add_entry(struct copy_state *state, struct format *format, uint64_t id)
{
    void *entries = state->entries;
    struct copy_entry *added;
    int result;

    if (!make_room(&entries, &state->entry_capacity, state->entry_count, sizeof(*added)))
        return mpgi_fail_memory("copy");
    state->entries = entries;
    added = &state->entries[state->entry_count];
    *added = (struct copy_entry){.id = id};
    result = format->ops->get_entry(format, VERSION_DURABLE, id, &added->entry);
    if (result == 0 &&
        (entry_page(&added->entry) < FIRST_USER_PAGE || entry_page(&added->entry) >= state->total))
        return mpgi_fail(MPG_E_CORRUPT_PROTECTED_DIRECTORY, "copy", id,
                         "%s: protected page %llu has no place in the file", format->file->path,
                         (unsigned long long)id);
    state->entry_count += result == 0;
    return result;
}

static int read_runs(struct copy_state *state, struct format *format)
{
    uint64_t bits[WORDS];
    int result = 0;

    for (uint64_t first = 0, next; first != UINT64_MAX && result == 0; first = next) {
        result = format->ops->scan_use(format, VERSION_DURABLE, MPG_USE_REGULAR, first, bits, WORDS,
                                       &next);
        if (result != 0)
            break;
        for (unsigned word = 0; word < WORDS && result == 0; word++) {
            for (uint64_t left = bits[word]; left != 0 && result == 0; left &= left - 1)
                result = mpgi_copy_state_add_page(state, first + 64 * word +
                                                             (unsigned)__builtin_ctzll(left));
        }
    }
    return result;
}

static int read_all_entries(struct copy_state *state, struct format *format)
{
    uint64_t bits[WORDS];
    int result = 0;

    for (uint64_t first = 0, next; first != UINT64_MAX && result == 0; first = next) {
        result = format->ops->scan_entries(format, VERSION_DURABLE, first, bits, WORDS, &next);
        if (result != 0)
            break;
        for (unsigned word = 0; word < WORDS && result == 0; word++) {
            for (uint64_t left = bits[word]; left != 0 && result == 0; left &= left - 1)
                result =
                    add_entry(state, format, first + 64 * word + (unsigned)__builtin_ctzll(left));
        }
    }
    return result;
}

static int add_span(struct copy_state *state, struct format *format, const struct span_mark *mark)
{
    bool empty = mark->known && mark->slot == 0;
    void *spans = state->spans;
    struct copy_span *span;
    int result = 0;

    if (!make_room(&spans, &state->span_capacity, state->span_count, sizeof(*span)))
        return mpgi_fail_memory("copy");
    state->spans = spans;
    span = &state->spans[state->span_count++];
    *span = (struct copy_span){*mark, state->entry_count, 0};
    for (uint64_t id = mark->first; !empty && id < mark->end && result == 0; id++) {
        result = add_entry(state, format, id);
        result = result == MPG_E_NOT_ALLOCATED ? 0 : result;
    }
    span->count = state->entry_count - span->first;
    return result;
}

static int read_entries(struct copy_state *state, struct format *format)
{
    struct span_mark mark = {0};
    int result = 0;

    if (format->ops->mark_entries == NULL)
        return read_all_entries(state, format);
    for (uint64_t id = 0; id != UINT64_MAX && result == 0; id = mark.end) {
        result = format->ops->mark_entries(format, id, &mark);
        if (result == 0)
            result = add_span(state, format, &mark);
    }
    return result;
}

/* All but the entries. */
static int begin(struct copy_state *state, struct format *format)
{
    struct mpg_stat facts = {0};

    memset(state, 0, sizeof(*state));
    format->ops->facts(format, VERSION_DURABLE, &facts);
    state->total = facts.total_pages;
    state->generation = facts.generation;
    return read_runs(state, format);
}

int mpgi_copy_state_read(struct copy_state *state, struct format *format)
{
    int result = begin(state, format);

    return result != 0 ? result : read_entries(state, format);
}

static bool same_content(const struct entry *a, const struct entry *b)
{
    return entry_page(a) == entry_page(b) && a->generation == b->generation && a->crc == b->crc;
}

void mpgi_copy_state_carry(struct copy_state *now, const struct copy_state *before)
{
    size_t at = 0;

    for (size_t i = 0; i < now->entry_count; i++) {
        struct copy_entry *entry = &now->entries[i];

        while (at < before->entry_count && before->entries[at].id < entry->id)
            at++;
        if (at < before->entry_count && before->entries[at].id == entry->id)
            entry->copied = before->entries[at].copied &&
                            same_content(&before->entries[at].entry, &entry->entry);
    }
}

/* ---- what changed ---- */

static int add_change(struct copy_changes *changes, size_t entry)
{
    void *entries = changes->entries;

    if (!make_room(&entries, &changes->capacity, changes->count, sizeof(*changes->entries)))
        return mpgi_fail_memory("copy");
    changes->entries = entries;
    changes->entries[changes->count++] = entry;
    return 0;
}

int mpgi_copy_changes_begin(struct copy_changes *changes, const struct copy_state *state)
{
    int result = 0;

    changes->count = 0;
    for (size_t i = 0; i < state->entry_count && result == 0; i++)
        result = state->entries[i].copied ? 0 : add_change(changes, i);
    return result;
}

void mpgi_copy_changes_free(struct copy_changes *changes)
{
    free(changes->entries);
    *changes = (struct copy_changes){0};
}

/* Brings an entry up to date, which is *at; the next one is *at then. */
static int renew_entry(struct copy_state *state, struct copy_changes *changes,
                       struct format *format, uint64_t id, size_t *at, size_t end)
{
    struct copy_entry *known = *at < end ? &state->entries[*at] : NULL;
    struct entry entry;
    int result = format->ops->get_entry(format, VERSION_DURABLE, id, &entry);

    if (result == MPG_E_NOT_ALLOCATED)
        return known != NULL && known->id == id ? COPY_LOOK_AT_ALL : 0;
    if (result != 0)
        return result;
    if (known == NULL || known->id != id)
        return COPY_LOOK_AT_ALL;
    if (!same_content(&known->entry, &entry)) {
        result = known->copied ? add_change(changes, *at) : 0; /* else it is among them */
        *known = (struct copy_entry){.id = id, .entry = entry};
    }
    ++*at;
    return result;
}

static int renew_span(struct copy_state *state, struct copy_span *span,
                      struct copy_changes *changes, struct format *format,
                      const struct span_mark *mark)
{
    size_t at = span->first, end = span->first + span->count;
    int result = 0;

    span->mark.known = false; /* until all of it is */
    if (mark->known && mark->slot == 0)
        return span->count > 0 ? COPY_LOOK_AT_ALL : (span->mark = *mark, 0);
    for (uint64_t id = mark->first; id < mark->end && result == 0; id++)
        result = renew_entry(state, changes, format, id, &at, end);
    if (result == 0)
        span->mark = *mark;
    return result;
}

static bool same_mark(const struct span_mark *a, const struct span_mark *b)
{
    return a->known && b->known && a->slot == b->slot && a->generation == b->generation &&
           a->crc == b->crc;
}

static int renew_entries(struct copy_state *state, struct copy_changes *changes,
                         struct format *format)
{
    struct span_mark mark = {0};
    size_t next = 0;
    int result = 0;

    for (uint64_t id = 0; id != UINT64_MAX && result == 0; id = mark.end) {
        struct copy_span *span = &state->spans[next];

        result = format->ops->mark_entries(format, id, &mark);
        if (result != 0)
            break;
        if (next++ == state->span_count || span->mark.first != mark.first ||
            span->mark.end != mark.end)
            return COPY_LOOK_AT_ALL;
        if (!same_mark(&span->mark, &mark))
            result = renew_span(state, span, changes, format, &mark);
    }
    return result;
}

int mpgi_copy_state_advance(struct copy_state *state, struct copy_state *before,
                            struct copy_changes *changes, struct format *format)
{
    int result;

    memset(state, 0, sizeof(*state));
    if (before->span_count == 0)
        return COPY_LOOK_AT_ALL;
    result = begin(state, format);
    if (result == 0)
        result = renew_entries(before, changes, format);
    if (result == COPY_LOOK_AT_ALL)
        mpgi_copy_state_free(state);
    return result;
}

void mpgi_copy_changes_settle(struct copy_changes *changes, const struct copy_state *state)
{
    size_t kept = 0;

    for (size_t i = 0; i < changes->count; i++) {
        if (!state->entries[changes->entries[i]].copied)
            changes->entries[kept++] = changes->entries[i];
    }
    changes->count = kept;
}

void mpgi_copy_state_take(struct copy_state *state, struct copy_state *before)
{
    state->entries = before->entries;
    state->entry_count = before->entry_count;
    state->entry_capacity = before->entry_capacity;
    state->spans = before->spans;
    state->span_count = before->span_count;
    state->span_capacity = before->span_capacity;
    free(before->runs);
    memset(before, 0, sizeof(*before));
}

/* ---- regular pages that are copied once more ---- */

static int add_part(struct copy_state *made, uint64_t first, uint64_t end)
{
    void *runs = made->runs;

    if (first >= end)
        return 0;
    if (!make_room(&runs, &made->run_capacity, made->run_count, sizeof(*made->runs)))
        return mpgi_fail_memory("copy");
    made->runs = runs;
    made->runs[made->run_count++] = (struct copy_run){first, end - first};
    made->regular += end - first;
    return 0;
}

int mpgi_copy_state_forget(struct copy_state *state, const struct page_spans *spans)
{
    struct copy_state made = {0};
    size_t at = 0;
    int result = 0;

    for (size_t i = 0; i < state->run_count && result == 0; i++) {
        uint64_t page = state->runs[i].first, end = page + state->runs[i].count;

        while (at < spans->count && spans->spans[at].first + spans->spans[at].count <= page)
            at++;
        for (size_t k = at; k < spans->count && spans->spans[k].first < end && result == 0; k++) {
            result = add_part(&made, page, spans->spans[k].first);
            page = min_u64(end, spans->spans[k].first + spans->spans[k].count);
        }
        if (result == 0)
            result = add_part(&made, page, end);
    }
    free(state->runs);
    state->runs = made.runs;
    state->run_count = made.run_count;
    state->run_capacity = made.run_capacity;
    state->regular = made.regular;
    return result;
}

uint64_t mpgi_copy_state_end(const struct copy_state *state)
{
    uint64_t end = FIRST_USER_PAGE;

    if (state->run_count > 0) {
        const struct copy_run *last = &state->runs[state->run_count - 1];

        end = last->first + last->count;
    }
    for (size_t i = 0; i < state->entry_count; i++)
        end = max_u64(end, entry_page(&state->entries[i].entry) + 1);
    return end;
}
