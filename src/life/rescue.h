/* SPDX-License-Identifier: MIT */
/* What the parts of a rescue share. */
#ifndef MPGI_RESCUE_H
#define MPGI_RESCUE_H

#include "format/salvage.h"
#include "os/io.h"

struct rescue {
    struct file source;
    struct salvage
        salvage; /* after choosing, one entry is left of each protected page that is saved */
    struct sheet *wanted; /* a bit a page: a regular page of the destination. Owned */
    uint64_t wanted_count;
    unsigned char *piece; /* room for what is copied at once; owned */
    uint32_t piece_size;
    mpg_rescue_options options;
    mpg_rescue_result result;
};

/* Decides which contents of protected pages and which regular pages are saved. */
int mpgi_rescue_choose(struct rescue *rescue);
/* Writes them to a new file. */
int mpgi_rescue_write(struct rescue *rescue, const char *destination);

#endif
