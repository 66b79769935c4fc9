/* SPDX-License-Identifier: MIT */
/* What a command of this program is. Each lives in a file of its own name. */
#ifndef COMMAND_H
#define COMMAND_H

#include <getopt.h>

/* Exit statuses, for every command. */
enum exit_status {
    STATUS_FINE = 0,
    STATUS_NO = 1,     /* done, and the answer is "no": faults were found */
    STATUS_USAGE = 2,  /* the command line makes no sense; nothing was touched */
    STATUS_FAILED = 3, /* it could not be done */
};

struct command {
    const char *name;
    const char *summary;          /* one line, for the list of commands */
    const char *usage;            /* what follows the name, for instance "FILE ID" */
    const char *help;             /* paragraphs and options, each line ended by a newline */
    const struct option *options; /* for getopt_long; `val` is the short form too */

    /* argv[0] is the command's name. Returns an exit status. */
    int (*run)(int argc, char **argv);
};

extern const struct command command_alloc;
extern const struct command command_bench;
extern const struct command command_check;
extern const struct command command_compact;
extern const struct command command_copy;
extern const struct command command_create;
extern const struct command command_dump;
extern const struct command command_free;
extern const struct command command_info;
extern const struct command command_label;
extern const struct command command_list;
extern const struct command command_load;
extern const struct command command_map;
extern const struct command command_read;
extern const struct command command_rescue;
extern const struct command command_trim;
extern const struct command command_uuid;
extern const struct command command_write;

#endif
