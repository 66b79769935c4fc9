/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "escape.h"
#include "mappedpages.h"

static bool use_syslog;

void log_to_syslog(void)
{
    openlog("mappedpagesfs", LOG_PID, LOG_DAEMON);
    use_syslog = true;
}

static void write_line(int priority, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void write_line(int priority, const char *format, va_list arguments)
{
    char *text = NULL, *line = NULL;
    const char *shown;

    if (vasprintf(&text, format, arguments) >= 0) {
        line = escape_copy(text);
        free(text);
    }
    shown = line != NULL ? line : "(out of memory)";
    if (use_syslog) {
        syslog(priority, "%s", shown);
    } else {
        fprintf(stderr, "mappedpagesfs: %s\n", shown);
    }
    free(line);
}

void log_line(int priority, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_line(priority, format, arguments);
    va_end(arguments);
}

/* ---- Lines that a client can cause as often as it likes -------------------------------------- */

/* So many in so many seconds. */
#define LINES_MOST 100
#define LINES_SECONDS 10

static struct {
    pthread_mutex_t mutex;
    time_t begin;           /* of these seconds; 0: there was no line yet */
    unsigned lines;         /* since then */
    unsigned long left_out; /* and not told yet */
} limit = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* How many lines were left out, of which nobody was told yet. */
static unsigned long take_left_out(void)
{
    unsigned long left_out = limit.left_out;

    limit.left_out = 0;
    return left_out;
}

/* Whether there may be one more. *left_out: how many to speak of before it. */
static bool may_log(unsigned long *left_out)
{
    struct timespec now;
    bool may;

    clock_gettime(CLOCK_MONOTONIC, &now);
    *left_out = 0;
    pthread_mutex_lock(&limit.mutex);
    if (limit.begin == 0 || now.tv_sec - limit.begin >= LINES_SECONDS) {
        limit.begin = now.tv_sec;
        limit.lines = 0;
        *left_out = take_left_out();
    }
    may = limit.lines++ < LINES_MOST;
    limit.left_out += !may;
    pthread_mutex_unlock(&limit.mutex);
    return may;
}

static void tell_left_out(unsigned long left_out)
{
    if (left_out > 0) {
        log_line(LOG_WARNING,
                 "%lu lines like these were left out: there were more than %d in %d seconds",
                 left_out, LINES_MOST, LINES_SECONDS);
    }
}

void log_limited(int priority, const char *format, ...)
{
    unsigned long left_out;
    va_list arguments;

    if (!may_log(&left_out)) {
        return;
    }
    tell_left_out(left_out);
    va_start(arguments, format);
    write_line(priority, format, arguments);
    va_end(arguments);
}

void log_end(void)
{
    unsigned long left_out;

    pthread_mutex_lock(&limit.mutex);
    left_out = take_left_out();
    limit.begin = 0; /* what goes wrong at the end is told */
    pthread_mutex_unlock(&limit.mutex);
    tell_left_out(left_out);
}

/* A quota and the limit for files have names of their own. */
static int errno_of_no_space(void)
{
    mpg_error_info info;

    if (mpg_last_error(&info) == MPG_E_NO_SPACE &&
        (info.system_errno == EDQUOT || info.system_errno == EFBIG)) {
        return info.system_errno;
    }
    return ENOSPC;
}

/* The errno for an MPG_E_ code (0 for 0). */
static int errno_of(int code)
{
    switch (code) {
    case MPG_OK:
        return 0;
    case MPG_E_NO_SPACE:
        return errno_of_no_space();
    case MPG_E_FILE_FULL:
    case MPG_E_DIRECTORY_FULL:
        return ENOSPC;
    case MPG_E_BUSY:
        return EBUSY;
    case MPG_E_EXISTS:
        return EEXIST;
    case MPG_E_NOT_ALLOCATED:
    case MPG_E_DOUBLE_FREE:
    case MPG_E_OUT_OF_BOUNDS:
        return ENOENT;
    case MPG_E_RESERVED_PAGE:
    case MPG_E_NOT_REGULAR:
        return EPERM;
    case MPG_E_READ_ONLY:
        return EROFS;
    case MPG_E_NO_MEMORY:
        return ENOMEM;
    case MPG_E_INVALID:
        return EINVAL;
    case MPG_E_STALE:
        return ESTALE;
    default:
        return EIO;
    }
}

/* The last code after which nothing can be changed until the file is opened again, or MPG_OK. */
static atomic_int final_failure;

const char *log_why_final(void)
{
    int code = final_failure;

    return code != MPG_OK ? mpg_strerror(code) : NULL;
}

int log_failure(int code, const char *doing)
{
    int error = errno_of(code);

    if (code == MPG_E_CHANGED || code == MPG_E_UNAVAILABLE) {
        final_failure = code;
    }
    if (error == EIO || error == EINVAL || error == ENOMEM) {
        mpg_error_info info;

        if (mpg_last_error(&info) == code && info.message[0] != '\0') {
            log_limited(LOG_ERR, "%s: %s", doing, info.message);
        } else {
            log_limited(LOG_ERR, "%s: %s", doing, mpg_strerror(code));
        }
    }
    return error;
}
