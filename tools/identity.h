/* SPDX-License-Identifier: MIT */
/* What names a page file of format 1: label and UUID. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "mappedpages.h"

#include <stdbool.h>

/*
 * The facts of a file that has a label and a UUID. `what` is which of them is asked for, for the
 * message where it has none. Returns an exit status.
 */
int identity_read(struct mpg_stat *st, const char *path, const char *what, bool json);

/*
 * Says what it is: as a line, or as an object in which it is the value of `key`. Returns an exit
 * status.
 */
int identity_print(const char *path, const char *key, const char *text, bool json);

/* Says that the file is of a format that has no such thing. Returns an exit status. */
int identity_missing(const char *path, const char *what, bool json);

#endif
