/* SPDX-License-Identifier: MIT */
/*
 * One interface to whatever hands out units of a fixed size: the regular pages of a pager, its
 * protected pages, the parts of a sub-allocator, or something of your own. For code that does not
 * mind which of them it gets.
 *
 *     mpg_allocator units = mpg_protected_allocator(pager);
 *     mpg_unit_id id;
 *     mpg_unit_edit edit;
 *     if (mpg_unit_alloc(&id, &units) == 0 && mpg_unit_get_mut(&edit, &units, id) == 0) {
 *         memcpy(edit.data, "hello", 5);
 *         if (mpg_unit_commit(&units, &edit) != 0)
 *             mpg_unit_discard(&units, &edit);
 *     }
 *
 * What is promised over all of them
 *
 *   - Content is changed between get_mut and commit, and is durable when commit has returned 0.
 *   - What get shows stays readable until put.
 *
 * What is not: whether a change is atomic. With protected pages (`atomic` is set) get shows the
 * last committed content, whole; commit replaces it in one step, and discard forgets the change.
 * With regular pages and parts get and get_mut point at the same memory: a change is there as soon
 * as it is written, a crash before commit may leave any part of it, and discard cannot take it
 * back; and there commit makes durable what others wrote to the file, too.
 */
#ifndef MAPPEDPAGES_ALLOCATOR_H
#define MAPPEDPAGES_ALLOCATOR_H

#include "mappedpages.h"
#include "mappedpages_sub.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Names a unit of the allocator that gave it: the value of its mpg_page_id, mpg_protected_id or
 * mpg_sub_id.
 */
typedef struct mpg_unit_id {
    uint64_t value;
} mpg_unit_id;

/* The content of a unit, from get to put. */
typedef struct mpg_unit_view {
    const void *data; /* unit_size bytes */
    void *own;        /* the allocator's */
} mpg_unit_view;

/* The content of a unit, to be changed, from get_mut to commit or discard. */
typedef struct mpg_unit_edit {
    void *data;     /* unit_size bytes, the caller's to change */
    mpg_unit_id id; /* the unit */
    void *own;      /* the allocator's */
} mpg_unit_edit;

/*
 * What an allocator does. `context` is that of the mpg_allocator. The functions return 0 or a
 * negative MPG_E_ value, and leave out-parameters untouched on error.
 */
typedef struct mpg_allocator_ops {
    size_t (*unit_size)(void *context);
    int (*alloc)(mpg_unit_id *id, void *context);
    int (*free)(void *context, mpg_unit_id id);
    int (*alloc_bulk)(mpg_unit_id *ids, void *context, size_t count);
    int (*free_bulk)(void *context, const mpg_unit_id *ids, size_t count);
    int (*get)(mpg_unit_view *view, void *context, mpg_unit_id id);
    void (*put)(void *context, mpg_unit_view *view);
    int (*get_mut)(mpg_unit_edit *edit, void *context, mpg_unit_id id);
    int (*commit)(void *context, mpg_unit_edit *edit);
    void (*discard)(void *context, mpg_unit_edit *edit);
    bool atomic; /* commit replaces the content in one step, and discard undoes the edit */
} mpg_allocator_ops;

/*
 * An allocator: a value, to be copied at will, that refers to a pager or a sub-allocator and owns
 * nothing. Valid as long as what it refers to is open.
 */
typedef struct mpg_allocator {
    const mpg_allocator_ops *ops;
    void *context; /* what ops work on */
} mpg_allocator;

/*
 * The allocators of this library: regular pages, protected pages, parts. Cannot fail.
 * Thread safety of their operations: that of the functions they stand for, named below.
 */
MPG_API mpg_allocator mpg_regular_allocator(mpg_pager *pager);
MPG_API mpg_allocator mpg_protected_allocator(mpg_pager *pager);
MPG_API mpg_allocator mpg_sub_allocator(mpg_sub *sub);

/* The size of a unit in bytes. */
static inline size_t mpg_unit_size(const mpg_allocator *allocator)
{
    return allocator->ops->unit_size(allocator->context);
}

/* Whether a commit is atomic, and a discard undoes the edit. */
static inline bool mpg_unit_atomic(const mpg_allocator *allocator)
{
    return allocator->ops->atomic;
}

/*
 * Allocates a unit. Protected pages begin as zeros, the others as whatever was there before.
 * Errors, durability: as mpg_alloc, mpg_alloc_protected, mpg_sub_alloc.
 */
MPG_MUST_CHECK static inline int mpg_unit_alloc(mpg_unit_id *id, const mpg_allocator *allocator)
{
    return allocator->ops->alloc(id, allocator->context);
}

/* Frees a unit. Errors, durability: as mpg_free, mpg_free_protected, mpg_sub_free. */
MPG_MUST_CHECK static inline int mpg_unit_free(const mpg_allocator *allocator, mpg_unit_id id)
{
    return allocator->ops->free(allocator->context, id);
}

/* `count` units at once: all or none. Errors besides: NO_MEMORY. */
MPG_MUST_CHECK static inline int mpg_unit_alloc_bulk(mpg_unit_id *ids,
                                                     const mpg_allocator *allocator, size_t count)
{
    return allocator->ops->alloc_bulk(ids, allocator->context, count);
}
MPG_MUST_CHECK static inline int mpg_unit_free_bulk(const mpg_allocator *allocator,
                                                    const mpg_unit_id *ids, size_t count)
{
    return allocator->ops->free_bulk(allocator->context, ids, count);
}

/*
 * Shows the content of a unit until mpg_unit_put. Views of protected pages are those of
 * mpg_protected_view, with its limits: while one is held, the second commit of that page gets BUSY.
 * Errors: as mpg_page_get, mpg_protected_view, mpg_sub_get.
 */
MPG_MUST_CHECK static inline int mpg_unit_get(mpg_unit_view *view, const mpg_allocator *allocator,
                                              mpg_unit_id id)
{
    return allocator->ops->get(view, allocator->context, id);
}

/* Ends a view. Every mpg_unit_get that returned 0 needs one. */
static inline void mpg_unit_put(const mpg_allocator *allocator, mpg_unit_view *view)
{
    allocator->ops->put(allocator->context, view);
}

/*
 * Begins to change a unit: edit->data is its content, until mpg_unit_commit or mpg_unit_discard. An
 * edit is used by one thread at a time. A protected page has one at a time: a second gets BUSY.
 * Errors: as mpg_page_get_mut, mpg_writer_open, mpg_sub_get_mut.
 */
MPG_MUST_CHECK static inline int mpg_unit_get_mut(mpg_unit_edit *edit,
                                                  const mpg_allocator *allocator, mpg_unit_id id)
{
    return allocator->ops->get_mut(edit, allocator->context, id);
}

/*
 * Makes the change durable. On success the edit has ended; on error it has not: try again, or
 * discard.
 * Errors: as mpg_page_sync, mpg_writer_commit. Durability: durable on return.
 */
MPG_MUST_CHECK static inline int mpg_unit_commit(const mpg_allocator *allocator,
                                                 mpg_unit_edit *edit)
{
    return allocator->ops->commit(allocator->context, edit);
}

/* Ends the edit without a commit. It forgets the change where mpg_unit_atomic, else leaves it. */
static inline void mpg_unit_discard(const mpg_allocator *allocator, mpg_unit_edit *edit)
{
    allocator->ops->discard(allocator->context, edit);
}

#ifdef __cplusplus
}
#endif

#endif
