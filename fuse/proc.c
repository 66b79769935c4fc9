/* SPDX-License-Identifier: MIT */
#include "proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "text_file.h"

bool proc_read(char *text, size_t size, pid_t id, const char *name)
{
    char path[64];

    if (id == PROC_SELF) {
        snprintf(path, sizeof(path), "/proc/self/%s", name);
    } else {
        snprintf(path, sizeof(path), "/proc/%ld/%s", (long)id, name);
    }
    return text_file_read(text, size, AT_FDCWD, path);
}

const char *proc_stat_field(const char *stat, int field)
{
    const char *at = strrchr(stat, ')'); /* the name, in parentheses, may hold anything */

    for (int i = 2; at != NULL && i < field; i++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? at + 1 : NULL;
}

bool proc_read_status(struct proc_status *status, pid_t thread)
{
    char path[64], line[256];
    long process = 0;
    FILE *stream;

    *status = (struct proc_status){0};
    snprintf(path, sizeof(path), "/proc/%ld/status", (long)thread);
    stream = fopen(path, "re");
    if (stream == NULL) {
        return false;
    }
    while (fgets(line, sizeof(line), stream) != NULL) {
        (void)sscanf(line, "Tgid: %ld", &process);
        (void)sscanf(line, "ShdPnd: %llx", &status->pending);
        (void)sscanf(line, "SigBlk: %llx", &status->blocked);
        (void)sscanf(line, "SigIgn: %llx", &status->ignored);
        (void)sscanf(line, "SigCgt: %llx", &status->caught);
    }
    fclose(stream);
    status->process = (pid_t)process;
    return process > 0;
}
