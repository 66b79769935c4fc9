/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SCRATCH (UINT64_C(64) << 20)
/* Enough to let a commit gather the work of many clients. */
#define DEFAULT_THREADS 32

#define OPTION(template, field)                                                                    \
    {                                                                                              \
        template, offsetof(struct options, field), 1                                               \
    }

/* Options of /etc/fstab that are not for a filesystem (x-… is another). */
enum { KEY_IGNORE = 1 };

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
    OPTION("clone_fd", clone_fd),
    OPTION("max_threads=%u", max_threads),
    OPTION("ready_fd=%d", ready_fd),
    OPTION("uid=%s", uid),
    OPTION("gid=%s", gid),
    OPTION("umask=%s", umask),
    OPTION("fsname=%s", fsname),
    OPTION("commit=%u", commit),
    OPTION("scratch=%s", scratch),
    FUSE_OPT_KEY("ro", FUSE_OPT_KEY_KEEP),
    FUSE_OPT_KEY("default_permissions", KEY_IGNORE),
    FUSE_OPT_KEY("defaults", KEY_IGNORE),
    FUSE_OPT_KEY("nofail", KEY_IGNORE),
    FUSE_OPT_KEY("user", KEY_IGNORE),
    FUSE_OPT_KEY("user=", KEY_IGNORE),
    FUSE_OPT_KEY("nouser", KEY_IGNORE),
    FUSE_OPT_KEY("users", KEY_IGNORE),
    FUSE_OPT_KEY("owner", KEY_IGNORE),
    FUSE_OPT_KEY("group", KEY_IGNORE),
    FUSE_OPT_KEY("auto", KEY_IGNORE),
    FUSE_OPT_KEY("noauto", KEY_IGNORE),
    FUSE_OPT_KEY("_netdev", KEY_IGNORE),
    FUSE_OPT_KEY("comment=", KEY_IGNORE),
    FUSE_OPT_END,
};

static void print_help(FILE *to)
{
    fputs("usage: mappedpagesfs FILE MOUNTPOINT [options]\n"
          "\n"
          "Mounts a page file as a directory.\n"
          "\n"
          "    -f                     stay in the foreground, log to standard error\n"
          "    -d                     the same, and show every request\n"
          "    -s                     serve with a single thread\n"
          "    -h, --help             this help\n"
          "    -V, --version          the version\n"
          "    -o ro                  read-only; others may mount the file read-only, too\n"
          "    -o allow_other         let other users in\n"
          "    -o uid=N,gid=N         owner of everything (those of the file)\n"
          "    -o umask=OCTAL         permission bits that are off (the mode of the file)\n"
          "    -o raw                 show every physical page under /raw\n"
          "    -o commit=SECONDS      make creations and deletions durable only that often\n"
          "    -o scratch=SIZE        memory for scratch files (64M)\n"
          "    -o fsname=NAME         source in /proc/mounts (the path of the file)\n"
          "    -o ready_fd=N          write a line there once the mount is serving\n"
          "    -o max_threads=N       most threads that serve (32)\n"
          "    -o clone_fd            a descriptor of /dev/fuse for each thread\n",
          to);
}

static int process(void *data, const char *argument, int key, struct fuse_args *out)
{
    struct options *options = data;
    char **name;

    (void)out;
    if (key == KEY_IGNORE || (key == FUSE_OPT_KEY_OPT && strncmp(argument, "x-", 2) == 0)) {
        return 0;
    }
    if (key != FUSE_OPT_KEY_NONOPT) {
        return 1; /* fuse_session_new knows it, or complains */
    }
    name = options->file == NULL ? &options->file : &options->mountpoint;
    if (*name != NULL) {
        fprintf(stderr, "mappedpagesfs: one argument too many: %s\n", argument);
        return -1;
    }
    *name = strdup(argument);
    return *name == NULL ? -1 : 0;
}

/* A whole number in `base`; false if it is none, or beyond `limit`. */
static bool parse_number(unsigned long *value, const char *text, int base, unsigned long limit)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *value = strtoul(text, &end, base);
    return errno == 0 && *end == '\0' && *value <= limit;
}

/* A number of bytes with K, M or G behind it. */
static bool parse_size(uint64_t *bytes, const char *text)
{
    static const char units[] = "KMG";
    unsigned long long value;
    const char *unit;
    unsigned shift = 0;
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    value = strtoull(text, &end, 10);
    if (*end != '\0') {
        unit = strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end);
        if (unit == NULL || end[1] != '\0') {
            return false;
        }
        shift = 10 * ((unsigned)(unit - units) + 1);
    }
    *bytes = (uint64_t)value << shift;
    return errno == 0 && *bytes >> shift == value;
}

static bool check_values(struct options *options)
{
    const char *wrong = NULL;

    options->scratch_bytes = DEFAULT_SCRATCH;
    if (options->uid != NULL &&
        !parse_number(&options->uid_value, options->uid, 10, UINT32_MAX - 1)) {
        wrong = "uid";
    } else if (options->gid != NULL &&
               !parse_number(&options->gid_value, options->gid, 10, UINT32_MAX - 1)) {
        wrong = "gid";
    } else if (options->umask != NULL &&
               !parse_number(&options->umask_value, options->umask, 8, 0777)) {
        wrong = "umask";
    } else if (options->scratch != NULL && !parse_size(&options->scratch_bytes, options->scratch)) {
        wrong = "scratch";
    } else if (options->max_threads == 0 || options->max_threads > 4096) {
        wrong = "max_threads";
    }
    if (wrong != NULL) {
        fprintf(stderr, "mappedpagesfs: not a value for the option %s=\n", wrong);
    }
    return wrong == NULL;
}

enum options_result options_parse(struct options *options, struct fuse_args *args)
{
    memset(options, 0, sizeof(*options));
    options->ready_fd = -1;
    options->max_threads = DEFAULT_THREADS;
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
    if (!check_values(options)) {
        return OPTIONS_USAGE;
    }
    if (options->mountpoint == NULL) {
        print_help(stderr);
        return OPTIONS_USAGE;
    }
    options->foreground |= options->debug;
    if (options->debug && fuse_opt_add_arg(args, "-odebug") != 0) {
        return OPTIONS_USAGE;
    }
    return OPTIONS_RUN;
}

void options_free(struct options *options)
{
    free(options->file);
    free(options->mountpoint);
    free(options->uid);
    free(options->gid);
    free(options->umask);
    free(options->fsname);
    free(options->scratch);
}
