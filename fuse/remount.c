/* SPDX-License-Identifier: MIT */
/*
 * Only the mount is changed, never the filesystem below it: so "ro" of the filesystem always means
 * a driver that cannot write. The driver itself takes no part: its options stay as they were.
 */
#include "remount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "log.h"
#include "mountinfo.h"
#include "options.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#define STATFS_NOSYMFOLLOW 0x2000ul

/* What is known of the mount and of the wish. */
struct remount {
    const char *file, *place; /* the arguments */
    char *point;              /* the mount point, without links */
    bool found;               /* it is a mount of a page file */
    bool foreign;             /* it is a mount, of something else */
    bool read_only;           /* its driver cannot write */
    char *current;            /* options of the filesystem, between commas */
    unsigned long flags;      /* MS_ flags to set */
};

/* The same flag for statvfs and for mount. */
static const struct flag {
    unsigned long seen, set;
} flags[] = {
    {ST_RDONLY, MS_RDONLY},     {ST_NOSUID, MS_NOSUID},
    {ST_NODEV, MS_NODEV},       {ST_NOEXEC, MS_NOEXEC},
    {ST_NOATIME, MS_NOATIME},   {ST_NODIRATIME, MS_NODIRATIME},
    {ST_RELATIME, MS_RELATIME}, {STATFS_NOSYMFOLLOW, MS_NOSYMFOLLOW},
};

static const struct {
    const char *name;
    unsigned long off, on;
} changes[] = {
    {"ro", 0, MS_RDONLY},
    {"rw", MS_RDONLY, 0},
    {"suid", MS_NOSUID, 0},
    {"nosuid", 0, MS_NOSUID},
    {"dev", MS_NODEV, 0},
    {"nodev", 0, MS_NODEV},
    {"exec", MS_NOEXEC, 0},
    {"noexec", 0, MS_NOEXEC},
    {"atime", MS_NOATIME, 0},
    {"noatime", MS_RELATIME, MS_NOATIME},
    {"diratime", MS_NODIRATIME, 0},
    {"nodiratime", 0, MS_NODIRATIME},
    {"relatime", MS_NOATIME, MS_RELATIME},
    {"symfollow", MS_NOSYMFOLLOW, 0},
    {"nosymfollow", 0, MS_NOSYMFOLLOW},
};

/* Calls `visit` with each option of the command line, and with NULL and each other argument. */
static bool each_argument(const struct fuse_args *args,
                          bool (*visit)(void *context, const char *option, const char *other),
                          void *context)
{
    for (int i = 1; i < args->argc; i++) {
        const char *argument = args->argv[i];
        char *list, *rest, *option;
        bool more = true;

        if (strncmp(argument, "-o", 2) != 0) {
            if (!visit(context, NULL, argument)) {
                return false;
            }
            continue;
        }
        if (argument[2] == '\0' && ++i == args->argc) {
            break;
        }
        rest = list = strdup(argument[2] != '\0' ? argument + 2 : args->argv[i]);
        while (more && (option = strsep(&rest, ",")) != NULL) {
            more = *option == '\0' || visit(context, option, NULL);
        }
        free(list);
        if (!more) {
            return false;
        }
    }
    return true;
}

static bool is_other(void *context, const char *option, const char *other)
{
    (void)context;
    (void)other;
    return option == NULL || strcmp(option, "remount") != 0;
}

bool remount_wanted(const struct fuse_args *args)
{
    return !each_argument(args, is_other, NULL);
}

/* ---- the mount that is there ---- */

/* What is mounted there last hides what was before. */
static bool take_mount(void *context, const struct mount_entry *entry)
{
    struct remount *remount = context;

    if (strcmp(entry->point, remount->point) != 0) {
        return true;
    }
    remount->found = strcmp(entry->type, MOUNTINFO_TYPE) == 0;
    remount->foreign = !remount->found;
    remount->read_only = entry->read_only;
    free(remount->current);
    if (asprintf(&remount->current, ",%s,", entry->options) < 0) {
        remount->current = NULL;
    }
    return true;
}

static bool find_mount(struct remount *remount)
{
    struct statvfs st;

    remount->point = realpath(remount->place, NULL);
    if (remount->point == NULL) {
        log_line(LOG_ERR, "%s: %s", remount->place, strerror(errno));
        return false;
    }
    if (!mountinfo_visit("/proc/self/mountinfo", take_mount, remount)) {
        log_line(LOG_ERR, "/proc/self/mountinfo: %s", strerror(errno));
        return false;
    }
    if (!remount->found || remount->current == NULL) {
        log_line(LOG_ERR, "%s: %s", remount->point,
                 remount->foreign ? "what is mounted there is no page file"
                                  : "nothing is mounted there that could be changed");
        return false;
    }
    if (statvfs(remount->point, &st) != 0) {
        log_line(LOG_ERR, "%s: %s", remount->point, strerror(errno));
        return false;
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        remount->flags |= (st.f_flag & flags[i].seen) != 0 ? flags[i].set : 0;
    }
    return true;
}

/* ---- what is wanted ---- */

/* Whether the filesystem has that option already, as mount(8) repeats all of them. */
static bool is_current(const struct remount *remount, const char *option)
{
    size_t length = strlen(option);

    for (const char *at = remount->current; (at = strstr(at, option)) != NULL; at++) {
        if (at[-1] == ',' && at[length] == ',') {
            return true;
        }
    }
    return false;
}

/*
 * mount(8) gives all options of the mount, changed as it was told, unless it is given both names;
 * then what it left out is to be off. The kernel's own options among them tell.
 */
static bool is_of_change(void *context, const char *option, const char *other)
{
    (void)context;
    (void)other;
    return option == NULL || strncmp(option, "user_id=", 8) != 0;
}

static bool take_option(void *context, const char *option, const char *other)
{
    struct remount *remount = context;

    if (option == NULL || other != NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        if (strcmp(option, changes[i].name) == 0) {
            remount->flags = (remount->flags & ~changes[i].off) | changes[i].on;
            return true;
        }
    }
    switch (options_kind(option)) {
    case OPTION_UNKNOWN:
        log_line(LOG_ERR, "there is no option '-o %s'", option);
        return false;
    case OPTION_IGNORED:
        return true;
    case OPTION_USED:
        break;
    }
    if (!is_current(remount, option)) {
        log_line(LOG_WARNING, "a remount leaves '%s' as it was when %s was mounted", option,
                 remount->point);
    }
    return true;
}

static bool take_name(void *context, const char *option, const char *other)
{
    struct remount *remount = context;

    if (option != NULL || other[0] == '-') {
        return true; /* -n, -v and such of mount(8) */
    }
    if (remount->file == NULL) {
        remount->file = other;
    } else if (remount->place == NULL) {
        remount->place = other;
    } else {
        log_line(LOG_ERR, "one argument too many: %s", other);
        return false;
    }
    return true;
}

/* ---- the change ---- */

/* Who mounts read-only expects that nothing is left to be written. */
static bool sync_all(const char *point)
{
    int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;

    if (!good) {
        log_line(LOG_ERR, "%s: is read-only now, but could not be synced: %s", point,
                 strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return good;
}

static bool change(const struct remount *remount)
{
    const char *point = remount->point;

    if (remount->read_only && (remount->flags & MS_RDONLY) == 0) {
        log_line(LOG_ERR,
                 "%s: was mounted read-only, by a driver that cannot write: unmount it, "
                 "and mount it again",
                 point);
        return false;
    }
    if (mount(NULL, point, NULL, MS_REMOUNT | MS_BIND | remount->flags, NULL) != 0) {
        log_line(LOG_ERR, "%s: cannot be remounted: %s%s", point, strerror(errno),
                 errno == EBUSY   ? ": files there are open for writing"
                 : errno == EPERM ? ": only root may; unmount it, and mount it again"
                                  : "");
        return false;
    }
    return (remount->flags & MS_RDONLY) == 0 || remount->read_only || sync_all(point);
}

enum remount_result remount_run(const struct fuse_args *args)
{
    struct remount remount = {0};
    enum remount_result result = REMOUNT_USAGE;

    if (!each_argument(args, take_name, &remount)) {
        return REMOUNT_USAGE;
    }
    if (remount.place == NULL) {
        log_line(LOG_ERR, "remount: expected FILE and MOUNTPOINT");
        return REMOUNT_USAGE;
    }
    if (!find_mount(&remount)) {
        result = REMOUNT_FAILED;
    } else {
        if (!each_argument(args, is_of_change, NULL)) {
            remount.flags = 0;
        }
        if (each_argument(args, take_option, &remount)) {
            result = change(&remount) ? REMOUNT_DONE : REMOUNT_FAILED;
        }
    }
    free(remount.point);
    free(remount.current);
    return result;
}
