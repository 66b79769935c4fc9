/* SPDX-License-Identifier: MIT */
/* Telling whoever started the program that the mount is serving, or ends. */
#ifndef READY_H
#define READY_H

/* Writes a line to `ready_fd` (-1: none) and closes it, and tells the service manager, if any. */
void ready_tell(int ready_fd);
/* Tells the service manager, if any, that the end has begun. */
void ready_stopping(void);

#endif
