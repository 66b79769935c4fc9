/* SPDX-License-Identifier: MIT */
/*
 * A regular page that is in use gets a new content as a whole (doc/durability.md, "A new content for a page in use").
 *
 * That is a commit of its own: the format must be able to write it as a record, which what others do may not allow. So
 * one thread has the pager for itself meanwhile: operations of others wait before they begin.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "os/grow.h"
#include "pager/apply.h"
#include "pager/commit.h"
#include "pager/pager.h"
#include "pager/regular.h"

/* How often what others began before is waited for, and the format is asked for room. */
#define MOST_TRIES 100

/* What is to become of which page. */
struct replacement {
    uint64_t page;
    uint64_t from; /* a regular page that is freed with it, or MPG_NO_PAGE */
    void *content; /* page_size bytes */
    const char *operation;
};

/* ---- Alone --------------------------------------------------------------------------------- */

static void begin_alone(mpg_pager *pager)
{
    pager_lock(pager);
    while (pager->alone)
        (void)pthread_cond_wait(&pager->settled, &pager->lock);
    pager->alone = true;
    pager_unlock(pager);
}

static void end_alone(mpg_pager *pager)
{
    pager_lock(pager);
    pager->alone = false;
    pager_unlock(pager);
    (void)pthread_cond_broadcast(&pager->settled);
}

/* Until nothing of others gathers or is in flight. The lock is held, and given up meanwhile. */
static int wait_for_others(mpg_pager *pager, const char *operation)
{
    int result = 0;

    while (result == 0 && (pager->in_flight != NULL || pager->gathering->changes > 0 ||
                           pager->ops->is_dirty(pager->format))) {
        if (pager->in_flight != NULL)
            (void)pthread_cond_wait(&pager->settled, &pager->lock);
        else
            result = mpgi_commit_wait(pager, pager->gathering);
        if (result == 0)
            result = mpgi_check_writable(pager, operation);
    }
    return result;
}

/* ---- One try ------------------------------------------------------------------------------- */

static int check_pages(mpg_pager *pager, const struct replacement *replacement)
{
    int result = mpgi_check_regular(pager, replacement->page, replacement->operation);

    if (result == 0 && replacement->from != MPG_NO_PAGE)
        result = mpgi_check_regular(pager, replacement->from, replacement->operation);
    /* Rule 14: it must not fail for lack of room once it is promised. */
    return result != 0 ? result
                       : mpgi_file_back(&pager->file, offset_of_page(pager, replacement->page),
                                        pager->page_size, replacement->page, false);
}

/* Applies it to a batch that has nothing else. */
static int apply(struct edit *edit, const struct replacement *replacement)
{
    mpg_pager *pager = edit->pager;
    int result = 0;

    if (replacement->from != MPG_NO_PAGE) {
        result = mpgi_file_read(&pager->file, replacement->content, pager->page_size,
                                offset_of_page(pager, replacement->from), replacement->from);
        if (result == 0)
            result = mpgi_apply_free(edit, replacement->from);
    }
    if (result == 0)
        result = pager->ops->redo_stage(pager->format, replacement->page, replacement->content);
    if (result == 0)
        mpgi_spans_add(&pager->gathering->regular, replacement->page, 1);
    else
        pager->ops->redo_cancel(pager->format);
    return result;
}

/* 0, an error, or what the format asks for first. */
static int try(mpg_pager *pager, const struct replacement *replacement)
{
    struct edit edit;
    int result = mpgi_edit_begin_alone(&edit, pager, replacement->operation);

    if (result != 0)
        return result;
    result = wait_for_others(pager, replacement->operation);
    if (result == 0)
        result = check_pages(pager, replacement);
    if (result == 0)
        result = pager->ops->redo_prepare(pager->format);
    if (result == SEAL_NEEDS_ROOM) {
        result = mpgi_commit_make_room(pager);
        if (result == 0)
            result = SEAL_NEEDS_ROOM;
    } else if (result == REDO_NEEDS_PAGES) {
        result = mpgi_commit_wait(pager, pager->gathering);
        if (result == 0)
            result = REDO_NEEDS_PAGES;
    } else if (result == 0) {
        result = apply(&edit, replacement);
        return mpgi_edit_end(&edit, result, WAIT_DURABLE);
    }
    pager->ops->redo_cancel(pager->format);
    if (result < 0)
        return mpgi_edit_cancel(&edit, result);
    (void)mpgi_edit_cancel(&edit, 0);
    return result;
}

static int replace(mpg_pager *pager, const struct replacement *replacement)
{
    int result = SEAL_NEEDS_ROOM;

    if (pager->ops->redo_prepare == NULL)
        return mpgi_fail(MPG_E_UNSUPPORTED, replacement->operation, replacement->page,
                         "%s: format 0.2 cannot replace the content of a page as a whole",
                         pager->file.path);
    begin_alone(pager);
    for (unsigned i = 0; i < MOST_TRIES && result > 0; i++)
        result = try(pager, replacement);
    end_alone(pager);
    return result <= 0 ? result
                       : mpgi_fail(MPG_E_BUSY, replacement->operation, replacement->page,
                                   "%s: views and others hold the pages that it would take",
                                   pager->file.path);
}

/* ---- What is offered ----------------------------------------------------------------------- */

static int check_arguments(const mpg_pager *pager, uint64_t page, size_t length,
                           const char *operation)
{
    if (pager->read_only)
        return mpgi_fail(MPG_E_READ_ONLY, operation, page, "%s: opened read-only",
                         pager->file.path);
    if (length > pager->page_size)
        return mpgi_fail(MPG_E_OUT_OF_BOUNDS, operation, page,
                         "%s: %zu bytes are more than a page of %u bytes", pager->file.path, length,
                         (unsigned)pager->page_size);
    return 0;
}

static int with_content(mpg_pager *pager, struct replacement *replacement, const void *data,
                        size_t length)
{
    int result = check_arguments(pager, replacement->page, length, replacement->operation);

    if (result != 0)
        return result;
    replacement->content = calloc(1, pager->page_size);
    if (replacement->content == NULL)
        return mpgi_fail_memory(replacement->operation);
    if (length > 0)
        memcpy(replacement->content, data, length);
    result = replace(pager, replacement);
    free(replacement->content);
    return result;
}

int mpg_page_replace(mpg_pager *pager, mpg_page_id id, const void *data, size_t length)
{
    struct replacement replacement = {
        .page = id.value, .from = MPG_NO_PAGE, .operation = "replace"};

    return with_content(pager, &replacement, data, length);
}

int mpg_page_move(mpg_pager *pager, mpg_page_id from, mpg_page_id to)
{
    struct replacement replacement = {.page = to.value, .from = from.value, .operation = "move"};

    if (from.value == to.value)
        return mpgi_fail(MPG_E_INVALID, "move", to.value, "%s: a page cannot be moved to itself",
                         pager->file.path);
    return with_content(pager, &replacement, NULL, 0);
}
