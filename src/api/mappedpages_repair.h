/* SPDX-License-Identifier: MIT */
/*
 * Repairing a damaged page file where it is.
 *
 *     mpg_repair_options how = MPG_REPAIR_OPTIONS_INIT;
 *
 *     how.consent = ask;
 *     if (mpg_repair(&result, "data.mpp", &how) != 0)
 *         ...
 *
 * What a repair does
 *
 *   - What is said twice is taken from where it is whole: page 0 of format 1 from a root, a root
 *     from the other one, copies that do not count from those that do. Where that does not do, all
 *     metadata is made anew from what proves itself in the file, as mpg_rescue does, around
 *     contents that stay where they are.
 *   - Nothing of that is written until the outcome was checked. Then an undo file is written: what
 *     stood in each place that changes, and what is to stand there; it is durable before the first
 *     byte of the page file changes.
 *   - Killed at any moment, the file is as it was, or the next mpg_repair with the same undo file
 *     goes on where it was, and mpg_repair_undo takes it back.
 *   - Contents are never made up, nor written at all: what is lost, or may be older, is asked for
 *     first.
 */
#ifndef MAPPEDPAGES_REPAIR_H
#define MAPPEDPAGES_REPAIR_H

#include "mappedpages_rescue.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mpg_repair_flags {
    MPG_REPAIR_DRY_RUN = 1 << 0, /* find out what would be done, and change nothing */
    /*
     * Where the newest state is damaged and the file still has the one before it, whole, go back to
     * that. Format 1 only.
     */
    MPG_REPAIR_OLDER = 1 << 1,
};

/* How to repair. Begin with MPG_REPAIR_OPTIONS_INIT. */
typedef struct mpg_repair_options {
    size_t size;    /* sizeof(mpg_repair_options) */
    unsigned flags; /* enum mpg_repair_flags */
    const char
        *undo; /* name of the undo file; NULL: that of the page file with ".undo" behind it */
    /* Hears of what was found, and of what is mended. May be NULL. */
    void (*note)(void *context, const mpg_rescue_note *note);
    /*
     * Asked before anything is given up: a note that was heard just before. Returns whether that is
     * agreed to. If not, the repair ends with MPG_E_CANCELLED, but for "lost": then that protected
     * page stays as damaged as it is. NULL: no.
     */
    bool (*consent)(void *context, const mpg_rescue_note *note);
    /*
     * Pages that were looked at, then pieces written. False: the repair stops. Before it has begun
     * to write the file is as it was; then it is half repaired, and the next call goes on, or
     * mpg_repair_undo takes it back.
     */
    mpg_progress progress;
    void *context; /* the first argument of all of them */
} mpg_repair_options;

#define MPG_REPAIR_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(mpg_repair_options), 0, NULL, NULL, NULL, NULL, NULL                                \
    }

/* What was done. */
typedef struct mpg_repair_result {
    int format;               /* MPG_FORMAT_… */
    uint32_t page_size;       /* in bytes */
    uint64_t faults;          /* that the file had: those of mpg_check, or 1 if it did not open */
    uint64_t faults_left;     /* that it has now: protected pages that stay damaged */
    uint64_t notes;           /* how often `note` was called, or would have been */
    uint64_t bytes;           /* of the file that were, or would be, written */
    uint64_t protected_older; /* protected pages whose content may be an older one now */
    uint64_t protected_lost;  /* that were given up */
    uint64_t regular_adopted; /* pages of unknown use that are regular ones now */
    bool rebuilt;             /* all metadata was made anew */
    bool changed;             /* the file was, or would be, changed, and there is an undo file */
    bool finished;            /* a repair that was cut short was finished, and nothing else done */
} mpg_repair_result;

/*
 * Repairs a page file, which need not even open, and which nobody may have open. Where nothing is
 * wrong with it, nothing is written. Takes memory as its metadata needs it. `options` may be NULL:
 * nothing is given up then.
 * Errors: CORRUPT_SUPERBLOCK (nothing in it proves that it was a page file), BUSY, LOCAL_LOCK,
 * CANCELLED (by `consent` or `progress`), EXISTS (the undo file of an earlier repair is there),
 * CHANGED (an undo file is there of a repair that was cut short, and the file was written to
 * since), CORRUPT_METADATA (it cannot be repaired: mpg_rescue), INVALID (size or flags of the
 * options), NO_SPACE, NO_MEMORY, IO. *result is set where it returns 0.
 * Thread safety: any thread; it has files of its own.
 * Durability: file and undo file are durable when this returns; a crash meanwhile leaves the file
 * as it was, or one that the next call with the same undo file finishes.
 */
MPG_API MPG_MUST_CHECK int mpg_repair(mpg_repair_result *result, const char *path,
                                      const mpg_repair_options *options);

/*
 * Makes a file what it was before a repair, byte for byte, by the undo file of it (NULL: the name
 * that mpg_repair gives it), which is removed then. Also after a repair that was cut short.
 * Errors: CHANGED (the file was written to since: nothing happens), EXISTS (that is no undo file,
 * or not whole), BUSY, LOCAL_LOCK, NO_MEMORY, IO (also: there is no such file).
 * Thread safety: any thread; it has files of its own.
 * Durability: the file is durable when this returns; after a crash it can be done again.
 */
MPG_API MPG_MUST_CHECK int mpg_repair_undo(const char *path, const char *undo);

#ifdef __cplusplus
}
#endif

#endif
