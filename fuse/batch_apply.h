/* SPDX-License-Identifier: MIT */
/* A batch: the pages of an archive, changed as one transaction. */
#ifndef BATCH_APPLY_H
#define BATCH_APPLY_H

#include "fs.h"
#include "stage.h"

struct batch_result {
    int error;          /* 0, or an errno: then nothing was changed */
    uint64_t regular;   /* pages that were written, */
    uint64_t protected; /* … likewise, */
    uint64_t created;   /* … and those of them that were not there */
    char why[384];      /* with an error: what is wrong, as it is: not escaped */
};

/*
 * Changes what the staged archive says, and what the kernel knows of it. One thread at a time, and
 * none that serves requests.
 */
void batch_apply(struct batch_result *result, struct fs *fs, const struct stage *stage);

#endif
