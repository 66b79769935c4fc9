/* SPDX-License-Identifier: MIT */
/* mappedpages COMMAND FILE …: finds the command and runs it. */

#include "arguments.h"
#include "command.h"
#include "descriptors.h"
#include "escape.h"
#include "mappedpages.h"
#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct command *const commands[] = {
    &command_create, &command_info,   &command_list,  &command_map,  &command_read,
    &command_write,  &command_alloc,  &command_free,  &command_trim, &command_compact,
    &command_copy,   &command_label,  &command_uuid,  &command_dump, &command_load,
    &command_check,  &command_rescue, &command_bench,
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_overview(FILE *out)
{
    fputs("Usage: mappedpages COMMAND [OPTION...] FILE [ARGUMENT...]\n"
          "Makes, shows, changes and checks page files.\n\nCommands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\n'mappedpages help COMMAND' tells more of a command, as does 'mappedpages COMMAND "
          "--help';\n"
          "'mappedpages --version' tells the version.\n"
          "Exit status: 0 fine, 1 the answer is no, 2 wrong usage, 3 it could not be done.\n",
          out);
}

static void print_version(void)
{
    int major;
    int minor;
    int patch;

    mpg_version(&major, &minor, &patch);
    printf("mappedpages %s (library %d.%d.%d)\n", PACKAGE_VERSION, major, minor, patch);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

/*
 * Whether one letter was left out, too many, another one, or swapped with the next; small or large.
 */
static bool is_slip(const char *typed, const char *meant)
{
    while (*typed != '\0' && tolower((unsigned char)*typed) == *meant) {
        typed++;
        meant++;
    }
    if (*typed == '\0' || *meant == '\0') {
        return strlen(typed) + strlen(meant) <= 1;
    }
    return strcasecmp(typed + 1, meant + 1) == 0 || strcasecmp(typed + 1, meant) == 0 ||
           strcasecmp(typed, meant + 1) == 0 ||
           (typed[0] == meant[1] && typed[1] == meant[0] && strcasecmp(typed + 2, meant + 2) == 0);
}

/* The command that was probably meant, or NULL. */
static const struct command *likely_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (is_slip(name, commands[i]->name)) {
            return commands[i];
        }
    }
    return NULL;
}

/* `next` is what stands behind it, or NULL. Returns an exit status. */
static int refuse_command(const char *name, const char *next)
{
    const struct command *likely = likely_command(name);

    fputs("mappedpages: ", stderr);
    escape_printf(stderr, "there is no command '%s'", name);
    if (next != NULL && find_command(next) != NULL) {
        escape_printf(stderr, "; the command comes first: 'mappedpages %s %s'", next, name);
    } else if (likely != NULL) {
        fprintf(stderr, "; '%s' is one", likely->name);
    }
    fputs("\nTry 'mappedpages --help'.\n", stderr);
    return STATUS_USAGE;
}

/* mappedpages help [COMMAND]. Returns an exit status. */
static int help(int argc, char **argv)
{
    const struct command *command = argc == 3 ? find_command(argv[2]) : NULL;

    if (argc > 3) {
        fprintf(stderr, "mappedpages help: too many arguments\nTry 'mappedpages --help'.\n");
        return STATUS_USAGE;
    }
    if (argc == 3 && command == NULL) {
        return refuse_command(argv[2], NULL);
    }
    if (command != NULL) {
        print_help(command);
    }
    print_overview(stdout);
    return finish_output(STATUS_FINE);
}

int main(int argc, char **argv)
{
    const struct command *command;

    if (!descriptors_reserve()) {
        fprintf(stderr, "mappedpages: /dev/null: %s\n", strerror(errno));
        return STATUS_FAILED;
    }
    /* Output beyond the limit for files is an error like another. */
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        print_overview(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_overview(stdout);
        return finish_output(STATUS_FINE);
    }
    if (strcmp(argv[1], "help") == 0) {
        return help(argc, argv);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        print_version();
        return finish_output(STATUS_FINE);
    }
    command = find_command(argv[1]);
    if (command == NULL) {
        return refuse_command(argv[1], argc > 2 ? argv[2] : NULL);
    }
    return command->run(argc - 1, argv + 1);
}
