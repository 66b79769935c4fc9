/* SPDX-License-Identifier: MIT */

#include "arguments.h"

#include "escape.h"
#include "file.h"
#include "output.h"
#include "size.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void usage_error(const struct command *command, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "mappedpages %s: ", command->name);
    va_start(arguments, format);
    escape_vprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nUsage: mappedpages %s %s\nTry 'mappedpages %s --help'.\n", command->name,
            command->usage, command->name);
    exit(STATUS_USAGE);
}

void print_help(const struct command *command)
{
    printf("Usage: mappedpages %s %s\n%s.\n\n%s", command->name, command->usage, command->summary,
           command->help);
    exit(finish_output(STATUS_FINE));
}

/* getopt's list of short options: every `val`, with a colon where an argument follows. */
static void short_options(char *list, size_t size, const struct option *options)
{
    size_t used = 0;

    list[used++] = ':';
    for (; options->name != NULL && used + 3 <= size; options++) {
        if (options->val > UCHAR_MAX) {
            continue; /* it has no letter */
        }
        list[used++] = (char)options->val;
        if (options->has_arg == required_argument) {
            list[used++] = ':';
        }
    }
    list[used] = '\0';
}

/* getopt has met an option it could not use; for a long one, `argument` is how it was written. */
_Noreturn static void refuse_option(const struct command *command, const char *argument)
{
    const struct option *option = command->options;

    if (optopt == 0) {
        usage_error(command, "there is no option '%s', or it is short for several", argument);
    }
    while (option->name != NULL && option->val != optopt) {
        option++;
    }
    if (option->name != NULL) {
        usage_error(command, "option '--%s' takes no value", option->name);
    }
    if (optopt >= '0' && optopt <= '9') {
        usage_error(command, "there is no option '-%c', and an id has no sign", optopt);
    }
    usage_error(command, "there is no option '-%c'", optopt);
}

int next_option(const struct command *command, int argc, char **argv)
{
    char list[32];
    int option;

    opterr = 0;
    short_options(list, sizeof list, command->options);
    option = getopt_long(argc, argv, list, command->options, NULL);
    if (option == 'h') {
        print_help(command);
    }
    if (option == 'w') {
        set_wait(parse_number(command, "number of seconds", optarg));
        return next_option(command, argc, argv);
    }
    if (option == OPTION_LOCAL_LOCK) {
        set_local_lock();
        return next_option(command, argc, argv);
    }
    if (option == ':') {
        usage_error(command, "option '%s' needs a value", argv[optind - 1]);
    }
    if (option == '?') {
        refuse_option(command, argv[optind - 1]);
    }
    return option;
}

void expect_arguments(const struct command *command, int argc, char **argv, int least, int most)
{
    if (argc - optind < least) {
        usage_error(command, optind == argc ? "no file was named" : "an argument is missing");
    }
    if (argc - optind > most) {
        usage_error(command, "one argument too many: %s", argv[optind + most]);
    }
    expect_name(command, "the file", argv[optind]);
}

void expect_name(const struct command *command, const char *what, const char *name)
{
    if (name[0] == '\0') {
        usage_error(command, "the name of %s is empty", what);
    }
}

/*
 * The decimal number at the beginning of `text`; *end is what follows it. Returns whether it fits.
 */
static bool scan_number(uint64_t *number, const char **end, const char *text)
{
    uint64_t value = 0;
    const char *c;

    for (c = text; *c >= '0' && *c <= '9'; c++) {
        unsigned digit = (unsigned)(*c - '0');

        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *number = value;
    *end = c;
    return c != text;
}

/* On the mount 007 is not page 7 either: one number, one name. */
static void refuse_leading_zero(const struct command *command, const char *what, const char *text)
{
    if (text[0] == '0' && text[1] >= '0' && text[1] <= '9') {
        usage_error(command, "%s '%s' has a leading zero, which no number may have here", what,
                    text);
    }
}

uint64_t parse_number_within(const struct command *command, const char *what, const char *text,
                             uint64_t least, uint64_t most)
{
    uint64_t number;
    const char *end;
    bool is_number = scan_number(&number, &end, text) && *end == '\0';

    if (is_number) {
        refuse_leading_zero(command, what, text);
    }
    if (!is_number && least == 0 && most == UINT64_MAX) {
        usage_error(command, "%s '%s' is not a whole number below 2^64", what, text);
    }
    if (!is_number || number < least || number > most) {
        usage_error(command, "%s '%s' is not a whole number from %" PRIu64 " to %" PRIu64, what,
                    text, least, most);
    }
    return number;
}

uint64_t parse_number(const struct command *command, const char *what, const char *text)
{
    return parse_number_within(command, what, text, 0, UINT64_MAX);
}

uint64_t parse_size(const struct command *command, const char *what, const char *text)
{
    uint64_t bytes = 0;

    refuse_leading_zero(command, what, text);
    switch (size_parse(&bytes, text)) {
    case SIZE_GOOD:
        break;
    case SIZE_NO_SIZE:
        usage_error(command, "%s '%s' is not " SIZE_WORDS, what, text);
    case SIZE_TOO_LARGE:
        usage_error(command, "%s '%s' is too large", what, text);
    }
    return bytes;
}

static int compare_ids(const void *one, const void *other)
{
    const uint64_t *a = one;
    const uint64_t *b = other;

    return (*a > *b) - (*a < *b);
}

/* All or none would be done, and the second time it could not be. */
static void refuse_repeated(const struct command *command, const uint64_t *ids, size_t count)
{
    uint64_t *sorted = allocate(count, sizeof *sorted);

    memcpy(sorted, ids, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_ids);
    for (size_t i = 1; i < count; i++) {
        if (sorted[i] == sorted[i - 1]) {
            usage_error(command, "page %" PRIu64 " is named twice", sorted[i]);
        }
    }
    free(sorted);
}

/* So many ids one command takes: memory for them is had before any is known to exist. */
#define IDS_MOST (UINT64_C(1) << 24)

/*
 * The next ids of a list as in 3-900,7: a number, or two with a hyphen between, the first and the
 * last of a range. *text moves behind it, and is NULL behind the last.
 */
static void parse_range(uint64_t *first, uint64_t *last, const struct command *command,
                        const char **text)
{
    const char *comma = strchrnul(*text, ',');
    char *range = strndup(*text, (size_t)(comma - *text));
    const char *end;

    if (range == NULL) {
        usage_error(command, "out of memory");
    }
    if (!scan_number(first, &end, range) || *end != '-') {
        *first = parse_number(command, "id", range);
        *last = *first;
    } else {
        refuse_leading_zero(command, "id", range);
        if (end[1] == '\0') {
            usage_error(command, "the range '%s' has no end; the last id stands behind the hyphen",
                        range);
        }
        *last = parse_number(command, "id", end + 1);
    }
    if (*last < *first) {
        usage_error(command, "the range '%s' ends before it begins", range);
    }
    free(range);
    *text = *comma == ',' ? comma + 1 : NULL;
}

/* A space behind a comma makes two arguments of a list. */
static void refuse_gap(const struct command *command, const char *list)
{
    size_t length = strlen(list);

    if (length > 0 && (list[0] == ',' || list[length - 1] == ',' || strstr(list, ",,") != NULL)) {
        usage_error(command, "an id is missing beside a comma in '%s'", list);
    }
}

/* The ids that the arguments name, into `ids` unless it is NULL. Returns how many. */
static size_t list_ids(uint64_t *ids, const struct command *command, char **argv, int argc)
{
    uint64_t count = 0;

    for (int i = optind; i < argc; i++) {
        refuse_gap(command, argv[i]);
        for (const char *text = argv[i]; text != NULL;) {
            uint64_t first;
            uint64_t last;

            parse_range(&first, &last, command, &text);
            if (last - first >= IDS_MOST - count) {
                usage_error(command, "more than %" PRIu64 " pages are named: name fewer at once",
                            IDS_MOST - 1);
            }
            for (uint64_t offset = 0; ids != NULL && offset <= last - first; offset++) {
                ids[count + offset] = first + offset;
            }
            count += last - first + 1;
        }
    }
    return (size_t)count;
}

uint64_t *parse_ids(size_t *count, const struct command *command, char **argv, int argc)
{
    uint64_t *ids;

    *count = list_ids(NULL, command, argv, argc);
    ids = allocate(*count, sizeof *ids);
    list_ids(ids, command, argv, argc);
    refuse_repeated(command, ids, *count);
    return ids;
}
