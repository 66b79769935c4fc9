/* SPDX-License-Identifier: MIT */
/*
 * Going to the background. The file must be opened by the process that serves it, so that one is
 * made first; the process that was started waits until it serves, or has failed, and ends as it
 * says.
 */
#ifndef BACKGROUND_H
#define BACKGROUND_H

#include <stddef.h>

/*
 * Makes the process that serves, and returns in it. That one keeps none of the descriptors that it
 * was started with but 0 to 2 and those in `kept`, `count` of them, where -1 is none. Returns the
 * descriptor for background_enter, or -1, logged. The process that was started does not return.
 */
int background_begin(const int *kept, size_t count);
/* The mount serves: leaves the terminal, and lets the other process end with status 0. */
void background_enter(int fd);

#endif
