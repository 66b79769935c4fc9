/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "escape.h"
#include "mappedpages.h"

static bool use_syslog;

void log_to_syslog(void)
{
    openlog("mappedpagesfs", LOG_PID, LOG_DAEMON);
    use_syslog = true;
}

void log_line(int priority, const char *format, ...)
{
    char *text = NULL, *line = NULL;
    const char *shown;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) >= 0) {
        line = escape_copy(text);
        free(text);
    }
    va_end(arguments);
    shown = line != NULL ? line : "(out of memory)";
    if (use_syslog) {
        syslog(priority, "%s", shown);
    } else {
        fprintf(stderr, "mappedpagesfs: %s\n", shown);
    }
    free(line);
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
            log_line(LOG_ERR, "%s: %s", doing, info.message);
        } else {
            log_line(LOG_ERR, "%s: %s", doing, mpg_strerror(code));
        }
    }
    return error;
}
