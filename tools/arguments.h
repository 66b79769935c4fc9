/* SPDX-License-Identifier: MIT */
/* The command line: options, numbers, and what is said of a wrong one. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "command.h"

#include <stddef.h>
#include <stdint.h>

/* Says what is wrong and how to learn more, and exits with STATUS_USAGE. */
_Noreturn void usage_error(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints the command's help to standard output and exits. */
_Noreturn void print_help(const struct command *command);

/* The `val` of --local-lock, which has no letter. */
#define OPTION_LOCAL_LOCK 256

/*
 * The next option, as its `val`, or -1 when only arguments are left, from argv[optind] on.
 * Serves --help and --wait itself and ends in usage_error for what is no option of the command.
 */
int next_option(const struct command *command, int argc, char **argv);

/*
 * Ends in usage_error unless between `least` and `most` arguments are left, of which the first is
 * the name of a file.
 */
void expect_arguments(const struct command *command, int argc, char **argv, int least, int most);
/* Likewise unless a name has a letter in it; `what` it is of, for instance "the undo file". */
void expect_name(const struct command *command, const char *what, const char *name);

/*
 * A whole number in decimal digits, nothing else: no sign, space or leading zero, no overflow.
 * `what` names it in the message of usage_error, for instance "page id".
 */
uint64_t parse_number(const struct command *command, const char *what, const char *text);
/* The same, from `least` to `most`. */
uint64_t parse_number_within(const struct command *command, const char *what, const char *text,
                             uint64_t least, uint64_t most);

/*
 * A number of bytes: as parse_number, and K, M or G, or k, m or g, may follow, for 1024, 1024² or
 * 1024³.
 */
uint64_t parse_size(const struct command *command, const char *what, const char *text);

/*
 * The ids from argv[optind] on, all different: numbers, ranges as in 3-900, and several of both
 * with commas between. At least one argument is there. The caller frees the array.
 */
uint64_t *parse_ids(size_t *count, const struct command *command, char **argv, int argc);

#endif
