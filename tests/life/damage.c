/* SPDX-License-Identifier: MIT */
#include "life/damage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mappedpages_repair.h"

/* Versions that a protected page can have had. */
#define MOST_VERSIONS 6

/* Bytes of a root, at most, and those that say which node one is, in format 1. */
#define ROOT_MOST 4096
#define NODE_HEAD 32

/* ---- judging ---- */

static bool hits(const struct destroyed *destroyed, size_t count, uint64_t first, uint64_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (destroyed[i].first < first + length && destroyed[i].end > first)
            return true;
    }
    return false;
}

static bool is_destroyed(const struct specimen *specimen, const struct destroyed *destroyed,
                         size_t count, uint64_t page)
{
    uint32_t page_size = specimen->kind->page_size;

    return hits(destroyed, count, page * page_size, page_size);
}

/* Whether all that said where a protected page's content is was destroyed, too. */
static bool is_nameless(const struct specimen *specimen, const struct destroyed *destroyed,
                        size_t count, unsigned number)
{
    uint32_t page_size = specimen->kind->page_size;
    uint32_t root_size = page_size < ROOT_MOST ? page_size : ROOT_MOST;
    /* What is left of a node that has lost its head is known by what leads to it. */
    bool is_led_to = specimen->kind->format == MPG_FORMAT_0_2 ||
                     !hits(destroyed, count, page_size, root_size) ||
                     !hits(destroyed, count, 2 * (uint64_t)page_size, root_size);

    for (size_t i = 0; i < specimen->naming_count; i++) {
        const struct naming *naming = &specimen->namings[i];

        if (naming->number == number && !hits(destroyed, count, naming->at, naming->length) &&
            (is_led_to || !hits(destroyed, count, naming->head, NODE_HEAD)))
            return false;
    }
    return true;
}

/* Which version of a protected page, by number, that is, or -1. */
static int version_of(const struct specimen *specimen, unsigned number, const unsigned char *data,
                      unsigned char *buffer)
{
    uint64_t id = damage_protected_id(specimen->kind, number);
    uint32_t page_size = specimen->kind->page_size;
    int last = (int)specimen->version[number];

    for (int version = last; version <= last + MOST_VERSIONS; version++) {
        int tried = version % (MOST_VERSIONS + 1); /* the last one first: most are that */

        damage_fill(buffer, page_size, true, id, (unsigned)tried);
        if (memcmp(data, buffer, page_size) == 0)
            return tried;
    }
    return -1;
}

struct trial {
    const struct specimen *specimen;
    const struct destroyed *destroyed;
    size_t destroyed_count;
    const char *what;
    struct tally *tally;
    bool *told;    /* by number: a rescue said that it may be older */
    bool *guessed; /* … that it may be another's */
    unsigned char *data, *buffer;
    uint64_t faults;
    bool unfinished; /* it was said that the last commit does not count */
};

static bool is_verbose(void)
{
    return getenv("MPG_DAMAGE_VERBOSE") != NULL;
}

static void on_fault(void *context, const mpg_fault *fault)
{
    struct trial *trial = context;

    trial->faults += fault->code != 0;
    trial->unfinished |= strcmp(fault->name, "unfinished") == 0;
}

/* What opening shows of protected pages must be right, or an error. */
static void judge_opened(struct trial *trial, const mpg_pager *pager)
{
    const struct specimen *specimen = trial->specimen;

    for (unsigned number = 0; number < specimen->kind->protected_count; number++) {
        mpg_protected_id id = {damage_protected_id(specimen->kind, number)};
        int result = mpg_protected_read(trial->data, pager, id);
        int version;

        if (result != 0)
            continue;
        version = version_of(specimen, number, trial->data, trial->buffer);
        if (version < 0)
            damage_fail("%s, %s: protected page %" PRIu64 " shows what was never written there",
                        specimen->kind->name, trial->what, id.value);
        /*
         * Where something older is shown, check says so: of a closed file of format 1 it never is.
         */
        if ((unsigned)version != specimen->version[number] && !trial->tally->may_be_older &&
            ((trial->faults == 0 && !trial->unfinished) ||
             (specimen->kind->closed && specimen->kind->format == MPG_FORMAT_1)))
            damage_fail("%s, %s: protected page %" PRIu64 " shows version %d, not %u",
                        specimen->kind->name, trial->what, id.value, version,
                        specimen->version[number]);
    }
}

static void try_open(struct trial *trial)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_check_result result;
    const mpg_pager *pager;

    trial->faults = 0;
    trial->unfinished = false;
    options.flags = MPG_LOCK_SHARED;
    if (mpg_open_readonly(&pager, trial->specimen->path, &options) != 0) {
        trial->tally->found++;
        return;
    }
    trial->tally->opened++;
    if (mpg_check(&result, pager,
                  &(mpg_check_options){.size = sizeof(mpg_check_options),
                                       .report = on_fault,
                                       .context = trial}) != 0 ||
        trial->faults > 0)
        trial->tally->found++;
    judge_opened(trial, pager);
    damage_must(mpg_close(pager), "close");
}

static void on_note(void *context, const mpg_rescue_note *note)
{
    struct trial *trial = context;
    const struct specimen_kind *kind = trial->specimen->kind;
    uint64_t number = note->page / kind->protected_step;

    if (is_verbose())
        printf("  %s: %s: %s\n", trial->what, note->name, note->message);
    trial->unfinished |= strcmp(note->name, "unfinished") == 0;
    if (number >= kind->protected_count || number * kind->protected_step != note->page)
        return;
    if (strcmp(note->name, "older") == 0 || strcmp(note->name, "guessed-id") == 0)
        trial->told[number] = true;
    if (strcmp(note->name, "guessed-id") == 0)
        trial->guessed[number] = true;
}

/* A content whose id is lost must be there under the number of its page. */
static void count_orphan(struct trial *trial, const mpg_pager *saved, unsigned number)
{
    const struct specimen *specimen = trial->specimen;
    mpg_page_id page = {specimen->content[number]};

    if (mpg_page_read(trial->data, saved, page, 0, specimen->kind->page_size) == 0 &&
        version_of(specimen, number, trial->data, trial->buffer) == (int)specimen->version[number])
        trial->tally->orphans++;
    else if (trial->tally->counts_lost)
        trial->tally->lost++;
    else
        damage_fail("%s, %s: neither protected page %" PRIu64
                    " is saved nor what is in page %" PRIu64,
                    specimen->kind->name, trial->what, damage_protected_id(specimen->kind, number),
                    page.value);
}

/* A content that was not destroyed is not what is saved of a protected page, if any is. */
static void count_missed(struct trial *trial, const mpg_pager *saved, unsigned number, int version)
{
    const struct specimen *specimen = trial->specimen;
    bool nameless = is_nameless(specimen, trial->destroyed, trial->destroyed_count, number);

    trial->tally->nameless += nameless;
    if (is_verbose())
        printf("  %s, %s: protected page %" PRIu64 " is saved in version %d of %u%s\n",
               specimen->kind->name, trial->what, damage_protected_id(specimen->kind, number),
               version, specimen->version[number], nameless ? "; nothing names it" : "");
    count_orphan(trial, saved, number);
}

/* What is saved is not the last content: that must be said. */
static void judge_other(struct trial *trial, unsigned number, int version)
{
    const struct specimen *specimen = trial->specimen;
    uint64_t id = damage_protected_id(specimen->kind, number);

    if (version < 0 && !trial->guessed[number])
        damage_fail("%s, %s: rescue made something up for protected page %" PRIu64,
                    specimen->kind->name, trial->what, id);
    if (!trial->told[number] && !trial->tally->may_be_older)
        damage_fail("%s, %s: rescue says that version %d of protected page %" PRIu64
                    " is right; it is %u",
                    specimen->kind->name, trial->what, version, id, specimen->version[number]);
    if (trial->told[number])
        trial->tally->protected_older++;
    else
        trial->tally->passed++;
}

static void judge_protected(struct trial *trial, const mpg_pager *saved)
{
    const struct specimen *specimen = trial->specimen;

    for (unsigned number = 0; number < specimen->kind->protected_count; number++) {
        mpg_protected_id id = {damage_protected_id(specimen->kind, number)};
        int result = mpg_protected_read(trial->data, saved, id);
        bool there = specimen->content[number] != 0 &&
                     !is_destroyed(specimen, trial->destroyed, trial->destroyed_count,
                                   specimen->content[number]);
        int version = result == 0 ? version_of(specimen, number, trial->data, trial->buffer) : -1;
        bool right = specimen->content[number] != 0 && version == (int)specimen->version[number];

        trial->tally->protected_there += there;
        trial->tally->protected_right += there && right;
        if (there && !right)
            count_missed(trial, saved, number, version);
        if (result == 0 && !right)
            judge_other(trial, number, version);
    }
}

static void judge_regular(struct trial *trial, const mpg_pager *saved)
{
    const struct specimen *specimen = trial->specimen;
    const struct specimen_kind *kind = specimen->kind;

    for (unsigned i = 0; i < kind->regular_count; i++) {
        mpg_page_id id = {damage_regular_id(kind, i)};

        if (is_destroyed(specimen, trial->destroyed, trial->destroyed_count, id.value))
            continue;
        trial->tally->regular_there++;
        if (mpg_page_read(trial->data, saved, id, 0, kind->page_size) != 0) {
            if (is_verbose())
                printf("  %s, %s: regular page %" PRIu64 " is not saved\n", kind->name, trial->what,
                       id.value);
            continue;
        }
        damage_fill(trial->buffer, kind->page_size, false, id.value, 1);
        if (memcmp(trial->data, trial->buffer, kind->page_size) != 0)
            damage_fail("%s, %s: regular page %" PRIu64 " is another after the rescue", kind->name,
                        trial->what, id.value);
        trial->tally->regular_right++;
    }
}

/* Nothing was saved. */
static void count_nothing(struct trial *trial)
{
    const struct specimen *specimen = trial->specimen;
    uint64_t there = 0, nameless = 0;

    for (unsigned number = 0; number < specimen->kind->protected_count; number++) {
        if (specimen->content[number] == 0 ||
            is_destroyed(specimen, trial->destroyed, trial->destroyed_count,
                         specimen->content[number]))
            continue;
        there++;
        nameless += is_nameless(specimen, trial->destroyed, trial->destroyed_count, number);
    }
    if (is_verbose())
        printf("  %s, %s: nothing is saved\n", specimen->kind->name, trial->what);
    trial->tally->protected_there += there;
    trial->tally->lost += there;
    trial->tally->nameless += nameless;
    /* Nothing at all says what it was. */
    if (nameless == there)
        return;
    for (unsigned i = 0; i < specimen->kind->regular_count; i++)
        trial->tally->regular_there +=
            !is_destroyed(specimen, trial->destroyed, trial->destroyed_count,
                          damage_regular_id(specimen->kind, i));
}

static void try_rescue(struct trial *trial)
{
    mpg_rescue_options options = MPG_RESCUE_OPTIONS_INIT;
    mpg_rescue_result result;
    const mpg_pager *saved;
    mpg_check_result checked;
    struct mpg_stat st = {.size = sizeof(st)};
    char path[300];
    int error;

    (void)snprintf(path, sizeof(path), "%s.saved", trial->specimen->path);
    (void)unlink(path);
    options.note = on_note;
    options.context = trial;
    error = mpg_rescue(&result, trial->specimen->path, path, &options);
    if (error != 0) {
        mpg_error_info info;

        (void)mpg_last_error(&info);
        if (error != MPG_E_CORRUPT_SUPERBLOCK)
            damage_fail("%s, %s: rescue: %s", trial->specimen->kind->name, trial->what,
                        info.message);
        if (access(path, F_OK) == 0)
            damage_fail("%s, %s: a rescue that failed left a file", trial->specimen->kind->name,
                        trial->what);
        count_nothing(trial);
        return;
    }
    trial->tally->rescued++;
    trial->tally->adopted += result.regular_adopted;
    damage_must(mpg_open_readonly(&saved, path, NULL), "open what was saved");
    trial->faults = 0;
    damage_must(mpg_check(&checked, saved,
                          &(mpg_check_options){.size = sizeof(mpg_check_options),
                                               .report = on_fault,
                                               .context = trial}),
                "check what was saved");
    damage_must(mpg_stat(&st, saved), "stat");
    if (trial->faults > 0 || st.protected_pages != result.protected_saved ||
        st.regular_pages != result.regular_saved + result.regular_adopted)
        damage_fail("%s, %s: what was saved is not what rescue says", trial->specimen->kind->name,
                    trial->what);
    judge_protected(trial, saved);
    judge_regular(trial, saved);
    damage_must(mpg_close(saved), "close");
    (void)unlink(path);
}

/* ---- repairing where it is ---- */

/* FNV-1a, over what is no hole: with the offsets, so that nothing may move. */
uint64_t damage_digest(const char *path)
{
    static unsigned char bytes[65536];
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = lseek(fd, 0, SEEK_END), at = 0;

    if (fd < 0 || end < 0)
        damage_fail("%s cannot be read", path);
    digest ^= (uint64_t)end;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
        ssize_t got = pread(fd, bytes, sizeof(bytes) - (size_t)at % 4096, at);

        if (got <= 0)
            damage_fail("%s cannot be read", path);
        for (ssize_t i = 0; i + 8 <= got; i += 8) {
            uint64_t word;

            memcpy(&word, bytes + i, 8);
            if (word != 0)
                digest = (digest ^ word ^ (uint64_t)(at + i) << 20) * UINT64_C(0x100000001b3);
        }
        at += got;
    }
    (void)close(fd);
    return digest;
}

/* A regular page that gave its page up, or a protected page that may be older, was told of. */
static void on_repair_note(void *context, const mpg_rescue_note *note)
{
    on_note(context, note);
}

static bool agree(void *context, const mpg_rescue_note *note)
{
    (void)context;
    (void)note;
    return true;
}

/* What is there after a repair is right, or was told. */
static void judge_repaired(struct trial *trial, const mpg_pager *pager)
{
    const struct specimen *specimen = trial->specimen;

    for (unsigned number = 0; number < specimen->kind->protected_count; number++) {
        mpg_protected_id id = {damage_protected_id(specimen->kind, number)};
        int result = mpg_protected_read(trial->data, pager, id);
        bool there = specimen->content[number] != 0 &&
                     !is_destroyed(specimen, trial->destroyed, trial->destroyed_count,
                                   specimen->content[number]);
        int version;

        trial->tally->repaired_there += there;
        if (result != 0)
            continue;
        version = version_of(specimen, number, trial->data, trial->buffer);
        if (version < 0 && !trial->guessed[number])
            damage_fail("%s, %s: repair made something up for protected page %" PRIu64,
                        specimen->kind->name, trial->what, id.value);
        if (version >= 0 && (unsigned)version == specimen->version[number] &&
            specimen->content[number] != 0)
            trial->tally->repaired_right += there;
        else if (!trial->told[number] && !trial->unfinished && !trial->tally->may_be_older)
            damage_fail("%s, %s: repair says that version %d of protected page %" PRIu64
                        " is right; it is %u",
                        specimen->kind->name, trial->what, version, id.value,
                        specimen->version[number]);
    }
}

/* Regular pages that were not destroyed are what they were, under their numbers. */
static void judge_repaired_regular(struct trial *trial, const mpg_pager *pager)
{
    const struct specimen *specimen = trial->specimen;
    const struct specimen_kind *kind = specimen->kind;

    for (unsigned i = 0; i < kind->regular_count; i++) {
        mpg_page_id id = {damage_regular_id(kind, i)};

        if (is_destroyed(specimen, trial->destroyed, trial->destroyed_count, id.value))
            continue;
        damage_fill(trial->buffer, kind->page_size, false, id.value, 1);
        if (mpg_page_read(trial->data, pager, id, 0, kind->page_size) != 0 ||
            memcmp(trial->data, trial->buffer, kind->page_size) != 0)
            damage_fail("%s, %s: regular page %" PRIu64 " is another after the repair", kind->name,
                        trial->what, id.value);
    }
}

static void judge_file(struct trial *trial, const mpg_repair_result *result)
{
    const struct specimen *specimen = trial->specimen;
    mpg_check_result checked;
    const mpg_pager *pager;

    damage_must(mpg_open_readonly(&pager, specimen->path, NULL), "open what was repaired");
    trial->faults = 0;
    damage_must(mpg_check(&checked, pager,
                          &(mpg_check_options){.size = sizeof(mpg_check_options),
                                               .report = on_fault,
                                               .context = trial}),
                "check what was repaired");
    if (checked.faults != result->faults_left)
        damage_fail("%s, %s: %" PRIu64 " faults are left after a repair", specimen->kind->name,
                    trial->what, checked.faults);
    judge_repaired(trial, pager);
    judge_repaired_regular(trial, pager);
    damage_must(mpg_close(pager), "close");
}

static void try_repair(struct trial *trial)
{
    mpg_repair_options options = MPG_REPAIR_OPTIONS_INIT;
    mpg_repair_result result;
    const char *path = trial->specimen->path;
    uint64_t before = damage_digest(path);
    char undo[300];
    int error;

    (void)snprintf(undo, sizeof(undo), "%s.undo", path);
    memset(trial->told, 0, trial->specimen->kind->protected_count);
    memset(trial->guessed, 0, trial->specimen->kind->protected_count);
    trial->unfinished = false;
    options.note = on_repair_note;
    options.consent = agree;
    options.context = trial;
    error = mpg_repair(&result, path, &options);
    if (error != 0) {
        mpg_error_info info;

        (void)mpg_last_error(&info);
        if (error != MPG_E_CORRUPT_SUPERBLOCK)
            damage_fail("%s, %s: repair: %s", trial->specimen->kind->name, trial->what,
                        info.message);
        if (damage_digest(path) != before || access(undo, F_OK) == 0)
            damage_fail("%s, %s: a repair that failed changed something",
                        trial->specimen->kind->name, trial->what);
        return;
    }
    trial->tally->repaired++;
    judge_file(trial, &result);
    if (result.changed)
        damage_must(mpg_repair_undo(path, NULL), "undo");
    if (damage_digest(path) != before || access(undo, F_OK) == 0)
        damage_fail("%s, %s: a repair was not taken back", trial->specimen->kind->name,
                    trial->what);
}

void damage_try(const struct specimen *specimen, const struct destroyed *destroyed, size_t count,
                struct tally *tally, const char *what)
{
    struct trial trial = {
        .specimen = specimen,
        .destroyed = destroyed,
        .destroyed_count = count,
        .what = what,
        .tally = tally,
        .told = damage_room(specimen->kind->protected_count, sizeof(bool)),
        .guessed = damage_room(specimen->kind->protected_count, sizeof(bool)),
        .data = damage_room(1, specimen->kind->page_size),
        .buffer = damage_room(1, specimen->kind->page_size),
    };

    tally->trials++;
    try_open(&trial);
    try_rescue(&trial);
    try_repair(&trial);
    free(trial.told);
    free(trial.guessed);
    free(trial.data);
    free(trial.buffer);
}
