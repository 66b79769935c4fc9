/* SPDX-License-Identifier: MIT */
/*
 * A repair, and taking it back, as the crash explorer sees them: after each call that changes
 * something the power may fail, and of what was not synced any sectors may be there, in the file
 * and in the undo file, whose name may be there or not. Whatever that leaves: without an undo file
 * the damaged file is as it was, byte for byte; with one, the next repair ends in the same file as
 * one that was not cut, and the damaged file can be had back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format_1/layout.h"
#include "life/repair.h"
#include "life/specimen.h"
#include "pager/open.h"
#include "support/harness.h"
#include "support/memory_disk.h"

#define PATH "damaged.mpp"
#define UNDO "damaged.mpp.undo"
#define CAPACITY (UINT32_C(2) << 20)
#define MOST_EVENTS 4096

static const struct specimen_kind kinds[] = {
    {"cuts-1-closed", MPG_FORMAT_1, 1024, 8, 8, 6, 5, true},
    {"cuts-1-crashed", MPG_FORMAT_1, 1024, 8, 8, 6, 5, false},
    {"cuts-0.2", MPG_FORMAT_0_2, 1024, 40, 1, 6, 5, true},
};

/* ---- two disks, one with the file, one with its undo file ---- */

enum which { THE_FILE, THE_UNDO };

/* What was done, to either, in its order. */
enum step_kind { STEP_EVENT, STEP_NAMED, STEP_NAME_SYNCED, STEP_UNNAMED };

struct step {
    enum step_kind kind;
    enum which which;
    size_t event; /* which of its disk's log */
};

struct content {
    unsigned char *bytes; /* zeros beyond `size`; owned */
    uint64_t size;
    bool exists;
};

struct pair {
    struct memory_disk disk[2];
    struct event_log log[2];
    size_t seen[2]; /* events that are steps already */
    struct step steps[MOST_EVENTS];
    size_t step_count;
    bool recording;
};

static struct pair *now; /* the two that calls go to */

static void note_step(enum step_kind kind, enum which which, size_t event)
{
    if (!now->recording)
        return;
    must(now->step_count < MOST_EVENTS);
    now->steps[now->step_count++] = (struct step){kind, which, event};
}

static void note_events(enum which which)
{
    for (; now->seen[which] < now->log[which].count; now->seen[which]++)
        note_step(STEP_EVENT, which, now->seen[which]);
}

static enum which which_of(int fd)
{
    return fd >= DISK_DESCRIPTORS ? THE_UNDO : THE_FILE;
}

static struct memory_disk *disk_of(int *fd)
{
    enum which which = which_of(*fd);

    *fd -= which == THE_UNDO ? DISK_DESCRIPTORS : 0;
    return &now->disk[which];
}

static int pair_open(void *context, const char *path, int flags, unsigned mode)
{
    enum which which =
        (flags & O_TMPFILE) == O_TMPFILE || strcmp(path, PATH) != 0 ? THE_UNDO : THE_FILE;
    int fd = memory_disk_io.open(&now->disk[which], path, flags, mode);

    (void)context;
    return fd < 0 || which == THE_FILE ? fd : fd + DISK_DESCRIPTORS;
}

static int pair_close(void *context, int fd)
{
    struct memory_disk *disk = disk_of(&fd);

    (void)context;
    return memory_disk_io.close(disk, fd);
}

static int pair_lock(void *context, int fd, enum io_lock lock)
{
    struct memory_disk *disk = disk_of(&fd);

    (void)context;
    return memory_disk_io.lock(disk, fd, lock);
}

static int pair_size(void *context, int fd, uint64_t *bytes)
{
    struct memory_disk *disk = disk_of(&fd);

    (void)context;
    return memory_disk_io.size(disk, fd, bytes);
}

static ssize_t pair_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    struct memory_disk *disk = disk_of(&fd);

    (void)context;
    return memory_disk_io.pread(disk, fd, data, length, offset);
}

static ssize_t pair_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    enum which which = which_of(fd);
    struct memory_disk *disk = disk_of(&fd);
    ssize_t written = memory_disk_io.pwrite(disk, fd, data, length, offset);

    (void)context;
    note_events(which);
    return written;
}

static int pair_fdatasync(void *context, int fd)
{
    enum which which = which_of(fd);
    struct memory_disk *disk = disk_of(&fd);
    int failed = memory_disk_io.fdatasync(disk, fd);

    (void)context;
    note_events(which);
    return failed;
}

static int pair_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    enum which which = which_of(fd);
    struct memory_disk *disk = disk_of(&fd);
    int failed = memory_disk_io.allocate(disk, fd, offset, length);

    (void)context;
    note_events(which);
    return failed;
}

static int pair_truncate(void *context, int fd, uint64_t bytes)
{
    enum which which = which_of(fd);
    struct memory_disk *disk = disk_of(&fd);
    int failed = memory_disk_io.truncate(disk, fd, bytes);

    (void)context;
    note_events(which);
    return failed;
}

static int pair_link(void *context, int fd, const char *path)
{
    struct memory_disk *disk = disk_of(&fd);
    int failed = memory_disk_io.link(disk, fd, path);

    (void)context;
    note_step(STEP_NAMED, THE_UNDO, 0);
    return failed;
}

static int pair_unlink(void *context, const char *path)
{
    (void)context;
    note_step(STEP_UNNAMED, THE_UNDO, 0);
    return memory_disk_io.unlink(&now->disk[THE_UNDO], path);
}

static int pair_sync_name(void *context, int fd, const char *path)
{
    struct memory_disk *disk = disk_of(&fd);
    int failed = memory_disk_io.sync_name(disk, fd, path);

    (void)context;
    note_step(STEP_NAME_SYNCED, THE_UNDO, 0);
    return failed;
}

static void *pair_reserve(void *context, uint64_t offset, size_t length)
{
    (void)context;
    return memory_disk_io.reserve(&now->disk[THE_FILE], offset, length);
}

static int pair_map(void *context, int fd, void *address, size_t length, uint64_t offset,
                    bool writable)
{
    struct memory_disk *disk = disk_of(&fd);

    (void)context;
    return memory_disk_io.map(disk, fd, address, length, offset, writable);
}

static int pair_unmap(void *context, void *address, size_t length)
{
    (void)context;
    return memory_disk_io.unmap(&now->disk[THE_FILE], address, length);
}

static const struct io pair_io = {
    .open = pair_open,
    .close = pair_close,
    .lock = pair_lock,
    .size = pair_size,
    .pread = pair_pread,
    .pwrite = pair_pwrite,
    .fdatasync = pair_fdatasync,
    .allocate = pair_allocate,
    .truncate = pair_truncate,
    .unlink = pair_unlink,
    .link = pair_link,
    .sync_name = pair_sync_name,
    .reserve = pair_reserve,
    .map = pair_map,
    .unmap = pair_unmap,
};

/* ---- contents ---- */

static void init_content(struct content *content)
{
    *content = (struct content){.bytes = bytes_new(CAPACITY)};
}

static void copy_content(struct content *to, const struct content *from)
{
    if (to->size > from->size)
        memset(to->bytes + from->size, 0, to->size - from->size);
    if (from->size > 0)
        memcpy(to->bytes, from->bytes, from->size);
    to->size = from->size;
    to->exists = from->exists;
}

static bool same(const struct content *content, const struct memory_disk *disk)
{
    return content->size == disk->size &&
           (disk->size == 0 || memcmp(content->bytes, disk->cache, disk->size) == 0);
}

static void put_on(struct memory_disk *disk, const struct content *content)
{
    if (disk->size > content->size)
        memset(disk->cache + content->size, 0, disk->size - content->size);
    if (content->size > 0)
        memcpy(disk->cache, content->bytes, content->size);
    disk->size = content->size;
    disk->exists = content->exists;
    disk->name_durable = content->exists;
    disk->hidden = false;
    disk->touched_count = 0;
}

static void take_from(struct content *content, const struct memory_disk *disk)
{
    const struct content shown = {disk->cache, disk->size, disk->exists};

    copy_content(content, &shown);
}

/* ---- what is done ---- */

static unsigned images;
static const char *doing; /* for messages */

static void die(const char *what, size_t cut)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    fprintf(stderr, "%s, cut behind step %zu: %s (%s)\n", doing, cut, what, info.message);
    exit(1);
}

static bool agree(void *context, const mpg_rescue_note *note)
{
    (void)context;
    (void)note;
    return true;
}

static int repair(mpg_repair_result *result)
{
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;

    options.consent = agree;
    return mpgi_repair_with(result, PATH, &options, &pair_io, NULL);
}

static int take_back(void)
{
    return mpgi_repair_undo_with(PATH, NULL, &pair_io, NULL);
}

static void must_be_sound(size_t cut)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_check_result checked;
    mpg_pager *pager;

    if (mpgi_open_with(&pager, PATH, &options, true, &memory_disk_io, &now->disk[THE_FILE]) != 0 ||
        mpg_check(&checked, pager, NULL) != 0 || checked.faults > 0 || mpg_close(pager) != 0)
        die("what was repaired is not whole", cut);
}

/* ---- the cuts ---- */

static uint64_t randomness = 20261126;

/* A story: what was there, and what was done to it. */
struct story {
    struct content before[2];
    struct content damaged, repaired; /* what the file is to be in the end */
    struct pair pair;                 /* on which it happened */
};

/* Which sectors of what is not durable are on the disk. */
enum mixture { NONE, ALL, RANDOM };

/*
 * Applies what happened to one of the two before a cut: all up to its last sync, and of the rest
 * what the mixture says. A name is there when it was synced, and may be before.
 */
static void make_image(const struct story *story, enum which which, size_t cut,
                       enum mixture mixture, struct content *image)
{
    const struct pair *pair = &story->pair;
    size_t synced = 0;

    copy_content(image, &story->before[which]);
    for (size_t i = 0; i < cut; i++) {
        const struct step *step = &pair->steps[i];

        if (step->which == which && step->kind == STEP_EVENT &&
            pair->log[which].events[step->event].kind == EVENT_SYNC)
            synced = i + 1;
    }
    for (size_t i = 0; i < cut; i++) {
        const struct step *step = &pair->steps[i];
        const struct event *event = &pair->log[which].events[step->event];
        bool is_there = mixture == ALL || (mixture == RANDOM && random_below(&randomness, 2) == 0);

        if (step->which != which)
            continue;
        if (step->kind == STEP_NAME_SYNCED || (step->kind == STEP_NAMED && is_there))
            image->exists = true;
        if (step->kind == STEP_UNNAMED && is_there)
            image->exists = false;
        for (size_t k = 0; step->kind == STEP_EVENT && k < event_sectors(event); k++) {
            if (i < synced || mixture == ALL ||
                (mixture == RANDOM && random_below(&randomness, 2) == 0))
                event_apply_sector(&pair->log[which], event, k, image->bytes, &image->size,
                                   CAPACITY);
        }
    }
}

/* Whatever a cut left: first this, then that. */
static void must_end_well(const struct story *story, size_t cut, bool repair_first)
{
    mpg_repair_result result = {0};
    int error;

    images++;
    if (!now->disk[THE_UNDO].exists) {
        if (!same(&story->damaged, &now->disk[THE_FILE]))
            die("without an undo file it is not the damaged file, byte for byte", cut);
        return;
    }
    error = repair_first ? repair(&result) : 0;
    if (error != 0 && error != MPG_E_EXISTS) /* it was done, and marked so */
        die("the next repair fails", cut);
    if (repair_first && !same(&story->repaired, &now->disk[THE_FILE]))
        die("the next repair ends in another file", cut);
    if (take_back() != 0)
        die("it cannot be taken back", cut);
    if (!same(&story->damaged, &now->disk[THE_FILE]) || now->disk[THE_UNDO].exists)
        die("taken back, it is not the damaged file, byte for byte", cut);
}

/* Cuts a story behind each of its steps. */
static void explore(const struct story *story, struct pair *scratch, unsigned samples)
{
    struct content image[2];

    now = scratch;
    for (unsigned which = 0; which < 2; which++)
        init_content(&image[which]);
    for (size_t cut = 0; cut <= story->pair.step_count; cut++) {
        for (unsigned i = 0; i < 2 + samples; i++) {
            enum mixture mixture = i < RANDOM ? (enum mixture)i : RANDOM;

            for (enum which which = THE_FILE; which <= THE_UNDO; which++) {
                make_image(story, which, cut, mixture, &image[which]);
                put_on(&scratch->disk[which], &image[which]);
            }
            must_end_well(story, cut, i % 2 == 0);
        }
    }
    for (unsigned which = 0; which < 2; which++)
        bytes_free(image[which].bytes, CAPACITY);
}

/* ---- one damage ---- */

static void begin(struct story *story)
{
    struct pair *pair = now = &story->pair;

    pair->step_count = 0;
    for (unsigned which = 0; which < 2; which++) {
        take_from(&story->before[which], &pair->disk[which]);
        event_log_clear(&pair->log[which]);
        pair->seen[which] = 0;
        memory_disk_record(&pair->disk[which], &pair->log[which]);
    }
    pair->recording = true;
}

static void end(struct story *story)
{
    story->pair.recording = false;
    for (unsigned which = 0; which < 2; which++)
        memory_disk_record(&story->pair.disk[which], NULL);
}

/* Repairs the damaged file, and takes it back, each cut everywhere. */
static void explore_damage(struct story *story, struct pair *scratch, unsigned samples)
{
    static const struct content nothing;
    mpg_repair_result result;

    put_on(&story->pair.disk[THE_FILE], &story->damaged);
    put_on(&story->pair.disk[THE_UNDO], &nothing);
    begin(story);
    if (repair(&result) != 0)
        die("repair", 0);
    end(story);
    if (!result.changed)
        return;
    must_be_sound(0);
    take_from(&story->repaired, &story->pair.disk[THE_FILE]);
    doing = "repairing";
    explore(story, scratch, samples);
    begin(story);
    if (take_back() != 0)
        die("undo", 0);
    end(story);
    doing = "taking it back";
    explore(story, scratch, samples);
}

static void read_file(struct content *content, const char *path)
{
    FILE *file = fopen(path, "rbe");

    must(file != NULL);
    content->size = fread(content->bytes, 1, CAPACITY, file);
    must(content->size > 0 && content->size < CAPACITY);
    content->exists = true;
    (void)fclose(file);
}

/* What is damaged: pages that say the most, and both slots of a node, so that all is made anew. */
static void run_kind(const struct specimen_kind *kind, const char *directory, struct story *story,
                     struct pair *scratch)
{
    bool all = getenv("MPG_DAMAGE") != NULL;
    struct specimen specimen;
    struct content whole;
    unsigned before = images;

    init_content(&whole);
    damage_make(&specimen, kind, directory);
    read_file(&whole, specimen.path);
    for (uint64_t page = 0; page < specimen.pages; page++) {
        uint64_t other = page > 2 ? page + slot_distance(kind->page_size) : page;

        if (specimen.uses[page] != MPG_USE_METADATA)
            continue;
        copy_content(&story->damaged, &whole);
        memset(story->damaged.bytes + page * kind->page_size, 0, kind->page_size);
        if (other < specimen.pages && specimen.uses[other] == MPG_USE_METADATA)
            memset(story->damaged.bytes + other * kind->page_size, 0, kind->page_size);
        explore_damage(story, scratch, all ? 100 : 10);
    }
    printf("%s: %u images\n", kind->name, images - before);
    must(images - before > 100);
    damage_free(&specimen);
    bytes_free(whole.bytes, CAPACITY);
}

int main(void)
{
    static struct pair scratch;
    static struct story story;
    char directory[] = "/tmp/mpg-cuts-XXXXXX";
    struct pair *const pairs[] = {&scratch, &story.pair};

    must(mkdtemp(directory) != NULL);
    for (unsigned which = 0; which < 2; which++) {
        for (unsigned i = 0; i < 2; i++)
            memory_disk_init(&pairs[i]->disk[which], CAPACITY);
        init_content(&story.before[which]);
    }
    init_content(&story.damaged);
    init_content(&story.repaired);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        run_kind(&kinds[i], directory, &story, &scratch);
    must(rmdir(directory) == 0);
    return 0;
}
