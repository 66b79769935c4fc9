/* SPDX-License-Identifier: MIT */
/*
 * Regular pages that are in use get new contents, all of them or none, and a transaction's other
 * changes with them (doc/durability.md, "A new content for a page in use").
 *
 * That is a commit of its own: the format must be able to write it as a record, which what others
 * do may not allow. So one thread has the pager for itself meanwhile: operations of others wait
 * before they begin.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "os/grow.h"
#include "pager/apply.h"
#include "pager/commit.h"
#include "pager/pager.h"
#include "pager/regular.h"
#include "pager/replace.h"
#include "pager/txn.h"

/* How often what others began before is waited for, and the format is asked for room. */
#define MOST_TRIES 100

/* What is to become of which pages. */
struct replacement {
    const struct page_content *contents; /* in the order of their pages */
    size_t count;
    /* A regular page that is moved: freed, its content the first of these; or MPG_NO_PAGE. */
    uint64_t from;
    void *moved;  /* … page_size bytes for it */
    mpg_txn *txn; /* what else is changed with them, or NULL */
    bool ordered; /* … with one sync more */
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

static int check_page(mpg_pager *pager, uint64_t page, const char *operation)
{
    int result = mpgi_check_regular(pager, page, operation);

    /* Rule 14: it must not fail for lack of room once it is promised. */
    return result != 0 ? result
                       : mpgi_file_back(&pager->file, offset_of_page(pager, page), pager->page_size,
                                        page, false);
}

static int check_pages(mpg_pager *pager, const struct replacement *replacement)
{
    int result = replacement->from == MPG_NO_PAGE
                     ? 0
                     : mpgi_check_regular(pager, replacement->from, replacement->operation);

    for (size_t i = 0; i < replacement->count && result == 0; i++)
        result = check_page(pager, replacement->contents[i].page, replacement->operation);
    return result;
}

/* Until the format has room. 0, an error, or what it asks for first. */
static int prepare(mpg_pager *pager, const struct replacement *replacement)
{
    struct txn_size others = {.changes = 1};
    int result = wait_for_others(pager, replacement->operation);

    if (result == 0)
        result = check_pages(pager, replacement);
    if (result != 0)
        return result;
    if (replacement->txn != NULL)
        others = mpgi_txn_size(replacement->txn);
    return pager->ops->redo_prepare(pager->format, replacement->count, others.contents,
                                    others.changes);
}

static int free_moved(struct edit *edit, const struct replacement *replacement)
{
    mpg_pager *pager = edit->pager;
    int result = mpgi_file_read(&pager->file, replacement->moved, pager->page_size,
                                offset_of_page(pager, replacement->from), replacement->from);

    return result != 0 ? result : mpgi_apply_free(edit, replacement->from);
}

/* Applies it to a batch that has nothing else. May return what an edit asks for (edit.h). */
static int apply(struct edit *edit, const struct replacement *replacement)
{
    mpg_pager *pager = edit->pager;
    int result = 0;

    pager->gathering->ordered |= replacement->ordered;
    if (replacement->txn != NULL)
        result = mpgi_txn_apply(replacement->txn, edit);
    else if (replacement->from != MPG_NO_PAGE)
        result = free_moved(edit, replacement);
    if (result == 0)
        result = pager->ops->redo_stage(pager->format, replacement->contents, replacement->count);
    for (size_t i = 0; i < replacement->count && result == 0; i++)
        mpgi_spans_add(&pager->gathering->regular, replacement->contents[i].page, 1);
    return result;
}

/* 0, an error, or what the format asks for first. */
static int try(mpg_pager *pager, const struct replacement *replacement)
{
    struct edit edit;
    bool again;
    int result = mpgi_edit_begin_alone(&edit, pager, replacement->operation);

    if (result != 0)
        return result;
    do {
        result = prepare(pager, replacement);
        if (result != 0)
            break;
        result = apply(&edit, replacement);
        if (result != 0)
            pager->ops->redo_cancel(pager->format);
        again = mpgi_edit_again(&edit, &result, replacement->operation);
    } while (again);
    if (result == 0)
        result = pager->ops->redo_check(pager->format);
    if (result == 0)
        return mpgi_edit_end(&edit, 0, WAIT_DURABLE);
    if (result < 0) {
        pager->ops->redo_cancel(pager->format);
        return mpgi_edit_cancel(&edit, result);
    }
    (void)mpgi_edit_cancel(&edit, 0);
    return result;
}

/* Does what the format asks for. Nobody else has begun anything meanwhile. */
static int make_way(mpg_pager *pager, int wanted, const char *operation)
{
    int result;

    pager_lock(pager);
    result = mpgi_check_writable(pager, operation);
    if (result == 0 && wanted == SEAL_NEEDS_ROOM)
        result = mpgi_commit_make_room(pager);
    else if (result == 0)
        result = mpgi_commit_wait(pager, pager->gathering);
    pager_unlock(pager);
    return result;
}

static int replace_alone(mpg_pager *pager, const struct replacement *replacement)
{
    int wanted = SEAL_NEEDS_ROOM;

    for (unsigned i = 0; i < MOST_TRIES; i++) {
        int result;

        wanted = try(pager, replacement);
        if (wanted <= 0)
            return wanted;
        result = make_way(pager, wanted, replacement->operation);
        if (result != 0)
            return result;
    }
    return mpgi_fail(MPG_E_BUSY, replacement->operation, replacement->contents[0].page,
                     "%s: views and others hold the pages that it would take", pager->file.path);
}

static int replace(mpg_pager *pager, const struct replacement *replacement)
{
    int result;

    begin_alone(pager);
    result = replace_alone(pager, replacement);
    end_alone(pager);
    return result;
}

/* ---- What is offered ----------------------------------------------------------------------- */

int mpgi_replace_check(mpg_pager *pager, uint64_t page, size_t length, const char *operation)
{
    if (pager->read_only)
        return mpgi_fail(MPG_E_READ_ONLY, operation, page, "%s: opened read-only",
                         pager->file.path);
    if (length > pager->page_size)
        return mpgi_fail(MPG_E_OUT_OF_BOUNDS, operation, page,
                         "%s: %zu bytes are more than a page of %u bytes", pager->file.path, length,
                         (unsigned)pager->page_size);
    if (pager->ops->redo_prepare == NULL)
        return mpgi_fail(MPG_E_UNSUPPORTED, operation, page,
                         "%s: format 0.2 cannot replace the content of a page as a whole",
                         pager->file.path);
    return 0;
}

/* `from`: a page that is moved, instead of data; or MPG_NO_PAGE. */
static int replace_one(mpg_pager *pager, uint64_t page, const void *data, size_t length,
                       uint64_t from, const char *operation)
{
    unsigned char *bytes;
    int result = mpgi_replace_check(pager, page, length, operation);

    if (result != 0)
        return result;
    bytes = calloc(1, pager->page_size);
    if (bytes == NULL)
        return mpgi_fail_memory(operation);
    if (length > 0)
        memcpy(bytes, data, length);
    result = replace(pager, &(struct replacement){.contents = &(struct page_content){page, bytes},
                                                  .count = 1,
                                                  .from = from,
                                                  .moved = bytes,
                                                  .operation = operation});
    free(bytes);
    return result;
}

int mpg_page_replace(mpg_pager *pager, mpg_page_id id, const void *data, size_t length)
{
    return replace_one(pager, id.value, data, length, MPG_NO_PAGE, "replace");
}

int mpg_page_move(mpg_pager *pager, mpg_page_id from, mpg_page_id to)
{
    if (from.value == to.value)
        return mpgi_fail(MPG_E_INVALID, "move", to.value, "%s: a page cannot be moved to itself",
                         pager->file.path);
    return replace_one(pager, to.value, NULL, 0, from.value, "move");
}

/* ---- … in a transaction ---- */

static int by_page(const void *a, const void *b)
{
    const struct page_content *left = a;
    const struct page_content *right = b;

    return compare_u64(&left->page, &right->page);
}

int mpgi_replace_commit(mpg_txn *txn, bool ordered)
{
    struct replacement replacement = {
        .from = MPG_NO_PAGE, .txn = txn, .ordered = ordered, .operation = "commit"};
    struct page_content *contents = calloc(txn->replaced.count, sizeof(*contents));
    int result;

    if (contents == NULL)
        return mpgi_fail_memory("commit");
    for (size_t i = 0; i < txn->replaced.capacity; i++) {
        const struct id_slot *slot = &txn->replaced.slots[i];

        if (slot->used)
            contents[replacement.count++] = (struct page_content){slot->id, slot->value.pointer};
    }
    qsort(contents, replacement.count, sizeof(*contents), by_page);
    replacement.contents = contents;
    result = replace(txn->pager, &replacement);
    free(contents);
    return result;
}
