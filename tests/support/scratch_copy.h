/* SPDX-License-Identifier: MIT */
/* For tests of copying: a scratch directory, and the path of a copy in it. */
#ifndef SCRATCH_COPY_H
#define SCRATCH_COPY_H

#include "support/scratch_file.h"

static char copy_path[80];

static int scratch_begin_copy(void **state)
{
    int result = scratch_begin(state);
    const struct scratch *scratch = *state;

    if (result == 0)
        snprintf(copy_path, sizeof(copy_path), "%s/copy", scratch->directory);
    return result;
}

#endif
