/* SPDX-License-Identifier: MIT */
/* What is done to a page file, line by line, while others write to it. */
#ifndef WATCH_H
#define WATCH_H

#include "mappedpages.h"

#include <stdbool.h>

/*
 * Prints a line every `seconds` until a signal ends it, or nobody reads any more. Ends the pager.
 * Returns an exit status: STATUS_FINE if it was a signal.
 */
int watch_file(const mpg_pager *pager, const char *path, unsigned seconds, bool json);

#endif
