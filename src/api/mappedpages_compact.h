/* SPDX-License-Identifier: MIT */
/*
 * Page files made shorter, in place.
 *
 *     if (mpg_compact(NULL, pager, NULL) != 0)
 *         …
 */
#ifndef MAPPEDPAGES_COMPACT_H
#define MAPPEDPAGES_COMPACT_H

#include "mappedpages.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mpg_compact_flags {
    /*
     * Regular pages move, too: those that lie where the file is to end get other numbers, which
     * `moved` is told. (Format 0.2 as well as 1.) Without it they stay, for their number is their
     * name, and the file can end behind the last of them at the earliest.
     */
    MPG_COMPACT_RENUMBER = 1 << 0,
};

/* How to compact. Begin with MPG_COMPACT_OPTIONS_INIT. */
typedef struct mpg_compact_options {
    size_t size;    /* sizeof(mpg_compact_options) */
    unsigned flags; /* enum mpg_compact_flags */
    /*
     * With MPG_COMPACT_RENUMBER: the regular page `from` becomes `to`. Called for each page that
     * moves, by ascending `from`, before the one commit that moves all of them, whose file has
     * `pages` pages: who is told should make a note that outlives a crash. After one the file has
     * more than `pages` pages (mpg_stat, total_pages), and all have their old numbers, or no more,
     * and all have the new ones. Returns whether to go on. NULL: nobody asks, and the numbers are
     * lost.
     */
    bool (*moved)(void *context, mpg_page_id from, mpg_page_id to, uint64_t pages);
    /*
     * Bytes of contents that were moved. False: what was moved since the last commit has not moved.
     */
    mpg_progress progress;
    void *context; /* the first argument of both */
} mpg_compact_options;

#define MPG_COMPACT_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(mpg_compact_options), 0, NULL, NULL, NULL                                           \
    }

/* What became of the file. */
typedef struct mpg_compact_result {
    uint64_t pages_before;    /* total pages */
    uint64_t pages_after;     /* likewise; no more than before */
    uint64_t moved_protected; /* contents of protected pages that were moved, counted each time */
    uint64_t moved_regular;   /* regular pages that have another number now */
} mpg_compact_result;

/*
 * Makes the file as short as what is in it allows: contents of protected pages move down, the
 * metadata is made anew in pages below, and the tail goes back to the filesystem. The file never
 * becomes longer, and needs no room beside itself. A crash at any moment leaves the state of before
 * or of afterwards, of which only the places differ. *result is untouched on error; NULL: nobody
 * asks.
 *
 * In format 1 each protected page keeps one free page for its next content, so a file ends no
 * sooner than that.
 *
 * Errors: MPG_E_BUSY: a view, a writer, a snapshot or a transaction is open; MPG_E_CORRUPT_… and
 * the like: the file is damaged, and stays as it is; MPG_E_CANCELLED: `moved` or `progress` said
 * so; MPG_E_INVALID: a flag that there is not; MPG_E_READ_ONLY; and those of mpg_sync. After any of
 * them the file is whole.
 *
 * Thread safety: any thread; others that use the pager wait meanwhile. `moved` and `progress` must
 * not use it. Readers in other processes keep reading, or are told MPG_E_STALE; but an address of a
 * regular page that got another number is of no use to them any more, and the access may be a
 * fault. Durability: all is durable when the call returns 0.
 */
MPG_API MPG_MUST_CHECK int mpg_compact(mpg_compact_result *result, mpg_pager *pager,
                                       const mpg_compact_options *options);

#ifdef __cplusplus
}
#endif

#endif
