/* SPDX-License-Identifier: MIT */
/*
 * Locks of open file descriptions have no owner in /proc/locks, so it is looked for in
 * /proc/PID/fdinfo, where each descriptor tells the locks that were taken through it.
 */
#include "holder.h"

#include "mountinfo.h"
#include "text_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
/* A driver that is ending has a last sync to do, seldom more. */
#define ENDING_SECONDS 2
#define SEARCH_NS (NS_PER_S / 2)
#define PAUSE_NS (10 * 1000 * 1000)

/* What is looked for. */
struct search {
    struct holder *holder;
    char *path;      /* absolute and without links */
    struct stat st;  /* of the file */
    int64_t ends;    /* when to give up, by the clock of search_ns */
    bool read_only;  /* read-only mounts count, too */
    unsigned served; /* device of the mount that the holder serves; 0: not known */
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/*
 * What this thread has worked, in nanoseconds: on a busy machine a search is slow, and not longer
 * for it.
 */
static int64_t search_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int open_directory(int directory, const char *name)
{
    return openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/*
 * Whether what fdinfo says has a lock on the file. Some filesystems show another device there than
 * stat does; then the name tells.
 */
static bool has_lock(const struct search *search, const char *fdinfo, const char *link)
{
    for (const char *line = fdinfo; (line = strstr(line, "lock:")) != NULL; line += 5) {
        unsigned major, minor;
        unsigned long long inode;

        if (sscanf(line, "lock: %*d: %*s %*s %*s %*d %x:%x:%llu", &major, &minor, &inode) != 3 ||
            inode != search->st.st_ino) {
            continue;
        }
        if (makedev(major, minor) == search->st.st_dev || strcmp(link, search->path) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * Whether descriptor `name` of the process has the lock. Files behind descriptors are not touched.
 */
static bool descriptor_has_lock(const struct search *search, int fds, int fdinfos, const char *name)
{
    char link[PATH_MAX], fdinfo[4096];
    ssize_t length = readlinkat(fds, name, link, sizeof(link) - 1);

    if (length <= 0 || link[0] != '/') {
        return false; /* a pipe, a socket */
    }
    link[length] = '\0';
    return text_file_read(fdinfo, sizeof(fdinfo), fdinfos, name) && has_lock(search, fdinfo, link);
}

/* Whether the process, a directory of /proc, has the lock. */
static bool process_has_lock(const struct search *search, int process)
{
    int fds = open_directory(process, "fd");
    int fdinfos = open_directory(process, "fdinfo");
    DIR *list = fdinfos < 0 ? NULL : fdopendir(dup(fdinfos));
    struct dirent *entry;
    bool found = false;

    while (!found && fds >= 0 && list != NULL && (entry = readdir(list)) != NULL &&
           search_ns() < search->ends) {
        found = isdigit((unsigned char)entry->d_name[0]) &&
                descriptor_has_lock(search, fds, fdinfos, entry->d_name);
    }
    if (list != NULL) {
        (void)closedir(list);
    }
    if (fds >= 0) {
        (void)close(fds);
    }
    if (fdinfos >= 0) {
        (void)close(fdinfos);
    }
    return found;
}

/*
 * The device of the mount that the process, a directory of /proc, serves, as fdinfo of /dev/fuse
 * tells on newer kernels; 0: not known, or none any more.
 */
static unsigned served_by(int process)
{
    int fdinfos = open_directory(process, "fdinfo");
    DIR *list = fdinfos < 0 ? NULL : fdopendir(fdinfos);
    struct dirent *entry;
    unsigned device = 0;

    while (device == 0 && list != NULL && (entry = readdir(list)) != NULL) {
        char text[4096];
        const char *line;

        if (isdigit((unsigned char)entry->d_name[0]) &&
            text_file_read(text, sizeof(text), fdinfos, entry->d_name) &&
            (line = strstr(text, "fuse_connection:")) != NULL) {
            device = (unsigned)strtoul(line + strlen("fuse_connection:"), NULL, 10);
        }
    }
    if (list != NULL) {
        (void)closedir(list);
    } else if (fdinfos >= 0) {
        (void)close(fdinfos);
    }
    return device;
}

/* Looks at one process; true: it is the one. */
static bool look_at(struct search *search, int proc, const char *name)
{
    struct holder *holder = search->holder;
    int process = open_directory(proc, name);
    bool found = process >= 0 && process_has_lock(search, process);

    if (found) {
        holder->pid = strtol(name, NULL, 10);
        if (!text_file_read(holder->name, sizeof(holder->name), process, "comm")) {
            holder->name[0] = '\0';
        }
        holder->name[strcspn(holder->name, "\n")] = '\0';
        /* The kernel keeps 15 letters; in a build tree it begins with lt-. */
        holder->kind =
            strstr(holder->name, "mappedpagesf") != NULL ? HOLDER_DRIVER : HOLDER_PROCESS;
        search->served = holder->kind == HOLDER_DRIVER ? served_by(process) : 0;
    }
    if (process >= 0) {
        (void)close(process);
    }
    return found;
}

static void search_processes(struct search *search)
{
    DIR *list = opendir("/proc");
    struct dirent *entry;

    while (list != NULL && (entry = readdir(list)) != NULL && search_ns() < search->ends) {
        if (isdigit((unsigned char)entry->d_name[0]) &&
            look_at(search, dirfd(list), entry->d_name)) {
            break;
        }
    }
    if (list != NULL) {
        (void)closedir(list);
    }
}

/*
 * Whether another driver serves a mount with the number of the one that was found. The number of a
 * mount that was taken away goes to the next mount, while the driver of the first is still at its
 * end.
 */
static bool another_serves(const struct search *search)
{
    DIR *list = opendir("/proc");
    struct dirent *entry;
    bool found = false;

    while (!found && list != NULL && (entry = readdir(list)) != NULL &&
           search_ns() < search->ends) {
        char name[32] = "";
        int process;

        if (!isdigit((unsigned char)entry->d_name[0]) ||
            strtol(entry->d_name, NULL, 10) == search->holder->pid) {
            continue;
        }
        process = open_directory(dirfd(list), entry->d_name);
        found = process >= 0 && text_file_read(name, sizeof(name), process, "comm") &&
                strstr(name, "mappedpagesf") != NULL && served_by(process) == search->served;
        if (process >= 0) {
            (void)close(process);
        }
    }
    if (list != NULL) {
        (void)closedir(list);
    }
    return found;
}

static bool take_mount(void *context, const struct mount_entry *entry)
{
    struct search *search = context;

    if (strcmp(entry->type, MOUNTINFO_TYPE) != 0 || (entry->read_only && !search->read_only)) {
        return true;
    }
    /* With -o fsname= the source is something else. */
    if (strcmp(entry->source, search->path) != 0 &&
        (search->served == 0 || entry->device != search->served || another_serves(search))) {
        return true;
    }
    search->holder->kind = HOLDER_MOUNT;
    (void)snprintf(search->holder->point, sizeof(search->holder->point), "%s", entry->point);
    return false;
}

/* Mounts that write are looked for first: those are alone with the file. */
static void search_mounts(struct search *search, bool read_only_too)
{
    char name[64];

    (void)mountinfo_visit("/proc/self/mountinfo", take_mount, search);
    search->read_only = read_only_too;
    if (read_only_too && search->holder->kind != HOLDER_MOUNT) {
        (void)mountinfo_visit("/proc/self/mountinfo", take_mount, search);
    }
    if (search->holder->kind == HOLDER_DRIVER) { /* perhaps where only the driver sees it */
        (void)snprintf(name, sizeof(name), "/proc/%ld/mountinfo", search->holder->pid);
        (void)mountinfo_visit(name, take_mount, search);
    }
}

static bool begin_search(struct search *search, struct holder *holder, const char *path)
{
    memset(holder, 0, sizeof(*holder));
    *search = (struct search){.holder = holder, .ends = search_ns() + SEARCH_NS};
    search->path = realpath(path, NULL);
    return search->path != NULL && stat(search->path, &search->st) == 0;
}

/*
 * Finds who holds the lock of the file, in mountinfo and /proc. What stands there is not trusted:
 * no file that it names is opened or looked at, and the search ends after half a second of work.
 */
static void find_holder(struct holder *holder, const char *path)
{
    struct search search;

    if (begin_search(&search, holder, path)) {
        search_processes(&search);
        if (holder->kind != HOLDER_PROCESS) {
            search_mounts(&search, true);
        }
    }
    free(search.path);
}

/* Whether it is mounted for writing, without asking again who holds it. */
static bool is_mounted(const char *path, long pid)
{
    struct holder holder;
    struct search search;

    if (begin_search(&search, &holder, path)) {
        char name[64];
        int process;

        (void)snprintf(name, sizeof(name), "/proc/%ld", pid);
        process = pid != 0 ? open_directory(AT_FDCWD, name) : -1;
        if (process >= 0) {
            search.served = served_by(process);
            (void)close(process);
        }
        search_mounts(&search, false);
    }
    free(search.path);
    return holder.kind == HOLDER_MOUNT;
}

void holder_describe(char *text, size_t size, const struct holder *holder)
{
    char process[64] = "";

    if (holder->pid != 0) {
        (void)snprintf(process, sizeof(process), "process %ld (%s)", holder->pid, holder->name);
    }
    switch (holder->kind) {
    case HOLDER_MOUNT:
        (void)snprintf(text, size, "mounted on %s%s%s", holder->point, process[0] ? " by " : "",
                       process);
        break;
    case HOLDER_DRIVER:
        (void)snprintf(text, size, "%s holds it, whose mount is not to be seen here", process);
        break;
    case HOLDER_PROCESS:
        (void)snprintf(text, size, "open in %s", process);
        break;
    case HOLDER_UNKNOWN:
        (void)snprintf(text, size, "open or mounted elsewhere, where this user cannot see it");
        break;
    }
    for (char *c = text; *c != '\0'; c++) {
        if (iscntrl((unsigned char)*c)) {
            *c = '?';
        }
    }
}

bool busy_again(struct busy *busy, const char *path)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    int64_t limit = busy->seconds < 0 ? ENDING_SECONDS : busy->seconds;
    int64_t now = now_ns();
    bool hopeless = false;

    if (busy->since == 0) {
        busy->since = now;
        find_holder(&busy->holder, path);
    }
    if (busy->seconds < 0) {
        hopeless = busy->holder.kind == HOLDER_PROCESS || is_mounted(path, busy->holder.pid);
    }
    if (hopeless || (now - busy->since) / NS_PER_S >= limit) {
        find_holder(&busy->holder, path);
        return false;
    }
    (void)nanosleep(&pause, NULL);
    return true;
}
