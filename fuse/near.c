/* SPDX-License-Identifier: MIT */
#include "near.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

/*
 * Requests of a thread from one look to the next. A look takes as long as two or three requests, and
 * going elsewhere ten times that: so where nothing changed, looks become rare; and more so where
 * going was of no use, for there are many clients, or the system wakes threads where it likes.
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
    char path[64], text[1024];
    const char *at;
    ssize_t length;
    int processor;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/task/%ld/stat", (long)thread, (long)thread);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    length = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    /* The name, in parentheses, may hold anything. The processor is field 39, and the name 2. */
    at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 39; field++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL && sscanf(at, " %d", &processor) == 1 ? processor : -1;
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
