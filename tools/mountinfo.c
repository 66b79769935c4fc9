/* SPDX-License-Identifier: MIT */
#include "mountinfo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Spaces, newlines and such stand there as \ooo. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) && is_octal(from[3])) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* The field that begins at *rest, or NULL; *rest is what follows. */
static char *next_field(char **rest)
{
    char *field = strsep(rest, " \n");

    return field == NULL || *field == '\0' ? NULL : field;
}

/* 36 35 98:0 ROOT POINT OPTIONS [OPTIONAL...] - TYPE SOURCE OPTIONS */
static bool parse(struct mount_entry *entry, char *line)
{
    char *rest = line;
    char *point = NULL, *field, *source, *options;

    for (int i = 0; i < 6; i++) {
        field = next_field(&rest);
        if (field == NULL) {
            return false;
        }
        if (i == 4) {
            point = field;
        }
    }
    while ((field = next_field(&rest)) != NULL && strcmp(field, "-") != 0) {
        /* fields that are of no interest here */
    }
    entry->type = next_field(&rest);
    source = strsep(&rest, " \n"); /* may be empty */
    options = next_field(&rest);
    if (entry->type == NULL || source == NULL || options == NULL) {
        return false;
    }
    unescape(point);
    unescape(source);
    entry->point = point;
    entry->source = source;
    entry->options = options;
    entry->read_only = strncmp(options, "ro", 2) == 0 && (options[2] == ',' || options[2] == '\0');
    return true;
}

bool mountinfo_visit(const char *mountinfo,
                     bool (*visit)(void *context, const struct mount_entry *entry), void *context)
{
    FILE *file = fopen(mountinfo, "re");
    struct mount_entry entry;
    char *line = NULL;
    size_t size = 0;

    if (file == NULL) {
        return false;
    }
    while (getline(&line, &size, file) > 0) {
        if (parse(&entry, line) && !visit(context, &entry)) {
            break;
        }
    }
    free(line);
    (void)fclose(file);
    return true;
}
