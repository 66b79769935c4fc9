/* SPDX-License-Identifier: MIT */
/*
 * Sub-pages: parts of regular pages, for records smaller than a page.
 *
 * A sub-allocator takes regular pages from a pager as it needs them, divides each into 2 to 64
 * equal parts and hands those out. A page goes back to the pager when its last part is freed.
 *
 * Which parts are in use is known in memory only; the file knows the pages. A program that keeps
 * parts across runs keeps their ids somewhere in the file (an mpg_sub_id is a number made for that)
 * and tells mpg_sub_adopt about them after opening the file again.
 *
 * Caveats
 *
 *   - After a crash, a page the allocator had taken is still allocated in the file, even if no
 *     list of live parts names it. Whoever adopts finds such pages by mpg_page_iter_next.
 *   - A page that a sub-allocator holds must not be freed by mpg_free, and no page may be held by
 *     two sub-allocators.
 *   - The content of a new part is whatever was there before.
 */
#ifndef MAPPEDPAGES_SUB_H
#define MAPPEDPAGES_SUB_H

#include "mappedpages.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A sub-allocator. Begun by mpg_sub_open, ended by mpg_sub_release. */
typedef struct mpg_sub mpg_sub;

/* The fewest and the most parts a page is divided into. */
#define MPG_SUB_PARTS_MIN 2u
#define MPG_SUB_PARTS_MAX 64u

/*
 * Names a part: its page's id times 64, plus the number of the part in it, from 0. This is so for
 * any part size and stays so: the number may be kept in a file.
 */
typedef struct mpg_sub_id {
    uint64_t value;
} mpg_sub_id;

/* The page a part lies in. */
static inline mpg_page_id mpg_sub_page(mpg_sub_id id)
{
    mpg_page_id page = {id.value / MPG_SUB_PARTS_MAX};
    return page;
}

/* Which part of that page it is, from 0. */
static inline unsigned mpg_sub_part(mpg_sub_id id)
{
    return (unsigned)(id.value % MPG_SUB_PARTS_MAX);
}

/*
 * Begins a sub-allocator that divides pages of `pager` into parts of `part_size` bytes. It holds no
 * page yet. The pager must stay open until mpg_sub_release; others may use it meanwhile.
 * Errors: INVALID (part_size does not divide the page into 2 to 64 equal parts), NO_MEMORY.
 */
MPG_API MPG_MUST_CHECK int mpg_sub_open(mpg_sub **sub, mpg_pager *pager, size_t part_size);

/* The same, for code that is made for one page size. Errors besides: INVALID_PAGE_SIZE. */
MPG_API MPG_MUST_CHECK int mpg_sub_open_sized(mpg_sub **sub, mpg_pager *pager, size_t page_size,
                                              size_t part_size);

/*
 * Ends the sub-allocator and gives back its pager. Parts that are in use stay as they are: their
 * pages remain allocated regular pages, and a later sub-allocator may adopt the parts. NULL is
 * allowed, and gives NULL.
 * Thread safety: no other call on this sub-allocator may be running or follow.
 * Durability: changes nothing in the file, but for a page without a part in use that the pager
 * refused when it should have gone back: that is freed now, if it can be.
 */
MPG_API mpg_pager *mpg_sub_release(mpg_sub *sub);

/*
 * Tells the allocator of `count` parts that are in use: all of them, or none on error. For a file
 * that was opened again. Pages named are held from then on; their other parts are free. May be
 * called more than once, with other parts.
 * Errors: EXISTS (named twice, or known already as in use); OUT_OF_BOUNDS (no such part in a page,
 * or no such page); RESERVED_PAGE, NOT_ALLOCATED, NOT_REGULAR (the page is not an allocated regular
 * one); NO_MEMORY.
 * Thread safety: no part of a page named may be freed meanwhile.
 * Durability: changes nothing in the file.
 */
MPG_API MPG_MUST_CHECK int mpg_sub_adopt(mpg_sub *sub, const mpg_sub_id *ids, size_t count);

/*
 * Allocates one part: in a page that has room, else in a new page.
 * Errors: those of mpg_alloc; then nothing changed.
 * Thread safety: threads that find no room at the same time take a page each.
 * Durability: the page, if a new one was needed, as by mpg_alloc; that the part is in use is known
 * in memory only.
 */
MPG_API MPG_MUST_CHECK int mpg_sub_alloc(mpg_sub_id *id, mpg_sub *sub);

/*
 * Frees one part, and with the last part of a page the page.
 * Errors: DOUBLE_FREE (the part is not in use), OUT_OF_BOUNDS (no such part in a page); those of
 * mpg_free if the page goes back. Then nothing changed.
 * Durability: as mpg_free, if the page goes back.
 */
MPG_API MPG_MUST_CHECK int mpg_sub_free(mpg_sub *sub, mpg_sub_id id);

/* `count` parts at once into ids[0…count-1]: all or none, one commit at most. */
MPG_API MPG_MUST_CHECK int mpg_sub_alloc_bulk(mpg_sub_id *ids, mpg_sub *sub, size_t count);

/*
 * Frees `count` parts: all or none, one commit at most (one more if other threads free parts of the
 * same pages meanwhile). A part that is there twice is a DOUBLE_FREE.
 */
MPG_API MPG_MUST_CHECK int mpg_sub_free_bulk(mpg_sub *sub, const mpg_sub_id *ids, size_t count);

/*
 * A pointer to the part's content in the map, part_size bytes, valid until the part is freed or the
 * pager closed. Never waits for a commit. Errors: NOT_ALLOCATED (the part is not in use),
 * OUT_OF_BOUNDS (no such part in a page), and those of mpg_page_get.
 * Durability (mut): what is written there is durable after mpg_page_sync or mpg_sync.
 */
MPG_API MPG_MUST_CHECK int mpg_sub_get(const void **data, const mpg_sub *sub, mpg_sub_id id);
MPG_API MPG_MUST_CHECK int mpg_sub_get_mut(void **data, mpg_sub *sub, mpg_sub_id id);

/* The size of a part in bytes, the parts a page has, the pager the pages come from. Cannot fail. */
MPG_API size_t mpg_sub_part_size(const mpg_sub *sub);
MPG_API unsigned mpg_sub_parts(const mpg_sub *sub);
MPG_API mpg_pager *mpg_sub_pager(const mpg_sub *sub);

/* What a sub-allocator holds. Pages on their way to or from the pager are not counted. */
typedef struct mpg_sub_usage {
    uint64_t pages; /* pages held */
    uint64_t live;  /* parts in use */
    uint64_t room;  /* parts of these pages that are free */
} mpg_sub_usage;

/* Fills *usage. Cannot fail. */
MPG_API void mpg_sub_stat(mpg_sub_usage *usage, const mpg_sub *sub);

#ifdef __cplusplus
}
#endif

#endif
