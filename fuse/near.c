/* SPDX-License-Identifier: MIT */
#include "near.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "proc.h"

/* A field of /proc/PID/task/TID/stat. */
#define FIELD_PROCESSOR 39

/*
 * Requests of a thread from one look to the next. A look takes as long as two or three requests,
 * and going elsewhere ten times that: so where nothing changed, looks become rare; and more so
 * where going was of no use, for there are many clients, or the system wakes threads where it
 * likes.
 */
#define LOOK_AGAIN 64u
#define LOOK_RARELY 1024u
#define LOOK_SELDOM 16384u
/* Times in a row that it went elsewhere until that is taken to be of no use. */
#define IN_VAIN 3u

static _Thread_local struct {
    unsigned served;  /* since the last look */
    unsigned every;   /* 0: there was none yet */
    unsigned in_vain; /* times in a row that it found itself elsewhere */
} look;

/* The processor that a thread is on, or was last; -1 if that is not to be seen. */
static int processor_of(pid_t thread)
{
    char name[64], text[PROC_STAT_SIZE];
    const char *processor;

    snprintf(name, sizeof(name), "task/%ld/stat", (long)thread);
    if (!proc_read(text, sizeof(text), thread, name)) {
        return -1;
    }
    processor = proc_stat_field(text, FIELD_PROCESSOR);
    return processor != NULL ? (int)strtol(processor, NULL, 10) : -1;
}

/* Goes to a processor, if this thread may run there. */
static void go_to(int processor)
{
    cpu_set_t may, there;

    if (sched_getaffinity(0, sizeof(may), &may) != 0 || !CPU_ISSET((size_t)processor, &may)) {
        return;
    }
    CPU_ZERO(&there);
    CPU_SET((size_t)processor, &there);
    if (sched_setaffinity(0, sizeof(there), &there) == 0) {
        (void)sched_setaffinity(0, sizeof(may), &may);
    }
}

/* When the next look is to be. */
static void plan(bool is_near)
{
    const unsigned most = is_near ? LOOK_RARELY : LOOK_SELDOM;

    look.in_vain = is_near ? 0 : look.in_vain + 1;
    if (!is_near && look.in_vain <= IN_VAIN) {
        look.every = LOOK_AGAIN;
    } else if (look.every < most) {
        look.every *= 2;
    }
}

void near_client(fuse_req_t req)
{
    const pid_t client = fuse_req_ctx(req)->pid;
    int processor;

    if (fs_of(req)->options->single || client <= 0) {
        return; /* who is in execve would wait for this thread, and this thread for him */
    }
    if (look.every == 0) {
        look.every = LOOK_AGAIN;
    }
    if (++look.served < look.every) {
        return;
    }
    look.served = 0;
    processor = processor_of(client);
    if (processor >= 0 && processor < CPU_SETSIZE && processor != sched_getcpu()) {
        go_to(processor);
        plan(false);
    } else {
        plan(true);
    }
}
