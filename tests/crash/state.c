/* SPDX-License-Identifier: MIT */
#include "crash/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/harness.h"

static unsigned char *pool;
static size_t pool_page_size;

void pool_init(size_t page_size)
{
    uint64_t seed = 0x706f6f6c;

    if (page_size == pool_page_size)
        return;
    pool_page_size = page_size;
    pool = must_realloc(pool, pool_size() * page_size);
    memset(pool, 0, 2 * page_size);
    for (size_t at = 2 * page_size; at < pool_size() * page_size; at += sizeof(uint64_t)) {
        uint64_t word = random_next(&seed);

        memcpy(pool + at, &word, sizeof(word));
    }
}

unsigned pool_size(void)
{
    size_t fit = POOL_BYTES_MAX / pool_page_size;

    return fit < POOL_SIZE_MAX ? (unsigned)fit : POOL_SIZE_MAX;
}

void pool_free(void)
{
    free(pool);
    pool = NULL;
    pool_page_size = 0;
}

const unsigned char *pool_content(unsigned content)
{
    must(content != CONTENT_ANY && content < pool_size());
    return pool + content * pool_page_size;
}

/* Where a page of that id is, or would be. */
static size_t position(const struct page_set *set, uint64_t id)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (set->pages[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct page_state *page_set_find(const struct page_set *set, uint64_t id)
{
    size_t at = position(set, id);

    return at < set->count && set->pages[at].id == id ? &set->pages[at] : NULL;
}

void page_set_add(struct page_set *set, uint64_t id, unsigned content)
{
    size_t at = position(set, id);

    if (set->count == set->capacity) {
        set->capacity = set->capacity ? 2 * set->capacity : 16;
        set->pages = must_realloc(set->pages, set->capacity * sizeof(set->pages[0]));
    }
    memmove(set->pages + at + 1, set->pages + at, (set->count - at) * sizeof(set->pages[0]));
    set->pages[at] = (struct page_state){id, (uint16_t)content, CONTENT_ANY};
    set->count++;
}

void page_set_remove(struct page_set *set, uint64_t id)
{
    size_t at = position(set, id);

    must(at < set->count && set->pages[at].id == id);
    set->count--;
    memmove(set->pages + at, set->pages + at + 1, (set->count - at) * sizeof(set->pages[0]));
}

static void copy_set(struct page_set *to, const struct page_set *from)
{
    if (to->capacity < from->count) {
        to->capacity = from->count;
        to->pages = must_realloc(to->pages, to->capacity * sizeof(to->pages[0]));
    }
    to->count = from->count;
    if (from->count)
        memcpy(to->pages, from->pages, from->count * sizeof(to->pages[0]));
}

void state_copy(struct state *to, const struct state *from)
{
    if (to == from)
        return;
    copy_set(&to->regular, &from->regular);
    copy_set(&to->protected_pages, &from->protected_pages);
    to->total = from->total;
    to->free = from->free;
    to->metadata = from->metadata;
    to->generation = from->generation;
    memcpy(to->label, from->label, sizeof(to->label));
}

void state_forget_written(struct state *state)
{
    for (size_t i = 0; i < state->regular.count; i++)
        state->regular.pages[i].written = CONTENT_ANY;
}

void state_free(struct state *state)
{
    free(state->regular.pages);
    free(state->protected_pages.pages);
    memset(state, 0, sizeof(*state));
}

void state_count(struct state *state, const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    state->total = 0;
    state->generation = 0;
    if (mpg_stat(&st, pager) < 0)
        return;
    state->total = st.total_pages;
    state->free = st.free_pages;
    state->metadata = st.metadata_pages;
    state->generation = st.generation;
}

static enum shown regular_shown(const struct page_set *set, const mpg_pager *pager, char *why,
                                size_t size)
{
    size_t page_size = mpg_page_size(pager);
    mpg_page_iter iter;
    mpg_page_id id = {0};
    const void *data;
    int got;

    mpg_page_iter_begin(&iter, pager, (mpg_page_id){0});
    for (size_t i = 0; i <= set->count; i++) {
        const struct page_state *page = &set->pages[i];

        got = mpg_page_iter_next(&id, &iter);
        if (got < 0) {
            snprintf(why, size, "iterating over regular pages: %s", mpg_strerror(got));
            return SHOWS_DAMAGE;
        }
        if ((got == 0) != (i == set->count) || (got && id.value != page->id)) {
            snprintf(why, size, "regular page %" PRIu64 " where %" PRIu64 " should be (%d)",
                     got ? id.value : 0, i < set->count ? page->id : 0, got);
            return SHOWS_ELSE;
        }
        if (got == 0 || page->content == CONTENT_ANY)
            continue;
        got = mpg_page_get(&data, pager, id);
        if (got < 0) {
            snprintf(why, size, "regular page %" PRIu64 ": %s", id.value, mpg_strerror(got));
            return SHOWS_DAMAGE;
        }
        if (memcmp(data, pool_content(page->content), page_size) != 0) {
            snprintf(why, size, "regular page %" PRIu64 " has another content", id.value);
            return SHOWS_ELSE;
        }
    }
    return SHOWS_IT;
}

static enum shown protected_shown(const struct page_set *set, const mpg_pager *pager,
                                  unsigned char *buffer, char *why, size_t size)
{
    size_t page_size = mpg_page_size(pager);
    mpg_protected_iter iter;
    mpg_protected_id id = {0};
    int got;

    mpg_protected_iter_begin(&iter, pager, (mpg_protected_id){0});
    for (size_t i = 0; i <= set->count; i++) {
        const struct page_state *page = &set->pages[i];

        got = mpg_protected_iter_next(&id, &iter);
        if (got < 0) {
            snprintf(why, size, "iterating over protected pages: %s", mpg_strerror(got));
            return SHOWS_DAMAGE;
        }
        if ((got == 0) != (i == set->count) || (got && id.value != page->id)) {
            snprintf(why, size, "protected page %" PRIu64 " where %" PRIu64 " should be (%d)",
                     got ? id.value : 0, i < set->count ? page->id : 0, got);
            return SHOWS_ELSE;
        }
        if (got == 0)
            continue;
        got = mpg_protected_read(buffer, pager, id);
        if (got < 0) {
            snprintf(why, size, "reading protected page %" PRIu64 ": %s", id.value,
                     mpg_strerror(got));
            return SHOWS_DAMAGE;
        }
        if (memcmp(buffer, pool_content(page->content), page_size) != 0) {
            snprintf(why, size, "protected page %" PRIu64 " has another content", id.value);
            return SHOWS_ELSE;
        }
    }
    return SHOWS_IT;
}

enum shown state_shown(const struct state *state, const mpg_pager *pager, unsigned char *buffer,
                       char *why, size_t size)
{
    struct mpg_stat st = {.size = sizeof(st)};
    enum shown shown;

    if (mpg_stat(&st, pager) < 0) {
        snprintf(why, size, "mpg_stat failed");
        return SHOWS_DAMAGE;
    }
    if (st.regular_pages != state->regular.count ||
        st.protected_pages != state->protected_pages.count) {
        snprintf(why, size, "%" PRIu64 " regular and %" PRIu64 " protected pages, not %zu and %zu",
                 st.regular_pages, st.protected_pages, state->regular.count,
                 state->protected_pages.count);
        return SHOWS_ELSE;
    }
    if (state->total && (st.total_pages != state->total || st.free_pages != state->free ||
                         st.metadata_pages != state->metadata)) {
        snprintf(why, size,
                 "total, free, metadata pages: %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", not %" PRIu64
                 ", %" PRIu64 ", %" PRIu64,
                 st.total_pages, st.free_pages, st.metadata_pages, state->total, state->free,
                 state->metadata);
        return SHOWS_ELSE;
    }
    if (!state->any_label && strcmp(st.label, state->label) != 0) {
        snprintf(why, size, "the label is '%s', not '%s'", st.label, state->label);
        return SHOWS_ELSE;
    }
    shown = regular_shown(&state->regular, pager, why, size);
    return shown != SHOWS_IT ? shown
                             : protected_shown(&state->protected_pages, pager, buffer, why, size);
}

bool state_matches(const struct state *state, const mpg_pager *pager, unsigned char *buffer,
                   char *why, size_t size)
{
    return state_shown(state, pager, buffer, why, size) == SHOWS_IT;
}

/* Where the first fault of a check is written. */
struct complaint {
    char *why;
    size_t size;
    bool said;
};

static void note_fault(void *context, const mpg_fault *fault)
{
    struct complaint *complaint = context;

    if (complaint->said || fault->code == 0) /* a crash may leave one root of two */
        return;
    complaint->said = true;
    snprintf(complaint->why, complaint->size, "check: page %" PRIu64 ": %s", fault->page,
             fault->message);
}

bool file_is_sound(const mpg_pager *pager, char *why, size_t size)
{
    struct mpg_stat st = {.size = sizeof(st)};
    struct complaint complaint = {why, size, false};
    mpg_check_result result;
    int error = mpg_stat(&st, pager);

    if (error >= 0)
        error = mpg_check(&result, pager,
                          &(mpg_check_options){.size = sizeof(mpg_check_options),
                                               .report = note_fault,
                                               .context = &complaint});
    if (error < 0) {
        snprintf(why, size, "mpg_check: %s", mpg_strerror(error));
        return false;
    }
    if (result.faults != 0 || complaint.said) {
        if (!complaint.said)
            snprintf(why, size, "check counted %" PRIu64 " faults", result.faults);
        return false;
    }
    if (st.regular_pages + (st.format == MPG_FORMAT_1 ? 1 : 2) * st.protected_pages +
            st.metadata_pages + st.free_pages !=
        st.total_pages) {
        snprintf(why, size,
                 "%" PRIu64 " regular, %" PRIu64 " protected, %" PRIu64 " metadata, %" PRIu64
                 " free pages are not %" PRIu64,
                 st.regular_pages, st.protected_pages, st.metadata_pages, st.free_pages,
                 st.total_pages);
        return false;
    }
    if (st.total_pages * st.page_size > st.file_bytes) {
        snprintf(why, size, "%" PRIu64 " pages do not fit in %" PRIu64 " bytes", st.total_pages,
                 st.file_bytes);
        return false;
    }
    return true;
}
