/* SPDX-License-Identifier: MIT */
/* The details of this thread's last failure. */
#ifndef MPGI_ERROR_H
#define MPGI_ERROR_H

#include <stdint.h>

#include "mappedpages.h"

/*
 * Records a failure and returns its code, so that `return mpgi_fail(...)` reads as one step. Set
 * once where it happens, passed up unchanged. The message is printf-like, one sentence without a
 * full stop.
 */
int mpgi_fail(int code, const char *operation, uint64_t page, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same for a failed system call: picks the code from errno (ENOSPC → NO_SPACE, …). */
int mpgi_fail_errno(int system_errno, const char *operation, uint64_t page, const char *path);

/*
 * The same for a checksum that does not match: that of `what` in the page; for CORRUPT_PAGE, that
 * of `what`, which has `page` for its number.
 */
int mpgi_fail_crc(int code, const char *operation, uint64_t page, uint32_t expected, uint32_t found,
                  const char *path, const char *what);

/* INVALID where `flags` has a bit that is not in `known`. */
int mpgi_check_flags(unsigned flags, unsigned known, const char *operation);

/* mpgi_fail(MPG_E_NO_MEMORY, …) */
int mpgi_fail_memory(const char *operation);

/* Makes a failure that another thread met this thread's last one; returns its code. */
int mpgi_fail_again(const mpg_error_info *info);

#ifdef MPG_ANALYZED
/* For static analysis (scripts/lint), which cannot know that none of these returns 0. */
#define mpgi_fail(code, ...) ((void)(mpgi_fail)(code, __VA_ARGS__), (code))
#define mpgi_fail_errno(...) ((void)(mpgi_fail_errno)(__VA_ARGS__), MPG_E_IO)
#define mpgi_fail_crc(code, ...) ((void)(mpgi_fail_crc)(code, __VA_ARGS__), (code))
#define mpgi_fail_memory(operation) ((void)(mpgi_fail_memory)(operation), MPG_E_NO_MEMORY)
#define mpgi_fail_again(info)                                                                      \
    ((void)(mpgi_fail_again)(info), (info)->code != 0 ? (info)->code : MPG_E_IO)
#endif

#endif
