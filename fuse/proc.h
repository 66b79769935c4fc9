/* SPDX-License-Identifier: MIT */
/* What /proc says of processes and their threads. */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What is read in place of a process id: our own. */
#define PROC_SELF 0

/* The beginning of /proc/ID/NAME, as a string; false if nothing can be read there. */
bool proc_read(char *text, size_t size, pid_t id, const char *name);

/* Room for all of a `stat` but what nobody asks for here. */
#define PROC_STAT_SIZE 1024
/* A field of a `stat`, by its number in proc(5), from 3 on; NULL if it is not there. */
const char *proc_stat_field(const char *stat, int field);

/* What `status` says. */
struct proc_status {
    pid_t process;
    unsigned long long pending, blocked, ignored, caught; /* signals; bit 0 is signal 1 */
};

bool proc_read_status(struct proc_status *status, pid_t thread);

#endif
