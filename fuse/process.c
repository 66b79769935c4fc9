/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Flags in /proc/PID/stat, as in the kernel's <linux/sched.h>. */
#define PF_EXITING 0x00000004ul
#define PF_DUMPCORE 0x00000200ul
/* Ended by a signal, which is also how the other threads end when one calls exit(3) or execve(2). */
#define PF_SIGNALED 0x00000400ul

/* Fields of /proc/PID/stat, from 1; the first that is a number for sure is the fourth. */
#define FIELD_FLAGS 9
#define FIELD_EXIT_CODE 52

/* Reads a file of /proc whole, as a string; false if that cannot be done. */
static bool read_file(const char *path, char *text, size_t size)
{
    ssize_t length;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }
    length = read(fd, text, size - 1);
    (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* What /proc/…/stat says of a thread. */
struct state {
    unsigned long flags;
    unsigned long exit_code; /* as wait(2) gives it; 0 also if it is not for us to know */
};

static bool read_state(struct state *state, const char *path)
{
    char text[1024];
    const char *at;

    *state = (struct state){0, 0};
    if (!read_file(path, text, sizeof(text))) {
        return false;
    }
    /* The name, in parentheses, may hold anything. */
    at = strrchr(text, ')');
    for (int field = 3; at != NULL && field <= FIELD_EXIT_CODE; field++) {
        at = strchr(at + 1, ' ');
        if (at != NULL && field == FIELD_FLAGS) {
            state->flags = strtoul(at, NULL, 10);
        } else if (at != NULL && field == FIELD_EXIT_CODE) {
            state->exit_code = strtoul(at, NULL, 10);
        }
    }
    return state->flags != 0;
}

/* What /proc/PID/status says. */
struct status {
    pid_t process;
    unsigned long long pending, blocked, ignored, caught; /* signals; bit 0 is signal 1 */
};

static bool read_status(struct status *status, pid_t thread)
{
    char path[64], line[256];
    long process = 0;
    FILE *stream;

    *status = (struct status){0};
    snprintf(path, sizeof(path), "/proc/%ld/status", (long)thread);
    stream = fopen(path, "re");
    if (stream == NULL) {
        return false;
    }
    while (fgets(line, sizeof(line), stream) != NULL) {
        (void)sscanf(line, "Tgid: %ld", &process);
        (void)sscanf(line, "ShdPnd: %llx", &status->pending);
        (void)sscanf(line, "SigBlk: %llx", &status->blocked);
        (void)sscanf(line, "SigIgn: %llx", &status->ignored);
        (void)sscanf(line, "SigCgt: %llx", &status->caught);
    }
    fclose(stream);
    status->process = (pid_t)process;
    return process > 0;
}

/* A signal that was sent to the process, and ends it; 0 if there is none. */
static int fatal_pending(const struct status *status)
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
    char path[64 + NAME_MAX];
    const struct dirent *entry;
    struct state state;
    DIR *directory;

    snprintf(path, sizeof(path), "/proc/%ld/task", (long)process);
    directory = opendir(path);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        snprintf(path, sizeof(path), "/proc/%ld/task/%s/stat", (long)process, entry->d_name);
        if (read_state(&state, path)) {
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
 * The same as process_signal for a thread that ends on a signal, in a process whose exit code is
 * not for us to know, as it is another user's. Then it shows in what is left of the process: a
 * signal sent to it stays pending, and who called exit(3) did not end on a signal.
 */
static int signal_by_traces(pid_t thread)
{
    struct status status;
    struct threads threads;
    int signal;

    if (!read_status(&status, thread)) {
        return PROCESS_UNSEEN;
    }
    signal = fatal_pending(&status);
    if (signal != 0) {
        return signal;
    }
    threads = look_at_threads(status.process);
    if (threads.dumps) {
        return PROCESS_SOME_SIGNAL;
    }
    if (threads.by_call) {
        return 0;
    }
    /* A process with a single thread was killed. Of others it is not known. */
    return status.process == thread ? PROCESS_SOME_SIGNAL : PROCESS_UNSEEN;
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
    char path[64], text[128];

    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)thread);
    if (thread <= 0 || !read_file(path, text, sizeof(text))) {
        return -1;
    }
    return strtoul(text, NULL, 10) > 0;
}

int process_signal(pid_t thread)
{
    const int alive = has_memory(thread);
    struct state state;
    char path[64];

    if (alive != 0) {
        return alive > 0 ? 0 : PROCESS_UNSEEN;
    }
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)thread);
    if (!read_state(&state, path)) {
        return PROCESS_UNSEEN;
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
    return state.flags & PF_DUMPCORE ? PROCESS_SOME_SIGNAL : signal_by_traces(thread);
}

bool process_may_be_same(const struct client *a, const struct client *b)
{
    struct status of_a, of_b;

    if (a->files != 0 && b->files != 0) {
        return a->files == b->files;
    }
    if (a->thread == b->thread) {
        return true;
    }
    return !read_status(&of_a, a->thread) || !read_status(&of_b, b->thread) ||
           of_a.process == of_b.process;
}

int process_open(pid_t thread)
{
    struct status status;

    if (thread <= 0 || !read_status(&status, thread)) {
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

int process_ended(int pidfd)
{
    struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};

    if (pidfd < 0 || ioctl(pidfd, PIDFD_GET_INFO, &info) != 0) {
        return PROCESS_UNSEEN;
    }
    if (info.mask & PIDFD_INFO_EXIT) {
        return info.exit_code & 0x7f;
    }
    return process_signal((pid_t)info.process); /* nobody waited for it yet */
}

const char *process_name(char name[static PROCESS_NAME_SIZE], pid_t thread)
{
    char path[64], text[32];
    struct status status;

    if (thread <= 0) {
        snprintf(name, PROCESS_NAME_SIZE, "a process that cannot be seen");
        return name;
    }
    if (!read_status(&status, thread)) {
        snprintf(name, PROCESS_NAME_SIZE, "process %ld", (long)thread);
        return name;
    }
    snprintf(path, sizeof(path), "/proc/%ld/comm", (long)status.process);
    if (!read_file(path, text, sizeof(text))) {
        text[0] = '\0';
    }
    for (char *at = text; *at != '\0'; at++) {
        if (*at == '\n') {
            *at = '\0';
        } else if (*at < ' ' || *at > '~') {
            *at = '?';
        }
        if (*at == '\0') {
            break;
        }
    }
    snprintf(name, PROCESS_NAME_SIZE, "process %ld (%s)", (long)status.process, text);
    return name;
}

/* Whether /proc shows the processes of our PID namespace. */
static bool shows_ours(void)
{
    char text[8192], *at;
    long seen = 0, below = 0;

    if (!read_file("/proc/self/status", text, sizeof(text))) {
        return false;
    }
    /* One number for each PID namespace from that of /proc down to ours. */
    at = strstr(text, "\nNSpid:");
    if (at == NULL) {
        return true; /* an old kernel; there is nothing to compare with */
    }
    return sscanf(at, "\nNSpid: %ld%*[\t ]%ld", &seen, &below) == 1 && seen == (long)getpid();
}

const char *process_why_unseen(bool others)
{
    char text[64];

    if (!read_file("/proc/self/comm", text, sizeof(text))) {
        return "/proc is not mounted";
    }
    if (!shows_ours()) {
        return "/proc is that of another PID namespace";
    }
    if (others && !read_file("/proc/1/comm", text, sizeof(text))) {
        return "/proc hides the processes of other users (hidepid)";
    }
    return NULL;
}
