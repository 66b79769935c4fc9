/* SPDX-License-Identifier: MIT */
/* The process that opens the large file: run as "library LARGE_CHILD path", answers in one line. */
#ifndef BENCH_LARGE_H
#define BENCH_LARGE_H

#define LARGE_CHILD "--open-large"

int large_child(const char *path);

#endif
