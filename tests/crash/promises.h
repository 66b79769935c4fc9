/* SPDX-License-Identifier: MIT */
/*
 * Rules of durability that are not about what a power cut leaves: what a death of the process
 * leaves of a file that is being made, what a full disk does, what is behind a page. Each function
 * tries one on a disk in memory, and returns whether all was right; otherwise `why` says what was
 * not.
 */
#ifndef CRASH_PROMISES_H
#define CRASH_PROMISES_H

#include <stdbool.h>
#include <stddef.h>

/* Rule 13: a full disk fails a batch, and the pager goes on. */
bool promise_full_disk(int format, char *why, size_t size);
/* Rule 14: a page that is given out has disk space behind it. */
bool promise_space(int format, char *why, size_t size);
/* Rule 15: the process dies at each call while it makes a file. */
bool promise_whole_file(int format, char *why, size_t size);

#endif
