/* SPDX-License-Identifier: MIT */
/* Builds the images that a crash could leave. What is done with each is in image.c. */
#include "crash/explorer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/harness.h"

/* Up to so many sectors, or whole writes, every subset is tried. */
#define MOST_EXHAUSTIVE 10

/* What the kernel keeps or forgets as one. */
#define CACHE_PAGE_SIZE 4096u

/* There is no newest event: all subsets are new. */
#define NO_EVENT SIZE_MAX

/* One walk over a level's log. */
struct walk {
    struct explorer *explorer;
    unsigned depth;
    struct level *level;
    struct allowed allowed;
    const struct state *returned;
    size_t *pending; /* events since the last sync, oldest first */
    size_t pending_count;
    bool sync_failed;
};

void explorer_complain(struct explorer *explorer, unsigned depth, const char *what, const char *why)
{
    if (explorer->failed)
        return;
    explorer->failed = true;
    snprintf(explorer->why, sizeof(explorer->why), "%s, image %" PRIu64 ", level %u: %s: %s",
             explorer->scenario ? explorer->scenario : "", explorer->counts.images, depth, what,
             why);
}

bool explorer_one_in(struct explorer *explorer, unsigned n)
{
    return n > 0 && random_below(&explorer->random, n) == 0;
}

static bool enough(const struct explorer *explorer)
{
    return explorer->failed || explorer->counts.images >= explorer->limits.most_images;
}

/* ---- Levels --------------------------------------------------------------------------------- */

void explorer_init(struct explorer *explorer, const mpg_options *options, size_t capacity,
                   const struct explorer_limits *limits, uint64_t seed)
{
    memset(explorer, 0, sizeof(*explorer));
    explorer->options = *options;
    explorer->limits = *limits;
    explorer->random = seed;
    explorer->buffer = must_realloc(NULL, options->page_size);
    must(limits->levels >= 1 && limits->levels <= MOST_LEVELS);
    explorer->past.base = bytes_new(capacity);
    for (unsigned i = 0; i < limits->levels; i++) {
        memory_disk_init(&explorer->levels[i].disk, capacity);
        explorer->levels[i].base = bytes_new(capacity);
        explorer->levels[i].view = bytes_new(capacity);
    }
}

void explorer_end(struct explorer *explorer)
{
    state_free(&explorer->past.before);
    bytes_free(explorer->past.base, explorer->levels[0].disk.capacity);
    for (unsigned i = 0; i < explorer->limits.levels; i++) {
        struct level *level = &explorer->levels[i];

        bytes_free(level->base, level->disk.capacity);
        bytes_free(level->view, level->disk.capacity);
        event_log_free(&level->log);
        memory_disk_destroy(&level->disk);
    }
    free(explorer->buffer);
    memset(explorer, 0, sizeof(*explorer));
}

/* Makes `bytes`, a file of *size bytes, equal to another one. */
static void set_bytes(unsigned char *bytes, uint64_t *size, const unsigned char *from,
                      uint64_t from_size)
{
    memcpy(bytes, from, from_size);
    if (*size > from_size)
        memset(bytes + from_size, 0, *size - from_size);
    *size = from_size;
}

void explorer_begin_level(struct level *level, const unsigned char *base, uint64_t base_size)
{
    set_bytes(level->base, &level->base_size, base, base_size);
    set_bytes(level->disk.cache, &level->disk.size, base, base_size);
    level->disk.exists = true;
    level->disk.touched_count = 0;
    level->view_differs = false;
    level->known = 0;
    event_log_clear(&level->log);
}

/* ---- One image ------------------------------------------------------------------------------ */

/* Puts one sector of an event into the image. */
static void add_sector(struct level *level, const struct event *event, size_t sector)
{
    struct memory_disk *disk = &level->disk;

    if (event->kind == EVENT_WRITE)
        memory_disk_touch(disk, (event->offset / SECTOR_SIZE + sector) * SECTOR_SIZE, SECTOR_SIZE);
    else if (event->kind == EVENT_TRUNCATE && event->offset < disk->size)
        memory_disk_touch(disk, event->offset, (size_t)(disk->size - event->offset));
    event_apply_sector(&level->log, event, sector, disk->cache, &disk->size, disk->capacity);
}

static void add_event(struct level *level, const struct event *event)
{
    for (size_t sector = 0; sector < event_sectors(event); sector++)
        add_sector(level, event, sector);
}

static const struct event *pending_event(const struct walk *walk, size_t index)
{
    return &walk->level->log.events[walk->pending[index]];
}

/* The image is complete: the power was cut here. */
static void power_cut(struct walk *walk)
{
    struct explorer *explorer = walk->explorer;
    bool follow = walk->depth + 1 < explorer->limits.levels &&
                  explorer_one_in(explorer, explorer->limits.follow_one_in);

    explorer_open_image(explorer, walk->depth, walk->allowed, follow ? FATE_FOLLOW : FATE_LOOK);
}

/* Adds an event to what the next level has not made durable. */
static void hand_on(struct level *next, const struct level *level, const struct event *event)
{
    event_log_add(&next->log, event->kind, event->offset, event->length,
                  event->kind == EVENT_WRITE ? level->log.bytes + event->data : NULL);
}

/*
 * After a failed sync the kernel takes the pages for clean. Some of them it throws away when memory
 * is short, and reads what the disk has; then what was written since comes on top.
 */
static void forget_some_pages(struct walk *walk, struct level *next)
{
    struct level *level = walk->level;
    uint64_t *random = &walk->explorer->random;
    unsigned percent = random_below(random, 2) == 0 ? 0 : 25;

    for (uint64_t at = 0; at < next->view_size && percent > 0; at += CACHE_PAGE_SIZE) {
        uint64_t length = next->view_size - at;

        if (length > CACHE_PAGE_SIZE)
            length = CACHE_PAGE_SIZE;
        /* The base has zeros beyond its end. */
        if (memcmp(next->view + at, level->base + at, length) != 0 &&
            random_below(random, 100) < percent)
            memcpy(next->view + at, level->base + at, length);
    }
    for (size_t i = 0; i < walk->pending_count && percent > 0; i++)
        event_apply(&level->log, pending_event(walk, i), next->view, &next->view_size,
                    level->disk.capacity);
}

/* What the page cache shows after a failed sync, for the disk of this level and the next one. */
static void show_view(struct walk *walk, struct level *next)
{
    struct level *level = walk->level;
    uint64_t larger = level->view_size > level->base_size ? level->view_size : level->base_size;

    set_bytes(next->view, &next->view_size, level->view, level->view_size);
    next->view_differs = true;
    forget_some_pages(walk, next);
    memory_disk_touch(&level->disk, 0, (size_t)larger);
    set_bytes(level->disk.cache, &level->disk.size, next->view, next->view_size);
}

/* The process dies: the next one sees all that was written, the disk does not have it yet. */
static void process_dies(struct walk *walk)
{
    struct explorer *explorer = walk->explorer;
    struct level *level = walk->level;
    struct level *next = &explorer->levels[walk->depth + 1];

    if (walk->depth + 1 >= explorer->limits.levels)
        return;
    explorer_begin_level(next, level->base, level->base_size);
    if (level->view_differs)
        show_view(walk, next);
    for (size_t i = 0; i < walk->pending_count; i++) {
        const struct event *event = pending_event(walk, i);

        hand_on(next, level, event);
        if (!level->view_differs)
            add_event(level, event);
    }
    next->known = next->log.count;
    explorer_open_image(explorer, walk->depth, walk->allowed, FATE_DEATH);
}

/* ---- Which sectors are there ---------------------------------------------------------------- */

static size_t sectors_pending(const struct walk *walk)
{
    size_t sectors = 0;

    for (size_t i = 0; i < walk->pending_count; i++)
        sectors += event_sectors(pending_event(walk, i));
    return sectors;
}

/* Every subset of the sectors that has one of the newest event. */
static void every_sector_subset(struct walk *walk, size_t sectors, size_t newest)
{
    for (uint32_t subset = 0; subset < UINT32_C(1) << sectors && !enough(walk->explorer);
         subset++) {
        bool is_new = newest == NO_EVENT;
        unsigned bit = 0;

        for (size_t i = 0; i < walk->pending_count; i++) {
            const struct event *event = pending_event(walk, i);

            for (size_t sector = 0; sector < event_sectors(event); sector++, bit++) {
                if ((subset >> bit & 1) == 0)
                    continue;
                add_sector(walk->level, event, sector);
                is_new |= walk->pending[i] == newest;
            }
        }
        if (is_new)
            power_cut(walk);
        else
            memory_disk_restore(&walk->level->disk, walk->level->base, walk->level->base_size);
    }
}

/* Every subset of whole writes that has the newest. */
static void every_write_subset(struct walk *walk, size_t newest)
{
    for (uint32_t subset = 0;
         subset < UINT32_C(1) << walk->pending_count && !enough(walk->explorer); subset++) {
        if (newest != NO_EVENT && (subset >> (walk->pending_count - 1) & 1) == 0)
            continue;
        for (size_t i = 0; i < walk->pending_count; i++)
            if (subset >> i & 1)
                add_event(walk->level, pending_event(walk, i));
        power_cut(walk);
    }
}

/* Some of a write's sectors: the first ones, the last ones, or any. */
static void add_torn(struct walk *walk, const struct event *event)
{
    uint64_t *random = &walk->explorer->random;
    size_t sectors = event_sectors(event);
    size_t begin = 0, end = sectors;
    uint64_t kind = random_below(random, 3);

    if (kind == 0)
        end = (size_t)random_below(random, sectors + 1);
    else if (kind == 1)
        begin = (size_t)random_below(random, sectors + 1);
    for (size_t sector = begin; sector < end; sector++)
        if (kind != 2 || random_below(random, 2) == 0)
            add_sector(walk->level, event, sector);
}

/* Any subset of the sectors. */
static void add_some(struct walk *walk)
{
    static const unsigned presence[] = {5, 50, 80, 95}; /* percent of the writes */
    uint64_t *random = &walk->explorer->random;
    unsigned present = presence[random_below(random, 4)];
    unsigned torn = random_below(random, 3) == 0 ? 0 : 25;

    for (size_t i = 0; i < walk->pending_count; i++) {
        if (random_below(random, 100) < torn)
            add_torn(walk, pending_event(walk, i));
        else if (random_below(random, 100) < present)
            add_event(walk->level, pending_event(walk, i));
    }
}

/* All but one write, or none but one, or all. */
static void add_extreme(struct walk *walk)
{
    uint64_t *random = &walk->explorer->random;
    size_t special = (size_t)random_below(random, walk->pending_count);
    uint64_t kind = random_below(random, 4);

    for (size_t i = 0; i < walk->pending_count; i++) {
        if (kind == 0 || (kind == 1) == (i == special))
            add_event(walk->level, pending_event(walk, i));
        else if (kind == 3 && i == special)
            add_torn(walk, pending_event(walk, i));
    }
}

static void some_subsets(struct walk *walk, unsigned count)
{
    for (unsigned i = 0; i < count && !enough(walk->explorer); i++) {
        if (walk->pending_count > 0 && i % 4 == 0)
            add_extreme(walk);
        else
            add_some(walk);
        power_cut(walk);
    }
}

/* The images that a power cut can leave now; where there is a newest event, those with it. */
static void cut_here(struct walk *walk, size_t newest)
{
    const struct explorer_limits *limits = &walk->explorer->limits;
    size_t sectors = sectors_pending(walk);

    if (walk->depth > 0 && sectors > 1) {
        some_subsets(walk, limits->nested);
    } else if (sectors <= MOST_EXHAUSTIVE) {
        every_sector_subset(walk, sectors, newest);
    } else {
        if (walk->pending_count <= MOST_EXHAUSTIVE)
            every_write_subset(walk, newest);
        some_subsets(walk, limits->samples);
    }
}

/* ---- The walk ------------------------------------------------------------------------------- */

/* All that is pending is durable. */
static void sync_done(struct walk *walk)
{
    struct level *level = walk->level;
    size_t capacity = level->disk.capacity;

    for (size_t i = 0; i < walk->pending_count; i++) {
        const struct event *event = pending_event(walk, i);

        event_apply(&level->log, event, level->base, &level->base_size, capacity);
        event_apply(&level->log, event, level->disk.cache, &level->disk.size, capacity);
    }
    walk->pending_count = 0;
}

static void walk_from(struct walk *walk, size_t first);

/* The length of the file is the file system's own business: the next sync makes it durable. */
static void keep_lengths(struct walk *walk)
{
    size_t kept = 0;

    for (size_t i = 0; i < walk->pending_count; i++) {
        const struct event *event = pending_event(walk, i);

        if (event->kind == EVENT_ALLOCATE ||
            (event->kind == EVENT_TRUNCATE && event->offset > walk->level->base_size))
            walk->pending[kept++] = walk->pending[i];
    }
    walk->pending_count = kept;
}

/*
 * One outcome of a failed sync: some sectors are durable. The process dies before it can do
 * anything about it, or the walk goes on with that.
 */
static void try_failure(struct walk *walk, size_t next)
{
    struct explorer *explorer = walk->explorer;
    struct level *level = walk->level;
    size_t *pending = walk->pending;
    size_t pending_count = walk->pending_count;

    add_some(walk);
    set_bytes(level->base, &level->base_size, level->disk.cache, level->disk.size);
    level->disk.touched_count = 0;
    walk->pending = must_realloc(NULL, (level->log.count + 1) * sizeof(pending[0]));
    memcpy(walk->pending, pending, pending_count * sizeof(pending[0]));
    keep_lengths(walk);
    if (explorer_one_in(explorer, 2))
        process_dies(walk);
    if (!explorer->failed)
        walk_from(walk, next);
    free(walk->pending);
    walk->pending = pending;
    walk->pending_count = pending_count;
}

/* What the page cache shows from now on is no longer what the disk will have. */
static void part_view(struct walk *walk)
{
    struct level *level = walk->level;

    if (level->view_differs) /* it has been kept up to date since */
        return;
    set_bytes(level->view, &level->view_size, level->base, level->base_size);
    for (size_t i = 0; i < walk->pending_count; i++)
        event_apply(&level->log, pending_event(walk, i), level->view, &level->view_size,
                    level->disk.capacity);
    level->view_differs = true;
}

static unsigned char *copy_of(const unsigned char *bytes, uint64_t size)
{
    unsigned char *copy = must_realloc(NULL, size + 1);

    memcpy(copy, bytes, size);
    return copy;
}

static void sync_failed(struct walk *walk, size_t next)
{
    struct level *level = walk->level;
    unsigned failures = walk->explorer->limits.failures;
    uint64_t base_size = level->base_size, view_size;
    unsigned char *base = copy_of(level->base, base_size), *view;

    part_view(walk);
    view_size = level->view_size;
    view = copy_of(level->view, view_size);
    walk->sync_failed = true;
    if (walk->depth > 0 && failures > 2)
        failures = 2;
    for (unsigned i = 0; i < failures && !walk->explorer->failed; i++) {
        set_bytes(level->base, &level->base_size, base, base_size);
        set_bytes(level->disk.cache, &level->disk.size, base, base_size);
        set_bytes(level->view, &level->view_size, view, view_size);
        try_failure(walk, next);
    }
    walk->pending_count = 0;
    free(base);
    free(view);
}

/* The operation has returned, or the work has ended with a failed sync. */
static void walk_end(struct walk *walk)
{
    struct allowed allowed = walk->allowed;

    if (walk->sync_failed) {
        process_dies(walk);
    } else if (walk->returned && !enough(walk->explorer)) {
        walk->allowed = (struct allowed){walk->returned, walk->returned};
        cut_here(walk, NO_EVENT);
        walk->allowed = allowed;
        if (walk->depth == 0 && walk->pending_count == 0)
            explorer_spoil(walk->explorer, walk->returned);
    }
}

static void walk_from(struct walk *walk, size_t first)
{
    struct explorer *explorer = walk->explorer;
    struct level *level = walk->level;

    for (size_t i = first; i < level->log.count && !explorer->failed; i++) {
        const struct event *event = &level->log.events[i];

        if (event->kind == EVENT_SYNC) {
            sync_done(walk);
            continue;
        }
        if (event->kind == EVENT_SYNC_FAILED) {
            sync_failed(walk, i + 1);
            return;
        }
        walk->pending[walk->pending_count++] = i;
        if (level->view_differs)
            event_apply(&level->log, event, level->view, &level->view_size, level->disk.capacity);
        if (i < level->known)
            continue;
        cut_here(walk, i);
        if (explorer_one_in(explorer, explorer->limits.die_one_in) && !walk->sync_failed &&
            !enough(explorer))
            process_dies(walk);
    }
    walk_end(walk);
}

/* Keeps in the log only what is not durable. */
static void forget_durable(struct walk *walk)
{
    struct level *level = walk->level;
    struct event_log rest = {0};

    for (size_t i = 0; i < walk->pending_count; i++) {
        const struct event *event = pending_event(walk, i);

        event_log_add(&rest, event->kind, event->offset, event->length,
                      event->kind == EVENT_WRITE ? level->log.bytes + event->data : NULL);
    }
    event_log_clear(&level->log);
    event_log_append(&level->log, &rest, 0);
    event_log_free(&rest);
    level->known = level->log.count;
}

void explorer_explore(struct explorer *explorer, unsigned depth, struct allowed allowed,
                      const struct state *returned)
{
    struct walk walk = {
        .explorer = explorer,
        .depth = depth,
        .level = &explorer->levels[depth],
        .allowed = allowed,
        .returned = returned,
    };

    walk.pending = must_realloc(NULL, (walk.level->log.count + 1) * sizeof(walk.pending[0]));
    if (depth == 0)
        explorer_note_operation(explorer, allowed.before, returned);
    walk_from(&walk, 0);
    forget_durable(&walk);
    free(walk.pending);
}
