/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mappedpages.h"

static _Thread_local mpg_error_info last_error;

static void begin(int code, const char *operation, uint64_t page)
{
    memset(&last_error, 0, sizeof(last_error));
    last_error.code = code;
    last_error.page = page;
    (void)snprintf(last_error.operation, sizeof(last_error.operation), "%s", operation);
}

int mpgi_fail(int code, const char *operation, uint64_t page, const char *format, ...)
{
    va_list arguments;

    begin(code, operation, page);
    va_start(arguments, format);
    (void)vsnprintf(last_error.message, sizeof(last_error.message), format, arguments);
    va_end(arguments);
    return code;
}

static int code_of_errno(int system_errno)
{
    switch (system_errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return MPG_E_NO_SPACE;
    case ENOMEM:
        return MPG_E_NO_MEMORY;
    case EEXIST:
        return MPG_E_EXISTS;
    case EROFS:
        return MPG_E_READ_ONLY;
    default:
        return MPG_E_IO;
    }
}

/*
 * Whether a failure is about the name that somebody gave: which call met it, opening or looking,
 * says nothing to him.
 */
static bool is_about_name(int system_errno, const char *operation)
{
    static const char *const operations[] = {"open", "create", "stat", "fstat"};
    bool names = false;

    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        names |= strcmp(operation, operations[i]) == 0;
    switch (system_errno) {
    case ENOENT:
    case EACCES:
    case EISDIR:
    case ENOTDIR:
    case EROFS:
    case ENAMETOOLONG:
    case ELOOP:
    case EEXIST:
        return names;
    default:
        return false;
    }
}

/*
 * What the system says of room that is lacking, in words of who asked for pages; NULL: it is about
 * something else.
 */
static const char *about_room(int system_errno)
{
    switch (system_errno) {
    case ENOSPC:
        return "No space left: the disk has not enough room for it";
    case EDQUOT:
        return "Disk quota exceeded";
    case EFBIG:
        return "File too large: a limit of the process, or of the filesystem";
    default:
        return NULL;
    }
}

int mpgi_fail_errno(int system_errno, const char *operation, uint64_t page, const char *path)
{
    int code = code_of_errno(system_errno);
    const char *text = strerrordesc_np(system_errno);
    const char *room = about_room(system_errno);

    begin(code, operation, page);
    last_error.system_errno = system_errno;
    if (text == NULL)
        text = "unknown error";
    if (code == MPG_E_EXISTS)
        text = "exists already";
    if (room != NULL)
        text = room;
    if (room != NULL || is_about_name(system_errno, operation))
        (void)snprintf(last_error.message, sizeof(last_error.message), "%s: %s", path, text);
    else
        (void)snprintf(last_error.message, sizeof(last_error.message), "%s: %s: %s", path,
                       operation, text);
    return code;
}

int mpgi_fail_crc(int code, const char *operation, uint64_t page, uint32_t expected, uint32_t found,
                  const char *path, const char *what)
{
    const char *in = code == MPG_E_CORRUPT_PAGE ? " " : " in page ";

    begin(code, operation, page);
    last_error.has_crc = true;
    last_error.expected_crc = expected;
    last_error.found_crc = found;
    (void)snprintf(last_error.message, sizeof(last_error.message),
                   "%s: %s%s%llu has checksum %08x where %08x is recorded", path, what, in,
                   (unsigned long long)page, found, expected);
    return code;
}

int mpgi_fail_memory(const char *operation)
{
    return mpgi_fail(MPG_E_NO_MEMORY, operation, MPG_NO_PAGE, "%s: out of memory", operation);
}

int mpgi_check_flags(unsigned flags, unsigned known, const char *operation)
{
    if ((flags & ~known) == 0)
        return 0;
    return mpgi_fail(MPG_E_INVALID, operation, MPG_NO_PAGE, "%s: unknown flags %#x", operation,
                     flags & ~known);
}

int mpgi_fail_again(const mpg_error_info *info)
{
    last_error = *info;
    return info->code;
}

int mpg_last_error(mpg_error_info *info)
{
    *info = last_error;
    return info->code;
}

const char *mpg_strerror(int code)
{
    static const char *const names[] = {
        [-MPG_OK] = "success",
        [-MPG_E_IO] = "input/output error",
        [-MPG_E_INVALID_PAGE_SIZE] = "invalid page size",
        [-MPG_E_CORRUPT_SUPERBLOCK] = "corrupt superblock",
        [-MPG_E_CORRUPT_METADATA] = "corrupt metadata",
        [-MPG_E_OUT_OF_BOUNDS] = "out of bounds",
        [-MPG_E_RESERVED_PAGE] = "reserved page",
        [-MPG_E_DOUBLE_FREE] = "double free",
        [-MPG_E_UNAVAILABLE] = "unavailable after a failed sync",
        [-MPG_E_CORRUPT_PROTECTED_DIRECTORY] = "corrupt protected directory",
        [-MPG_E_CORRUPT_DIRECTORY_INDEX] = "corrupt directory index",
        [-MPG_E_DIRECTORY_FULL] = "directory full",
        [-MPG_E_BUSY] = "busy",
        [-MPG_E_EXISTS] = "exists",
        [-MPG_E_NOT_ALLOCATED] = "not allocated",
        [-MPG_E_NOT_REGULAR] = "not a regular page",
        [-MPG_E_FILE_FULL] = "file full",
        [-MPG_E_NO_SPACE] = "no space on the device",
        [-MPG_E_TRUNCATED] = "truncated file",
        [-MPG_E_UNSUPPORTED_VERSION] = "unsupported version",
        [-MPG_E_READ_ONLY] = "read-only",
        [-MPG_E_CORRUPT_PAGE] = "corrupt page",
        [-MPG_E_NO_MEMORY] = "out of memory",
        [-MPG_E_INVALID] = "invalid argument",
        [-MPG_E_STALE] = "state overwritten, refresh needed",
        [-MPG_E_CANCELLED] = "cancelled",
        [-MPG_E_LOCAL_LOCK] = "lock does not keep others out",
        [-MPG_E_CHANGED] = "changed by somebody else",
        [-MPG_E_UNSUPPORTED] = "not in this format",
    };

    if (code > 0 || code <= -(int)(sizeof(names) / sizeof(names[0])))
        return "unknown error";
    return names[-code];
}

const char *mpg_fault_name(int code)
{
    switch (code) {
    case MPG_E_CORRUPT_SUPERBLOCK:
    case MPG_E_INVALID_PAGE_SIZE: /* nobody asked for one: that of the file */
        return "superblock";
    case MPG_E_CORRUPT_METADATA:
        return "metadata";
    case MPG_E_CORRUPT_DIRECTORY_INDEX:
        return "index";
    case MPG_E_CORRUPT_PROTECTED_DIRECTORY:
        return "directory";
    case MPG_E_CORRUPT_PAGE:
        return "content";
    case MPG_E_TRUNCATED:
        return "cut";
    case MPG_E_CHANGED:
        return "changed";
    default:
        return "unreadable";
    }
}

bool mpg_is_damage(int code)
{
    switch (code) {
    case MPG_E_CORRUPT_SUPERBLOCK:
    case MPG_E_CORRUPT_METADATA:
    case MPG_E_CORRUPT_PROTECTED_DIRECTORY:
    case MPG_E_CORRUPT_DIRECTORY_INDEX:
    case MPG_E_CORRUPT_PAGE:
    case MPG_E_TRUNCATED:
        return true;
    default:
        return false;
    }
}
