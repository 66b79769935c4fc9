/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "log.h"
#include "size.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SCRATCH (INT64_C(64) << 20)
/* Enough to let a commit gather the work of many clients. */
#define DEFAULT_THREADS 32

#define SIZE_EXPECTED SIZE_WORDS ", below 2^63"
#define READY_FD_EXPECTED "the number of a descriptor that is open for writing"
#define OCTAL_EXPECTED "an octal number from 0 to 777"
#define SECONDS_EXPECTED "a number of seconds from 0 to 4294967295"

#define OPTION(template, field)                                                                    \
    {                                                                                              \
        template, offsetof(struct options, field), 1                                               \
    }

enum {
    KEY_IGNORE = 1, /* not for this filesystem (x-… is another): see `ignored` */
    KEY_NUMBER,     /* one of `numbers` */
};

/* Those that are kept are libfuse's and the kernel's. What is not listed is no option. */
static const struct fuse_opt templates[] = {
    OPTION("-f", foreground),
    OPTION("-d", debug),
    OPTION("debug", debug),
    OPTION("-s", single),
    OPTION("-h", help),
    OPTION("--help", help),
    OPTION("-V", version),
    OPTION("--version", version),
    OPTION("ro", read_only),
    OPTION("-r", read_only),
    OPTION("raw", raw),
    OPTION("local_lock", local_lock),
    OPTION("discard", discard),
    OPTION("clone_fd", clone_fd),
    OPTION("fsname=%s", fsname),
    OPTION("allow_other", allow_other),
    OPTION("allow_root", allow_root),
    OPTION("io_uring", ring),
    {"no_io_uring", offsetof(struct options, ring), 0},
    OPTION("default_permissions", permissions),
    FUSE_OPT_KEY("uid=", KEY_NUMBER),
    FUSE_OPT_KEY("gid=", KEY_NUMBER),
    FUSE_OPT_KEY("umask=", KEY_NUMBER),
    FUSE_OPT_KEY("fmask=", KEY_NUMBER),
    FUSE_OPT_KEY("dmask=", KEY_NUMBER),
    FUSE_OPT_KEY("wait=", KEY_NUMBER),
    FUSE_OPT_KEY("io_uring_q_depth=", KEY_NUMBER),
    FUSE_OPT_KEY("commit=", KEY_NUMBER),
    FUSE_OPT_KEY("scratch=", KEY_NUMBER),
    FUSE_OPT_KEY("stage=", KEY_NUMBER),
    FUSE_OPT_KEY("max_threads=", KEY_NUMBER),
    FUSE_OPT_KEY("ready_fd=", KEY_NUMBER),
    FUSE_OPT_KEY("auto_unmount", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("context=", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("fscontext=", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("defcontext=", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("rootcontext=", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("rw", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("suid", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("nosuid", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("dev", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("nodev", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("exec", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("noexec", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("async", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("sync", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("dirsync", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("noatime", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("-n", KEY_IGNORE), /* of mount(8) */
    FUSE_OPT_END,
};

/*
 * What people have in /etc/fstab, and what mount(8) repeats, that says nothing to this filesystem:
 * it is for mount(8) and systemd, or about access times, links and locks that are not here. What
 * ends in = has a value.
 */
static const char *const ignored[] = {
    "defaults",   "nofail",    "fail",        "user",        "user=",         "nouser",
    "users",      "nousers",   "owner",       "noowner",     "group",         "nogroup",
    "auto",       "noauto",    "_netdev",     "comment=",    "helper=",       "uhelper=",
    "atime",      "relatime",  "norelatime",  "strictatime", "nostrictatime", "diratime",
    "nodiratime", "lazytime",  "nolazytime",  "iversion",    "noiversion",    "mand",
    "nomand",     "symfollow", "nosymfollow", "silent",      "loud",          "bg",
    "fg",         "subtype=",  "user_id=",    "group_id=",   "rootmode=",     "blksize=",
    "max_read=",
};

/* Options whose value is a number, which goes to a field of type int64_t. */
static const struct number {
    const char *name;
    const char *expected;
    int base;
    enum { IS_PLAIN, IS_SIZE, IS_USER, IS_GROUP } more; /* K, M or G may follow; or it is a name */
    int64_t least, most;
    size_t field;
} numbers[] = {
    {"uid=", "the name of a user, or a number from 0 to 4294967294", 10, IS_USER, 0, UINT32_MAX - 1,
     offsetof(struct options, uid)},
    {"gid=", "the name of a group, or a number from 0 to 4294967294", 10, IS_GROUP, 0,
     UINT32_MAX - 1, offsetof(struct options, gid)},
    {"umask=", OCTAL_EXPECTED, 8, IS_PLAIN, 0, 0777, offsetof(struct options, umask)},
    {"fmask=", OCTAL_EXPECTED, 8, IS_PLAIN, 0, 0777, offsetof(struct options, fmask)},
    {"dmask=", OCTAL_EXPECTED, 8, IS_PLAIN, 0, 0777, offsetof(struct options, dmask)},
    {"commit=", SECONDS_EXPECTED, 10, IS_PLAIN, 0, UINT32_MAX, offsetof(struct options, commit)},
    {"wait=", SECONDS_EXPECTED, 10, IS_PLAIN, 0, UINT32_MAX, offsetof(struct options, wait)},
    {"scratch=", SIZE_EXPECTED "; or \"any\"", 10, IS_SIZE, 0, INT64_MAX,
     offsetof(struct options, scratch)},
    {"stage=", SIZE_EXPECTED, 10, IS_SIZE, 0, INT64_MAX, offsetof(struct options, stage)},
    {"max_threads=", "a number from 1 to 4096", 10, IS_PLAIN, 1, 4096,
     offsetof(struct options, max_threads)},
    {"io_uring_q_depth=", "a number from 1 to 4096", 10, IS_PLAIN, 1, 4096,
     offsetof(struct options, ring_depth)},
    {"ready_fd=", READY_FD_EXPECTED, 10, IS_PLAIN, 0, INT_MAX, offsetof(struct options, ready_fd)},
};

static void print_help(FILE *to)
{
    fputs("Usage: mappedpagesfs FILE MOUNTPOINT [options]\n"
          "\n"
          "Mounts a page file as a directory.\n"
          "\n"
          "    -f                     stay in the foreground, log to standard error\n"
          "    -d, -o debug           the same, and show every request\n"
          "    -r                     the same as -o ro\n"
          "    -s                     serve with a single thread\n"
          "    -h, --help             this help\n"
          "    -V, --version          the version\n"
          "    -o ro                  read-only; follows a writer that is there already\n"
          "    -o allow_other         let other users in\n"
          "    -o allow_root          let root in\n"
          "    -o uid=N,gid=N         owner of everything, by number or name (those of the file)\n"
          "    -o umask=OCTAL         permission bits that are off (the mode of the file)\n"
          "    -o fmask=, dmask=      the same for files alone, and for directories alone\n"
          "    -o local_lock          write also where a lock does not keep other writers out\n"
          "    -o discard             give the disk space of deleted pages back\n"
          "    -o raw                 show every physical page under /raw\n"
          "    -o commit=SECONDS      make creations and deletions durable only that often\n"
          "    -o scratch=SIZE        memory for scratch files (64M)\n"
          "    -o scratch=any         take scratch files of any name, to be lost at unmount\n"
          "    -o stage=SIZE          memory for writes to protected pages before their commit "
          "(64M)\n"
          "    -o wait=SECONDS        wait that long for a file that is busy\n"
          "    -o auto_unmount        unmount also if the driver is killed\n"
          "    -o remount,ro          and remount,rw: change a mount that is there\n"
          "    -o fsname=NAME         source in /proc/mounts (the path of the file)\n"
          "    -o ready_fd=N          write a line there once the mount is serving\n"
          "    -o max_threads=N       most threads that serve (32)\n"
          "    -o clone_fd            a descriptor of /dev/fuse for each thread\n"
          "    -o io_uring            requests through io_uring, where that is to be had\n"
          "    -o no_io_uring         not even where it is taken by default (libfuse 3.19)\n"
          "    -o io_uring_q_depth=N  requests of each processor at a time, with io_uring\n",
          to);
}

/* The number behind a name, where a name may stand. */
static bool parse_name(int64_t *value, const char *text, const struct number *number)
{
    const struct passwd *user = number->more == IS_USER && *text ? getpwnam(text) : NULL;
    const struct group *group = number->more == IS_GROUP && *text ? getgrnam(text) : NULL;

    if (user == NULL && group == NULL) {
        return false;
    }
    *value = user != NULL ? (int64_t)user->pw_uid : (int64_t)group->gr_gid;
    return true;
}

/* A number as the option takes it; false if it is none, or out of range. */
static bool parse_number(int64_t *value, const char *text, const struct number *number)
{
    unsigned long long parsed;
    uint64_t bytes;
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return parse_name(value, text, number); /* strtoull takes spaces and signs */
    }
    if (number->more == IS_SIZE) {
        if (size_parse(&bytes, text) != SIZE_GOOD || bytes > (uint64_t)number->most) {
            return false;
        }
        *value = (int64_t)bytes;
        return *value >= number->least;
    }
    errno = 0;
    parsed = strtoull(text, &end, number->base);
    if (errno != 0 || *end != '\0' || parsed > (unsigned long long)number->most) {
        return false;
    }
    *value = (int64_t)parsed;
    return *value >= number->least;
}

/* Takes an option NAME=NUMBER. */
static bool take_number(struct options *options, const char *argument)
{
    const struct number *number = numbers;
    int64_t value;

    while (strncmp(argument, number->name, strlen(number->name)) != 0) {
        number++; /* there is one: `templates` has the same names */
    }
    if (!parse_number(&value, argument + strlen(number->name), number)) {
        log_line(LOG_ERR, "%s: expected %s", argument, number->expected);
        return false;
    }
    memcpy((char *)options + number->field, &value, sizeof(value));
    return true;
}

/* Takes the name of the page file, or of the mount point. */
static bool take_name(struct options *options, const char *argument)
{
    char **name = options->file == NULL ? &options->file : &options->mountpoint;

    if (argument[0] == '\0') {
        fprintf(stderr, "mappedpagesfs: the name of the %s is empty\n",
                options->file == NULL ? "page file" : "mount point");
        return false;
    }
    if (*name != NULL) {
        log_line(LOG_ERR, "one argument too many: %s", argument);
        return false;
    }
    *name = strdup(argument);
    return *name != NULL;
}

/* One of those, or x-... or X-..., which are for whoever calls, or nothing between commas. */
static bool is_ignored(const char *option)
{
    if (option[0] == '\0' || strncmp(option, "x-", 2) == 0 || strncmp(option, "X-", 2) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        size_t length = strlen(ignored[i]);
        bool has_value = ignored[i][length - 1] == '=';

        if (strncmp(option, ignored[i], length) == 0 && (has_value || option[length] == '\0')) {
            return true;
        }
    }
    return false;
}

enum option_kind options_kind(const char *option)
{
    if (is_ignored(option) || strcmp(option, "remount") == 0) {
        return OPTION_IGNORED;
    }
    return fuse_opt_match(templates, option) ? OPTION_USED : OPTION_UNKNOWN;
}

static int process(void *data, const char *argument, int key, struct fuse_args *out)
{
    struct options *options = data;

    (void)out;
    switch (key) {
    case KEY_IGNORE:
        return 0;
    case KEY_NUMBER:
        if (strcmp(argument, "scratch=any") == 0) {
            options->scratch_any = 1; /* besides a size, which it may be given as well */
            return 0;
        }
        return take_number(options, argument) ? 0 : -1;
    case FUSE_OPT_KEY_NONOPT:
        return take_name(options, argument) ? 0 : -1;
    default:
        if (is_ignored(argument)) {
            return 0;
        }
        log_line(LOG_ERR, "there is no option '%s%s'", argument[0] == '-' ? "" : "-o ", argument);
        fputs("Try 'mappedpagesfs --help'.\n", stderr);
        return -1;
    }
}

/* What is written to a descriptor that is not there would be lost in the background, unseen. */
static bool check_ready_fd(int64_t fd)
{
    int flags = fd < 0 ? O_WRONLY : fcntl((int)fd, F_GETFL);

    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) {
        return true;
    }
    fprintf(stderr, "mappedpagesfs: ready_fd=%d: expected " READY_FD_EXPECTED "\n", (int)fd);
    return false;
}

bool options_want_ring(const struct options *options)
{
#ifdef HAVE_FUSE_OVER_IO_URING
    /* In 3.18 an answer by another thread than libfuse's own may come in its way. */
    const int least = options->ring > 0 ? FUSE_MAKE_VERSION(3, 18) : FUSE_MAKE_VERSION(3, 19);

    return options->ring != 0 && !options->single && fuse_version() >= least;
#else
    (void)options;
    return false;
#endif
}

/*
 * Requests through io_uring, where libfuse knows of it: an older one would refuse the option. It
 * goes on without where the kernel does not offer it.
 */
static bool ask_for_ring(const struct options *options, struct fuse_args *args)
{
    char depth[48];

    if (!options_want_ring(options)) {
        return true;
    }
    (void)snprintf(depth, sizeof(depth), "-oio_uring_q_depth=%d", (int)options->ring_depth);
    return fuse_opt_add_arg(args, "-oio_uring") == 0 &&
           (options->ring_depth == 0 || fuse_opt_add_arg(args, depth) == 0);
}

/* Those of our own options that are libfuse's as well. */
static bool give_on(const struct options *options, struct fuse_args *args)
{
    const struct {
        int wanted;
        const char *argument;
    } given[] = {
        {options->debug, "-odebug"},
        {options->read_only, "-oro"},
        {options->allow_other, "-oallow_other"},
        {options->allow_root, "-oallow_root"},
    };

    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        if (given[i].wanted && fuse_opt_add_arg(args, given[i].argument) != 0) {
            return false;
        }
    }
    return ask_for_ring(options, args);
}

/* False, explained, unless it is said what is to be mounted where. */
static bool check_operands(const struct options *options)
{
    if (options->file == NULL) {
        print_help(stderr);
        return false;
    }
    if (options->mountpoint == NULL) {
        log_line(LOG_ERR, "no mount point was named, the directory on which %s is to be mounted",
                 options->file);
        fputs("Usage: mappedpagesfs FILE MOUNTPOINT [options]\nTry 'mappedpagesfs --help'.\n",
              stderr);
        return false;
    }
    return true;
}

enum options_result options_parse(struct options *options, struct fuse_args *args)
{
    *options = (struct options){
        .uid = -1,
        .gid = -1,
        .umask = -1,
        .fmask = -1,
        .dmask = -1,
        .wait = -1,
        .ready_fd = -1,
        .ring = -1,
        .max_threads = DEFAULT_THREADS,
        .scratch = DEFAULT_SCRATCH,
        .stage = -1,
    };
    if (fuse_opt_parse(args, options, templates, process) != 0) {
        return OPTIONS_USAGE;
    }
    if (options->help) {
        print_help(stdout);
        return OPTIONS_DONE;
    }
    if (options->version) {
        printf("mappedpagesfs %s\n", PACKAGE_VERSION);
        printf("libfuse %s\n", fuse_pkgversion());
        return OPTIONS_DONE;
    }
    if (!check_operands(options) || !check_ready_fd(options->ready_fd)) {
        return OPTIONS_USAGE;
    }
    options->foreground |= options->debug;
    return give_on(options, args) ? OPTIONS_RUN : OPTIONS_USAGE;
}

void options_free(struct options *options)
{
    free(options->file);
    free(options->mountpoint);
    free(options->fsname);
}
