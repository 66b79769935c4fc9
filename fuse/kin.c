/* SPDX-License-Identifier: MIT */
#include "kin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"

/* Fields of /proc/PID/stat. */
#define FIELD_PARENT 4
#define FIELD_SESSION 6
#define FIELD_STARTED 22 /* in ticks */

#define SECOND UINT64_C(1000000000)

bool kin_read(struct kin *kin, pid_t thread)
{
    const uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    const char *parent, *session, *started;
    struct proc_status status;
    char text[PROC_STAT_SIZE];
    uint64_t start;

    memset(kin, 0, sizeof(*kin));
    if (thread <= 0 || ticks == 0 || !proc_read_status(&status, thread) ||
        !proc_read(text, sizeof(text), status.process, "stat")) {
        return false;
    }
    parent = proc_stat_field(text, FIELD_PARENT);
    session = proc_stat_field(text, FIELD_SESSION);
    started = proc_stat_field(text, FIELD_STARTED);
    if (started == NULL) {
        return false; /* nor the fields before it, perhaps */
    }
    start = strtoull(started, NULL, 10);
    *kin = (struct kin){status.process, (pid_t)strtol(parent, NULL, 10),
                        (pid_t)strtol(session, NULL, 10),
                        start / ticks * SECOND + start % ticks * SECOND / ticks};
    return true;
}
