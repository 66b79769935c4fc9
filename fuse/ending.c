/* SPDX-License-Identifier: MIT */
#include "ending.h"

#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc.h"

/* Flags in /proc/PID/stat, as in the kernel's <linux/sched.h>. */
#define PF_EXITING 0x00000004ul
#define PF_DUMPCORE 0x00000200ul
/*
 * Ended by a signal, which is also how the other threads end when one calls exit(3) or execve(2).
 */
#define PF_SIGNALED 0x00000400ul

/* Fields of /proc/PID/stat. */
#define FIELD_FLAGS 9
#define FIELD_EXIT_CODE 52

/* What a `stat` of /proc says of a thread. */
struct state {
    unsigned long flags;
    unsigned long exit_code; /* as wait(2) gives it; 0 also if it is not for us to know */
};

static unsigned long number_in(const char *stat, int field)
{
    const char *at = proc_stat_field(stat, field);

    return at != NULL ? strtoul(at, NULL, 10) : 0;
}

/* False if there is none. */
static bool read_state(struct state *state, pid_t id, const char *name)
{
    char text[PROC_STAT_SIZE];

    *state = (struct state){0, 0};
    if (proc_read(text, sizeof(text), id, name)) {
        *state = (struct state){number_in(text, FIELD_FLAGS), number_in(text, FIELD_EXIT_CODE)};
    }
    return state->flags != 0;
}

/* A signal that was sent to the process, and ends it; 0 if there is none. */
static int fatal_pending(const struct proc_status *status)
{
    static const int harmless[] = {SIGCHLD, SIGCONT, SIGURG,  SIGWINCH,
                                   SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
    unsigned long long fatal =
        status->pending & ~(status->blocked | status->ignored | status->caught);

    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        fatal &= ~(1ull << (harmless[i] - 1));
    }
    return fatal != 0 ? __builtin_ctzll(fatal) + 1 : 0;
}

/* What the threads of a process tell of how it ends. */
struct threads {
    bool dumps;   /* one of them dumps core: the process was killed */
    bool by_call; /* one of them ends, but on no signal: it called for the end */
};

static struct threads look_at_threads(pid_t process)
{
    struct threads threads = {false, false};
    const struct dirent *entry;
    char path[64];
    struct state state;
    DIR *directory;

    snprintf(path, sizeof(path), "/proc/%ld/task", (long)process);
    directory = opendir(path);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        snprintf(path, sizeof(path), "task/%ld/stat", strtol(entry->d_name, NULL, 10));
        if (read_state(&state, process, path)) {
            threads.dumps |= (state.flags & PF_DUMPCORE) != 0;
            threads.by_call |= (state.flags & PF_EXITING) && !(state.flags & PF_SIGNALED);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return threads;
}

/*
 * The same as ending_signal for a thread that ends on a signal, in a process whose exit code is
 * not for us to know, as it is another user's. Then it shows in what is left of the process: a
 * signal sent to it stays pending, and who called exit(3) did not end on a signal.
 */
static int signal_by_traces(pid_t thread)
{
    struct proc_status status;
    struct threads threads;
    int signal;

    if (!proc_read_status(&status, thread)) {
        return ENDING_UNSEEN;
    }
    signal = fatal_pending(&status);
    if (signal != 0) {
        return signal;
    }
    threads = look_at_threads(status.process);
    if (threads.dumps) {
        return ENDING_SOME_SIGNAL;
    }
    if (threads.by_call) {
        return 0;
    }
    /* A process with a single thread was killed. Of others it is not known. */
    return status.process == thread ? ENDING_SOME_SIGNAL : ENDING_UNSEEN;
}

/* Whether the exit code of a thread is for us to know. */
static bool may_look_into(pid_t thread)
{
    char path[64], link[64];

    snprintf(path, sizeof(path), "/proc/%ld/ns/user", (long)thread);
    return readlink(path, link, sizeof(link)) > 0; /* the kernel asks for the same right */
}

/*
 * Whether a thread has its memory still, which it gives up before its files: 1, or 0, or -1 if that
 * cannot be told. This is asked first, for it never waits: stat does as long as the thread is in
 * execve(2), which may wait for the answer to the close that we are asked about.
 */
static int has_memory(pid_t thread)
{
    char text[128];

    if (thread <= 0 || !proc_read(text, sizeof(text), thread, "statm")) {
        return -1;
    }
    return strtoul(text, NULL, 10) > 0;
}

int ending_signal(pid_t thread)
{
    const int alive = has_memory(thread);
    struct state state;

    if (alive != 0) {
        return alive > 0 ? 0 : ENDING_UNSEEN;
    }
    if (!read_state(&state, thread, "stat")) {
        return ENDING_UNSEEN;
    }
    if (!(state.flags & PF_EXITING)) {
        return 0;
    }
    if (state.exit_code != 0) {
        return (int)(state.exit_code & 0x7f);
    }
    if (!(state.flags & PF_SIGNALED) || may_look_into(thread)) {
        return 0;
    }
    return state.flags & PF_DUMPCORE ? ENDING_SOME_SIGNAL : signal_by_traces(thread);
}

int ending_watch(pid_t thread)
{
    struct proc_status status;

    if (thread <= 0 || !proc_read_status(&status, thread)) {
        return -1;
    }
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, status.process, 0);
#else
    return -1;
#endif
}

/* As in <linux/pidfd.h> of Linux 6.15; kernels before tell less, or nothing. */
struct pidfd_info {
    uint64_t mask; /* what is asked for, and then what was told */
    uint64_t cgroup;
    uint32_t thread, process, parent;
    uint32_t ids[8];
    int32_t exit_code; /* as wait(2) gives it */
};
#define PIDFD_GET_INFO _IOWR(0xff, 11, struct pidfd_info)
#define PIDFD_INFO_EXIT (UINT64_C(1) << 3)

int ending_signal_after(int pidfd)
{
    struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};

    if (pidfd < 0 || ioctl(pidfd, PIDFD_GET_INFO, &info) != 0) {
        return ENDING_UNSEEN;
    }
    if (info.mask & PIDFD_INFO_EXIT) {
        return info.exit_code & 0x7f;
    }
    return ending_signal((pid_t)info.process); /* nobody waited for it yet */
}

/* Whether /proc shows the processes of our PID namespace. */
static bool shows_ours(void)
{
    char text[8192], *at;
    long seen = 0, below = 0;

    if (!proc_read(text, sizeof(text), PROC_SELF, "status")) {
        return false;
    }
    /* One number for each PID namespace from that of /proc down to ours. */
    at = strstr(text, "\nNSpid:");
    if (at == NULL) {
        return true; /* an old kernel; there is nothing to compare with */
    }
    return sscanf(at, "\nNSpid: %ld%*[\t ]%ld", &seen, &below) == 1 && seen == (long)getpid();
}

const char *ending_why_unseen(bool others)
{
    char text[64];

    if (!proc_read(text, sizeof(text), PROC_SELF, "comm")) {
        return "/proc is not mounted";
    }
    if (!shows_ours()) {
        return "/proc is that of another PID namespace";
    }
    if (others && !proc_read(text, sizeof(text), 1, "comm")) {
        return "/proc hides the processes of other users (hidepid)";
    }
    return NULL;
}
