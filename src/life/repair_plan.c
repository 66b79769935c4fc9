/* SPDX-License-Identifier: MIT */
/*
 * Repairing: what the file is to be. Tried on a disk in front of it, from what changes least to
 * what changes most:
 *
 *     top      page 0 from what repeats it; copies that do not count from those that do
 *     open     as a writer opens it, which mends roots and what a crash left; then all of it is checked
 *     older    by choice: the state before the newest
 *     contents protected pages whose content is not whole are given up, or stay
 *     rebuild  all metadata anew, around contents that stay where they are
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/error.h"
#include "format/format.h"
#include "format/superblock.h"
#include "life/repair_steps.h"
#include "pager/open.h"
#include "pager/pager.h"

/* ---- telling and asking ---- */

/* Whether what a note says gives something up. That of "lost" is asked for by itself. */
static bool gives_up(const char *name)
{
    static const char *const names[] = {"older",      "guessed-id", "orphan",
                                        "doubtful",   "guessed",    "record",
                                        "beyond-end", "page-twice", "older-state"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* A note while the file is looked through. */
static void on_note(void *context, const mpg_rescue_note *note)
{
    struct repair *repair = context;

    mpgi_repair_tell(repair, note->name, note->page, note->message);
    if (gives_up(note->name) && !repair->refused)
        repair->refused = !mpgi_repair_ask(repair, note->name, note->page, note->message);
}

/* Whether a protected page of which no content is whole stays. */
static bool on_lost(void *context, uint64_t id)
{
    struct repair *repair = context;
    uint64_t *dropped;
    char message[120];

    (void)snprintf(message, sizeof(message),
                   "give protected page %" PRIu64 " up, whose content is lost", id);
    if (!mpgi_repair_ask(repair, "lost", id, message))
        return true;
    dropped = mpgi_array_room(repair->dropped, repair->dropped_count, &repair->dropped_capacity,
                              sizeof(*dropped), 16);
    if (dropped == NULL) {
        repair->no_memory = true;
        return true;
    }
    repair->dropped = dropped;
    dropped[repair->dropped_count++] = id;
    return false;
}

/* ---- the steps ---- */

/* By choice. *dropped: there was such a state. */
static int drop_newest(struct repair *repair, bool *dropped)
{
    struct salvage salvage = {0};
    const struct salvage_ops *ops = NULL;
    uint64_t from = 0, to = 0;
    char message[160];
    struct file file;
    int error = mpgi_repair_open_target(repair, &file);

    if (error)
        return error;
    salvage.file = &file;
    error = mpgi_rescue_identify(&salvage, &ops);
    if (error == 0 && ops->drop_newest != NULL)
        error = ops->drop_newest(&file, &from, &to);
    (void)mpgi_file_close(&file);
    *dropped = error == 0 && from != 0;
    if (!*dropped)
        return error;
    (void)snprintf(message, sizeof(message),
                   "the state of commit %" PRIu64 " is damaged: what counts is that of commit "
                   "%" PRIu64 ", and what was committed since is given up",
                   from, to);
    mpgi_repair_tell(repair, "older-state", MPG_NO_PAGE, message);
    return mpgi_repair_ask(repair, "older-state", MPG_NO_PAGE, message)
               ? 0
               : mpgi_repair_refused(repair);
}

/* The state before the newest, if the file has it whole: *done. */
static int try_older(struct repair *repair, bool *done)
{
    struct outcome outcome = {0};
    bool dropped = false;
    int error = mpgi_repair_disk_forget(&repair->disk);

    *done = false;
    if (error == 0)
        error = mpgi_repair_mend(repair, false);
    if (error == 0)
        error = drop_newest(repair, &dropped);
    if (error != 0 || !dropped)
        return error;
    error = mpgi_repair_try(repair, &outcome, false);
    *done = error == 0 && is_sound(&outcome);
    repair->result.faults_left = outcome.contents;
    return error;
}

static bool on_progress(void *context, uint64_t done, uint64_t total)
{
    const struct repair *repair = context;

    return repair->options.progress(repair->options.context, done, total);
}

static int look_through(struct repair *repair)
{
    int error;

    if (repair->options.progress != NULL)
        repair->rescue.options.progress = on_progress;
    repair->rescue.options.note = on_note;
    repair->rescue.options.context = repair;
    repair->rescue.keep = on_lost;
    repair->rescue.keep_context = repair;
    repair->looked = true;
    error = mpgi_rescue_look(&repair->rescue);
    if (error == 0 && repair->no_memory)
        error = mpgi_fail_memory("repair");
    if (error == 0 && repair->refused)
        error = mpgi_repair_refused(repair);
    repair->result.protected_lost = repair->dropped_count;
    repair->result.protected_older = repair->rescue.result.protected_older;
    repair->result.regular_adopted = repair->rescue.result.regular_adopted;
    return error;
}

/* Gives up what was agreed to, of a file that is whole otherwise. */
static int free_dropped(struct repair *repair, uint64_t damaged)
{
    mpg_pager *pager;
    int error, closed;

    repair->result.faults_left = damaged - min_u64(damaged, repair->dropped_count);
    if (repair->dropped_count == 0)
        return 0;
    error = mpgi_repair_open(repair, &pager);
    if (error)
        return error;
    for (size_t i = 0; i < repair->dropped_count && error == 0; i++)
        error = mpg_free_protected(pager, (mpg_protected_id){repair->dropped[i]});
    closed = mpg_close(pager);
    return error ? error : closed;
}

/* ---- is it older than what is left of it? ---- */

/* The number of the last commit that the file shows; 0 if it does not open. */
static int shown_generation(struct repair *repair, uint64_t *generation)
{
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;
    int error = mpgi_open_with(&pager, repair->rescue.source.path, &options, true, &mpgi_repair_io,
                               &repair->disk);

    *generation = 0;
    if (error != 0)
        return error == MPG_E_NO_MEMORY ? error : 0;
    error = mpg_stat(&st, pager);
    *generation = st.generation;
    (void)mpg_close(pager);
    return error;
}

/*
 * Of a file that opens. *lost: its newest root is lost, or records are, and all is to be looked
 * through; by choice what a root still leads to is what counts. A commit that is there in part is
 * what a crash leaves: that is only told.
 */
static int find_newer(struct repair *repair, uint64_t shown, bool *lost)
{
    struct newer_parts parts = {0};
    int error = mpgi_rescue_find_newer(&parts, &repair->rescue.source);

    *lost = parts.lost && (repair->options.flags & MPG_REPAIR_OLDER) == 0;
    if (parts.lost && !*lost) {
        mpgi_repair_tell(repair, "older-state", MPG_NO_PAGE, parts.message);
        if (!mpgi_repair_ask(repair, "older-state", MPG_NO_PAGE, parts.message))
            error = mpgi_repair_refused(repair);
    } else if (!parts.lost && repair->result.format == MPG_FORMAT_1 && parts.generation > shown) {
        parts.unfinished = true;
        (void)snprintf(parts.message, sizeof(parts.message),
                       "commit %" PRIu64 " is not whole: a crash cut it short, or it is damaged; "
                       "what counts is commit %" PRIu64,
                       parts.generation, shown);
    }
    if (error == 0 && parts.unfinished)
        mpgi_repair_tell(repair, "unfinished", MPG_NO_PAGE, parts.message);
    return error;
}

/* ---- all of it ---- */

/*
 * A file that says it is of a format of the future may be that: what the rest of it proves is a
 * format that is known only shows that one byte is wrong if somebody agrees.
 */
static int ask_about_version(struct repair *repair)
{
    const struct file *file = &repair->rescue.source;
    unsigned char head[SUPERBLOCK_HEAD_SIZE];
    char message[120];
    int error;

    if (file->bytes < sizeof(head))
        return 0;
    error = mpgi_file_read(file, head, sizeof(head), 0, 0);
    if (error != 0)
        return error == MPG_E_IO ? 0 : error; /* of a page 0 that cannot be read nothing is known */
    if (memcmp(head + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4) != 0 || head[SUPERBLOCK_VERSION] <= 1)
        return 0;
    (void)snprintf(message, sizeof(message),
                   "page 0 says format %u.%u, which is newer than this library knows: it is taken "
                   "for one that is known",
                   head[SUPERBLOCK_VERSION], head[SUPERBLOCK_VERSION + 1]);
    mpgi_repair_tell(repair, "superblock", 0, message);
    return mpgi_repair_ask(repair, "superblock", 0, message) ? 0 : mpgi_repair_refused(repair);
}

int mpgi_repair_plan(struct repair *repair)
{
    struct outcome outcome = {0};
    bool done = false, newest_lost = false;
    uint64_t shown = 0;
    int error = ask_about_version(repair);

    if (error == 0)
        error = mpgi_repair_mend(repair, true);
    if (error == 0)
        error = shown_generation(repair, &shown);
    if (error == 0)
        error = mpgi_repair_try(repair, &outcome, true);
    repair->result.faults = outcome.faults;
    if (error == 0 && is_sound(&outcome))
        error = find_newer(repair, shown, &newest_lost);
    /* Closing has made it a file of which copies can be told. */
    if (error == 0 && outcome.opened && outcome.faults == 0 && !newest_lost)
        return mpgi_repair_mend(repair, true);
    if (error != 0)
        return error;
    if (!is_sound(&outcome) && (repair->options.flags & MPG_REPAIR_OLDER) != 0)
        error = try_older(repair, &done);
    if (error != 0 || done)
        return error;
    error = look_through(repair);
    if (error == 0 && is_sound(&outcome) && !newest_lost &&
        repair->rescue.result.protected_older == 0)
        return free_dropped(repair, outcome.contents);
    return error == 0 ? mpgi_repair_rebuild(repair) : error;
}
