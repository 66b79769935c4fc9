/* SPDX-License-Identifier: MIT */
/*
 * Threads that serve requests come to the processor of who asks. Waking a thread there takes a
 * microsecond or two; on another processor, one that sleeps above all, many times as long (25 us
 * in a virtual machine), and a request needs two of that: there and back. A thread mostly wakes up
 * where it was; so one that finds itself elsewhere goes there once, and is free to be moved again.
 */
#ifndef NEAR_H
#define NEAR_H

#include "fs.h"

/*
 * A request of a thread is served by this one. Looks now and then where that is. Not for requests
 * that a thread may make in the middle of execve(2), such as flush: looking would wait for the end
 * of that, and so for the answer.
 */
void near_client(fuse_req_t req);

#endif
