/* SPDX-License-Identifier: MIT */
/* Opens one image that a crash left, looks at what it shows, and works on. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "crash/again.h"
#include "crash/explorer.h"
#include "pager/open.h"
#include "support/harness.h"

/* How many operations are done after a crash. */
#define MORE_WORK 3

/* More pages than that can take. */
#define ROOM_FOR_WORK 200

/* With fewer free pages before or after, there may be none that was free all the time. */
#define FEW_FREE_PAGES 12

/* Which of the allowed states the pager shows, or NULL after a complaint. */
static const struct state *recognise(struct explorer *explorer, unsigned depth,
                                     struct allowed allowed, const mpg_pager *pager)
{
    char older[256] = "there is none", newer[256], both[600];

    if (!file_is_sound(pager, newer, sizeof(newer))) {
        explorer_complain(explorer, depth, "the file is not sound", newer);
        return NULL;
    }
    if (state_matches(allowed.after, pager, explorer->buffer, newer, sizeof(newer))) {
        explorer->counts.newer++;
        return allowed.after;
    }
    if (allowed.before &&
        state_matches(allowed.before, pager, explorer->buffer, older, sizeof(older))) {
        explorer->counts.older++;
        return allowed.before;
    }
    snprintf(both, sizeof(both), "not the newer one (%s), nor the older (%s)", newer, older);
    explorer_complain(explorer, depth, "it shows none of the states it may", both);
    return NULL;
}

/* Format 0.2: whether the commit may not have found a free page for its spare copy of page 0. */
static bool had_no_spare(struct allowed allowed)
{
    return allowed.before->free < FEW_FREE_PAGES ||
           (allowed.after->total != 0 && allowed.after->free < FEW_FREE_PAGES);
}

/* Whether an image may be beyond opening. */
static bool may_be_lost(struct explorer *explorer, struct allowed allowed, int error)
{
    if (!allowed.before) {
        explorer->counts.not_there++;
        return true;
    }
    if (error == MPG_E_CORRUPT_DIRECTORY_INDEX && had_no_spare(allowed)) {
        explorer->counts.index_lost++;
        return true;
    }
    return false;
}

static void opening_failed(struct explorer *explorer, unsigned depth, struct allowed allowed,
                           const char *who, int error)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    if (!may_be_lost(explorer, allowed, error))
        explorer_complain(explorer, depth, who, info.message);
}

/* A reader changes nothing, and sees one of the states too. */
static void look_read_only(struct explorer *explorer, unsigned depth, struct allowed allowed)
{
    struct memory_disk *disk = &explorer->levels[depth].disk;
    size_t touched = disk->touched_count;
    mpg_pager *pager;
    int error = mpgi_open_with(&pager, "image", &explorer->options, true, &memory_disk_io, disk);

    if (error < 0) {
        opening_failed(explorer, depth, allowed, "a reader cannot open it", error);
        return;
    }
    (void)recognise(explorer, depth, allowed, pager);
    (void)mpg_close(pager);
    if (disk->touched_count != touched)
        explorer_complain(explorer, depth, "a reader", "wrote to the file");
}

/* Somebody whose work is explored on a level of its own. */
struct follower {
    struct explorer *explorer;
    unsigned depth;
};

static void explore_operation(void *watcher, struct actor *actor, bool settled)
{
    struct follower *follower = watcher;
    struct allowed allowed = {actor->exists_before ? &actor->before : NULL, actor->in_flight};

    memory_disk_log_mapped(actor->disk);
    explorer_explore(follower->explorer, follower->depth, allowed, settled ? &actor->now : NULL);
    if (follower->explorer->failed)
        actor_fail(actor, "explorer", 0);
}

/* Whether the work that follows a crash cannot meet the limit of the format. */
static bool has_room(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    return mpg_stat(&st, pager) == 0 &&
           st.max_pages - st.total_pages + st.free_pages > ROOM_FOR_WORK;
}

/* Works on with the pager for a while, and closes it. What `lost` has beyond `state` was cut. */
static void work_on(struct explorer *explorer, unsigned depth, mpg_pager *pager,
                    const struct state *state, const struct state *lost, bool follow)
{
    struct follower follower = {explorer, depth + 1};
    mpg_options options = explorer->options;
    struct actor actor;

    options.flags &= ~(unsigned)MPG_DEFER_ALLOCATION;
    actor_init(&actor, &explorer->levels[depth].disk, &options, random_next(&explorer->random));
    actor.pager = pager;
    actor.exists_before = true;
    state_copy(&actor.before, state);
    state_copy(&actor.now, state);
    state_forget_written(&actor.now);
    if (follow) {
        actor.watch = explore_operation;
        actor.watcher = &follower;
    }
    actor.sync_may_fail = actor.disk->fault != NULL;
    if (lost != state && has_room(pager) && explorer_one_in(explorer, 2))
        actor_try_again(&actor, lost);
    for (int i = 0; i < MORE_WORK && !actor.ended && has_room(actor.pager); i++)
        actor_do_something(&actor);
    actor_verify(&actor);
    if (actor.failed)
        explorer_complain(explorer, depth, "working on afterwards", actor.why);
    actor_end(&actor);
}

/* Begins to record into the next level. */
static void begin_following(struct explorer *explorer, unsigned depth, enum fate fate)
{
    struct memory_disk *disk = &explorer->levels[depth].disk;
    struct level *next = &explorer->levels[depth + 1];

    if (fate == FATE_FOLLOW)
        explorer_begin_level(next, disk->cache, disk->size);
    memory_disk_record(disk, &next->log);
    explorer->counts.followed += fate == FATE_FOLLOW;
    explorer->counts.died += fate == FATE_DEATH;
}

static int fail_a_sync(void *context, enum disk_call call, size_t *length)
{
    struct level *level = context;

    (void)length;
    if (call != CALL_FDATASYNC || level->syncs_until_failure == 0)
        return 0;
    return --level->syncs_until_failure == 0 ? EIO : 0;
}

/* One of the first syncs from here on: of the opening, or of the work after it. */
static void let_a_sync_fail(struct explorer *explorer, struct level *level)
{
    level->syncs_until_failure = 1 + (unsigned)random_below(&explorer->random, 4);
    level->disk.fault = fail_a_sync;
    level->disk.fault_context = level;
}

static void look(struct explorer *explorer, unsigned depth, struct allowed allowed, enum fate fate)
{
    struct level *level = &explorer->levels[depth];
    struct memory_disk *disk = &level->disk;
    mpg_options options = explorer->options;
    const struct state *state;
    mpg_pager *pager;
    int error;

    options.flags &= ~(unsigned)MPG_DEFER_ALLOCATION;
    if (fate != FATE_LOOK && explorer_one_in(explorer, explorer->limits.fail_one_in))
        let_a_sync_fail(explorer, level);
    error = mpgi_open_with(&pager, "image", &options, false, &memory_disk_io, disk);
    if (error == MPG_E_IO && disk->fault && level->syncs_until_failure == 0) {
        explorer_explore(explorer, depth + 1, allowed, NULL);
        return;
    }
    if (error < 0) {
        opening_failed(explorer, depth, allowed, "it cannot be opened", error);
        return;
    }
    state = recognise(explorer, depth, allowed, pager);
    /*
     * Nobody was told yet which state it is: a recovery that is cut may end in the other one, where
     * its torn root completes the torn root that it was to replace.
     */
    if (state && fate != FATE_LOOK)
        explorer_explore(explorer, depth + 1, allowed, state);
    if (state && (fate != FATE_LOOK || explorer_one_in(explorer, explorer->limits.work_one_in)))
        work_on(explorer, depth, pager, state, allowed.after, fate != FATE_LOOK);
    else
        (void)mpg_close(pager);
}

void explorer_open_image(struct explorer *explorer, unsigned depth, struct allowed allowed,
                         enum fate fate)
{
    struct level *level = &explorer->levels[depth];

    explorer->counts.images++;
    if (explorer->counts.images % 8 == 0)
        look_read_only(explorer, depth, allowed);
    if (fate != FATE_LOOK)
        begin_following(explorer, depth, fate);
    look(explorer, depth, allowed, fate);
    level->disk.fault = NULL;
    memory_disk_record(&level->disk, NULL);
    memory_disk_restore(&level->disk, level->base, level->base_size);
    if (!memory_disk_is_idle(&level->disk))
        explorer_complain(explorer, depth, "closing", "something is left open");
}

void explorer_watch(struct explorer *explorer, struct actor *actor)
{
    static struct follower follower;

    follower = (struct follower){explorer, 0};
    actor->watch = explore_operation;
    actor->watcher = &follower;
    explorer_begin_level(&explorer->levels[0], actor->disk->cache, actor->disk->size);
    memory_disk_record(actor->disk, &explorer->levels[0].log);
}
