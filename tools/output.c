/* SPDX-License-Identifier: MIT */

#include "output.h"

#include "command.h"
#include "escape.h"
#include "hint.h"
#include "mappedpages.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void complain(const char *subject, const char *format, ...)
{
    va_list arguments;

    fputs("mappedpages: ", stderr);
    escape_print(stderr, subject);
    fputs(": ", stderr);
    va_start(arguments, format);
    escape_vprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

const char *error_name(int code)
{
    static const char *const names[] = {
        [-MPG_OK] = "OK",
        [-MPG_E_IO] = "IO",
        [-MPG_E_INVALID_PAGE_SIZE] = "INVALID_PAGE_SIZE",
        [-MPG_E_CORRUPT_SUPERBLOCK] = "CORRUPT_SUPERBLOCK",
        [-MPG_E_CORRUPT_METADATA] = "CORRUPT_METADATA",
        [-MPG_E_OUT_OF_BOUNDS] = "OUT_OF_BOUNDS",
        [-MPG_E_RESERVED_PAGE] = "RESERVED_PAGE",
        [-MPG_E_DOUBLE_FREE] = "DOUBLE_FREE",
        [-MPG_E_UNAVAILABLE] = "UNAVAILABLE",
        [-MPG_E_CORRUPT_PROTECTED_DIRECTORY] = "CORRUPT_PROTECTED_DIRECTORY",
        [-MPG_E_CORRUPT_DIRECTORY_INDEX] = "CORRUPT_DIRECTORY_INDEX",
        [-MPG_E_DIRECTORY_FULL] = "DIRECTORY_FULL",
        [-MPG_E_BUSY] = "BUSY",
        [-MPG_E_EXISTS] = "EXISTS",
        [-MPG_E_NOT_ALLOCATED] = "NOT_ALLOCATED",
        [-MPG_E_NOT_REGULAR] = "NOT_REGULAR",
        [-MPG_E_FILE_FULL] = "FILE_FULL",
        [-MPG_E_NO_SPACE] = "NO_SPACE",
        [-MPG_E_TRUNCATED] = "TRUNCATED",
        [-MPG_E_UNSUPPORTED_VERSION] = "UNSUPPORTED_VERSION",
        [-MPG_E_READ_ONLY] = "READ_ONLY",
        [-MPG_E_CORRUPT_PAGE] = "CORRUPT_PAGE",
        [-MPG_E_NO_MEMORY] = "NO_MEMORY",
        [-MPG_E_INVALID] = "INVALID",
        [-MPG_E_STALE] = "STALE",
        [-MPG_E_CANCELLED] = "CANCELLED",
        [-MPG_E_CHANGED] = "CHANGED",
        [-MPG_E_LOCAL_LOCK] = "LOCAL_LOCK",
        [-MPG_E_UNSUPPORTED] = "UNSUPPORTED",
    };
    size_t index = (size_t)-code;

    return index < sizeof names / sizeof names[0] && names[index] != NULL ? names[index]
                                                                          : "UNKNOWN";
}

static bool begins_with_path(const char *message, const char *path)
{
    size_t length = strlen(path);

    return strncmp(message, path, length) == 0 && strncmp(message + length, ": ", 2) == 0;
}

const char *failed_path(const char *one, const char *other)
{
    mpg_error_info info;

    mpg_last_error(&info);
    return begins_with_path(info.message, other) ? other : one;
}

const char *without_path(const char *message, const char *path)
{
    return begins_with_path(message, path) ? message + strlen(path) + 2 : message;
}

/* Whether the page that a failure is about is a protected one: they have numbers of their own. */
static bool is_about_protected(const mpg_error_info *info)
{
    switch (info->code) {
    case MPG_E_CORRUPT_PAGE:
    case MPG_E_DIRECTORY_FULL:
        return true;
    case MPG_E_EXISTS:
    case MPG_E_DOUBLE_FREE:
        return strstr(info->operation, "protected") != NULL;
    default:
        return false;
    }
}

/* What the command is about to do. */
static enum hint_use use = HINT_USE;

void hints_are_for(enum hint_use now)
{
    use = now;
}

void complain_hint(const char *path, const mpg_error_info *info)
{
    char hint[HINT_SIZE];

    if (hint_find(hint, path, info, use)) {
        complain(path, "%s", hint);
    }
}

void json_error(struct json *json, const char *path, const mpg_error_info *info)
{
    char hint[HINT_SIZE];

    json_open(json, "error", '{');
    json_string(json, "name", error_name(info->code));
    json_string(json, "message", without_path(info->message, path));
    if (hint_find(hint, path, info, use)) {
        json_string(json, "hint", hint);
    }
    if (info->page != MPG_NO_PAGE) {
        json_number(json, is_about_protected(info) ? "protected" : "page", info->page);
    }
    if (info->system_errno != 0) {
        json_string(json, "system_error", strerror(info->system_errno));
    }
    if (info->has_crc) {
        json_crc(json, "expected_crc", info->expected_crc);
        json_crc(json, "found_crc", info->found_crc);
    }
    json_close(json, '}');
}

void json_failure(struct json *json, const char *path)
{
    mpg_error_info info;

    mpg_last_error(&info);
    json_error(json, path, &info);
}

int report_error(const char *path, const mpg_error_info *info, bool json)
{
    char hint[HINT_SIZE];
    struct json object;

    if (hint_find(hint, path, info, use)) {
        complain(path, "%s; %s", without_path(info->message, path), hint);
    } else {
        complain(path, "%s", without_path(info->message, path));
    }
    if (json) {
        json_begin(&object, stdout);
        json_error(&object, path, info);
        json_end(&object);
    }
    return finish_output(STATUS_FAILED);
}

int report_failure(const char *path, bool json)
{
    mpg_error_info info;

    mpg_last_error(&info);
    return report_error(path, &info, json);
}

int report_reason(const char *subject, bool json, int code, const char *format, ...)
{
    mpg_error_info info = {.code = code, .page = MPG_NO_PAGE};
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(info.message, sizeof info.message, format, arguments);
    va_end(arguments);
    return report_error(subject, &info, json);
}

int write_output(const void *data, size_t length, int status)
{
    if (fwrite(data, 1, length, stdout) != length) {
        /* Said here, for what fflush says later is of the buffer, which may be empty by then. */
        complain("standard output", "%s", strerror(errno));
        return STATUS_FAILED;
    }
    return finish_output(status);
}

int finish_output(int status)
{
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("standard output", "%s",
                 errno != 0 ? strerror(errno) : "not everything was written");
        return STATUS_FAILED;
    }
    return status;
}

void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL) {
        fprintf(stderr, "mappedpages: out of memory: %zu times %zu bytes were asked for\n", count,
                size);
        exit(STATUS_FAILED);
    }
    return memory;
}

/* Those that ask to end. */
static sigset_t ending_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signals;
}

void hold_signals(void)
{
    sigset_t signals = ending_signals();

    sigprocmask(SIG_BLOCK, &signals, NULL);
}

void stop_holding_signals(void)
{
    sigset_t signals = ending_signals();

    sigprocmask(SIG_UNBLOCK, &signals, NULL);
}

bool asked_to_end(void)
{
    static const int ending[] = {SIGHUP, SIGINT, SIGTERM};
    sigset_t pending;

    sigemptyset(&pending);
    sigpending(&pending);
    for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
        if (sigismember(&pending, ending[i]) == 1) {
            return true;
        }
    }
    return false;
}

void let_signals_end(void)
{
    sigset_t signals = ending_signals();
    sigset_t before;

    sigprocmask(SIG_UNBLOCK, &signals, &before); /* one that waits is delivered here */
    sigprocmask(SIG_SETMASK, &before, NULL);
}
