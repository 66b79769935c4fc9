/* SPDX-License-Identifier: MIT */
/* What /proc tells of the processes that make requests. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether a thread is going down on a signal. False where that cannot be told. */
bool process_is_killed(pid_t thread);

/* Whether two threads belong, or may have belonged, to one process. */
bool process_may_be_same(pid_t thread, pid_t other);

#endif
