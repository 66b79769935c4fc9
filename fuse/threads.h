/* SPDX-License-Identifier: MIT */
/*
 * The driver's own threads that need requests to be served: they have the kernel drop or take
 * something, which may wait for a request to be answered. libfuse makes and ends those that serve
 * requests.
 */
#ifndef THREADS_H
#define THREADS_H

#include "fs.h"

/* Begins them. False, logged: one is missing without which what is shown would be out of date. */
bool threads_start(struct fs *fs);
/*
 * Has them finish what they have begun, and ends them, while requests are still served; what they
 * were for is then done by whoever asks, or not. Can be called again, and by several threads.
 */
void threads_stop(struct fs *fs);

#endif
