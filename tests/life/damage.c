/* SPDX-License-Identifier: MIT */
#include "life/damage.h"

#include "mappedpages_repair.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Versions that a protected page can have had. */
#define MOST_VERSIONS 6

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void must(int result, const char *what)
{
    mpg_error_info info;

    if (result == 0)
        return;
    (void)mpg_last_error(&info);
    fail("%s: %s (%s)", what, info.message, mpg_strerror(result));
}

static void *room(size_t count, size_t size)
{
    void *made = calloc(count + 1, size);

    if (made == NULL)
        fail("no memory");
    return made;
}

/* ---- contents ---- */

static uint64_t random_state = 20260101;

void damage_seed(uint64_t seed)
{
    random_state = seed;
}

uint64_t damage_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

void damage_die(const char *what)
{
    perror(what);
    exit(1);
}

/* The content of a page: version 0 is zeros. */
static void fill_page(unsigned char *data, uint32_t page_size, bool is_protected, uint64_t id,
                      unsigned version)
{
    uint64_t state = (id + 1) * UINT64_C(0x9e3779b97f4a7c15) +
                     version * UINT64_C(0xbf58476d1ce4e5b9) + is_protected;

    if (version == 0) {
        memset(data, 0, page_size);
        return;
    }
    for (uint32_t i = 0; i < page_size; i += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(data + i, &state, 8);
    }
}

static uint64_t regular_id(const struct specimen_kind *kind, unsigned number)
{
    return 40 + number * kind->regular_step;
}

/* ---- making a file ---- */

static void write_protected(struct specimen *specimen, mpg_pager *pager, uint64_t id,
                            unsigned char *data)
{
    mpg_writer *writer;

    fill_page(data, specimen->kind->page_size, true, id, ++specimen->version[id]);
    must(mpg_writer_open(&writer, pager, (mpg_protected_id){id}), "writer");
    memcpy(mpg_writer_data(writer), data, specimen->kind->page_size);
    must(mpg_writer_commit(writer), "commit");
}

static void first_contents(struct specimen *specimen, mpg_pager *pager, unsigned char *data)
{
    const struct specimen_kind *kind = specimen->kind;

    for (unsigned i = 0; i < kind->regular_count; i++) {
        mpg_page_id id = {regular_id(kind, i)};

        must(mpg_alloc_at(pager, id, 0), "alloc");
        fill_page(data, kind->page_size, false, id.value, 1);
        must(mpg_page_write(pager, id, data, 0, kind->page_size), "write");
    }
    for (unsigned i = 0; i < kind->protected_count; i++) {
        mpg_txn *txn;
        mpg_protected_id id = {i};

        must(mpg_txn_begin(&txn, pager), "begin");
        for (unsigned k = 0; k < 64 && i < kind->protected_count; k++, id.value = ++i) {
            specimen->version[i] = 1;
            fill_page(data, kind->page_size, true, i, 1);
            must(mpg_txn_alloc_protected_at(txn, id), "alloc protected");
            must(mpg_txn_protected_write(txn, id, data, 0, kind->page_size), "write protected");
        }
        i--;
        must(mpg_txn_commit(txn, 0), "commit");
    }
    must(mpg_sync(pager), "sync");
}

/* Some pages are written again, one is freed: what slots and copies hold differs. */
static void later_contents(struct specimen *specimen, mpg_pager *pager, unsigned char *data,
                           unsigned round)
{
    const struct specimen_kind *kind = specimen->kind;
    unsigned writes = 0;

    for (uint64_t id = round; id < kind->protected_count && writes < 12;
         id += 5 + round, writes++) {
        if (specimen->version[id] != 0)
            write_protected(specimen, pager, id, data);
    }
    if (kind->protected_count > 4) {
        uint64_t id = kind->protected_count - 1 - round;

        must(mpg_free_protected(pager, (mpg_protected_id){id}), "free");
        specimen->version[id] = 0;
    }
}

static mpg_pager *open_again(const struct specimen *specimen)
{
    mpg_pager *pager;
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_SPARSE | MPG_DEFER_ALLOCATION;
    must(mpg_open(&pager, specimen->path, &options), "open");
    return pager;
}

static void copy_file(const char *from, const char *to)
{
    char command[700];

    (void)snprintf(command, sizeof(command), "cp --sparse=always '%s' '%s'", from, to);
    if (system(command) != 0)
        fail("cp");
}

static void make_content(struct specimen *specimen)
{
    const struct specimen_kind *kind = specimen->kind;
    mpg_options options = MPG_OPTIONS_INIT;
    unsigned char *data = room(1, kind->page_size);
    mpg_pager *pager;

    options.page_size = kind->page_size;
    options.format = kind->format;
    options.label = kind->format == MPG_FORMAT_1 ? "specimen" : NULL;
    options.flags = MPG_SPARSE | MPG_DEFER_ALLOCATION;
    must(mpg_create(&pager, specimen->path, &options), "create");
    first_contents(specimen, pager, data);
    must(mpg_close(pager), "close");
    for (unsigned round = 0; round < 3; round++) {
        if (round == 2)
            copy_file(specimen->path, specimen->older);
        pager = open_again(specimen);
        later_contents(specimen, pager, data, round);
        must(mpg_sync(pager), "sync");
        if (!kind->closed && round == 2) {
            char copy[300];

            /* As a crash of the process leaves it. */
            (void)snprintf(copy, sizeof(copy), "%s.crashed", specimen->path);
            copy_file(specimen->path, copy);
            must(mpg_close(pager), "close");
            if (rename(copy, specimen->path) != 0)
                fail("rename");
            break;
        }
        must(mpg_close(pager), "close");
    }
    free(data);
}

static void learn(struct specimen *specimen)
{
    struct mpg_stat st = {.size = sizeof(st)};
    const mpg_pager *pager;

    must(mpg_open_readonly(&pager, specimen->path, NULL), "open");
    must(mpg_stat(&st, pager), "stat");
    specimen->pages = st.total_pages;
    specimen->uses = room(st.total_pages, 1);
    must(mpg_page_uses(specimen->uses, pager, 0, st.total_pages), "uses");
    for (unsigned i = 0; i < specimen->kind->protected_count; i++) {
        mpg_protected_info info;

        if (mpg_protected_stat(&info, pager, (mpg_protected_id){i}) == 0)
            specimen->content[i] = info.page[info.current];
    }
    must(mpg_close(pager), "close");
}

void damage_make(struct specimen *specimen, const struct specimen_kind *kind, const char *directory)
{
    memset(specimen, 0, sizeof(*specimen));
    specimen->kind = kind;
    (void)snprintf(specimen->path, sizeof(specimen->path), "%s/%s", directory, kind->name);
    specimen->version = room(kind->protected_count, sizeof(unsigned));
    specimen->content = room(kind->protected_count, sizeof(uint64_t));
    (void)snprintf(specimen->older, sizeof(specimen->older), "%s.older", specimen->path);
    (void)unlink(specimen->path);
    make_content(specimen);
    learn(specimen);
}

void damage_free(struct specimen *specimen)
{
    (void)unlink(specimen->path);
    (void)unlink(specimen->older);
    free(specimen->uses);
    free(specimen->content);
    free(specimen->version);
}

/* ---- judging ---- */

static bool is_destroyed(const struct specimen *specimen, const struct destroyed *destroyed,
                         size_t count, uint64_t page)
{
    uint64_t first = page * specimen->kind->page_size;
    uint64_t end = first + specimen->kind->page_size;

    for (size_t i = 0; i < count; i++) {
        if (destroyed[i].first < end && destroyed[i].end > first)
            return true;
    }
    return false;
}

/* Which version of a protected page that is, or -1. */
static int version_of(const struct specimen *specimen, uint64_t id, const unsigned char *data,
                      unsigned char *buffer)
{
    for (unsigned version = 0; version <= MOST_VERSIONS; version++) {
        fill_page(buffer, specimen->kind->page_size, true, id, version);
        if (memcmp(data, buffer, specimen->kind->page_size) == 0)
            return (int)version;
    }
    return -1;
}

struct trial {
    const struct specimen *specimen;
    const struct destroyed *destroyed;
    size_t destroyed_count;
    const char *what;
    struct tally *tally;
    bool *told;    /* by protected id: a rescue said that it may be older */
    bool *guessed; /* … that it may be another's */
    unsigned char *data, *buffer;
    uint64_t faults;
};

static void on_fault(void *context, const mpg_fault *fault)
{
    struct trial *trial = context;

    trial->faults += fault->code != 0;
}

/* What opening shows of protected pages must be right, or an error. */
static void judge_opened(struct trial *trial, const mpg_pager *pager)
{
    const struct specimen *specimen = trial->specimen;

    for (unsigned id = 0; id < specimen->kind->protected_count; id++) {
        int result = mpg_protected_read(trial->data, pager, (mpg_protected_id){id});
        int version;

        if (result != 0)
            continue;
        version = version_of(specimen, id, trial->data, trial->buffer);
        if (version < 0)
            fail("%s, %s: protected page %u shows what was never written there",
                 specimen->kind->name, trial->what, id);
        /* Format 0.2 shows the older copy of a directory block where the active one is gone, and check says so. */
        if (specimen->kind->closed && (unsigned)version != specimen->version[id] &&
            !trial->tally->may_be_older &&
            !(specimen->kind->format == MPG_FORMAT_0_2 && trial->faults > 0))
            fail("%s, %s: protected page %u shows version %d, not %u", specimen->kind->name,
                 trial->what, id, version, specimen->version[id]);
    }
}

static void try_open(struct trial *trial)
{
    mpg_check_result result;
    const mpg_pager *pager;

    trial->faults = 0;
    if (mpg_open_readonly(&pager, trial->specimen->path, NULL) != 0) {
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
    must(mpg_close(pager), "close");
}

static void on_note(void *context, const mpg_rescue_note *note)
{
    struct trial *trial = context;

    if (getenv("MPG_DAMAGE_VERBOSE") != NULL)
        printf("  %s: %s: %s\n", trial->what, note->name, note->message);
    if (note->page >= trial->specimen->kind->protected_count)
        return;
    if (strcmp(note->name, "older") == 0 || strcmp(note->name, "guessed-id") == 0)
        trial->told[note->page] = true;
    if (strcmp(note->name, "guessed-id") == 0)
        trial->guessed[note->page] = true;
}

/* A content whose id is lost must be there under the number of its page. */
static void count_orphan(struct trial *trial, const mpg_pager *saved, unsigned id, int result)
{
    const struct specimen *specimen = trial->specimen;
    mpg_page_id page = {specimen->content[id]};

    if (result == 0 &&
        version_of(specimen, id, trial->data, trial->buffer) == (int)specimen->version[id])
        return;
    if (mpg_page_read(trial->buffer, saved, page, 0, specimen->kind->page_size) != 0) {
        if (trial->tally->counts_lost) {
            trial->tally->lost++;
            return;
        }
        fail("%s, %s: neither protected page %u is saved nor what is in page %" PRIu64,
             specimen->kind->name, trial->what, id, page.value);
    }
    trial->tally->orphans++;
    if (result == 0)
        must(mpg_protected_read(trial->data, saved, (mpg_protected_id){id}), "read");
}

static void judge_protected(struct trial *trial, const mpg_pager *saved)
{
    const struct specimen *specimen = trial->specimen;
    struct tally *tally = trial->tally;

    for (unsigned id = 0; id < specimen->kind->protected_count; id++) {
        int result = mpg_protected_read(trial->data, saved, (mpg_protected_id){id});
        bool there = specimen->content[id] != 0 &&
                     !is_destroyed(specimen, trial->destroyed, trial->destroyed_count,
                                   specimen->content[id]);
        int version = result == 0 ? version_of(specimen, id, trial->data, trial->buffer) : -1;

        tally->protected_there += there;
        if (there)
            count_orphan(trial, saved, id, result);
        if (result != 0) {
            if (there && getenv("MPG_DAMAGE_VERBOSE") != NULL)
                printf("  %s, %s: protected page %u is not saved\n", specimen->kind->name,
                       trial->what, id);
            continue;
        }
        if (version < 0 && !trial->guessed[id])
            fail("%s, %s: rescue made something up for protected page %u", specimen->kind->name,
                 trial->what, id);
        if (version >= 0 && (unsigned)version == specimen->version[id] &&
            specimen->content[id] != 0) {
            tally->protected_right += there;
            continue;
        }
        if (!trial->told[id] && !tally->may_be_older)
            fail("%s, %s: rescue says that version %d of protected page %u is right; it is %u",
                 specimen->kind->name, trial->what, version, id, specimen->version[id]);
        if (there && getenv("MPG_DAMAGE_VERBOSE") != NULL)
            printf("  %s, %s: protected page %u is saved in version %d of %u\n",
                   specimen->kind->name, trial->what, id, version, specimen->version[id]);
        tally->protected_older++;
    }
}

static void judge_regular(struct trial *trial, const mpg_pager *saved)
{
    const struct specimen *specimen = trial->specimen;
    const struct specimen_kind *kind = specimen->kind;

    for (unsigned i = 0; i < kind->regular_count; i++) {
        mpg_page_id id = {regular_id(kind, i)};

        if (is_destroyed(specimen, trial->destroyed, trial->destroyed_count, id.value))
            continue;
        trial->tally->regular_there++;
        if (mpg_page_read(trial->data, saved, id, 0, kind->page_size) != 0) {
            if (getenv("MPG_DAMAGE_VERBOSE") != NULL)
                printf("  %s, %s: regular page %" PRIu64 " is not saved\n", kind->name, trial->what,
                       id.value);
            continue;
        }
        fill_page(trial->buffer, kind->page_size, false, id.value, 1);
        if (memcmp(trial->data, trial->buffer, kind->page_size) != 0)
            fail("%s, %s: regular page %" PRIu64 " is another after the rescue", kind->name,
                 trial->what, id.value);
        trial->tally->regular_right++;
    }
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
            fail("%s, %s: rescue: %s", trial->specimen->kind->name, trial->what, info.message);
        if (access(path, F_OK) == 0)
            fail("%s, %s: a rescue that failed left a file", trial->specimen->kind->name,
                 trial->what);
        return;
    }
    trial->tally->rescued++;
    trial->tally->adopted += result.regular_adopted;
    must(mpg_open_readonly(&saved, path, NULL), "open what was saved");
    trial->faults = 0;
    must(mpg_check(&checked, saved,
                   &(mpg_check_options){
                       .size = sizeof(mpg_check_options), .report = on_fault, .context = trial}),
         "check what was saved");
    must(mpg_stat(&st, saved), "stat");
    if (trial->faults > 0 || st.protected_pages != result.protected_saved ||
        st.regular_pages != result.regular_saved + result.regular_adopted)
        fail("%s, %s: what was saved is not what rescue says", trial->specimen->kind->name,
             trial->what);
    judge_protected(trial, saved);
    judge_regular(trial, saved);
    must(mpg_close(saved), "close");
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
        fail("%s cannot be read", path);
    digest ^= (uint64_t)end;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
        ssize_t got = pread(fd, bytes, sizeof(bytes) - (size_t)at % 4096, at);

        if (got <= 0)
            fail("%s cannot be read", path);
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

    for (unsigned id = 0; id < specimen->kind->protected_count; id++) {
        int result = mpg_protected_read(trial->data, pager, (mpg_protected_id){id});
        bool there = specimen->content[id] != 0 &&
                     !is_destroyed(specimen, trial->destroyed, trial->destroyed_count,
                                   specimen->content[id]);
        int version;

        trial->tally->repaired_there += there;
        if (result != 0)
            continue;
        version = version_of(specimen, id, trial->data, trial->buffer);
        if (version < 0 && !trial->guessed[id])
            fail("%s, %s: repair made something up for protected page %u", specimen->kind->name,
                 trial->what, id);
        if (version >= 0 && (unsigned)version == specimen->version[id] &&
            specimen->content[id] != 0)
            trial->tally->repaired_right += there;
        else if (specimen->kind->closed && !trial->told[id] && !trial->tally->may_be_older)
            fail("%s, %s: repair says that version %d of protected page %u is right; it is %u",
                 specimen->kind->name, trial->what, version, id, specimen->version[id]);
    }
}

/* Regular pages that were not destroyed are what they were, under their numbers. */
static void judge_repaired_regular(struct trial *trial, const mpg_pager *pager)
{
    const struct specimen *specimen = trial->specimen;
    const struct specimen_kind *kind = specimen->kind;

    for (unsigned i = 0; i < kind->regular_count; i++) {
        mpg_page_id id = {regular_id(kind, i)};

        if (is_destroyed(specimen, trial->destroyed, trial->destroyed_count, id.value))
            continue;
        fill_page(trial->buffer, kind->page_size, false, id.value, 1);
        if (mpg_page_read(trial->data, pager, id, 0, kind->page_size) != 0 ||
            memcmp(trial->data, trial->buffer, kind->page_size) != 0)
            fail("%s, %s: regular page %" PRIu64 " is another after the repair", kind->name,
                 trial->what, id.value);
    }
}

static void judge_file(struct trial *trial, const mpg_repair_result *result)
{
    const struct specimen *specimen = trial->specimen;
    mpg_check_result checked;
    const mpg_pager *pager;

    must(mpg_open_readonly(&pager, specimen->path, NULL), "open what was repaired");
    trial->faults = 0;
    must(mpg_check(&checked, pager,
                   &(mpg_check_options){
                       .size = sizeof(mpg_check_options), .report = on_fault, .context = trial}),
         "check what was repaired");
    if (checked.faults != result->faults_left)
        fail("%s, %s: %" PRIu64 " faults are left after a repair", specimen->kind->name,
             trial->what, checked.faults);
    judge_repaired(trial, pager);
    judge_repaired_regular(trial, pager);
    must(mpg_close(pager), "close");
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
    options.note = on_repair_note;
    options.consent = agree;
    options.context = trial;
    error = mpg_repair(&result, path, &options);
    if (error != 0) {
        mpg_error_info info;

        (void)mpg_last_error(&info);
        if (error != MPG_E_CORRUPT_SUPERBLOCK)
            fail("%s, %s: repair: %s", trial->specimen->kind->name, trial->what, info.message);
        if (damage_digest(path) != before || access(undo, F_OK) == 0)
            fail("%s, %s: a repair that failed changed something", trial->specimen->kind->name,
                 trial->what);
        return;
    }
    trial->tally->repaired++;
    judge_file(trial, &result);
    if (result.changed)
        must(mpg_repair_undo(path, NULL), "undo");
    if (damage_digest(path) != before || access(undo, F_OK) == 0)
        fail("%s, %s: a repair was not taken back", trial->specimen->kind->name, trial->what);
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
        .told = room(specimen->kind->protected_count, sizeof(bool)),
        .guessed = room(specimen->kind->protected_count, sizeof(bool)),
        .data = room(1, specimen->kind->page_size),
        .buffer = room(1, specimen->kind->page_size),
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
