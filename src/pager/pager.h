/* SPDX-License-Identifier: MIT */
/* The open page file. */
#ifndef MPGI_PAGER_H
#define MPGI_PAGER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/id_map.h"
#include "base/known.h"
#include "format/format.h"
#include "mappedpages.h"
#include "os/address_map.h"
#include "os/gate.h"
#include "os/io.h"
#include "pager/batch.h"
#include "pager/entries.h"
#include "pager/pins.h"

/* Words of `regular` and `writable`, of 32 pages each: 1 MiB, and a quarter of that. */
#define REGULAR_WORDS_LOG2 17
#define WRITABLE_WORDS_LOG2 15

/* What became of batches, for mpg_counters. Under the lock. */
struct commit_counts {
    uint64_t commits, failed;                /* that had something to write down */
    uint64_t operations;                     /* of those that became durable */
    uint64_t largest;                        /* most operations of one */
    uint64_t time, longest;                  /* nanoseconds that they took */
    struct tally tally;                      /* what they did */
    uint64_t waits, wait_time, longest_wait; /* as of `gate`, which is not under the lock */
};

/*
 * Invariants
 *
 *   1. Whatever is reachable from `format`, the batch pointers and the maps below changes only
 *      under `lock`. The committing thread alone reads frozen versions without it.
 *   2. At most one thread commits (`in_flight` is its batch). It alone writes nodes, roots and
 *      staged content, and it alone syncs, for an error of a sync is reported once, to whoever
 *      syncs first.
 *   3. A page given out was free in the durable and in the frozen version, so writing to it at any
 *      time harms no state that a crash could leave.
 *   4. The file is at least as long as the newest version's total pages.
 *   5. `regular` and `writable` name no page that is not regular in the durable, the frozen and the
 *      newest version alike: so publishing or forgetting a batch changes nothing about them, and a
 *      page is taken out where an operation frees it, under `lock`, before that can be undone or
 *      become durable.
 *   6. An entry in `entries` is what readers see of it. Where contents move, and allocation is not
 *      deferred, that is the durable one, and it is forgotten where another is published. Elsewhere
 *      it is known only while all versions agree, and forgotten where an operation changes it.
 *   7. A slot of `pins` is open only while `entries` may say that its page holds the content of its
 *      id: it is closed where that is forgotten, before anybody looks whether a view is in the way.
 */
struct mpg_pager {
    struct file file;
    struct format *format;
    const struct format_ops *ops; /* format->ops */
    struct address_map map;
    uint32_t page_size;
    uint32_t zero_crc; /* the CRC32 of a page of zeros */
    bool read_only;
    bool deferred; /* MPG_DEFER_ALLOCATION */

    /* Read without the lock. */
    struct known regular;   /* pages that are regular in every version (invariant 5) */
    struct known writable;  /* of those, pages that have disk space behind them, too (rule 14) */
    struct entries entries; /* of protected pages (invariant 6) */
    struct pins pins;       /* which pages views show (invariant 7) */
    char apart[64];         /* from the lines of the cache that change all the time */

    pthread_mutex_t lock;
    pthread_cond_t settled;  /* a batch is done and none is in flight; CLOCK_MONOTONIC */
    struct batch *gathering; /* what operations apply to; NULL if read_only */
    struct batch *spare;     /* the next gathering batch, made ready while failing is harmless */
    struct batch *in_flight; /* what a thread is writing out, or NULL */
    bool alone;              /* a thread is about to make a commit of its own, see replace.c */
    bool unavailable;        /* rule 6: a sync failed */
    bool unsettled;          /* rule 13: opened on a full disk, see settle.h */
    atomic_uint_least64_t looked; /* when rule 12 was kept for a page, see mpgi_look_again_often */
    atomic_uint_least64_t looked_bytes; /* … and how long the file was */
    bool unsynced_zeros;  /* free pages may read as zeros that are in the page cache alone */
    uint64_t found_bytes; /* length of the file when it was opened; 0 if it was made */
    unsigned expected;    /* threads that the last commit has shown to be at work */
    uint64_t commit_time; /* nanoseconds that it took */
    struct gate gate;     /* passed by the thread that commits */
    struct commit_counts counts;
    struct io_counts io_counts;
    uint64_t opened_at; /* nanoseconds of the clock that never jumps: when counting began */

    unsigned char *
        *outlived; /* contents that counted instead of a page's; addresses were given out */
    size_t outlived_count;

    struct id_map lingering;        /* pages that are free, and that views or snapshots show yet */
    struct id_map held;             /* replaced page → number of snapshots that show it */
    struct mpg_snapshot *snapshots; /* those that are open */
    struct id_map writers;          /* protected ids with an open writer */
    struct id_map reserved;         /* pages that open transactions hold */
    struct id_map reserved_protected;
    const uint64_t *given_back; /* the pages from [0] to below [1] are being given back, or NULL */
    bool discard;               /* MPG_DISCARD */
    struct id_map freed;        /* with that: pages that were freed for good, to be given back */
    uint64_t search_page[REUSE_KINDS]; /* below it no page can be given out, by enum reuse */
    uint64_t search_protected;         /* below it no protected id can be given out */
    struct id_map verified; /* page of the file → generation whose content a view has checked */
};

static inline uint64_t offset_of_page(const mpg_pager *pager, uint64_t page)
{
    return page * pager->page_size;
}

/* The version that readers see: with deferred allocation, what is applied counts. */
static inline enum version visible_version(const mpg_pager *pager)
{
    return pager->deferred ? VERSION_NEWEST : VERSION_DURABLE;
}

/* Invariant 6: whether an entry is known until another is published, whatever gathers. */
static inline bool mpgi_entries_last_until_published(const mpg_pager *pager)
{
    return pager->ops->copies == 0 && !pager->deferred;
}

/* A pager as its lock and caches need it: they change also where the file may not. */
static inline mpg_pager *unconst(const mpg_pager *pager)
{
    union {
        const mpg_pager *constant;
        mpg_pager *variable;
    } same = {pager};

    return same.variable;
}

static inline void pager_lock(const mpg_pager *pager)
{
    (void)pthread_mutex_lock(&unconst(pager)->lock);
}

static inline void pager_unlock(const mpg_pager *pager)
{
    (void)pthread_mutex_unlock(&unconst(pager)->lock);
}

/* A page, or a protected id, that can perhaps be given out from now on. Lock held. */
static inline void pager_search_page(mpg_pager *pager, uint64_t page)
{
    for (int reuse = 0; reuse < REUSE_KINDS; reuse++)
        pager->search_page[reuse] = min_u64(pager->search_page[reuse], page);
}

static inline void pager_search_protected(mpg_pager *pager, uint64_t id)
{
    pager->search_protected = min_u64(pager->search_protected, id);
}

/* A pager that has no file yet; NULL: no memory. */
mpg_pager *mpgi_pager_new(bool read_only);
/* Closes the file and frees everything. Returns what closing met. */
int mpgi_pager_free(mpg_pager *pager);
/*
 * Takes the lock for writing, where it keeps other writers out at all (LOCAL_LOCK), or
 * MPG_LOCAL_LOCK in the flags says that there are none: then rule 12 stands guard.
 */
int mpgi_pager_lock_to_write(mpg_pager *pager, unsigned flags);
/* Completes it with what follows from the page size and the loaded format. */
void mpgi_pager_set_up(mpg_pager *pager, const mpg_options *options);

/* Gives a format what it asks the pager. */
void mpgi_pager_tell(mpg_pager *pager, struct format *format);

/*
 * Whether a view shows a page of the file. From then on none does that was not taken under the
 * lock. Lock held.
 */
bool mpgi_is_pinned(const mpg_pager *pager, uint64_t page);

/* The address of a page in the map. NO_MEMORY where no address space is left for it. Lock held. */
int mpgi_map_page(unsigned char **data, mpg_pager *pager, uint64_t page);

/*
 * Loads the state of the file. A reader may be overtaken by commits while it reads, and then sees
 * what looks like damage; where nobody commits, it is.
 */
int mpgi_load_state(struct format **format, const struct format_ops *ops, struct file *file,
                    size_t cache_size, uint32_t page_size);

/* A read-only pager's: sets *current to whether the file still shows the state that it shows. */
int mpgi_is_current(bool *current, const mpg_pager *pager);

/*
 * What damage means: to a read-only pager STALE where a writer has moved on, CHANGED where another
 * file was copied over this one, or, to a writer, anything was (rule 12). Called with the lock
 * held. Returns `result` otherwise.
 */
int mpgi_explain_failure(const mpg_pager *pager, int result);

/* The same, which costs nothing where nothing failed: it is asked for each page of a listing. */
static inline int mpgi_explain_damage(const mpg_pager *pager, int result)
{
    return result == 0 ? 0 : mpgi_explain_failure(pager, result);
}

#endif
