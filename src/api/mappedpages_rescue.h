/* SPDX-License-Identifier: MIT */
/*
 * Saving what can still be read of a damaged page file into a new one.
 *
 *     mpg_rescue_options how = MPG_RESCUE_OPTIONS_INIT;
 *
 *     how.note = tell;
 *     if (mpg_rescue(&result, "damaged.mpp", "saved.mpp", &how) != 0)
 *         ...
 *
 * mappedpages_repair.h mends a file where it is.
 */
#ifndef MAPPEDPAGES_RESCUE_H
#define MAPPEDPAGES_RESCUE_H

#include "mappedpages.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Something that mpg_rescue found damaged, lost, or in doubt. */
typedef struct mpg_rescue_note {
    const char *name;    /* stable: "superblock", "root", … see mappedpages_rescue(3) */
    uint64_t page;       /* page of the file, or MPG_NO_PAGE; "older", "lost": protected page */
    const char *message; /* one sentence; valid during the call */
} mpg_rescue_note;

typedef struct mpg_rescue_options {
    size_t size; /* sizeof(mpg_rescue_options), set by MPG_RESCUE_OPTIONS_INIT */
    /* Hears of each note. May be NULL. */
    void (*note)(void *context, const mpg_rescue_note *note);
    mpg_progress progress; /* pages that were looked at, and pages copied; false: nothing is made */
    void *context;         /* the first argument of both */
} mpg_rescue_options;

#define MPG_RESCUE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(mpg_rescue_options), NULL, NULL, NULL                                               \
    }

/* What mpg_rescue has saved. */
typedef struct mpg_rescue_result {
    int format;               /* MPG_FORMAT_… of both files */
    uint32_t page_size;       /* of both, in bytes */
    uint64_t pages;           /* of the source */
    uint64_t regular_saved;   /* regular pages that the space map of the source has */
    uint64_t regular_adopted; /* pages of unknown use that were taken for regular ones */
    uint64_t orphans;         /* of these: contents of protected pages whose ids are lost */
    uint64_t regular_damaged; /* of both: pages of which a part could not be read, zeros now */
    uint64_t regular_lost;    /* regular pages behind the end of the source */
    uint64_t protected_saved; /* protected pages, with a content that its checksum proves */
    uint64_t protected_older; /* of these: the content may be an older one */
    uint64_t protected_lost;  /* known, but no content of it is whole */
    uint64_t notes;           /* how often `note` was called, or would have been */
} mpg_rescue_result;

/*
 * Makes a new page file at `destination` of what can still be read of the damaged one at `source`,
 * which need not even open and is never written: same format, page size and label, and the ids
 * kept. Looks at every page for what proves itself by checksums, and takes the newest of it. A
 * protected page gets a content only if its checksum holds. The destination has a UUID of its own,
 * and appears under its name when it is whole and durable, as with mpg_create; if the process is
 * killed before that, there is none. Takes memory as the metadata needs it: a hundred bytes a
 * protected page, a few bits a page. `options` may be NULL.
 * Errors: CORRUPT_SUPERBLOCK (nothing in the source proves that it was a page file), BUSY (somebody
 * writes to the source), EXISTS, CANCELLED (by `progress`), INVALID (size of the options),
 * FILE_FULL, NO_SPACE, NO_MEMORY, IO. Then there is no destination. Damage of the source is no
 * error: see the result.
 * Thread safety: any thread; it has files of its own.
 * Durability: the destination is durable when this returns.
 */
MPG_API MPG_MUST_CHECK int mpg_rescue(mpg_rescue_result *result, const char *source,
                                      const char *destination, const mpg_rescue_options *options);

#ifdef __cplusplus
}
#endif

#endif
