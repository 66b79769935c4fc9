/* SPDX-License-Identifier: MIT */
/*
 * mappedpages: a crash-consistent, memory-mapped store of fixed-size pages in one file.
 *
 * A page file holds two kinds of page, each `page_size` bytes (a power of two, 1 KiB to 1 GiB):
 *
 *   regular pages    named by an mpg_page_id, which is their position in the file. Their allocation
 *                    is durable when mpg_alloc returns; their content is yours, like memory, and is
 *                    durable after mpg_page_sync or mpg_sync.
 *   protected pages  named by an mpg_protected_id. They exist in two copies with a checksum;
 *                    content changes only by a commit, which is atomic: after a crash a protected
 *                    page shows its last committed content, whole.
 *
 * Manner
 *
 *   - A function that can fail returns int: 0, or one of the negative MPG_E_ values. Results go
 *     through out-parameters, which come first and stay untouched on error. mpg_last_error() has
 *     the details of this thread's last failure.
 *   - "Durable" means: a crash of the process, the kernel or the power loses nothing of it.
 *   - Unless a function says otherwise it may be called from any number of threads at once on one
 *     pager, and a pointer passed in is only used during the call.
 *   - A pager opened read-only is const: what changes the file does not compile with it.
 *   - What makes something durable waits for a commit, and besides its own errors has those of a
 *     commit: NO_SPACE, NO_MEMORY, IO, UNAVAILABLE, CHANGED. What looks at metadata can meet damage
 *     there (CORRUPT_METADATA, CORRUPT_PROTECTED_DIRECTORY, TRUNCATED), NO_MEMORY and IO, CHANGED,
 *     and on a pager opened read-only STALE. That is not said again at each function.
 *   - A function that may take long tells how far it is, and is asked to stop, by an mpg_progress.
 *   - No function may be called on a pager from within a callback of a call on it, or from a signal
 *     handler. The callbacks of mappedpages_async.h may call what that header says.
 *
 * Caveats
 *
 *   - A pager does not survive fork(): the child must not use it, not even to close it. Until the
 *     child ends or calls exec it keeps the file locked.
 *   - Content reached by pointer (mpg_page_get, mpg_page_get_mut, mpg_protected_view) is the file's
 *     memory map. A disk error below such a pointer arrives as SIGBUS, as with any map, and so does
 *     access to what somebody has cut off the file; the functions that copy return MPG_E_IO or
 *     MPG_E_TRUNCATED instead.
 *   - After a failed sync nobody knows what the disk holds. The pager then refuses to change
 *     anything (MPG_E_UNAVAILABLE): close it and open the file again.
 *   - The lock is advice, and binds only who asks for it. So a pager looks before and after each
 *     commit whether the file is still what it left. Where somebody has cut it, copied something
 *     over it or written to it by another way, nothing more is written, closing included, and
 *     nothing acknowledged: MPG_E_CHANGED. What was acknowledged before is in what they replaced.
 */
#ifndef MAPPEDPAGES_H
#define MAPPEDPAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MPG_API __attribute__((visibility("default")))
#define MPG_MUST_CHECK __attribute__((warn_unused_result))
#else
#define MPG_API
#define MPG_MUST_CHECK
#endif

/* ---- Types ---------------------------------------------------------------------------------- */

/* An open page file. Opened by mpg_create, mpg_open or mpg_open_readonly, ended by mpg_close. */
typedef struct mpg_pager mpg_pager;

/*
 * Names a regular page: its position in the file, counted in pages. 0, 1 and 2 are never regular.
 */
typedef struct mpg_page_id {
    uint64_t value;
} mpg_page_id;

/* Names a protected page: a number of its own, from 0, that stays while its contents move. */
typedef struct mpg_protected_id {
    uint64_t value;
} mpg_protected_id;

/*
 * How far a function has come that may take long: called now and then, in the caller's thread, with
 * how much of about how much is done, in units of its own; `total` may change. Returns whether to
 * go on: if not, the function ends with MPG_E_CANCELLED. NULL: nobody asks.
 */
typedef bool (*mpg_progress)(void *context, uint64_t done, uint64_t total);

/* The smallest and the largest page size, in bytes. A page size is a power of two. */
#define MPG_PAGE_SIZE_MIN 1024u
#define MPG_PAGE_SIZE_MAX (1u << 30)
#define MPG_PAGE_SIZE_DEFAULT 4096u

/* File formats: the `mappedpages` crate's, and the one that scales. */
#define MPG_FORMAT_DEFAULT 0
#define MPG_FORMAT_0_2 2
#define MPG_FORMAT_1 100

/* Longest label of a file in bytes, without a terminator. */
#define MPG_LABEL_MAX 64

/* ---- Errors --------------------------------------------------------------------------------- */

enum mpg_error {
    MPG_OK = 0,
    MPG_E_IO = -1,                          /* the operating system reported an error */
    MPG_E_INVALID_PAGE_SIZE = -2,           /* not a power of two, too small, or not the file's */
    MPG_E_CORRUPT_SUPERBLOCK = -3,          /* page 0 is not that of a page file */
    MPG_E_CORRUPT_METADATA = -4,            /* neither state of the metadata can be trusted */
    MPG_E_OUT_OF_BOUNDS = -5,               /* an id or a range beyond the end */
    MPG_E_RESERVED_PAGE = -6,               /* pages 0, 1 and 2 belong to the file itself */
    MPG_E_DOUBLE_FREE = -7,                 /* the page to free is free already */
    MPG_E_UNAVAILABLE = -8,                 /* an earlier sync failed: close, and open again */
    MPG_E_CORRUPT_PROTECTED_DIRECTORY = -9, /* the directory of protected pages is damaged */
    MPG_E_CORRUPT_DIRECTORY_INDEX = -10,    /* format 0.2: page 0's index of it is damaged */
    MPG_E_DIRECTORY_FULL = -11,             /* the format has no room for one more protected page */
    MPG_E_BUSY = -12,                       /* the file is locked, or the page is in use */
    MPG_E_EXISTS = -13,                     /* the file, or a page of that id, is there already */
    MPG_E_NOT_ALLOCATED = -14,              /* no such page */
    MPG_E_NOT_REGULAR = -15,                /* the id names a page the file uses internally */
    MPG_E_FILE_FULL = -16,                  /* the format has no room for one more page */
    MPG_E_NO_SPACE = -17,                   /* the host filesystem is full */
    MPG_E_TRUNCATED = -18,                  /* the file is shorter than its metadata says */
    MPG_E_UNSUPPORTED_VERSION = -19,        /* made by a newer version, or by none */
    MPG_E_READ_ONLY = -20,                  /* the file, or this way of opening it, is read-only */
    MPG_E_CORRUPT_PAGE = -21,               /* a protected page does not match its checksum */
    MPG_E_NO_MEMORY = -22,                  /* memory or address space ran out */
    MPG_E_INVALID = -23,                    /* an argument makes no sense */
    MPG_E_STALE = -24,                      /* read-only: the state seen was overwritten: refresh */
    MPG_E_CANCELLED = -25,                  /* a callback said so; async: before it was begun */
    MPG_E_CHANGED = -26,                    /* somebody else changed the file: close, and look */
    MPG_E_LOCAL_LOCK = -27,                 /* a lock there does not keep others out */
    MPG_E_UNSUPPORTED = -28,                /* the format of the file has nothing of the kind */
};

/* Details of a failure. Fields that do not apply hold 0, or MPG_NO_PAGE. */
#define MPG_NO_PAGE UINT64_MAX
typedef struct mpg_error_info {
    int code;              /* MPG_E_… */
    int system_errno;      /* errno of the failed system call, or 0 */
    uint64_t page;         /* the page, or the protected page, it is about, or MPG_NO_PAGE */
    bool has_crc;          /* whether the next two say something */
    uint32_t expected_crc; /* the checksum that was recorded */
    uint32_t found_crc;    /* the checksum of what is there */
    char operation[32];    /* what was being done: "open", "alloc", "pwrite", … */
    char message[384];     /* one sentence for a person: file, page, what was expected */
} mpg_error_info;

/*
 * The English name of an error code, for instance "file full". Never NULL; static storage.
 * Thread safety: any thread, any time.
 */
MPG_API const char *mpg_strerror(int code);

/*
 * Whether an error code says that the file is damaged (or is no page file at all), so that trying
 * again is of no use: the MPG_E_CORRUPT_… codes and MPG_E_TRUNCATED.
 * Thread safety: any thread, any time.
 */
MPG_API bool mpg_is_damage(int code);

/*
 * Details of the last failure of any function of this library in the calling thread, for asking
 * right after it: a function that succeeds does not reset them, and may change them. Returns
 * info->code, 0 if nothing has failed yet. Thread safety: any thread, any time.
 */
MPG_API int mpg_last_error(mpg_error_info *info);

/* The version of the library that runs (the header's own is in MPG_VERSION_…). */
#define MPG_VERSION_MAJOR 1
#define MPG_VERSION_MINOR 0
#define MPG_VERSION_PATCH 0
MPG_API void mpg_version(int *major, int *minor, int *patch);

/* ---- Files ---------------------------------------------------------------------------------- */

enum mpg_option_flags {
    /* mpg_open_readonly: keep writers out while it is open (and fail with BUSY if there is one). */
    MPG_LOCK_SHARED = 1u << 0,
    /*
     * mpg_create, mpg_open: mpg_alloc…, mpg_free… of regular and protected pages return when they
     * are applied and visible, and become durable with the next commit of anything: mpg_sync,
     * mpg_page_sync, a protected write, a transaction, an asynchronous request, mpg_close; or by
     * themselves when 65536 have gathered. A crash before that, or a failure of that commit, takes
     * back all of those since the last one, never part of one.
     */
    MPG_DEFER_ALLOCATION = 1u << 1,
    /*
     * mpg_create, mpg_open: grow the file without reserving disk space. A full disk may then show
     * itself as SIGBUS on access through a pointer; functions that copy return MPG_E_NO_SPACE.
     */
    MPG_SPARSE = 1u << 2,
    /*
     * mpg_open: if there is no such file, or an empty one, make it as mpg_create does. Of two that
     * do so at once one makes it, and the other opens it (or finds it BUSY).
     */
    MPG_CREATE = 1u << 3,
    /*
     * mpg_create, mpg_open: write also where a lock does not keep others out who come to the file
     * from another machine or by another path: sshfs, s3backer, nbdfuse, bindfs and other
     * filesystems in user space that are there for that, all of them that do not say what they are
     * (type fuse), virtiofs, 9p, NFS with local_lock, SMB with nobrl. It is for who knows that
     * nobody does; a change by somebody else is noticed all the same (MPG_E_CHANGED), but what it
     * takes with it is gone. On a filesystem in user space of a kind that is not known it is not
     * needed; lock_unsure in mpg_stat is true there.
     */
    MPG_LOCAL_LOCK = 1u << 4,
    /*
     * mpg_create, mpg_open: the disk space of pages that are freed goes back to the filesystem as
     * commits make that durable, as mpg_trim does it for all that is free. Costs a system call a
     * run of pages, made by the thread that commits after its commit; where the filesystem cannot
     * do it nothing happens.
     */
    MPG_DISCARD = 1u << 5,
};

typedef struct mpg_options {
    size_t size;            /* sizeof(mpg_options), set by MPG_OPTIONS_INIT */
    uint32_t page_size;     /* bytes; create: 0 = 4096; open: 0 = whatever the file has */
    int format;             /* create: MPG_FORMAT_…, 0 = MPG_FORMAT_1; not used by open */
    uint64_t initial_pages; /* create: pages the file has at first; fewer than 4 stands for 4 */
    const char *label;      /* create, format 1: UTF-8, at most MPG_LABEL_MAX bytes; may be NULL */
    uint64_t address_space; /* bytes the map may take, reserved at once; 0 = as the file needs */
    size_t cache_size;      /* format 1: bytes of metadata kept in memory; 0 = 4 MiB */
    unsigned flags;         /* enum mpg_option_flags */
} mpg_options;

#define MPG_OPTIONS_INIT                                                                           \
    {                                                                                              \
        sizeof(mpg_options), 0, 0, 0, NULL, 0, 0, 0                                                \
    }

/*
 * Makes a new page file and opens it for writing. Fails if `path` exists.
 * `options` may be NULL for all defaults. The pager belongs to the caller, who ends it with
 * mpg_close.
 * Errors: EXISTS, INVALID_PAGE_SIZE, INVALID (size of the options, format, label), FILE_FULL
 * (initial_pages beyond the format), READ_ONLY (permissions), LOCAL_LOCK (see MPG_LOCAL_LOCK),
 * NO_SPACE, NO_MEMORY, IO. On error no file is left behind.
 * The file appears under its name whole, or not at all, also if the process dies meanwhile. Where a
 * filesystem can neither make files without a name, nor link, nor rename without replacing, its
 * name may then stand for an unfinished file, which mpg_create, or mpg_open with MPG_CREATE, makes
 * anew.
 * Durability: the file is durable when this returns, and so is its name, unless name_unsure in
 * mpg_stat says that its directory cannot be synced.
 */
MPG_API MPG_MUST_CHECK int mpg_create(mpg_pager **pager, const char *path,
                                      const mpg_options *options);

/*
 * Opens a page file for writing, recovers it if it was not closed, and locks it. It must be there,
 * unless MPG_CREATE is set.
 * Errors: BUSY at once if another process or pager has it open for writing or keeps writers out;
 * INVALID_PAGE_SIZE if options->page_size is set and is not the file's; CORRUPT_SUPERBLOCK,
 * CORRUPT_METADATA, CORRUPT_DIRECTORY_INDEX, CORRUPT_PROTECTED_DIRECTORY, CORRUPT_PAGE, TRUNCATED,
 * UNSUPPORTED_VERSION, READ_ONLY (permissions, or a feature that can only be read), LOCAL_LOCK (see
 * MPG_LOCAL_LOCK), INVALID (size of the options, flags), NO_SPACE, NO_MEMORY, IO (also a file that
 * is not there: system_errno is ENOENT); with MPG_CREATE, those of mpg_create but EXISTS.
 * Durability: what was found, or made, is durable when this returns; only where the disk is so full
 * that it could not be written once more (a copy on a filesystem that writes to new places), by the
 * first change, NO_SPACE until then.
 */
MPG_API MPG_MUST_CHECK int mpg_open(mpg_pager **pager, const char *path,
                                    const mpg_options *options);

/*
 * Opens a page file for reading: any number of times, also while one writer has it open. It shows
 * the last committed state at the time of opening; mpg_refresh moves on to a newer one. Changes
 * nothing. In another process than the writer's "committed" means written out whole; that may be a
 * moment before it is durable and the writer is told so. What a loss of power then takes back was
 * seen.
 * Errors: as mpg_open; BUSY only with MPG_LOCK_SHARED; STALE if the writer commits faster than the
 * file can be read: try again.
 */
MPG_API MPG_MUST_CHECK int mpg_open_readonly(const mpg_pager **pager, const char *path,
                                             const mpg_options *options);

/*
 * For a pager opened read-only: moves on to the newest committed state. Pointers stay valid.
 * Errors: as mpg_open_readonly; CHANGED if another page file was copied over it; on error it still
 * shows the old state, or one that was committed since. INVALID on a pager open for writing.
 */
MPG_API MPG_MUST_CHECK int mpg_refresh(const mpg_pager *pager);

/*
 * Commits what is deferred, and notes (format 1, with a sync of its own, where the last commit did
 * not) that the last commit was whole, so that what goes bad later is reported and not taken for a
 * commit cut short. Releases the lock, the map and all memory. Frees the pager in any case.
 * Open writers, views, transactions and iterators of it must have ended before. NULL is allowed.
 * Errors: what that commit met, CHANGED, NO_MEMORY, IO. A pager that is unavailable, or was told
 * that somebody else has changed the file, closes without an error and writes nothing: whoever met
 * it was told.
 * Thread safety: no other call on this pager may be running or follow.
 * Durability: as mpg_sync for allocations; content of regular pages only if mpg_sync was called.
 */
MPG_API int mpg_close(const mpg_pager *pager);

/* Everything there is to know about an open file. */
struct mpg_stat {
    size_t size;        /* set by the caller to sizeof(struct mpg_stat) */
    int format;         /* MPG_FORMAT_… */
    int version[4];     /* the four version bytes of the superblock */
    uint32_t page_size; /* bytes */
    bool read_only;     /* this pager cannot write */
    /*
     * This pager made the file, and its directory could not be synced (for lack of permission, or
     * as the filesystem does not do it): after a loss of power the name may be gone.
     */
    bool name_unsure;
    /*
     * This pager can write, and its lock may not keep out who comes to the file by another path or
     * from another machine: it lies on a filesystem in user space of a kind that is not known, or
     * MPG_LOCAL_LOCK was given. What somebody else changes is noticed before each commit
     * (MPG_E_CHANGED).
     */
    bool lock_unsure;
    uint64_t total_pages;    /* pages the file has, the three of its own included */
    uint64_t free_pages;     /* of these; format 1 keeps as many for contents as are protected */
    uint64_t regular_pages;  /* of these */
    uint64_t metadata_pages; /* of these: pages 0, 1, 2 and what holds trees or directory */
    uint64_t
        protected_pages;    /* protected pages in use; each takes a page of the file, in 0.2 two */
    uint64_t max_pages;     /* most pages the format can hold at this page size */
    uint64_t max_protected; /* most protected pages it can hold */
    uint64_t generation;    /* number of the last commit */
    uint64_t file_bytes;    /* length of the file */
    uint64_t features[3];   /* format 1: flags compatible, read-only compatible, incompatible */
    uint64_t created;       /* format 1: seconds since the epoch; else 0 */
    unsigned space_height;  /* format 1: height of the space tree */
    unsigned directory_height; /* format 1: height of the directory tree */
    uint8_t uuid[16];          /* format 1; else zero */
    char label[MPG_LABEL_MAX + 1];
};

/* Fills *st. Errors: INVALID (size), no other. */
MPG_API MPG_MUST_CHECK int mpg_stat(struct mpg_stat *st, const mpg_pager *pager);

/*
 * What a pager has done since it was opened: numbers that only grow. What opening itself read and
 * wrote is not in them, and what goes through the map is seen by nobody. Times in nanoseconds.
 */
struct mpg_counters {
    size_t size;                  /* set by the caller to sizeof(struct mpg_counters) */
    uint64_t time;                /* since it was opened */
    uint64_t commits;             /* batches that became durable */
    uint64_t failed_commits;      /* batches that did not */
    uint64_t operations;          /* operations and transactions in those that did */
    uint64_t largest_commit;      /* most operations of one */
    uint64_t commit_time;         /* that they took, waits for a copy included */
    uint64_t longest_commit;      /* … and the longest of them */
    uint64_t checkpoints;         /* format 1: commits that wrote metadata to its place */
    uint64_t syncs;               /* of the file; also of content alone, as mpg_sync makes them */
    uint64_t sync_time;           /* that they took */
    uint64_t reads;               /* system calls that read */
    uint64_t bytes_read;          /* … and how much */
    uint64_t writes;              /* system calls that wrote */
    uint64_t bytes_written;       /* … and how much */
    uint64_t bytes_grown;         /* by which the file became longer */
    uint64_t pages_allocated;     /* regular pages, in durable batches, as the next four */
    uint64_t pages_freed;         /* regular pages */
    uint64_t protected_allocated; /* protected pages */
    uint64_t protected_freed;     /* protected pages */
    uint64_t protected_written;   /* contents of protected pages */
    uint64_t waits;               /* commits that waited for a copy (mpg_copy) to take its turn */
    uint64_t wait_time;           /* that they waited */
    uint64_t longest_wait;        /* … and the longest of those waits */
};

/*
 * Fills *counters. Costs no more than mpg_stat, and the counting no lock. Of a pager opened
 * read-only only what is about reading counts.
 * Errors: INVALID (size), no other.
 * Thread safety: any thread, any time; what threads do meanwhile may be counted in one number and
 * not yet in another.
 */
MPG_API MPG_MUST_CHECK int mpg_counters(struct mpg_counters *counters, const mpg_pager *pager);

/*
 * Gives the file another label, UTF-8 of at most MPG_LABEL_MAX bytes; NULL or "": none. Waits for
 * its turn among commits.
 * Errors: INVALID (it is too long; format 0.2 has none), READ_ONLY, UNAVAILABLE, CHANGED,
 * CORRUPT_SUPERBLOCK, IO.
 * Durability: durable on return. A crash leaves the old label or the new one.
 */
MPG_API MPG_MUST_CHECK int mpg_set_label(mpg_pager *pager, const char *label);

/* The page size in bytes. Cannot fail. */
MPG_API size_t mpg_page_size(const mpg_pager *pager);

/*
 * The descriptor of the open file, the pager's own until it is closed. For asking about the very
 * file that was opened, whatever its path names by now (fstat, fstatfs), and nothing else: not for
 * reading, writing, locking, duplicating or closing it. It is close-on-exec and above 2. Cannot
 * fail.
 */
MPG_API int mpg_descriptor(const mpg_pager *pager);

/*
 * Makes everything written so far durable: content of regular pages and deferred allocations.
 * Errors: those of a commit: NO_SPACE, NO_MEMORY, IO, UNAVAILABLE (an earlier sync failed), CHANGED
 * (somebody else has changed the file). If it was the sync or the writing of the root that failed,
 * the pager is unavailable from then on.
 */
MPG_API MPG_MUST_CHECK int mpg_sync(mpg_pager *pager);

/* ---- Regular pages -------------------------------------------------------------------------- */

enum mpg_alloc_flags {
    MPG_ZERO = 1u << 0, /* the page reads as zeros; without it, as whatever was there before */
};

/*
 * Allocates the free page with the lowest id (pages freed by the last commit come last, and in
 * format 1 those that records of recent commits are in later yet), growing the file if there is
 * none. `flags`: 0 or MPG_ZERO.
 * Errors: FILE_FULL, NO_SPACE, NO_MEMORY, CORRUPT_METADATA, UNAVAILABLE, CHANGED, IO, INVALID (an
 * unknown flag); then nothing changed, but that the file may have grown, and that after a failed
 * sync nobody knows.
 * Durability: durable on return (see MPG_DEFER_ALLOCATION). With MPG_ZERO the zeros are, too.
 */
MPG_API MPG_MUST_CHECK int mpg_alloc(mpg_page_id *id, mpg_pager *pager, unsigned flags);

/*
 * Allocates the page of a given id, growing the file to hold it.
 * Errors: those of mpg_alloc; RESERVED_PAGE, EXISTS (allocated already), NOT_REGULAR (in internal
 * use; in format 1 the content of a protected page goes elsewhere instead), FILE_FULL (beyond what
 * the format holds), BUSY (an open transaction holds it, a view shows what is or was there, or
 * commits of others got in the way too often).
 * Durability: as mpg_alloc.
 */
MPG_API MPG_MUST_CHECK int mpg_alloc_at(mpg_pager *pager, mpg_page_id id, unsigned flags);

/*
 * Frees a regular page. Its id may be given out again once this has returned.
 * Errors: RESERVED_PAGE, OUT_OF_BOUNDS, DOUBLE_FREE, NOT_REGULAR, and those of a commit; then as
 * mpg_alloc.
 * Durability: as mpg_alloc.
 */
MPG_API MPG_MUST_CHECK int mpg_free(mpg_pager *pager, mpg_page_id id);

/* `count` pages at once into ids[0…count-1]: all or none, one commit. Otherwise as mpg_alloc. */
MPG_API MPG_MUST_CHECK int mpg_alloc_bulk(mpg_page_id *ids, mpg_pager *pager, size_t count,
                                          unsigned flags);

/* Frees `count` pages: all or none, one commit. An id that is there twice is a DOUBLE_FREE. */
MPG_API MPG_MUST_CHECK int mpg_free_bulk(mpg_pager *pager, const mpg_page_id *ids, size_t count);

/*
 * A pointer to the page's content in the map, page_size bytes, valid until the page is freed or the
 * pager closed; the file may grow meanwhile. Pages that follow each other in the file need not do
 * so in memory. Errors: RESERVED_PAGE, OUT_OF_BOUNDS, NOT_ALLOCATED, NOT_REGULAR, NO_MEMORY (no
 * address space is left for the page, or it lies beyond options->address_space); mut: NO_SPACE (the
 * file came with a hole there, and the disk is full; not with MPG_SPARSE).
 * Durability (mut): what is written there is durable after mpg_page_sync or mpg_sync.
 */
MPG_API MPG_MUST_CHECK int mpg_page_get(const void **data, const mpg_pager *pager, mpg_page_id id);
MPG_API MPG_MUST_CHECK int mpg_page_get_mut(void **data, mpg_pager *pager, mpg_page_id id);

/*
 * Copies `length` bytes at `offset` of the page out of, or into, the file. offset + length may not
 * exceed the page size, and no address space is needed. Errors: as mpg_page_get, but NO_MEMORY;
 * OUT_OF_BOUNDS (range), TRUNCATED (somebody has cut the file before the page's end), IO; writing,
 * NO_SPACE, CHANGED (somebody else has changed the file).
 * Durability (write): after mpg_page_sync or mpg_sync.
 */
MPG_API MPG_MUST_CHECK int mpg_page_read(void *data, const mpg_pager *pager, mpg_page_id id,
                                         size_t offset, size_t length);
MPG_API MPG_MUST_CHECK int mpg_page_write(mpg_pager *pager, mpg_page_id id, const void *data,
                                          size_t offset, size_t length);

/*
 * Gives a page that is in use a new content as a whole: the `length` bytes at `data`, at most a
 * page, and zeros behind them (replace); or the content of another page, which is freed (move).
 * Pointers to the page stay as they are and show it. Takes two syncs and is a commit of its own,
 * for which operations of other threads wait; it waits for those before it. Needs a free page while
 * it is at work. Meanwhile nobody should write to the page by other means; who reads it may see a
 * part of the new content, but not after a crash.
 * Errors: as mpg_page_get and mpg_free; OUT_OF_BOUNDS (length), INVALID (a page moved to itself),
 * FILE_FULL, NO_SPACE, UNSUPPORTED (format 0.2 has no way for it), BUSY (views and transactions
 * hold the free pages).
 * Durability: on return. After a crash there is all of the new content or all of the old one, with
 * the other page free or not.
 */
MPG_API MPG_MUST_CHECK int mpg_page_replace(mpg_pager *pager, mpg_page_id id, const void *data,
                                            size_t length);
MPG_API MPG_MUST_CHECK int mpg_page_move(mpg_pager *pager, mpg_page_id from, mpg_page_id to);

/*
 * Makes the content of one page durable: it is mpg_sync, after a look whether there is such a page.
 * Errors: as mpg_sync; RESERVED_PAGE, OUT_OF_BOUNDS, NOT_ALLOCATED, NOT_REGULAR.
 */
MPG_API MPG_MUST_CHECK int mpg_page_sync(mpg_pager *pager, mpg_page_id id);

/* What a page of the file is used for. */
enum mpg_page_use {
    MPG_USE_FREE = 0,
    MPG_USE_REGULAR = 1,
    MPG_USE_PROTECTED = 2, /* the content of a protected page; in format 0.2 one of two copies */
    MPG_USE_METADATA = 3,  /* the file's own */
};

/* What page number `page` of the file is used for. Errors: OUT_OF_BOUNDS, and damage. */
MPG_API MPG_MUST_CHECK int mpg_page_use(enum mpg_page_use *use, const mpg_pager *pager,
                                        uint64_t page);

/*
 * The same for `count` pages from `first` on, into uses[0…count-1] as enum mpg_page_use, much
 * faster than one by one. What lies beyond the last page is FREE. Some thousands of pages are
 * looked at at a time; between those a commit may come. On error what uses[] holds is undefined.
 * Errors: STALE, and damage.
 *
 * Thread safety: any thread; waits for no commit's sync.
 */
MPG_API MPG_MUST_CHECK int mpg_page_uses(unsigned char *uses, const mpg_pager *pager,
                                         uint64_t first, size_t count);

/*
 * Copies any page of the file as it stands, whatever it is used for: for looking at it, nothing
 * else. No checksum is checked; a commit may be half-way through it. Errors: OUT_OF_BOUNDS,
 * TRUNCATED, IO.
 */
MPG_API MPG_MUST_CHECK int mpg_raw_read(void *data, const mpg_pager *pager, uint64_t page);

/* ---- Protected pages ------------------------------------------------------------------------ */

/*
 * Allocates the protected page with the lowest free id (those freed since the last commit, see
 * MPG_DEFER_ALLOCATION, may come later). Its content is zeros.
 * Errors: DIRECTORY_FULL and those of mpg_alloc; then nothing changed.
 * Durability: as mpg_alloc.
 */
MPG_API MPG_MUST_CHECK int mpg_alloc_protected(mpg_protected_id *id, mpg_pager *pager);

/*
 * The same for a given id. Errors besides: EXISTS, DIRECTORY_FULL if the format cannot hold that
 * id, BUSY (an open transaction holds it).
 */
MPG_API MPG_MUST_CHECK int mpg_alloc_protected_at(mpg_pager *pager, mpg_protected_id id);

/*
 * Frees a protected page. Errors: DOUBLE_FREE (there is none of that id), OUT_OF_BOUNDS (the format
 * cannot even hold that id), BUSY (a writer is open on it; in format 0.2 also a view), and those of
 * a commit.
 * Durability: as mpg_alloc.
 */
MPG_API MPG_MUST_CHECK int mpg_free_protected(mpg_pager *pager, mpg_protected_id id);

/* `count` at once: all or none, one commit. */
MPG_API MPG_MUST_CHECK int mpg_alloc_protected_bulk(mpg_protected_id *ids, mpg_pager *pager,
                                                    size_t count);
MPG_API MPG_MUST_CHECK int mpg_free_protected_bulk(mpg_pager *pager, const mpg_protected_id *ids,
                                                   size_t count);

/*
 * Copies the last committed content, page_size bytes, and checks it. Never waits for a commit.
 * Errors: NOT_ALLOCATED, CORRUPT_PAGE, STALE (read-only), IO.
 */
MPG_API MPG_MUST_CHECK int mpg_protected_read(void *data, const mpg_pager *pager,
                                              mpg_protected_id id);

/*
 * A pinned view of the last committed content in the map, without a copy; it does not change while
 * it is held, and in format 1 stands in nobody's way: what is committed meanwhile goes elsewhere.
 * In format 0.2 a commit or free that would overwrite what it shows fails with BUSY (one more
 * commit of that page works: it goes to the other copy). Ended by mpg_protected_release. The
 * content is checked when it is first seen after opening or after a commit, not each time. Any
 * number of views of one page may be held. A pager must be open for writing to have views.
 * Errors: as mpg_protected_read; NO_MEMORY (also: the reserved address space ends before the copy);
 * READ_ONLY; those of mpg_sync where the page's allocation, or its being freed and allocated anew,
 * is not durable yet, for then a view commits first.
 */
MPG_API MPG_MUST_CHECK int mpg_protected_view(const void **data, mpg_pager *pager,
                                              mpg_protected_id id);

/* Ends a view. `data` is what mpg_protected_view gave; NULL is allowed. */
MPG_API void mpg_protected_release(mpg_pager *pager, const void *data);

/* What the directory says of a protected page. */
typedef struct mpg_protected_info {
    uint64_t page[2];    /* where its content is; format 0.2: and the other copy, else 0 */
    unsigned current;    /* which of them holds the committed content: 0, in format 0.2 also 1 */
    uint64_t generation; /* format 1: the commit that last changed it; 0.2: how often it was */
    uint32_t crc;        /* CRC32 of the committed content */
} mpg_protected_info;

/* Errors: NOT_ALLOCATED, and damage. */
MPG_API MPG_MUST_CHECK int mpg_protected_stat(mpg_protected_info *info, const mpg_pager *pager,
                                              mpg_protected_id id);

/*
 * A writer stages a new content of one protected page in memory. One per page: a second gets BUSY.
 * A writer is used by one thread at a time.
 */
typedef struct mpg_writer mpg_writer;

/* Begins with the committed content. Errors: as mpg_protected_read; BUSY, NO_MEMORY, READ_ONLY. */
MPG_API MPG_MUST_CHECK int mpg_writer_open(mpg_writer **writer, mpg_pager *pager,
                                           mpg_protected_id id);

/* The staged content, page_size bytes, the caller's to change until commit or discard. */
MPG_API void *mpg_writer_data(mpg_writer *writer);

/*
 * Makes the staged content the committed one, atomically. On success the writer has ended; on error
 * it has not: try again, or discard. All of the page is replaced, also what a transaction committed
 * to it since the writer was opened. Errors: BUSY (in format 0.2 a view shows what this would
 * overwrite; in format 1 views and snapshots hold all pages that it would need; or commits of
 * others got in the way too often), and those of a commit. Durability: durable on return.
 */
MPG_API MPG_MUST_CHECK int mpg_writer_commit(mpg_writer *writer);

/* Ends the writer and forgets what it staged. NULL is allowed. */
MPG_API void mpg_writer_discard(mpg_writer *writer);

/* ---- Transactions --------------------------------------------------------------------------- */

/*
 * Any mix of operations that becomes durable as one, or not at all. Nobody else sees any of it
 * before the commit. Ids that a transaction allocates are its own from then on. A transaction is
 * used by one thread at a time; several may be open at once. Two that write the same bytes: the
 * later commit wins. The functions have the errors of their namesakes above; a failed one leaves
 * the transaction as it was. What others do meanwhile can still make the commit fail (a page to
 * free that is gone). A page to free or to write is the one that has its id at the commit, also if
 * others freed it meanwhile and it was given out again. What a transaction frees it cannot allocate
 * again (EXISTS). The file may have grown for a transaction that is aborted, and stays so.
 */
typedef struct mpg_txn mpg_txn;

MPG_API MPG_MUST_CHECK int mpg_txn_begin(mpg_txn **txn, mpg_pager *pager);

MPG_API MPG_MUST_CHECK int mpg_txn_alloc(mpg_page_id *id, mpg_txn *txn, unsigned flags);
MPG_API MPG_MUST_CHECK int mpg_txn_alloc_at(mpg_txn *txn, mpg_page_id id, unsigned flags);
MPG_API MPG_MUST_CHECK int mpg_txn_free(mpg_txn *txn, mpg_page_id id);

/*
 * Stages content of a regular page that this transaction allocated (else INVALID; see
 * mpg_txn_page_replace). What is not written is zeros. Such a commit takes two syncs: content
 * first, then what makes it reachable.
 */
MPG_API MPG_MUST_CHECK int mpg_txn_page_write(mpg_txn *txn, mpg_page_id id, const void *data,
                                              size_t offset, size_t length);

/*
 * A new content for a regular page that is in use, as mpg_page_replace gives it: the last one that
 * is staged for a page, and with everything else that the transaction does, all or nothing. What is
 * written to the page by other means until the commit is overwritten. Such a commit takes one sync
 * more, and operations of other threads wait for it. All new contents together come to 64 MiB at
 * most, or to one page; and one record must name them: it has room for 2,000 and 100 more changes.
 * Errors: as mpg_page_replace; NOT_ALLOCATED also for a page that the transaction frees or
 * allocates. The commit: NOT_ALLOCATED, NOT_REGULAR (freed meanwhile), UNSUPPORTED (too many).
 */
MPG_API MPG_MUST_CHECK int mpg_txn_page_replace(mpg_txn *txn, mpg_page_id id, const void *data,
                                                size_t length);

MPG_API MPG_MUST_CHECK int mpg_txn_alloc_protected(mpg_protected_id *id, mpg_txn *txn);
MPG_API MPG_MUST_CHECK int mpg_txn_alloc_protected_at(mpg_txn *txn, mpg_protected_id id);
MPG_API MPG_MUST_CHECK int mpg_txn_free_protected(mpg_txn *txn, mpg_protected_id id);

/*
 * Stages `length` bytes at `offset` of a protected page; none, if length is 0. At commit exactly
 * these bytes are put onto the content committed by then, so two transactions that write different
 * parts both survive. However often a page is written, the transaction holds one copy of it.
 */
MPG_API MPG_MUST_CHECK int mpg_txn_protected_write(mpg_txn *txn, mpg_protected_id id,
                                                   const void *data, size_t offset, size_t length);

/* The page as this transaction sees it: the committed content with its own writes on top. */
MPG_API MPG_MUST_CHECK int mpg_txn_protected_read(void *data, mpg_txn *txn, mpg_protected_id id);

enum mpg_commit_flags {
    MPG_ORDERED = 1u << 8, /* two syncs: everything else is durable before it becomes reachable */
};

/*
 * Commits all of it as one batch. On success the transaction has ended; on error nothing of it was
 * done and it is still open: try again, or abort.
 * Errors: whatever its operations can meet at this moment; those of a commit; INVALID (an unknown
 * flag).
 * Durability: durable on return.
 */
MPG_API MPG_MUST_CHECK int mpg_txn_commit(mpg_txn *txn, unsigned flags);

/* Ends the transaction and forgets it. NULL is allowed. */
MPG_API void mpg_txn_abort(mpg_txn *txn);

/* ---- Iterators ------------------------------------------------------------------------------ */

/*
 * Iterators run over the ids of regular pages, or of protected pages, in ascending order from any
 * id on. They live on the caller's stack, hold no resources and need no end. A page that is there
 * from begin to end is met exactly once; one that comes or goes meanwhile is met once or not at
 * all. An iterator is used by one thread at a time. Its fields are the library's own.
 */
#define MPG_ITER_WORDS 16
typedef struct mpg_page_iter {
    const mpg_pager *pager;
    uint64_t next;                 /* lowest id not looked at yet */
    uint64_t base;                 /* id of bit 0 of word 0 */
    unsigned word;                 /* the word being used */
    uint64_t bits[MPG_ITER_WORDS]; /* ids found and not yet handed out */
} mpg_page_iter;

typedef struct mpg_protected_iter {
    mpg_page_iter ids;
} mpg_protected_iter;

MPG_API void mpg_page_iter_begin(mpg_page_iter *iter, const mpg_pager *pager, mpg_page_id from);
MPG_API void mpg_protected_iter_begin(mpg_protected_iter *iter, const mpg_pager *pager,
                                      mpg_protected_id from);

/*
 * The next id. Returns 1 with *id set, 0 at the end, or a negative error (damage, STALE, IO), after
 * which the iterator may be asked again.
 */
MPG_API MPG_MUST_CHECK int mpg_page_iter_next(mpg_page_id *id, mpg_page_iter *iter);
MPG_API MPG_MUST_CHECK int mpg_protected_iter_next(mpg_protected_id *id, mpg_protected_iter *iter);

/* ---- Checking ------------------------------------------------------------------------------- */

/* One fault that mpg_check found. */
typedef struct mpg_fault {
    int code;            /* MPG_E_…: what reading it would return; 0: nothing yet, see below */
    uint64_t page;       /* page of the file, or MPG_NO_PAGE; CORRUPT_PAGE: protected page */
    const char *message; /* one sentence; valid during the call */
    const char *name;    /* stable: "node", "content", … see mappedpages_check(3) */
    /*
     * What could not be looked at for it: pages of the file [first, end), or ids of protected
     * pages.
     */
    uint64_t pages_first, pages_end; /* equal: none */
    uint64_t protected_first, protected_end;
} mpg_fault;

/*
 * The name of the fault that an error stands for, where it is known by nothing else: of a file that
 * cannot be opened, that of mpg_open. Never NULL, valid for ever.
 */
MPG_API const char *mpg_fault_name(int code);

/* How to check. Begin with MPG_CHECK_OPTIONS_INIT. */
typedef struct mpg_check_options {
    size_t size; /* sizeof(mpg_check_options) */
    /* Hears of each fault, in the caller's thread. May be NULL. */
    void (*report)(void *context, const mpg_fault *fault);
    mpg_progress progress; /* steps of about so many; it is cancelled where it returns false */
    void *context;         /* the first argument of both */
} mpg_check_options;

#define MPG_CHECK_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(mpg_check_options), NULL, NULL, NULL                                                \
    }

/* What mpg_check looked at. */
typedef struct mpg_check_result {
    uint64_t faults;              /* faults reported */
    uint64_t pages_checked;       /* pages of the file whose use was checked */
    uint64_t protected_checked;   /* protected pages whose content was checked */
    uint64_t warnings;            /* reported, too: what is said twice, and only once whole */
    uint64_t pages_unchecked;     /* pages whose use could not be looked at: a node is lost */
    uint64_t protected_unchecked; /* likewise protected pages, as far as their number is known */
} mpg_check_result;

/*
 * Checks everything: structure, checksums, pages used twice, pages used by nobody, counts.
 * `options` may be NULL; its callbacks must not call functions on the pager, which is locked
 * meanwhile. Returns 0 when the file was checked, with or without faults; it goes on past damage,
 * and tells what that hid.
 * Errors: NO_MEMORY (one bit a page is needed), IO (in the structure; a content that cannot be read
 * is a fault), CANCELLED (by `progress`), INVALID (size of the options); STALE (read-only): a
 * writer went on meanwhile, and what was reported may not be a fault.
 * Thread safety: other calls on the pager wait while the structure is looked at.
 * A file that cannot be opened at all has its reason in the error of mpg_open.
 */
MPG_API MPG_MUST_CHECK int mpg_check(mpg_check_result *result, const mpg_pager *pager,
                                     const mpg_check_options *options);

/* ---- Space ---------------------------------------------------------------------------------- */

/*
 * Gives the disk space of free pages back to the filesystem, which shows the file as shorter in
 * blocks, not in bytes: of the pages from `first` on, `count` of them (UINT64_MAX: all), those that
 * are free, in runs of at least `least` pages (0: any). *pages, unless NULL: how many pages those
 * were, whether they had space or not. A page handed out later gets disk space first, as ever. What
 * stays: pages that something may look at yet, which are few, and in format 1 the last free pages:
 * as many as there are protected ones, for their next contents, and up to 1 MiB for commits. Pages
 * of less than 4096 bytes go together with their neighbours or not at all.
 * Works in steps of at most 8 MiB, between which, and in format 1 during which, others go on.
 * Errors: READ_ONLY, UNAVAILABLE, CHANGED, NO_MEMORY, IO (system_errno is EOPNOTSUPP where the
 * filesystem cannot make holes). What was given back before an error stays so.
 * Thread safety: any thread, any time.
 * Durability: nothing that was durable is touched; a crash may bring back the space of some pages.
 */
MPG_API MPG_MUST_CHECK int mpg_trim(uint64_t *pages, mpg_pager *pager, uint64_t first,
                                    uint64_t count, uint64_t least);

#ifdef __cplusplus
}
#endif

#endif
