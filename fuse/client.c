/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <stdio.h>

#include "proc.h"

bool client_may_be_same(const struct client *a, const struct client *b)
{
    struct proc_status of_a, of_b;

    if (a->files != 0 && b->files != 0) {
        return a->files == b->files;
    }
    if (a->thread == b->thread) {
        return true;
    }
    return !proc_read_status(&of_a, a->thread) || !proc_read_status(&of_b, b->thread) ||
           of_a.process == of_b.process;
}

/* The first line, with what cannot be printed replaced. */
static void make_printable(char *text)
{
    for (; *text != '\0' && *text != '\n'; text++) {
        if (*text < ' ' || *text > '~') {
            *text = '?';
        }
    }
    *text = '\0';
}

const char *client_name(char name[static CLIENT_NAME_SIZE], pid_t thread)
{
    struct proc_status status;
    char command[32] = "";

    if (thread <= 0) {
        snprintf(name, CLIENT_NAME_SIZE, "a process that cannot be seen");
    } else if (!proc_read_status(&status, thread)) {
        snprintf(name, CLIENT_NAME_SIZE, "process %ld", (long)thread);
    } else {
        (void)proc_read(command, sizeof(command), status.process, "comm");
        make_printable(command);
        snprintf(name, CLIENT_NAME_SIZE, "process %ld (%s)", (long)status.process, command);
    }
    return name;
}
