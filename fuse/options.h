/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "fs.h"

struct options {
    char *file;          /* the page file, as given */
    char *mountpoint;    /* the directory, as given */
    int foreground;      /* -f */
    int debug;           /* -d, debug */
    int single;          /* -s */
    int help;            /* -h */
    int version;         /* -V */
    int read_only;       /* -r, ro */
    int raw;             /* raw */
    int local_lock;      /* local_lock */
    int discard;         /* discard */
    int clone_fd;        /* clone_fd */
    char *fsname;        /* fsname=: the source in /proc/mounts; NULL: the file */
    int64_t uid, gid;    /* uid=, gid=; -1: those of the file */
    int64_t umask;       /* umask=: permission bits that are off; -1: the mode of the file */
    int64_t fmask;       /* fmask=: those of files; -1: as umask says */
    int64_t dmask;       /* dmask=: those of directories; -1: as umask says */
    int64_t commit;      /* commit=: seconds; 0: at once */
    int64_t scratch;     /* scratch=: bytes for all scratch files */
    int scratch_any;     /* scratch=any: they may have any name */
    int64_t stage;       /* stage=: bytes for what is written and not committed; -1: not given */
    int64_t max_threads; /* max_threads= */
    int64_t ready_fd;    /* ready_fd=; -1: none */
    int64_t wait;        /* wait=: seconds for a file that is busy; -1: for one that is ending */
    int64_t ring_depth;  /* io_uring_q_depth=; 0: as libfuse has it */
    int allow_other;     /* allow_other */
    int allow_root;      /* allow_root */
    int ring;            /* io_uring: 1, no_io_uring: 0; -1: neither */
    int permissions;     /* default_permissions was named; where we mount it is always on */
};

/* What parsing a command line came to. */
enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_USAGE };

/*
 * Parses it. What is left in *args afterwards is for fuse_session_new. Prints help, version, and
 * what is wrong with the usage. The strings belong to *options, which options_free ends.
 */
enum options_result options_parse(struct options *options, struct fuse_args *args);
void options_free(struct options *options);

/* Whether libfuse is asked for requests through io_uring. */
bool options_want_ring(const struct options *options);

/* What an option behind -o is to this program. */
enum option_kind { OPTION_UNKNOWN, OPTION_IGNORED, OPTION_USED };
enum option_kind options_kind(const char *option);

#endif
