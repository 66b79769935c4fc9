/* SPDX-License-Identifier: MIT */
/*
 * A sector goes bad in a file that is not open: one that the last operation wrote, or an earlier
 * one. What was durable must be shown still, or an error reported. Never may the file silently show
 * an older state, but for the one case that doc/durability.md admits: the last commit went bad in a
 * file that was not closed, and the state before it is shown.
 *
 * Only format 1 can promise that: format 0.2 takes the other copy of what is bad, as its crate
 * does.
 */
#include <stdio.h>
#include <string.h>

#include "crash/explorer.h"
#include "pager/open.h"
#include "support/harness.h"

/* How a sector is bad. */
enum badness {
    BAD_ZERO,       /* it has zeros */
    BAD_RANDOM,     /* it has anything */
    BAD_OLD,        /* it has what was there some operations ago: a write was lost */
    BAD_UNREADABLE, /* reading it is an error */
    BAD_KINDS
};

/* One sector that goes bad. */
struct spoiling {
    uint64_t at; /* where it begins */
    enum badness badness;
    bool of_last; /* the last commit wrote it */
};

static void note_written(struct past *past, const struct event *event)
{
    if (event->kind == EVENT_WRITE)
        past->written[past->count++ % WRITTEN_KEPT] =
            (struct written){event->offset, event->length, past->operation};
}

void explorer_note_operation(struct explorer *explorer, const struct state *before,
                             const struct state *after)
{
    const struct level *level = &explorer->levels[0];
    struct past *past = &explorer->past;

    /* Writing to regular pages is no commit, and leaves the last one what it was. */
    if (before && after && before->generation != after->generation) {
        past->operation++;
        state_copy(&past->before, before);
    } else if (after) {
        /* Nor is a new label, which stays where that one is lost. */
        memcpy(past->before.label, after->label, sizeof(past->before.label));
    }
    for (size_t i = level->known; i < level->log.count; i++)
        note_written(past, &level->log.events[i]);
}

static bool wrote_sector(const struct written *written, uint64_t at)
{
    return written->offset < at + SECTOR_SIZE && at < written->offset + written->length;
}

/* A sector of one of the ranges that are remembered. False if there is none. */
static bool choose(struct spoiling *spoiling, struct explorer *explorer)
{
    struct past *past = &explorer->past;
    uint64_t *random = &explorer->random;
    uint64_t kept = past->count < WRITTEN_KEPT ? past->count : WRITTEN_KEPT;
    const struct written *written;
    uint64_t at;

    if (kept == 0)
        return false;
    /* Those of late are more interesting. */
    if (random_below(random, 2) == 0 && kept > 16)
        kept = 16;
    written = &past->written[(past->count - 1 - random_below(random, kept)) % WRITTEN_KEPT];
    at = written->offset + random_below(random, written->length);
    spoiling->at = at - at % SECTOR_SIZE;
    spoiling->badness = (enum badness)random_below(random, BAD_KINDS);
    spoiling->of_last = false;
    for (uint64_t i = 0; i < WRITTEN_KEPT && i < past->count; i++)
        if (past->written[i].operation == past->operation &&
            wrote_sector(&past->written[i], spoiling->at))
            spoiling->of_last = true;
    return true;
}

/* Puts it onto the disk. False if nothing became different. */
static bool spoil(struct explorer *explorer, const struct spoiling *spoiling)
{
    struct memory_disk *disk = &explorer->levels[0].disk;
    unsigned char *sector = disk->cache + spoiling->at;
    unsigned char bytes[SECTOR_SIZE] = {0};
    bool differs;

    if (spoiling->at + SECTOR_SIZE > disk->size)
        return false;
    if (spoiling->badness == BAD_UNREADABLE) {
        disk->bad_at = spoiling->at;
        disk->bad_length = SECTOR_SIZE;
        return true;
    }
    if (spoiling->badness == BAD_RANDOM)
        for (size_t i = 0; i < SECTOR_SIZE; i++)
            bytes[i] = (unsigned char)random_next(&explorer->random);
    else if (spoiling->badness == BAD_OLD)
        memcpy(bytes, explorer->past.base + spoiling->at, SECTOR_SIZE);
    differs = memcmp(sector, bytes, SECTOR_SIZE) != 0;
    memory_disk_touch(disk, spoiling->at, SECTOR_SIZE);
    memcpy(sector, bytes, SECTOR_SIZE);
    return differs;
}

/*
 * No checksum covers a regular page: where it is bad it shows anything, and it may be overwritten.
 */
static void forgive(struct state *state, const struct explorer *explorer,
                    const struct spoiling *spoiling)
{
    uint64_t bad = spoiling->at / explorer->options.page_size;
    bool is_older = state->generation == explorer->past.before.generation;

    /* One sector has all of it: an older one is as good. */
    state->any_label = spoiling->at == 0;
    for (size_t i = 0; i < state->regular.count; i++)
        if (is_older || state->regular.pages[i].id == bad)
            state->regular.pages[i].content = CONTENT_ANY;
}

/* What a pager shows of a state, but for the bad sector. */
static enum shown shown(struct explorer *explorer, const struct state *state,
                        const struct spoiling *spoiling, const mpg_pager *pager, char *why,
                        size_t size)
{
    struct state forgiving = {.total = 0};
    enum shown result;

    state_copy(&forgiving, state);
    forgive(&forgiving, explorer, spoiling);
    result = state_shown(&forgiving, pager, explorer->buffer, why, size);
    state_free(&forgiving);
    return result;
}

static void judge(struct explorer *explorer, const struct state *durable,
                  const struct spoiling *spoiling, const mpg_pager *pager)
{
    static const char *const names[] = {"zeros", "garbage", "an older content", "an error"};
    char why[256], older[256] = "", message[700];

    switch (shown(explorer, durable, spoiling, pager, why, sizeof(why))) {
    case SHOWS_IT:
        return;
    case SHOWS_DAMAGE:
        explorer->counts.reported++;
        return;
    case SHOWS_ELSE:
        break;
    }
    if (spoiling->of_last && shown(explorer, &explorer->past.before, spoiling, pager, older,
                                   sizeof(older)) != SHOWS_ELSE) {
        explorer->counts.fallen_back++;
        return;
    }
    snprintf(message, sizeof(message), "byte %llu has %s, and nobody says so: %s; %s",
             (unsigned long long)spoiling->at, names[spoiling->badness], why,
             spoiling->of_last ? older : "the last commit did not write it");
    explorer_complain(explorer, 0, "a bad sector", message);
}

static void look(struct explorer *explorer, const struct state *durable,
                 const struct spoiling *spoiling)
{
    struct memory_disk *disk = &explorer->levels[0].disk;
    bool read_only = explorer_one_in(explorer, 2);
    mpg_options options = explorer->options;
    mpg_pager *pager;

    options.flags &= ~(unsigned)MPG_DEFER_ALLOCATION;
    explorer->counts.spoiled++;
    if (mpgi_open_with(&pager, "image", &options, read_only, &memory_disk_io, disk) < 0) {
        explorer->counts.reported++;
        return;
    }
    judge(explorer, durable, spoiling, pager);
    (void)mpg_close(pager);
}

void explorer_spoil(struct explorer *explorer, const struct state *durable)
{
    struct level *level = &explorer->levels[0];
    struct spoiling spoiling;

    if (explorer->options.format == MPG_FORMAT_0_2 || explorer->limits.spoiled == 0)
        return;
    for (unsigned i = 0; i < explorer->limits.spoiled && !explorer->failed; i++) {
        if (choose(&spoiling, explorer) && spoil(explorer, &spoiling))
            look(explorer, durable, &spoiling);
        level->disk.bad_length = 0;
        memory_disk_restore(&level->disk, level->base, level->base_size);
    }
    if (explorer_one_in(explorer, 3))
        memcpy(explorer->past.base, level->base, level->base_size);
}
