/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "fs.h"

struct options {
    char *file;              /* the page file, as given */
    char *mountpoint;        /* the directory, as given */
    int foreground;          /* -f */
    int debug;               /* -d */
    int single;              /* -s */
    int help;                /* -h */
    int version;             /* -V */
    int read_only;           /* ro */
    int raw;                 /* raw */
    int clone_fd;            /* clone_fd */
    unsigned max_threads;    /* max_threads= */
    int ready_fd;            /* ready_fd=, or -1 */
    char *uid, *gid;         /* uid=, gid=: decimal; NULL: those of the file */
    char *umask;             /* umask=: octal; NULL: the mode of the file */
    char *fsname;            /* fsname=: the source in /proc/mounts; NULL: the file */
    unsigned commit;         /* commit=: seconds, 0: at once */
    char *scratch;           /* scratch=, as given; or NULL */
    uint64_t scratch_bytes;  /* what that means */
    unsigned long uid_value; /* and those */
    unsigned long gid_value;
    unsigned long umask_value;
};

/* What parsing a command line came to. */
enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_USAGE };

/*
 * Parses it. What is left in *args afterwards is for fuse_session_new. Prints help, version, and
 * what is wrong with the usage. The strings belong to *options, which options_free ends.
 */
enum options_result options_parse(struct options *options, struct fuse_args *args);
void options_free(struct options *options);

#endif
