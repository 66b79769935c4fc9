/* SPDX-License-Identifier: MIT */
/* Telling whoever started the program that the mount is serving, or ends. */
#ifndef READY_H
#define READY_H

/*
 * Takes over `ready_fd` (-1: none): from then on it is not lost when 0 to 2 become something else.
 * Returns what ready_tell is to be given, or -1 if there is none.
 */
int ready_take(int ready_fd);
/* Writes a line to what ready_take gave and closes it, and tells the service manager, if any. */
void ready_tell(int ready_fd);
/* Tells the service manager, if any, that the end has begun. */
void ready_stopping(void);

#endif
