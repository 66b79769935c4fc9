/* SPDX-License-Identifier: MIT */
/*
 * Floor 1: descriptors that nobody takes for standard input, output or error.
 *
 * A program that was started with one of those closed gives the next file it opens that number, and
 * then writes its messages into it. So none that this library opens is ever 0, 1 or 2.
 */
#ifndef MPGI_DESCRIPTOR_H
#define MPGI_DESCRIPTOR_H

#include <sys/types.h>

/* open(2) with O_CLOEXEC and O_NOCTTY, giving a descriptor above 2. */
int mpgi_open_descriptor(const char *path, int flags, mode_t mode);
/*
 * The same, to read, if what has that name is the file that `fd` is a descriptor of; -1 otherwise.
 */
int mpgi_open_same(const char *path, int fd);

#endif
