/* SPDX-License-Identifier: MIT */
/* Files that somebody writes to, read in one state for longer than that state would last. */
#ifndef LIVE_H
#define LIVE_H

#include "mappedpages.h"

#include <stdbool.h>

/*
 * Makes a directory that nobody else can enter, in $TMPDIR or /var/tmp. The caller frees its name.
 * NULL: not to be had, and errno says why.
 */
char *make_private_directory(void);

/*
 * Opens for reading a copy of the file, which shows one state and has no name any more. Returns
 * STATUS_FINE, or, having said why, STATUS_FAILED. Signals that ask to end are held back from here
 * on.
 */
int open_copy(const mpg_pager **pager, const char *path, bool quiet);

#endif
