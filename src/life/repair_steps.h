/* SPDX-License-Identifier: MIT */
/* What planning a repair and rebuilding share: all of it works on the disk in front of the file. */
#ifndef MPGI_REPAIR_STEPS_H
#define MPGI_REPAIR_STEPS_H

#include "life/repair.h"

/* How the file on the disk is. */
struct outcome {
    bool opened;
    uint64_t faults;
    uint64_t contents; /* of these: protected pages whose content is not whole */
};

/* Only contents are not whole, or nothing at all. */
static inline bool is_sound(const struct outcome *outcome)
{
    return outcome->opened && outcome->faults == outcome->contents;
}

void mpgi_repair_tell(struct repair *repair, const char *name, uint64_t page, const char *message);
/* Whether the caller agrees to give up what the message says. */
bool mpgi_repair_ask(const struct repair *repair, const char *name, uint64_t page,
                     const char *message);
/* The error when not. */
int mpgi_repair_refused(const struct repair *repair);
/* Opens what is on the disk as a file, for reading and writing; to be closed. */
int mpgi_repair_open_target(struct repair *repair, struct file *file);
/* What is mended without looking at all of the file; `aloud`: and told. */
int mpgi_repair_mend(struct repair *repair, bool aloud);
/* Opens what is on the disk as a writer does. */
int mpgi_repair_open(struct repair *repair, mpg_pager **pager);
/* Opens what is on the disk as a writer does, checks and closes it; `aloud`: faults are told. */
int mpgi_repair_try(struct repair *repair, struct outcome *outcome, bool aloud);
/* Makes all metadata anew, from what was found, around contents that stay where they are. */
int mpgi_repair_rebuild(struct repair *repair);

#endif
