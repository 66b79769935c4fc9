/* SPDX-License-Identifier: MIT */
/*
 * Somebody else, who changes the file under a pager at work: cuts it, makes it longer, brings older
 * bytes of it back, or commits as another writer. It happens between two operations, or within one,
 * before any of its system calls.
 *
 * From then on (rule 12) nothing may be acknowledged and nothing written, closing included, and
 * every operation that changes something must say that the file was changed. Only an operation
 * within which it happens may go on to its next look, and be acknowledged if all of its looks were
 * before.
 */
#ifndef CRASH_INTRUDER_H
#define CRASH_INTRUDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One round in a format; false, with the reason in `why`, if something was not as it must be. */
bool intruder_run(int format, uint64_t seed, char *why, size_t size);

/* A few dozen rounds, in which taking the rule out is bound to show. */
bool intruder_run_some(int format, char *why, size_t size);

#endif
