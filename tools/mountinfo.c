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
    size_t length = strlen(text);
    size_t to = 0;

    for (size_t from = 0; from < length; to++) {
        const char *c = text + from;

        if (c[0] == '\\' && is_octal(c[1]) && is_octal(c[2]) && is_octal(c[3])) {
            text[to] = (char)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0'));
            from += 4;
        } else {
            text[to] = *c;
            from++;
        }
    }
    text[to] = '\0';
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

    entry->device = 0;
    for (int i = 0; i < 6; i++) {
        field = next_field(&rest);
        if (field == NULL) {
            return false;
        }
        if (i == 2 && strncmp(field, "0:", 2) == 0) {
            entry->device = (unsigned)strtoul(field + 2, NULL, 10);
        } else if (i == 4) {
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
    if (point == NULL) {
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
