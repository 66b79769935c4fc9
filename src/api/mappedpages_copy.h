/* SPDX-License-Identifier: MIT */
/*
 * Copies of page files, made while they are in use.
 *
 *     if (mpg_copy(NULL, "live.mpp", "backup.mpp", NULL) != 0)
 *         …
 *
 * What a copy shows
 *
 *   - One state that was committed, of allocation and protected pages, while another process may go
 *     on committing. Never a part of a transaction.
 *   - Of regular pages at least what was synced when the copying began. They are memory: what is
 *     written to them meanwhile may be in the copy or not.
 *   - The same ids of both kinds, the same page size, the same label; of format 1, a UUID of its
 *     own, unless MPG_COPY_SAME_UUID is set.
 *   - Free pages take no disk space in it.
 */
#ifndef MAPPEDPAGES_COPY_H
#define MAPPEDPAGES_COPY_H

#include "mappedpages.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mpg_copy_flags {
    /*
     * The copy has the UUID of the file, as if it had been moved. Two files of one UUID cannot be
     * told apart by it. Of no effect where either has none (format 0.2).
     */
    MPG_COPY_SAME_UUID = 1 << 0,
    /*
     * The copy is no longer than it need be, as after mpg_compact: all ids stay, regular pages are
     * where they were, contents of protected pages before them, and there are hardly more free
     * pages than those need.
     */
    MPG_COPY_COMPACT = 1 << 1,
    /*
     * `to` may exist, as an older copy of the file: then it is brought up to date. Another copy
     * takes its place, in one step, with its UUID, owner and mode: whoever is killed meanwhile
     * leaves the older one as it was. Where the host filesystem can clone files only what differs
     * is written; elsewhere all is. See mpg_copy.
     */
    MPG_COPY_UPDATE = 1 << 2,
    /*
     * With that: whatever page file `to` is, so it is of the format and the page size, it is
     * replaced.
     */
    MPG_COPY_FORCE = 1 << 3,
};

/* How to copy. Begin with MPG_COPY_OPTIONS_INIT. */
typedef struct mpg_copy_options {
    size_t size;    /* sizeof(mpg_copy_options) */
    unsigned flags; /* enum mpg_copy_flags */
    int format;     /* MPG_FORMAT_… of the copy; MPG_FORMAT_DEFAULT: as the file */
    /*
     * Bytes of contents that were read; those that change while they are copied are read again, and
     * counted again. False: there is no copy.
     */
    mpg_progress progress;
    void *context; /* the first argument of `progress` */
    /*
     * 16 bytes that are to be the UUID of the copy, whatever the flags say; NULL: as they say. Of
     * no effect on one of format 0.2, which has none.
     */
    const uint8_t *uuid;
} mpg_copy_options;

#define MPG_COPY_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(mpg_copy_options), 0, 0, NULL, NULL, NULL                                           \
    }

/* What was copied. */
typedef struct mpg_copy_result {
    uint64_t regular_pages;   /* in the copy */
    uint64_t protected_pages; /* in the copy */
    uint64_t generation;      /* of the file: the commit whose state the copy shows */
    uint64_t bytes;           /* of contents that were read */
    uint64_t written;         /* … and that were written; metadata not counted */
    uint64_t held;            /* nanoseconds for which a writer was kept waiting at most */
    unsigned passes;          /* how often what had changed meanwhile was copied */
    bool cloned;              /* the host filesystem made it, sharing disk space */
    bool updated;             /* it took the place of an older one */
} mpg_copy_result;

/*
 * Makes `to`, which must not exist (MPG_E_EXISTS), a copy of the page file `from`, while others may
 * read and write that. It appears under its name whole and durable, or not at all. *result is
 * untouched on error; NULL: nobody asks.
 *
 * With MPG_COPY_UPDATE `to` may be an older copy of the file, which nobody has open for writing
 * (MPG_E_BUSY), of the same format, unless options->format says so, and page size. What is known to
 * be one: a file of format 1 that has the same UUID, or one that mpg_copy gave to a copy of this
 * file; of format 0.2, which has none, one of whose pages most are what this file has there.
 * Anything else is MPG_E_EXISTS, and stays as it was. Hard links keep the older one. The copy needs
 * disk space of its own until it has replaced the other, but for what a filesystem that clones
 * shares. If there is nothing of that name it is made as ever. A process that is killed may leave a
 * file by the name of .mappedpages- and a number beside it, which is of no use.
 *
 * A writer of this library, in whatever process, is kept waiting at one commit, once, for no more
 * than 20 ms; one of another make, which does not take turns, not at all.
 *
 * Errors: those of mpg_open_readonly and mpg_create. MPG_E_FILE_FULL and MPG_E_DIRECTORY_FULL:
 * format 0.2 cannot hold so much. MPG_E_CORRUPT_PAGE and the like: the file is damaged, and there
 * is no copy; MPG_E_STALE: so much is written to the file that no state of it could be had.
 * MPG_E_CANCELLED: `progress` said so. MPG_E_INVALID: a flag or a format that there is not, or an
 * older copy of another one. MPG_E_UNSUPPORTED: with MPG_COPY_UPDATE, no file can take the place of
 * another one there.
 *
 * Thread safety: any thread, also one that has `from` open. Durability: the copy is durable, with
 * its name, when the call returns 0, but for what mpg_stat says of names (name_unsure).
 */
MPG_API MPG_MUST_CHECK int mpg_copy(mpg_copy_result *result, const char *from, const char *to,
                                    const mpg_copy_options *options);

#ifdef __cplusplus
}
#endif

#endif
