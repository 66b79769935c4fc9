/* SPDX-License-Identifier: MIT */
#include "life/copy_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "os/io.h"

#define WORDS 64

void mpgi_copy_state_free(struct copy_state *state)
{
    free(state->runs);
    free(state->entries);
    memset(state, 0, sizeof(*state));
}

/* Room for one more in an array; false: no memory. */
static bool make_room(void **array, size_t *capacity, size_t count, size_t size)
{
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    void *grown;

    if (count < *capacity)
        return true;
    grown = reallocarray(*array, wanted, size);
    if (grown == NULL)
        return false;
    *array = grown;
    *capacity = wanted;
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

static int read_entries(struct copy_state *state, struct format *format)
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

int mpgi_copy_state_read(struct copy_state *state, struct format *format)
{
    struct mpg_stat facts = {0};
    int result;

    memset(state, 0, sizeof(*state));
    format->ops->facts(format, VERSION_DURABLE, &facts);
    state->total = facts.total_pages;
    state->generation = facts.generation;
    result = read_runs(state, format);
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
