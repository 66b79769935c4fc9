/* SPDX-License-Identifier: MIT */
/* What to do about a failure, where there is something. Shared with the driver. */
#ifndef HINT_H
#define HINT_H

#include "mappedpages.h"

#include <stdbool.h>
#include <stddef.h>

#define HINT_SIZE 512

/* What the failed program was about to do with the file. */
enum hint_use {
    HINT_USE,       /* look at it, or change it */
    HINT_CREATE,    /* make it */
    HINT_WRITE,     /* write to a page that is there */
    HINT_CHECK,     /* tell what is damaged */
    HINT_REPAIR,    /* mend it */
    HINT_RESCUE,    /* save what is left of it */
    HINT_UNDO,      /* take a repair back; the file is the page file, or the undo file */
    HINT_UNDO_FILE, /* mend a page file; this one is for taking that back */
};

/* A file was found busy, and it is mounted there, by somebody whom this process may see. */
void hint_mounted_on(const char *directory);

/*
 * Describes it in one clause, for instance "'mappedpages create my.mpp' makes one". May look at
 * what is at the path, without waiting for anything. Returns false, and *text is empty, where there
 * is nothing to say that the message has not said.
 */
bool hint_find(char text[HINT_SIZE], const char *path, const mpg_error_info *info,
               enum hint_use use);

#endif
