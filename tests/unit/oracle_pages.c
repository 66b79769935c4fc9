/* SPDX-License-Identifier: MIT */
/* Random operations on regular and on protected pages, views and writers. */
#include <stdlib.h>
#include <string.h>

#include "support/harness.h"
#include "unit/oracle.h"

#define MOST_BULK 40u

/* What an out-parameter holds that nothing was written to. */
#define UNTOUCHED UINT64_C(0x5a5a5a5a)

/* ---- regular pages: allocation ---- */

static void alloc(struct oracle *oracle)
{
    unsigned flags = oracle_once_in(oracle, 3) ? MPG_ZERO : 0;
    mpg_page_id id = {UNTOUCHED};

    oracle->operation = "alloc";
    if (oracle->regular_count >= oracle->most_live)
        return;
    if (!oracle_expect(oracle, mpg_alloc(&id, oracle->pager, flags), 0))
        return;
    oracle_check_choice(oracle, id.value, NOBODY);
    if (!oracle->failed)
        oracle_now_regular(oracle, id.value, flags != 0);
}

static void alloc_at(struct oracle *oracle)
{
    unsigned flags = oracle_once_in(oracle, 3) ? MPG_ZERO : 0;
    uint64_t page = oracle_once_in(oracle, 8) ? oracle_any(oracle, oracle->capacity * 3 / 4)
                                              : oracle_some_page(oracle);
    int wanted = oracle_answer_alloc_at(oracle, page), result;
    bool shown = oracle_may_be_shown(oracle, page);

    oracle->operation = "alloc_at";
    if (wanted == 0 &&
        (page >= oracle->capacity * 3 / 4 || oracle->regular_count >= oracle->most_live))
        return;
    result = mpg_alloc_at(oracle->pager, (mpg_page_id){page}, flags);
    /* Metadata of a commit yet to come may lie there. */
    if (wanted == 0 && result == MPG_E_NOT_REGULAR && oracle_is_taken_after_all(oracle, page))
        return;
    if (wanted == 0 && shown && result == MPG_E_BUSY)
        return;
    if (oracle_expect(oracle, result, wanted) && result == 0)
        oracle_now_regular(oracle, page, flags != 0);
}

static void free_one(struct oracle *oracle)
{
    uint64_t page = oracle_some_page(oracle);
    int wanted = oracle_answer_free(oracle, page);
    int result = mpg_free(oracle->pager, (mpg_page_id){page});

    oracle->operation = "free";
    /* An open transaction may have made the file longer, or had it take pages. */
    if (wanted == MPG_E_OUT_OF_BOUNDS && page < oracle->disk.size / oracle->page_size)
        oracle_expect2(oracle, result, wanted, MPG_E_DOUBLE_FREE);
    else if (wanted == MPG_E_DOUBLE_FREE && result == MPG_E_NOT_REGULAR &&
             oracle_is_taken_after_all(oracle, page))
        return;
    else if (oracle_expect(oracle, result, wanted) && result == 0)
        oracle_now_free(oracle, page, oracle->generation + 1);
}

static void alloc_bulk(struct oracle *oracle)
{
    size_t count = (size_t)oracle_any(oracle, MOST_BULK + 1);
    mpg_page_id ids[MOST_BULK];

    oracle->operation = "alloc_bulk";
    if (oracle->regular_count + count > oracle->most_live)
        return;
    if (!oracle_expect(oracle, mpg_alloc_bulk(ids, oracle->pager, count, 0), 0))
        return;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (ids[k].value >= ids[i].value && ids[k].value == ids[i].value)
                oracle_fail(oracle, "page %llu twice", (unsigned long long)ids[i].value);
    for (size_t i = 0; i < count && !oracle->failed; i++) {
        if (ids[i].value >= oracle->capacity || oracle->pages[ids[i].value].regular ||
            oracle->pages[ids[i].value].holder != NOBODY)
            oracle_fail(oracle, "page %llu was not free", (unsigned long long)ids[i].value);
        else
            oracle_now_regular(oracle, ids[i].value, false);
    }
}

/* More than there is room for: nothing of it may stay. */
static void alloc_too_many(struct oracle *oracle)
{
    size_t count = (size_t)oracle->capacity + 1;
    mpg_page_id *ids = malloc(count * sizeof(*ids));
    bool full = oracle->max_pages < oracle->capacity;

    oracle->operation = "alloc_bulk of too many";
    must(ids);
    ids[0].value = UNTOUCHED;
    oracle_expect(oracle, mpg_alloc_bulk(ids, oracle->pager, count, 0),
                  full ? MPG_E_FILE_FULL : MPG_E_NO_SPACE);
    if (ids[0].value != UNTOUCHED)
        oracle_fail(oracle, "ids were given");
    free(ids);
}

/* Some right pages, and now and then one that is not. */
static void free_bulk(struct oracle *oracle)
{
    mpg_page_id ids[MOST_BULK];
    uint64_t page = oracle_any(oracle, oracle->total);
    size_t count = 0, most = (size_t)oracle_any(oracle, MOST_BULK - 1) + 1;
    int wanted = 0;

    oracle->operation = "free_bulk";
    for (uint64_t i = 0; i < oracle->total && count < most; i++, page = (page + 1) % oracle->total)
        if (oracle->pages[page].regular && !oracle_once_in(oracle, 3))
            ids[count++].value = page;
    if (count > 0 && oracle_once_in(oracle, 3)) {
        size_t at = (size_t)oracle_any(oracle, count);

        if (at > 0 && oracle_once_in(oracle, 2)) {
            ids[at].value = ids[0].value;
            wanted = MPG_E_DOUBLE_FREE;
        } else {
            ids[at].value = oracle_any(oracle, 3);
            wanted = MPG_E_RESERVED_PAGE;
        }
    }
    if (!oracle_expect(oracle, mpg_free_bulk(oracle->pager, ids, count), wanted) || wanted != 0)
        return;
    for (size_t i = 0; i < count; i++)
        oracle_now_free(oracle, ids[i].value, oracle->generation + 1);
}

/* ---- regular pages: content ---- */

static void touch_content(struct oracle *oracle)
{
    uint64_t page = oracle_some_page(oracle);
    mpg_page_id id = {page};
    int wanted = oracle_answer_content(oracle, page);
    unsigned char *content = page < oracle->capacity ? oracle->pages[page].content : NULL;
    const void *seen = NULL;
    void *data = NULL;
    size_t offset, length;

    oracle_range(oracle, &offset, &length);
    switch (oracle_any(oracle, 6)) {
    case 0:
        oracle->operation = "page_read";
        if (oracle_expect(oracle, mpg_page_read(oracle->buffer, oracle->pager, id, offset, length),
                          wanted) &&
            wanted == 0 && memcmp(oracle->buffer, content + offset, length) != 0)
            oracle_fail(oracle, "another content of page %llu", (unsigned long long)page);
        break;
    case 1:
        oracle->operation = "page_write";
        oracle_fill(oracle, oracle->buffer, length);
        if (oracle_expect(oracle, mpg_page_write(oracle->pager, id, oracle->buffer, offset, length),
                          wanted) &&
            wanted == 0)
            memcpy(content + offset, oracle->buffer, length);
        break;
    case 2:
        oracle->operation = "page_get";
        if (oracle_expect(oracle, mpg_page_get(&seen, oracle->pager, id), wanted) && wanted == 0 &&
            memcmp(seen, content, oracle->page_size) != 0)
            oracle_fail(oracle, "another content of page %llu", (unsigned long long)page);
        break;
    case 3:
        oracle->operation = "page_get_mut";
        if (oracle_expect(oracle, mpg_page_get_mut(&data, oracle->pager, id), wanted) &&
            wanted == 0) {
            oracle_fill(oracle, content + offset, length);
            memcpy((unsigned char *)data + offset, content + offset, length);
        }
        break;
    case 4:
        oracle->operation = "page_sync";
        oracle_expect(oracle, mpg_page_sync(oracle->pager, id), wanted);
        break;
    default:
        oracle->operation = "a range that is too long";
        oracle_expect(oracle,
                      mpg_page_write(oracle->pager, id, oracle->buffer, offset,
                                     oracle->page_size - offset + 1),
                      MPG_E_OUT_OF_BOUNDS);
        break;
    }
}

void oracle_do_pages(struct oracle *oracle)
{
    switch (oracle_any(oracle, 16)) {
    case 0:
    case 1:
    case 2:
        alloc(oracle);
        break;
    case 3:
    case 4:
        alloc_at(oracle);
        break;
    case 5:
    case 6:
    case 7:
        free_one(oracle);
        break;
    case 8:
        alloc_bulk(oracle);
        break;
    case 9:
        free_bulk(oracle);
        break;
    case 10:
        if (oracle_once_in(oracle, 10))
            alloc_too_many(oracle);
        break;
    case 11:
        oracle->operation = "sync";
        oracle_expect(oracle, mpg_sync(oracle->pager), 0);
        break;
    default:
        touch_content(oracle);
        break;
    }
}

/* ---- protected pages ---- */

static void alloc_guarded(struct oracle *oracle)
{
    mpg_protected_id id = {UNTOUCHED};

    oracle->operation = "alloc_protected";
    if (oracle->guarded_count >= oracle->most_live / 2)
        return;
    if (!oracle_expect(oracle, mpg_alloc_protected(&id, oracle->pager), 0))
        return;
    oracle_check_guarded(oracle, id.value, NULL);
    if (!oracle->failed)
        oracle_now_guarded(oracle, id.value);
}

static void alloc_guarded_at(struct oracle *oracle)
{
    uint64_t id = oracle_some_guarded(oracle);
    int wanted = 0;

    oracle->operation = "alloc_protected_at";
    if (oracle_once_in(oracle, 8))
        id = oracle_any(oracle, MOST_GUARDED / 4);
    if (id >= oracle->max_guarded)
        wanted = MPG_E_DIRECTORY_FULL;
    else if (id >= MOST_GUARDED / 4)
        return;
    else if (oracle->guarded[id].in_use)
        wanted = MPG_E_EXISTS;
    else if (oracle->guarded[id].holder != NOBODY)
        wanted = MPG_E_BUSY;
    else if (oracle->guarded_count >= oracle->most_live / 2)
        return;
    if (oracle_expect(oracle, mpg_alloc_protected_at(oracle->pager, (mpg_protected_id){id}),
                      wanted) &&
        wanted == 0)
        oracle_now_guarded(oracle, id);
}

static int answer_free_guarded(const struct oracle *oracle, uint64_t id)
{
    const struct known_guarded *known = &oracle->guarded[id < MOST_GUARDED ? id : 0];

    if (id >= oracle->max_guarded)
        return MPG_E_OUT_OF_BOUNDS;
    if (id >= MOST_GUARDED || !known->in_use)
        return MPG_E_DOUBLE_FREE;
    if (known->has_writer)
        return MPG_E_BUSY;
    return known->pins[0] + known->pins[1] > 0 && !oracle_moves(oracle) ? MPG_E_BUSY : 0;
}

static void free_guarded(struct oracle *oracle)
{
    uint64_t id = oracle_some_guarded(oracle);
    int wanted = answer_free_guarded(oracle, id);

    oracle->operation = "free_protected";
    if (oracle_expect(oracle, mpg_free_protected(oracle->pager, (mpg_protected_id){id}), wanted) &&
        wanted == 0)
        oracle_now_unguarded(oracle, id, oracle->generation + 1);
}

static void guarded_bulk(struct oracle *oracle)
{
    mpg_protected_id ids[8];
    size_t count = (size_t)oracle_any(oracle, 8) + 1;
    int wanted = 0;

    if (oracle_once_in(oracle, 2)) {
        oracle->operation = "alloc_protected_bulk";
        if (oracle->guarded_count + count > oracle->most_live / 2 ||
            !oracle_expect(oracle, mpg_alloc_protected_bulk(ids, oracle->pager, count), 0))
            return;
        for (size_t i = 0; i < count; i++) {
            oracle_check_guarded(oracle, ids[i].value, NULL);
            if (!oracle->failed)
                oracle_now_guarded(oracle, ids[i].value);
        }
        return;
    }
    oracle->operation = "free_protected_bulk";
    for (size_t i = 0; i < count; i++) {
        ids[i].value = oracle_some_guarded(oracle);
        if (wanted == 0)
            wanted = answer_free_guarded(oracle, ids[i].value);
        for (size_t k = 0; k < i && wanted == 0; k++)
            if (ids[k].value == ids[i].value)
                wanted = MPG_E_DOUBLE_FREE;
    }
    if (oracle_expect(oracle, mpg_free_protected_bulk(oracle->pager, ids, count), wanted))
        for (size_t i = 0; i < count && wanted == 0; i++)
            oracle_now_unguarded(oracle, ids[i].value, oracle->generation + 1);
}

static void read_guarded(struct oracle *oracle)
{
    uint64_t id = oracle_some_guarded(oracle);
    bool there = id < MOST_GUARDED && oracle->guarded[id].in_use;

    oracle->operation = "protected_read";
    if (oracle_expect(oracle,
                      mpg_protected_read(oracle->buffer, oracle->pager, (mpg_protected_id){id}),
                      there ? 0 : MPG_E_NOT_ALLOCATED) &&
        there && memcmp(oracle->buffer, oracle->guarded[id].content, oracle->page_size) != 0)
        oracle_fail(oracle, "another content of protected page %llu", (unsigned long long)id);
}

/* ---- views and writers ---- */

static void open_or_end_view(struct oracle *oracle)
{
    struct known_view *view = &oracle->views[oracle_any(oracle, MOST_VIEWS)];
    uint64_t id = oracle_some_guarded(oracle);
    bool there = id < MOST_GUARDED && oracle->guarded[id].in_use;
    const void *data = NULL;

    oracle->operation = "view";
    if (view->data != NULL) {
        if (memcmp(view->data, view->content, oracle->page_size) != 0)
            oracle_fail(oracle, "it changed");
        mpg_protected_release(oracle->pager, view->data);
        oracle->guarded[view->id].pins[view->copy]--;
        free(view->content);
        view->data = NULL;
        return;
    }
    if (!oracle_expect(oracle, mpg_protected_view(&data, oracle->pager, (mpg_protected_id){id}),
                       there ? 0 : MPG_E_NOT_ALLOCATED) ||
        !there)
        return;
    view->data = data;
    view->id = id;
    view->copy = oracle->guarded[id].current;
    view->content = malloc(oracle->page_size);
    must(view->content);
    memcpy(view->content, oracle->guarded[id].content, oracle->page_size);
    oracle->guarded[id].pins[view->copy]++;
    if (memcmp(data, view->content, oracle->page_size) != 0)
        oracle_fail(oracle, "another content of protected page %llu", (unsigned long long)id);
}

static void open_writer(struct oracle *oracle, struct known_writer *known)
{
    uint64_t id = oracle_some_guarded(oracle);
    bool there = id < MOST_GUARDED && oracle->guarded[id].in_use;
    int wanted = !there ? MPG_E_NOT_ALLOCATED : oracle->guarded[id].has_writer ? MPG_E_BUSY : 0;
    mpg_writer *writer = NULL;

    oracle->operation = "writer_open";
    if (!oracle_expect(oracle, mpg_writer_open(&writer, oracle->pager, (mpg_protected_id){id}),
                       wanted) ||
        wanted != 0)
        return;
    known->writer = writer;
    known->id = id;
    oracle->guarded[id].has_writer = true;
    if (memcmp(mpg_writer_data(writer), oracle->guarded[id].content, oracle->page_size) != 0)
        oracle_fail(oracle, "it begins with another content");
}

static void end_writer(struct oracle *oracle, struct known_writer *known)
{
    struct known_guarded *guarded = &oracle->guarded[known->id];
    unsigned char *data = mpg_writer_data(known->writer);
    int wanted = guarded->pins[!guarded->current] > 0 && !oracle_moves(oracle) ? MPG_E_BUSY : 0;
    size_t offset, length;

    oracle_range(oracle, &offset, &length);
    oracle_fill(oracle, data + offset, length);
    memcpy(oracle->buffer, data, oracle->page_size);
    if (oracle_once_in(oracle, 5)) {
        mpg_writer_discard(known->writer);
    } else {
        oracle->operation = "writer_commit";
        if (!oracle_expect(oracle, mpg_writer_commit(known->writer), wanted) || wanted != 0)
            return;
        memcpy(guarded->content, oracle->buffer, oracle->page_size);
        guarded->current = !oracle_moves(oracle) && !guarded->current;
    }
    known->writer = NULL;
    guarded->has_writer = false;
}

void oracle_do_guarded(struct oracle *oracle)
{
    struct known_writer *writer = &oracle->writers[oracle_any(oracle, MOST_WRITERS)];

    switch (oracle_any(oracle, 12)) {
    case 0:
    case 1:
        alloc_guarded(oracle);
        break;
    case 2:
        alloc_guarded_at(oracle);
        break;
    case 3:
        free_guarded(oracle);
        break;
    case 4:
        guarded_bulk(oracle);
        break;
    case 5:
        read_guarded(oracle);
        break;
    case 6:
    case 7:
        open_or_end_view(oracle);
        break;
    default:
        if (writer->writer == NULL)
            open_writer(oracle, writer);
        else
            end_writer(oracle, writer);
        break;
    }
}
