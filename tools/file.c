/* SPDX-License-Identifier: MIT */

#include "file.h"

#include "command.h"
#include "holder.h"
#include "output.h"

#include <stdio.h>

/* Against a writer that commits faster than one page can be read, a reader gives up in the end. */
#define MOST_REFRESHES 1000

int open_reading(const mpg_pager **pager, const char *path, bool json)
{
    if (mpg_open_readonly(pager, path, NULL) != 0) {
        return report_failure(path, json);
    }
    return STATUS_FINE;
}

/* What --local-lock said. */
static bool local_lock;

void set_local_lock(void)
{
    local_lock = true;
}

unsigned open_flags(void)
{
    return local_lock ? MPG_LOCAL_LOCK : 0;
}

/* What --wait said. */
static int64_t wait_seconds = BUSY_ENDING;

void set_wait(uint64_t seconds)
{
    wait_seconds = seconds < INT32_MAX ? (int64_t)seconds : INT32_MAX;
}

/* The library knows that it is busy, not who holds it. */
void describe_busy(mpg_error_info *info, const struct busy *busy)
{
    char description[sizeof(info->message)];

    mpg_last_error(info);
    holder_describe(description, sizeof(description), &busy->holder);
    if (busy->holder.kind == HOLDER_MOUNT && busy->holder.pid != 0) {
        hint_mounted_on(busy->holder.point);
    }
    (void)snprintf(info->message, sizeof(info->message), "busy: %.*s",
                   (int)sizeof(info->message) - 7, description);
}

struct busy begin_waiting(void)
{
    return (struct busy){.seconds = wait_seconds};
}

bool wait_while_busy(struct busy *busy, int result, const char *path)
{
    if (result != MPG_E_BUSY || !busy_again(busy, path)) {
        return false;
    }
    let_signals_end(); /* nothing is begun yet */
    return true;
}

static int open_for_writing(void *pager, const char *path)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = open_flags();
    return mpg_open(pager, path, &options);
}

static int open_keeping_writers_out(void *pager, const char *path)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_LOCK_SHARED;
    return mpg_open_readonly(pager, path, &options);
}

/* Opens what others may have, waiting for them as --wait says. `pager` is for `open`. */
static int open_exclusive(void *pager, int (*open)(void *pager, const char *path), const char *path,
                          bool json)
{
    struct busy busy = begin_waiting();
    mpg_error_info info;
    int result;

    do {
        result = open(pager, path);
    } while (wait_while_busy(&busy, result, path));
    if (result == MPG_E_BUSY) {
        describe_busy(&info, &busy);
        return report_error(path, &info, json);
    }
    return result != 0 ? report_failure(path, json) : STATUS_FINE;
}

int open_writing(mpg_pager **pager, const char *path, bool json)
{
    return open_exclusive(pager, open_for_writing, path, json);
}

int open_unchanging(const mpg_pager **pager, const char *path)
{
    struct busy busy = begin_waiting();
    int result;

    do {
        result = open_keeping_writers_out(pager, path);
    } while (wait_while_busy(&busy, result, path));
    if (result == MPG_E_BUSY) {
        return STATUS_NO;
    }
    return result != 0 ? report_failure(path, false) : STATUS_FINE;
}

int close_file(const mpg_pager *pager, const char *path, int status)
{
    if (mpg_close(pager) != 0) {
        return report_failure(path, false);
    }
    return status;
}

int fail_and_close(const mpg_pager *pager, const char *path, bool json)
{
    int status = report_failure(path, json);

    return close_file(pager, path, status);
}

bool moved_on(struct patience *patience, const mpg_pager *pager, int status)
{
    if (status != MPG_E_STALE) {
        patience->refreshes = 0;
        return false;
    }
    if (patience->refreshes >= MOST_REFRESHES || mpg_refresh(pager) != 0) {
        return false;
    }
    patience->refreshes++;
    patience->moved = true;
    return true;
}
