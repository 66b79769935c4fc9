/* SPDX-License-Identifier: MIT */
/* The descriptors that a program is started with. Shared with the driver. */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Occupies those of 0, 1 and 2 that are closed, so that no file that is opened later is mistaken
 * for standard input, output or error. Reading and writing them still fail, with EBADF, as they
 * would if they were closed. The first thing that a program does. False, with errno set, if there
 * is no descriptor for it.
 */
bool descriptors_reserve(void);

/* Closes all from 3 on but those in `kept`, `count` of them in any order; -1 is none. */
void descriptors_close_others(const int *kept, size_t count);

#endif
