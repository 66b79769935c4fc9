/* SPDX-License-Identifier: MIT */
/*
 * Floor 1: a file that appears under its name whole, or not at all (rule 15).
 *
 * It is made without a name, and gets its name when its content is durable. Where a filesystem
 * cannot do that, it has another name first. Where it can neither rename without replacing nor
 * link, the file is made in place: it begins with a mark that says so until its content is durable,
 * and what was not finished may be made anew.
 */
#ifndef MPGI_NEW_FILE_H
#define MPGI_NEW_FILE_H

#include <stdbool.h>

#include "os/io.h"

/* In the order in which they are tried. */
enum new_way { NEW_NAMELESS, NEW_TEMPORARY, NEW_IN_PLACE, NEW_WAYS };

/* What the functions return where the next way is to be tried. */
#define NEW_NOT_HERE 1

/* The first way to try. */
enum new_way mpgi_new_file_first_way(void);

/* EXISTS where the name is taken: for who has long work to do before the file is begun. */
int mpgi_new_file_check_name(const struct io *io, void *context, const char *path);

/*
 * Makes a file for `path`, empty, open for writing and not locked. EXISTS where there is one.
 * Errors leave nothing behind; the file is closed then.
 */
int mpgi_new_file_begin(struct file *file, const struct io *io, void *context, const char *path,
                        enum new_way way);

/*
 * The same for a file that is to take the place of one that has the name. Not NEW_IN_PLACE.
 */
int mpgi_new_file_begin_successor(struct file *file, const struct io *io, void *context,
                                  const char *path, enum new_way way);

/*
 * Marks an empty file that others can see as one that is being made. Its length is that of the mark
 * afterwards, and it must be locked.
 */
int mpgi_new_file_mark(struct file *file);
/* Whether a file is marked so. An error of reading it counts as no. */
bool mpgi_new_file_is_marked(const struct file *file);

/*
 * What is to be written next makes a page file of it, and everything else is written: where others
 * can see it, that becomes durable first.
 */
int mpgi_new_file_complete(struct file *file);

/* Makes the name durable, or notes in the file that nobody can tell. */
int mpgi_new_file_sync_name(struct file *file);

/* Removes what may be left of it under any name. It may be closed then. */
void mpgi_new_file_abandon(struct file *file);

/*
 * The end of making one: where `result`, of what was done to fill it, is 0, its name and that
 * name's durability; where anything failed the file is given up. Returns the first error.
 */
int mpgi_new_file_finish(struct file *file, int result);
/*
 * The same of a successor: it has the name of `old` from one moment to the next, or that keeps it.
 */
int mpgi_new_file_succeed(struct file *file, const struct file *old, int result);

#endif
