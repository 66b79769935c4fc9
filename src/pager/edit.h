/* SPDX-License-Identifier: MIT */
/* The edit log: how an operation is applied to the gathering batch as a whole or not at all. */
#ifndef MPGI_EDIT_H
#define MPGI_EDIT_H

#include "pager/batch.h"

struct change;

/* The changes of one operation or transaction, applied but not yet kept. */
struct edit {
    mpg_pager *pager;
    struct change *log; /* what to undo, oldest first */
    size_t count, capacity;
    struct tally tally; /* what it does, so far */
    unsigned restarts;
    unsigned restarts_when_full; /* of these */
    bool looked;                 /* rule 12: whether the file was seen to be this pager's still */
    unsigned restarts_for_room;  /* of these */
};

/*
 * Begins: takes the pager's lock and checks that it can be written. On error the lock is not held.
 */
int mpgi_edit_begin(struct edit *edit, mpg_pager *pager, const char *operation);
/*
 * For the thread that has the pager for itself (pager->alone): all others wait in mpgi_edit_begin.
 */
int mpgi_edit_begin_alone(struct edit *edit, mpg_pager *pager, const char *operation);
/*
 * Whether operations may go on, with the lock held: after it was given up it is to be asked again.
 */
int mpgi_check_writable(mpg_pager *pager, const char *operation);

/* Changes the use of a page, logged. */
int mpgi_edit_use(struct edit *edit, uint64_t page, enum mpg_page_use use);
/* The same for `count` pages that are free, as free_run of the format counted them. */
int mpgi_edit_use_run(struct edit *edit, uint64_t page, unsigned count, enum mpg_page_use use);
/*
 * Changes an entry of the directory, logged. `old` is what get_entry says (in_use false if none).
 */
int mpgi_edit_entry(struct edit *edit, uint64_t id, const struct entry *old,
                    const struct entry *entry);
/*
 * Stages the new content of a page of the file, logged. Takes one hold of `data` (shared.h), also
 * on failure.
 */
int mpgi_edit_stage(struct edit *edit, uint64_t page, void *data);
/* The same for the new content of a protected page, wherever it will be. */
int mpgi_edit_content(struct edit *edit, uint64_t id, void *data);
/*
 * Whether the operation that ended with *result is to be applied once more: it asked for that
 * (EDIT_RESTART) because it depends on changes of others that are not durable yet, or there was no
 * room while pages are being freed. Then what was applied of it is undone, the batch in flight was
 * waited for or what gathered was committed, and *result is 0. The lock is given up meanwhile.
 */
#define EDIT_RESTART 1
/* As EDIT_RESTART; pages that it needs are free, but rest until the format is asked for room. */
#define EDIT_NEEDS_ROOM 2
/* As EDIT_RESTART; the page's disk space is being given back just now. 3 is EDIT_EVICT. */
#define EDIT_GIVEN_BACK 4
bool mpgi_edit_again(struct edit *edit, int *result, const char *operation);

enum durability {
    WAIT_DURABLE,
    WAIT_UNLESS_DEFERRED, /* allocation: see MPG_DEFER_ALLOCATION */
};

/*
 * Ends the edit: where `result` is an error everything is undone, otherwise it is kept and, as
 * `durability` says, waited for. Gives up the lock. Returns `result`, or what the commit met.
 */
int mpgi_edit_end(struct edit *edit, int result, enum durability durability);

/*
 * Ends an edit that applied nothing. Gives up the lock. Returns `result`, or where that tells of
 * damage that somebody else did, what tells of that.
 */
int mpgi_edit_cancel(struct edit *edit, int result);

/* Ends a successful edit without waiting; `completion` hears of it. Gives up the lock. */
void mpgi_edit_end_async(struct edit *edit, struct completion *completion);

/* Waits for everything applied so far, and syncs in any case. */
int mpgi_edit_sync(mpg_pager *pager, const char *operation);

#endif
