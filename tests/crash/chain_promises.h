/* SPDX-License-Identifier: MIT */
/*
 * Rules of the chain (format 1) that take more to show than a power cut: damage that comes later, a
 * full file, views, a reader in another process that is held up. Each function tries one on a disk
 * in memory, and returns whether all was right; otherwise `why` says what was not.
 */
#ifndef CRASH_CHAIN_PROMISES_H
#define CRASH_CHAIN_PROMISES_H

#include <stdbool.h>
#include <stddef.h>

/* L9: a commit of a file that was closed goes bad. */
bool promise_closed(char *why, size_t size);
/* L9: a root goes bad behind which an opening that was cut has left an older one with a chain. */
bool promise_clean_opening(char *why, size_t size);
/*
 * L12: a root goes bad that was written once, while a commit writes to pages of the chain before.
 */
bool promise_old_chain(char *why, size_t size);
/* P1: a full file commits. */
bool promise_pool(char *why, size_t size);
/* P2: … also what frees and allocates in one batch. */
bool promise_pool_frees(char *why, size_t size);
/* P3: what is viewed stays as it is. */
bool promise_pins(char *why, size_t size);
/* L1, P6: a sector is missing of a record, or of its continuation. */
bool promise_parts(char *why, size_t size);
/* L7: a sector is missing of what closing writes. */
bool promise_fold(char *why, size_t size);
/* L13, P10: a reader that is held up shows nothing older than what was durable when it began. */
bool promise_reader(char *why, size_t size);
bool promise_reader_of_full_file(char *why, size_t size);
/* P9: a reader's commit was annulled, and its number has come again. */
bool promise_identity(char *why, size_t size);

#endif
