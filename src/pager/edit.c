/* SPDX-License-Identifier: MIT */
/* The edit log: how an operation is applied to the gathering batch as a whole or not at all. */
#include "pager/edit.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"
#include "base/shared.h"
#include "os/poison.h"
#include "pager/commit.h"
#include "pager/look_again.h"
#include "pager/pager.h"
#include "pager/settle.h"

/* How often an operation may find its page busy with commits before it gives up. */
#define MOST_RESTARTS 100

/*
 * … or the file full, while commits may be freeing pages: the one in flight, and the one after it
 * with what has gathered meanwhile.
 */
#define MOST_RESTARTS_WHEN_FULL 2

/* … or pages resting, which others may have take them before it can. */
#define MOST_RESTARTS_FOR_ROOM 8

/* How many operations may gather before one of them waits, with MPG_DEFER_ALLOCATION. */
#define MOST_DEFERRED 65536

enum change_kind { CHANGE_USE, CHANGE_ENTRY, CHANGE_STAGE, CHANGE_CONTENT };

struct change {
    enum change_kind kind;
    uint64_t id;    /* first page, protected id, or staged page */
    uint64_t count; /* CHANGE_USE: how many pages in a row */
    bool fresh;     /* CHANGE_ENTRY: the batch had allocated it */
    union {
        enum mpg_page_use use; /* what the pages were used for */
        struct entry entry;    /* what the entry was */
        void *data;            /* what was staged, held (shared.h), or NULL */
    } old;
};

int mpgi_check_writable(mpg_pager *pager, const char *operation)
{
    int result;

    if (pager->read_only)
        return mpgi_fail(MPG_E_READ_ONLY, operation, MPG_NO_PAGE, "%s: opened read-only",
                         pager->file.path);
    result = mpgi_check_not_changed(pager, operation);
    if (result != 0)
        return result;
    if (pager->unavailable)
        return mpgi_fail(MPG_E_UNAVAILABLE, operation, MPG_NO_PAGE,
                         "%s: an earlier sync failed; close it and open it again",
                         pager->file.path);
    if (pager->spare == NULL)
        pager->spare = mpgi_batch_new();
    return pager->spare != NULL ? mpgi_settle_late(pager) : mpgi_fail_memory(operation);
}

/* With the lock held, which is given up on failure. */
static int begin(struct edit *edit, mpg_pager *pager, const char *operation)
{
    int result;

    edit->pager = pager;
    edit->log = NULL;
    edit->count = 0;
    edit->capacity = 0;
    edit->tally = (struct tally){0};
    edit->restarts = 0;
    edit->restarts_when_full = 0;
    edit->looked = false;
    edit->restarts_for_room = 0;
    pager->format->taken = 0;
    result = mpgi_check_writable(pager, operation);
    if (result != 0)
        pager_unlock(pager);
    return result;
}

int mpgi_edit_begin(struct edit *edit, mpg_pager *pager, const char *operation)
{
    pager_lock(pager);
    while (pager->alone)
        (void)pthread_cond_wait(&pager->settled, &pager->lock);
    return begin(edit, pager, operation);
}

int mpgi_edit_begin_alone(struct edit *edit, mpg_pager *pager, const char *operation)
{
    pager_lock(pager);
    return begin(edit, pager, operation);
}

/* The next free record of the log, not yet counted, or NULL. */
static struct change *next_change(struct edit *edit)
{
    struct change *log = mpgi_array_room(edit->log, edit->count, &edit->capacity, sizeof(*log), 8);

    if (log == NULL) {
        (void)mpgi_fail_memory("edit");
        return NULL;
    }
    edit->log = log;
    return &edit->log[edit->count];
}

/* Logs what `count` pages were used for; `change` is what next_change gave. */
static void log_use(struct edit *edit, struct change *change, uint64_t page, unsigned count,
                    enum mpg_page_use old)
{
    struct change *last = edit->count > 0 ? change - 1 : NULL;

    if (last != NULL && last->kind == CHANGE_USE && last->old.use == old &&
        last->id + last->count == page) {
        last->count += count;
        return;
    }
    change->kind = CHANGE_USE;
    change->id = page;
    change->count = count;
    change->old.use = old;
    edit->count++;
}

/*
 * What is staged for a page that is being freed must not be written: if this batch took the page,
 * too, it may give it out again at once, and another owner's content would be overwritten. The
 * record of it stays, so that undoing needs no memory.
 */
static int unstage(struct edit *edit, struct id_map *staged, enum change_kind kind, uint64_t id)
{
    union id_value *value = mpgi_id_map_find(staged, id);
    struct change *change;

    if (value == NULL || value->pointer == NULL)
        return 0;
    change = next_change(edit);
    if (change == NULL)
        return MPG_E_NO_MEMORY;
    change->kind = kind;
    change->id = id;
    change->old.data = value->pointer;
    edit->count++;
    value->pointer = NULL;
    return 0;
}

/*
 * A page is free now. If it was this batch that took it, it may be given out at once, and zeros
 * that were written to it then are not on the disk.
 */
static void give_back(mpg_pager *pager, uint64_t page)
{
    enum mpg_page_use durable;

    pager_search_page(pager, page);
    if (page >= pager->ops->total_pages(pager->format, VERSION_DURABLE) ||
        pager->ops->get_use(pager->format, VERSION_DURABLE, page, &durable) != 0 ||
        durable == MPG_USE_FREE)
        pager->unsynced_zeros = true;
}

int mpgi_edit_use(struct edit *edit, uint64_t page, enum mpg_page_use use)
{
    struct format *format = edit->pager->format;
    int result =
        use == MPG_USE_FREE ? unstage(edit, &edit->pager->gathering->stage, CHANGE_STAGE, page) : 0;
    struct change *change = result == 0 ? next_change(edit) : NULL;
    enum mpg_page_use old;

    if (change == NULL)
        return MPG_E_NO_MEMORY;
    result = format->ops->get_use(format, VERSION_NEWEST, page, &old);
    if (result == 0)
        result = format->ops->set_use(format, page, use);
    if (result != 0)
        return result;
    log_use(edit, change, page, 1, old);
    if (use == MPG_USE_FREE)
        give_back(edit->pager, page);
    edit->tally.allocated += use == MPG_USE_REGULAR;
    edit->tally.freed += old == MPG_USE_REGULAR;
    if (use == MPG_USE_REGULAR)
        mpgi_spans_add(&edit->pager->gathering->regular, page, 1);
    /* Invariant 5. */
    mpgi_known_forget(&edit->pager->regular, page);
    mpgi_known_forget(&edit->pager->writable, page);
    if (old == MPG_USE_REGULAR)
        poison(&edit->pager->map, offset_of_page(edit->pager, page), edit->pager->page_size);
    return 0;
}

int mpgi_edit_use_run(struct edit *edit, uint64_t page, unsigned count, enum mpg_page_use use)
{
    struct format *format = edit->pager->format;
    struct change *change = next_change(edit);
    int result;

    if (change == NULL)
        return MPG_E_NO_MEMORY;
    result = format->ops->set_use_run(format, page, count, use);
    if (result != 0)
        return result;
    log_use(edit, change, page, count, MPG_USE_FREE);
    if (use != MPG_USE_REGULAR)
        return 0;
    edit->tally.allocated += count;
    mpgi_spans_add(&edit->pager->gathering->regular, page, count);
    return 0;
}

/* Whether the gathering batch allocates a protected page. Room was made in the map. */
static void set_fresh(struct batch *batch, uint64_t id, bool fresh)
{
    if (fresh)
        (void)mpgi_id_map_put(&batch->fresh, id);
    else
        mpgi_id_map_remove(&batch->fresh, id);
}

/* Invariant 6, where an entry that changes is not to be known until that is published. */
static void forget_entry(mpg_pager *pager, uint64_t id, const struct entry *old)
{
    if (mpgi_entries_last_until_published(pager))
        return;
    mpgi_entries_forget(&pager->entries, id);
    for (unsigned copy = 0; copy < 2; copy++) {
        if (old->page[copy] != 0)
            (void)mpgi_is_pinned(pager, old->page[copy]);
    }
}

int mpgi_edit_entry(struct edit *edit, uint64_t id, const struct entry *old,
                    const struct entry *entry)
{
    struct format *format = edit->pager->format;
    struct batch *batch = edit->pager->gathering;
    int result = entry->in_use ? 0 : unstage(edit, &batch->contents, CHANGE_CONTENT, id);
    struct change *change = result == 0 ? next_change(edit) : NULL;

    if (change == NULL || !mpgi_id_map_reserve(&batch->fresh, 1))
        return mpgi_fail_memory("edit");
    forget_entry(edit->pager, id, old);
    result = format->ops->put_entry(format, id, entry);
    if (result != 0)
        return result;
    edit->tally.protected_allocated += entry->in_use && !old->in_use;
    edit->tally.protected_freed += !entry->in_use && old->in_use;
    change->fresh = mpgi_id_map_find(&batch->fresh, id) != NULL;
    if (old->in_use != entry->in_use)
        set_fresh(batch, id, entry->in_use);
    if (!entry->in_use)
        pager_search_protected(edit->pager, id);
    change->kind = CHANGE_ENTRY;
    change->id = id;
    change->old.entry = *old;
    edit->count++;
    return 0;
}

static int stage(struct edit *edit, struct id_map *staged, enum change_kind kind, uint64_t id,
                 void *data)
{
    struct change *change = next_change(edit);
    union id_value *value = change != NULL ? mpgi_id_map_put(staged, id) : NULL;

    if (value == NULL) {
        mpgi_shared_drop(data);
        return mpgi_fail_memory("stage");
    }
    change->kind = kind;
    change->id = id;
    change->old.data = value->pointer;
    edit->count++;
    value->pointer = data;
    return 0;
}

int mpgi_edit_stage(struct edit *edit, uint64_t page, void *data)
{
    return stage(edit, &edit->pager->gathering->stage, CHANGE_STAGE, page, data);
}

int mpgi_edit_content(struct edit *edit, uint64_t id, void *data)
{
    edit->tally.protected_written++;
    return stage(edit, &edit->pager->gathering->contents, CHANGE_CONTENT, id, data);
}

static void undo_stage(const struct id_map *staged, const struct change *change)
{
    union id_value *value = mpgi_id_map_find(staged, change->id);

    mpgi_shared_drop(value->pointer);
    value->pointer = change->old.data;
}

static void undo(struct edit *edit)
{
    struct format *format = edit->pager->format;

    /* Going back in a pending version cannot fail: it is the promise of set_use and put_entry. */
    while (edit->count > 0) {
        const struct change *change = &edit->log[--edit->count];

        switch (change->kind) {
        case CHANGE_USE:
            for (uint64_t i = 0; i < change->count; i++)
                (void)format->ops->set_use(format, change->id + i, change->old.use);
            if (change->old.use == MPG_USE_FREE) {
                pager_search_page(edit->pager, change->id);
                edit->pager->unsynced_zeros = true;
            }
            if (change->old.use == MPG_USE_REGULAR)
                unpoison(&edit->pager->map, offset_of_page(edit->pager, change->id),
                         change->count * edit->pager->page_size);
            break;
        case CHANGE_ENTRY:
            (void)format->ops->put_entry(format, change->id, &change->old.entry);
            set_fresh(edit->pager->gathering, change->id, change->fresh);
            if (!change->old.entry.in_use)
                pager_search_protected(edit->pager, change->id);
            break;
        case CHANGE_STAGE:
            undo_stage(&edit->pager->gathering->stage, change);
            break;
        case CHANGE_CONTENT:
            undo_stage(&edit->pager->gathering->contents, change);
            break;
        }
    }
    edit->tally = (struct tally){0};
    format->taken = 0;
    if (format->ops->undone != NULL)
        format->ops->undone(format);
}

/* Undoes the edit and waits for what others have under way. The lock is given up meanwhile. */
static int restart(struct edit *edit, bool room, const char *operation)
{
    mpg_pager *pager = edit->pager;
    int result = 0;

    undo(edit);
    if (++edit->restarts > MOST_RESTARTS)
        return mpgi_fail(MPG_E_BUSY, operation, MPG_NO_PAGE,
                         "%s: %s: the page is still being freed or committed", pager->file.path,
                         operation);
    if (pager->in_flight != NULL) {
        while (pager->in_flight != NULL)
            (void)pthread_cond_wait(&pager->settled, &pager->lock);
    } else if (room) {
        result = mpgi_commit_make_room(pager);
    } else {
        result = mpgi_commit_wait(pager, pager->gathering);
    }
    return result != 0 ? result : mpgi_check_writable(pager, operation);
}

/* Undoes the edit and waits until no disk space is being given back. That takes no commit. */
static int wait_for_page(struct edit *edit, const char *operation)
{
    mpg_pager *pager = edit->pager;

    undo(edit);
    while (pager->given_back != NULL)
        (void)pthread_cond_wait(&pager->settled, &pager->lock);
    return mpgi_check_writable(pager, operation);
}

bool mpgi_edit_again(struct edit *edit, int *result, const char *operation)
{
    const mpg_pager *pager = edit->pager;
    bool others = pager->in_flight != NULL || pager->gathering->changes > 0;
    bool full = *result == MPG_E_FILE_FULL || *result == MPG_E_NO_SPACE;

    if (*result == EDIT_GIVEN_BACK) {
        *result = wait_for_page(edit, operation);
        return *result == 0;
    }
    if (full && (!others || edit->restarts_when_full++ == MOST_RESTARTS_WHEN_FULL))
        return false;
    if (!full && *result != EDIT_RESTART && *result != EDIT_NEEDS_ROOM)
        return false;
    if (*result == EDIT_NEEDS_ROOM && edit->restarts_for_room++ == MOST_RESTARTS_FOR_ROOM) {
        *result = mpgi_fail(MPG_E_BUSY, operation, MPG_NO_PAGE,
                            "%s: %s: the page is shown by a view, or held by commits",
                            pager->file.path, operation);
        return false;
    }
    *result = restart(edit, *result == EDIT_NEEDS_ROOM, operation);
    return *result == 0;
}

/* Forgets the log of an edit that stays. */
static void keep(struct edit *edit)
{
    for (size_t i = 0; i < edit->count; i++)
        if (edit->log[i].kind == CHANGE_STAGE || edit->log[i].kind == CHANGE_CONTENT)
            mpgi_shared_drop(edit->log[i].old.data);
    edit->pager->format->taken = 0;
    edit->pager->gathering->changes++;
    tally_add(&edit->pager->gathering->tally, &edit->tally);
}

/* Pages freed in a batch cannot be used before it is durable, so it is not put off for ever. */
static bool may_defer(const mpg_pager *pager)
{
    return pager->deferred && pager->gathering->changes < MOST_DEFERRED;
}

int mpgi_edit_end(struct edit *edit, int result, enum durability durability)
{
    mpg_pager *pager = edit->pager;

    if (result != 0) {
        undo(edit);
        result = mpgi_explain_damage(pager, result);
    } else {
        keep(edit);
    }
    free(edit->log);
    if (result == 0 && (durability == WAIT_DURABLE || !may_defer(pager)))
        result = mpgi_commit_wait(pager, pager->gathering);
    pager_unlock(pager);
    return result;
}

int mpgi_edit_cancel(struct edit *edit, int result)
{
    undo(edit);
    free(edit->log);
    result = mpgi_explain_damage(edit->pager, result);
    pager_unlock(edit->pager);
    return result;
}

void mpgi_edit_end_async(struct edit *edit, struct completion *completion)
{
    struct batch *batch = edit->pager->gathering;

    keep(edit);
    free(edit->log);
    completion->next = NULL;
    *batch->completions_end = completion;
    batch->completions_end = &completion->next;
    batch->wanted = true;
    pager_unlock(edit->pager);
}

int mpgi_edit_sync(mpg_pager *pager, const char *operation)
{
    struct edit edit;
    int result = mpgi_edit_begin(&edit, pager, operation);

    return result != 0 ? result : mpgi_edit_end(&edit, 0, WAIT_DURABLE);
}
