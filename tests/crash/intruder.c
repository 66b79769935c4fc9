/* SPDX-License-Identifier: MIT */
#include "crash/intruder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/actor.h"
#include "pager/open.h"
#include "support/harness.h"

#define PAGE_SIZE 1024u
#define CAPACITY (1u << 20)

/* Operations before it happens, at most; and system calls into one. */
#define MOST_OPERATIONS 12
#define MOST_CALLS 24

#define SOME_ROUNDS 40

/* Operations that are tried afterwards. */
#define AFTERWARDS 6

enum intrusion { CUT, LENGTHEN, RESTORE, ANOTHER_WRITER, INTRUSIONS };

static const char *const names[] = {"cut", "made longer", "an older state brought back",
                                    "another writer's commit"};

struct bytes {
    unsigned char *data;
    uint64_t size;
};

struct intruder {
    struct memory_disk disk;
    struct actor actor;
    struct bytes older; /* the file, two commits or more ago */
    struct bytes other; /* … after another writer's commit on top of the present */
    struct bytes left;  /* what it made of the file */
    enum intrusion intrusion;
    unsigned calls_until;    /* system calls until it happens, or 0 */
    bool before_sync;        /* of those only syncs count */
    bool happened;           /* it did */
    bool written_afterwards; /* and the pager went on writing or syncing in the same operation */
    bool synced_afterwards;  /* … synced, or tried to */
    bool written_behind;     /* … and wrote even behind that, with a look in between */
    bool fail_sync;          /* syncs after it fail */
    char *why;
    size_t size;
};

static void take(struct bytes *bytes, const struct memory_disk *disk)
{
    bytes->data = must_realloc(bytes->data, CAPACITY);
    memcpy(bytes->data, disk->cache, disk->size);
    bytes->size = disk->size;
}

static void put(struct memory_disk *disk, const struct bytes *bytes)
{
    memset(disk->cache, 0, disk->size > bytes->size ? disk->size : bytes->size);
    memcpy(disk->cache, bytes->data, bytes->size);
    disk->size = bytes->size;
}

static void complain(struct intruder *intruder, const char *what)
{
    snprintf(intruder->why, intruder->size, "%s: %s", names[intruder->intrusion], what);
}

/*
 * ---- What somebody else does ------------------------------------------------------------------
 */

/* What the file is after another writer, who found it as it is now, has committed. */
static void prepare_another(struct intruder *intruder)
{
    static struct memory_disk disk;
    mpg_page_id ids[3]; /* no operation here allocates as many: that would be the same commit */
    mpg_pager *pager;

    memory_disk_init(&disk, CAPACITY);
    take(&intruder->other, &intruder->disk);
    disk.exists = true;
    put(&disk, &intruder->other);
    must(mpgi_open_with(&pager, "image", NULL, false, &memory_disk_io, &disk) == 0);
    must(mpg_alloc_bulk(ids, pager, 3, 0) == 0);
    take(&intruder->other, &disk);
    (void)mpg_close(pager);
    memory_disk_destroy(&disk);
}

static void intrude(struct intruder *intruder)
{
    struct memory_disk *disk = &intruder->disk;
    uint64_t size;

    switch (intruder->intrusion) {
    case CUT:
        size = random_below(&intruder->actor.random, disk->size);
        memset(disk->cache + size, 0, disk->size - size);
        disk->size = size;
        break;
    case LENGTHEN:
        disk->size += 1 + random_below(&intruder->actor.random, 4 * PAGE_SIZE);
        break;
    case RESTORE:
        put(disk, &intruder->older);
        break;
    case ANOTHER_WRITER:
    case INTRUSIONS:
        put(disk, &intruder->other);
        break;
    }
    intruder->happened = true;
    take(&intruder->left, disk);
}

static int count_call(void *context, enum disk_call call, size_t *length)
{
    struct intruder *intruder = context;

    (void)length;
    if (intruder->before_sync && call != CALL_FDATASYNC)
        return 0;
    if (intruder->calls_until > 0 && --intruder->calls_until == 0) {
        intruder->before_sync = false;
        intrude(intruder);
    }
    if (!intruder->happened || call == CALL_PREAD || call == CALL_SIZE)
        return 0;
    if (call == CALL_CLOSE || call == CALL_UNMAP)
        return 0;
    intruder->written_afterwards = true;
    intruder->written_behind |= intruder->synced_afterwards && call == CALL_PWRITE;
    if (call != CALL_FDATASYNC)
        return 0;
    intruder->synced_afterwards = true;
    return intruder->fail_sync ? EIO : 0;
}

/*
 * ---- What the pager must do then --------------------------------------------------------------
 */

static bool is_untouched(const struct intruder *intruder)
{
    const struct bytes *left = &intruder->left;

    return intruder->disk.size == left->size &&
           memcmp(intruder->disk.cache, left->data, left->size) == 0;
}

#define CHANGES 6
#define CHANGE_CONTENT 4 /* which makes nothing durable */

/* Something that changes the file; what it returned. */
static int change_something(mpg_pager *pager, uint64_t what)
{
    unsigned char page[PAGE_SIZE] = {7};
    mpg_protected_id guarded;
    mpg_page_id id;

    switch (what) {
    case 0:
        return mpg_alloc(&id, pager, 0);
    case 1:
        return mpg_alloc(&id, pager, MPG_ZERO);
    case 2:
        return mpg_alloc_at(pager, (mpg_page_id){600}, 0);
    case 3:
        return mpg_alloc_protected(&guarded, pager);
    case CHANGE_CONTENT:
        return mpg_page_write(pager, (mpg_page_id){100}, page, 0, PAGE_SIZE);
    default:
        return mpg_sync(pager);
    }
}

static bool is_told_afterwards(struct intruder *intruder)
{
    struct actor *actor = &intruder->actor;

    for (int i = 0; i < AFTERWARDS; i++) {
        int result = change_something(actor->pager, random_below(&actor->random, CHANGES));

        /* What is refused for a reason of its own changes nothing; a sync that failed is one. */
        if (result != 0 && intruder->fail_sync)
            continue;
        if (result != MPG_E_CHANGED && result != MPG_E_EXISTS) {
            complain(intruder, result == 0 ? "an operation afterwards was acknowledged"
                                           : mpg_strerror(result));
            return false;
        }
    }
    (void)mpg_close(actor->pager);
    actor->pager = NULL;
    if (!is_untouched(intruder))
        complain(intruder, "something was written afterwards");
    return is_untouched(intruder);
}

/* Between two operations nothing is to be seen of the pager any more but errors. */
static bool intrude_between(struct intruder *intruder)
{
    intrude(intruder);
    return is_told_afterwards(intruder);
}

/* Whoever syncs looks before writing on, and before taking back what could not be synced. */
static bool wrote_nothing_behind(struct intruder *intruder)
{
    if (intruder->written_behind)
        complain(intruder, intruder->fail_sync
                               ? "behind a sync that failed something was written over it"
                               : "something was written behind the next sync");
    return !intruder->written_behind;
}

/*
 * Closing folds the file, with syncs in between. That it was made longer folding need not see:
 * another thread may do that meanwhile.
 */
static bool intrude_closing(struct intruder *intruder)
{
    struct actor *actor = &intruder->actor;
    int result;

    intruder->fail_sync = random_below(&actor->random, 2) == 0;
    intruder->calls_until = 1 + (unsigned)random_below(&actor->random, MOST_CALLS);
    result = mpg_close(actor->pager);
    actor->pager = NULL;
    if (result == 0 && intruder->written_afterwards) {
        complain(intruder, "closing, within which it happened, was acknowledged");
        return false;
    }
    return wrote_nothing_behind(intruder);
}

/* Within an operation, what follows its next look must not happen. */
static bool intrude_within(struct intruder *intruder)
{
    struct actor *actor = &intruder->actor;
    uint64_t what = random_below(&actor->random, CHANGES);
    int result;

    /* Its own root must not come over another writer's: that nobody can see. */
    intruder->before_sync = intruder->intrusion == ANOTHER_WRITER;
    intruder->fail_sync = intruder->before_sync || random_below(&actor->random, 4) == 0;
    intruder->calls_until =
        1 + (unsigned)random_below(&actor->random, intruder->before_sync ? 2 : MOST_CALLS);
    result = change_something(actor->pager, what);
    if (!intruder->happened) {
        intruder->calls_until = 0;
        intruder->before_sync = intruder->fail_sync = false;
        return intrude_between(intruder);
    }
    if (!wrote_nothing_behind(intruder))
        return false;
    if (result == 0 && intruder->written_afterwards && what != CHANGE_CONTENT) {
        complain(intruder, "an operation within which it happened was acknowledged");
        return false;
    }
    take(&intruder->left, &intruder->disk);
    return is_told_afterwards(intruder);
}

/*
 * ---- A round ----------------------------------------------------------------------------------
 */

static void prepare(struct intruder *intruder, int format, uint64_t seed)
{
    mpg_options options = MPG_OPTIONS_INIT;
    struct actor *actor = &intruder->actor;

    options.page_size = PAGE_SIZE;
    options.format = format;
    pool_init(PAGE_SIZE);
    memory_disk_init(&intruder->disk, CAPACITY);
    actor_init(actor, &intruder->disk, &options, seed);
    actor_create(actor);
    actor_alloc_at(actor, 100, 0);
    actor_alloc_protected(actor, 2);
    take(&intruder->older, &intruder->disk);
    actor_write_protected(actor, 0);
    actor_write_protected(actor, 1);
    for (uint64_t i = random_below(&actor->random, MOST_OPERATIONS); i > 0; i--)
        actor_do_something(actor);
    if (!page_set_find(&actor->now.regular, 100))
        actor_alloc_at(actor, 100, 0);
    /* It may have been opened just now: what it has written is not only what it loaded. */
    actor_alloc(actor, 1, 0);
    actor_alloc(actor, 1, 0);
    must(!actor->failed);
}

bool intruder_run(int format, uint64_t seed, char *why, size_t size)
{
    static struct intruder intruder;
    enum moment { BETWEEN, WITHIN, CLOSING } moment = BETWEEN;
    bool fine;

    memset(&intruder, 0, sizeof(intruder));
    intruder.why = why;
    intruder.size = size;
    prepare(&intruder, format, seed);
    intruder.intrusion = (enum intrusion)random_below(&intruder.actor.random, INTRUSIONS);
    prepare_another(&intruder);
    /*
     * A length that the operation itself makes good, by growing the file or writing its last page,
     * is what looking cannot find; nor is another writer's root that this pager's own comes over.
     * There is a moment for that, between a look and the write after it.
     */
    if (intruder.intrusion != LENGTHEN && random_below(&intruder.actor.random, 3) == 0)
        moment = CLOSING;
    else if ((intruder.intrusion == RESTORE || intruder.intrusion == ANOTHER_WRITER) &&
             random_below(&intruder.actor.random, 2) == 0)
        moment = WITHIN;
    intruder.disk.fault = count_call;
    intruder.disk.fault_context = &intruder;
    fine = moment == CLOSING  ? intrude_closing(&intruder)
           : moment == WITHIN ? intrude_within(&intruder)
                              : intrude_between(&intruder);
    intruder.disk.fault = NULL;
    actor_end(&intruder.actor);
    memory_disk_destroy(&intruder.disk);
    free(intruder.older.data);
    free(intruder.other.data);
    free(intruder.left.data);
    return fine;
}

bool intruder_run_some(int format, char *why, size_t size)
{
    bool fine = true;

    for (uint64_t seed = 1; seed <= SOME_ROUNDS && fine; seed++)
        fine = intruder_run(format, seed, why, size);
    return fine;
}
