/* SPDX-License-Identifier: MIT */
/* check --repair and check --undo. */
#ifndef REPAIR_H
#define REPAIR_H

#include <stdbool.h>

struct repair_request {
    const char *path;
    const char *undo; /* name of the undo file, or NULL */
    bool as_json;
    bool quiet;
    bool yes;     /* agree to whatever is asked */
    bool dry_run; /* change nothing */
    bool older;   /* the state before the newest, if that is damaged */
};

/* Both return an exit status. */
int repair_file(const struct repair_request *request);
int undo_repair(const struct repair_request *request);

#endif
