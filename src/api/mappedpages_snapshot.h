/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: all protected pages of an open file as one commit left them, for as long as one likes.
 *
 *     mpg_snapshot *snapshot;
 *
 *     if (mpg_snapshot_open(&snapshot, pager) != 0)
 *         …
 *     mpg_snapshot_iter_begin(&iter, snapshot, first);
 *     while (mpg_snapshot_iter_next(&id, &iter) > 0)
 *         if (mpg_snapshot_read(content, snapshot, id) != 0)
 *             …
 *     mpg_snapshot_close(snapshot);
 *
 * What it costs
 *
 *   - Opening one costs the same for any file. It stops nobody: what is committed meanwhile goes to
 *     other pages, and reading does not wait for commits, nor they for it.
 *   - What commits replace or free while it is open stays in the file, a page each, until the last
 *     snapshot that shows it is closed; and takes some hundred bytes of memory. A page that is
 *     committed again and again is kept once. mpg_snapshot_info says how many pages that are.
 *   - So the file may grow: by no more than was replaced. Where it cannot grow (MPG_E_NO_SPACE,
 *     MPG_E_FILE_FULL), allocating fails sooner, and a commit that finds no page for its contents
 *     fails with MPG_E_BUSY, before anything is written. Closing the snapshot helps.
 *   - mpg_alloc_at of a page that it shows is MPG_E_BUSY.
 *
 * Regular pages are memory: there is no snapshot of them. A snapshot is of this process alone:
 * after a crash there is none, nothing that was committed is lost, and what was kept for it is
 * free. Other processes have the like in a read-only pager between two calls of mpg_refresh, but
 * nothing waits for them (MPG_E_STALE).
 *
 * Format 1 only. In format 0.2 each protected page has two places, and the second commit after the
 * snapshot would have to overwrite what it shows: MPG_E_UNSUPPORTED.
 */
#ifndef MAPPEDPAGES_SNAPSHOT_H
#define MAPPEDPAGES_SNAPSHOT_H

#include "mappedpages.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpg_snapshot mpg_snapshot;

/*
 * Opens a snapshot of the last commit. What is still in a batch, with MPG_DEFER_ALLOCATION or
 * because its commit has not returned, is not in it; what a commit that has returned made durable,
 * is. Any number may be open at once. The caller's to close, before the pager is closed. *snapshot
 * is untouched on error.
 * Errors: READ_ONLY (a pager must be open for writing), UNSUPPORTED (format 0.2), NO_MEMORY.
 * Thread safety: any thread. Durability: nothing is written.
 */
MPG_API MPG_MUST_CHECK int mpg_snapshot_open(mpg_snapshot **snapshot, mpg_pager *pager);

/*
 * Ends it, and gives back what was kept for it alone: that takes a moment for each page that was
 * replaced meanwhile. NULL is allowed.
 * Thread safety: any thread, while no other uses the snapshot or an iterator of it.
 */
MPG_API void mpg_snapshot_close(mpg_snapshot *snapshot);

/* What a snapshot is of. */
typedef struct mpg_snapshot_info {
    uint64_t generation;      /* the commit that it shows, as in struct mpg_stat */
    uint64_t protected_pages; /* in it */
    uint64_t replaced; /* of its pages, and of ids that it has not: changed by commits since */
    uint64_t held;     /* pages of the file that are kept for snapshots and views of the pager */
} mpg_snapshot_info;

/* Cannot fail. Thread safety: any thread. */
MPG_API void mpg_snapshot_stat(mpg_snapshot_info *info, const mpg_snapshot *snapshot);

/*
 * Copies the content of a protected page, page_size bytes, as the snapshot has it, and checks it;
 * only checks it, if `data` is NULL.
 * Errors: NOT_ALLOCATED (the snapshot has no such page, whatever there is by now), CORRUPT_PAGE and
 * other damage, CHANGED, NO_MEMORY, IO. Not BUSY, nor STALE.
 * Thread safety: any thread, several at once. It does not wait for commits.
 */
MPG_API MPG_MUST_CHECK int mpg_snapshot_read(void *data, const mpg_snapshot *snapshot,
                                             mpg_protected_id id);

/*
 * What the directory said of a protected page: whether it was there, where its content is, which
 * commit last changed it, its checksum. Errors and thread safety: as mpg_snapshot_read.
 */
MPG_API MPG_MUST_CHECK int mpg_snapshot_protected_stat(mpg_protected_info *info,
                                                       const mpg_snapshot *snapshot,
                                                       mpg_protected_id id);

/*
 * Walks the ids of the snapshot's pages in ascending order, from any id on. It lives on the
 * caller's stack, holds no resources and needs no end. Its fields are the library's own.
 */
typedef struct mpg_snapshot_iter {
    const mpg_snapshot *snapshot;
    mpg_page_iter ids;
} mpg_snapshot_iter;

MPG_API void mpg_snapshot_iter_begin(mpg_snapshot_iter *iter, const mpg_snapshot *snapshot,
                                     mpg_protected_id from);

/*
 * The next id. Returns 1 with *id set, 0 at the end, or a negative error (damage, CHANGED,
 * NO_MEMORY, IO), after which the iterator may be asked again. It meets each page of the snapshot
 * exactly once, whatever is committed meanwhile.
 * Thread safety: an iterator is used by one thread at a time; a snapshot may have any number of
 * them.
 */
MPG_API MPG_MUST_CHECK int mpg_snapshot_iter_next(mpg_protected_id *id, mpg_snapshot_iter *iter);

#ifdef __cplusplus
}
#endif

#endif
