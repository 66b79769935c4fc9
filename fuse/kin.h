/* SPDX-License-Identifier: MIT */
/* Which process a thread belongs to, and where that comes from; by /proc, where that is visible. */
#ifndef KIN_H
#define KIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct kin {
    pid_t process;
    pid_t parent;
    pid_t session;
    uint64_t started; /* nanoseconds since the machine was started */
};

/* false, and nothing known, if it cannot be told. */
bool kin_read(struct kin *kin, pid_t thread);

#endif
