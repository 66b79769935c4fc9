/* SPDX-License-Identifier: MIT */
#include "fs_open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attributes.h"
#include "batch.h"
#include "budget.h"
#include "cached.h"
#include "hint.h"
#include "holder.h"
#include "last.h"
#include "log.h"
#include "options.h"
#include "scratch.h"
#include "snapshot.h"

/* Seconds that mean "always": nothing but this mount changes the file, which is locked. */
#define ALWAYS 1e9

/* Says why the file cannot be opened, and what can be done. */
static void explain(int code, const char *path)
{
    mpg_error_info info;
    char hint[HINT_SIZE];
    bool has_message = mpg_last_error(&info) == code && info.message[0] != '\0';

    log_line(LOG_ERR, "%s%s%s", has_message ? "" : path, has_message ? "" : ": ",
             has_message ? info.message : mpg_strerror(code));
    if (has_message && hint_find(hint, path, &info, HINT_USE)) {
        log_line(LOG_ERR, "%s", hint);
    } else if ((code == MPG_E_READ_ONLY || code == MPG_E_LOCAL_LOCK) && access(path, R_OK) == 0) {
        log_line(LOG_ERR, "with -o ro it may be mounted read-only");
    }
}

/* Says why there is nothing of that name. */
static void explain_name(const char *name, int error)
{
    mpg_error_info info = {.code = MPG_E_IO, .system_errno = error, .page = MPG_NO_PAGE};
    char hint[HINT_SIZE];

    log_line(LOG_ERR, "%s: %s", name, strerror(error));
    if (hint_find(hint, name, &info, HINT_USE)) {
        log_line(LOG_ERR, "%s", hint);
    }
}

static int try_to_open(struct fs *fs)
{
    mpg_options options = MPG_OPTIONS_INIT;
    int code;

    if (fs->options->read_only) {
        options.flags = MPG_LOCK_SHARED;
        return mpg_open_readonly(&fs->pager, fs->path, &options);
    }
    options.flags = fs->options->commit > 0 ? MPG_DEFER_ALLOCATION : 0;
    options.flags |= fs->options->local_lock ? MPG_LOCAL_LOCK : 0;
    options.flags |= fs->options->discard ? MPG_DISCARD : 0;
    code = mpg_open(&fs->writable, fs->path, &options);
    fs->pager = fs->writable;
    return code;
}

/* Says who has the file. */
static void explain_busy(const char *path, const struct holder *holder)
{
    char description[512];

    holder_describe(description, sizeof(description), holder);
    log_line(LOG_ERR, "%s: busy: %s", path, description);
}

/* Opens it, waiting as the options say. False, logged, if that fails. */
static bool open_pager(struct fs *fs)
{
    struct busy busy = {.seconds = fs->options->wait};
    int code;

    do {
        code = try_to_open(fs);
    } while (code == MPG_E_BUSY && busy_again(&busy, fs->path));
    if (code == MPG_E_BUSY && fs->options->read_only) {
        code = mpg_open_readonly(&fs->pager, fs->path, NULL);
        fs->follows = code == MPG_OK;
    }
    if (code == MPG_E_BUSY) {
        explain_busy(fs->path, &busy.holder);
    } else if (code != MPG_OK) {
        explain(code, fs->path);
    }
    return code == MPG_OK;
}

/* The permission bits that a mask leaves; those of the file where there is none. */
static mode_t mode_from(int64_t mask, int64_t umask, mode_t mode)
{
    if (mask < 0) {
        mask = umask;
    }
    return mask < 0 ? mode & 0777 : (mode_t)(0777 & ~mask);
}

/* Who may read may also enter, unless a mask says otherwise. */
static mode_t enterable(mode_t mode)
{
    return mode | (mode & 0444) >> 2;
}

/*
 * Owner, mode and time, from the options and the file: the one that is open, whatever its path
 * names by now. `before`: what the path named before that, for the time alone.
 */
static bool take_attributes(struct fs *fs, const struct stat *before)
{
    const struct options *options = fs->options;
    struct stat st;

    fs->location = mpg_descriptor(fs->pager);
    if (fstat(fs->location, &st) != 0) {
        log_line(LOG_ERR, "%s: %s", fs->path, strerror(errno));
        return false;
    }
    fs->uid = options->uid >= 0 ? (uid_t)options->uid : st.st_uid;
    fs->gid = options->gid >= 0 ? (gid_t)options->gid : st.st_gid;
    fs->mode = mode_from(options->fmask, options->umask, st.st_mode);
    fs->directory_mode = mode_from(options->dmask, options->umask, st.st_mode);
    if (options->dmask < 0) {
        fs->directory_mode = enterable(fs->directory_mode);
    }
    /* Opening it may have written to it. */
    fs->time =
        before->st_dev == st.st_dev && before->st_ino == st.st_ino ? before->st_mtim : st.st_mtim;
    return true;
}

/*
 * Memory for what all handles stage: two whole pages, and much of small ones, unless it is given.
 */
static uint64_t stage_limit(const struct fs *fs)
{
    const uint64_t usual = UINT64_C(64) << 20, pages = 2 * (uint64_t)fs->page_size;

    if (fs->options->stage < 0) {
        return usual > pages ? usual : pages;
    }
    if (fs->writable != NULL && (uint64_t)fs->options->stage < fs->page_size + fs->page_size / 8) {
        log_line(LOG_WARNING, "with this stage= a protected page cannot be written as a whole");
    }
    return (uint64_t)fs->options->stage;
}

static bool make_tables(struct fs *fs)
{
    struct mpg_stat st = {.size = sizeof(st)};

    if (mpg_stat(&st, fs->pager) != MPG_OK) {
        log_line(LOG_ERR, "%s: cannot tell what is in it", fs->path);
        return false;
    }
    if (st.lock_unsure && !fs->options->local_lock) {
        log_line(LOG_WARNING,
                 "%s: here a lock may not keep out who comes to the file by another path; what "
                 "somebody else changes is noticed before each commit",
                 fs->path);
    }
    fs->page_size = st.page_size;
    fs->max_pages = st.max_pages < NODE_ID_LIMIT ? st.max_pages : NODE_ID_LIMIT;
    fs->max_protected = st.max_protected < NODE_ID_LIMIT ? st.max_protected : NODE_ID_LIMIT;
    /* What the kernel keeps it shows to everybody: who is allowed in is asked of libfuse. */
    fs->timeout = fs->options->allow_root || fs->follows ? 0 : ALWAYS;
    fs->nodes = nodes_new();
    fs->attributes = attributes_new();
    fs->scratch = scratch_new((uint64_t)fs->options->scratch, getuid());
    fs->last = fs->writable != NULL ? last_new() : NULL;
    fs->batch = fs->writable != NULL ? batch_new() : NULL;
    fs->stage_limit = stage_limit(fs);
    fs->staged = budget_new(fs->stage_limit);
    fs->cached = cached_new();
    fs->snapshots = snapshots_new(fs->page_size);
    if (fs->nodes == NULL || fs->attributes == NULL || fs->scratch == NULL ||
        fs->snapshots == NULL || fs->staged == NULL || fs->cached == NULL ||
        (fs->writable != NULL && (fs->last == NULL || fs->batch == NULL))) {
        log_line(LOG_ERR, "out of memory");
        return false;
    }
    return true;
}

bool fs_open(struct fs *fs, const struct options *options)
{
    struct stat before;

    memset(fs, 0, sizeof(*fs));
    fs->options = options;
    pthread_mutex_init(&fs->handles_mutex, NULL);
    fs->path = realpath(options->file, NULL);
    if (fs->path == NULL) {
        explain_name(options->file, errno);
        return false;
    }
    memset(&before, 0, sizeof(before));
    (void)stat(fs->path, &before); /* where there is none, opening says so */
    return open_pager(fs) && take_attributes(fs, &before) && make_tables(fs);
}

/* Pages could be used all the same; whoever did is to know that they go now. */
static void tell_if_deleted(const struct fs *fs)
{
    struct stat st;

    if (fs->pager != NULL && fstat(mpg_descriptor(fs->pager), &st) == 0 && st.st_nlink == 0) {
        log_line(LOG_WARNING,
                 "%s: the page file was deleted while it was mounted: its pages are gone now",
                 fs->path);
    }
}

bool fs_close(struct fs *fs)
{
    int code = MPG_OK;

    log_end();
    tell_if_deleted(fs);
    if (fs->writable != NULL) {
        code = mpg_sync(fs->writable);
        if (code != MPG_OK) {
            (void)log_failure(code, "sync at the end");
        }
    }
    if (fs->pager != NULL) {
        int closed = mpg_close(fs->pager);

        if (closed != MPG_OK) {
            (void)log_failure(closed, "close");
            code = closed;
        }
    }
    scratch_free(fs->scratch);
    last_free(fs->last);
    batch_free(fs->batch);
    snapshots_free(fs->snapshots);
    budget_free(fs->staged);
    cached_free(fs->cached);
    attributes_free(fs->attributes);
    nodes_free(fs->nodes);
    map_free(&fs->openers);
    pthread_mutex_destroy(&fs->handles_mutex);
    free(fs->path);
    return code == MPG_OK;
}
