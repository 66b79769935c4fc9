/* SPDX-License-Identifier: MIT */
/*
 * Damages page files whose content is known, and judges whatever can be read then: right, older, or
 * wrong.
 */
#ifndef DAMAGE_H
#define DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "life/specimen.h"

/* The share of what was not destroyed that is still there. */
struct tally {
    /* What says which state counts was made older: that is no damage that can be seen. */
    bool may_be_older;
    bool counts_lost; /* a content that is nowhere any more is counted, and else ends the program */
    uint64_t lost;    /* … so many */
    uint64_t trials;
    uint64_t opened;          /* of these the file still opened */
    uint64_t found;           /* check, or opening, reported a fault */
    uint64_t rescued;         /* rescue made a file */
    uint64_t protected_there; /* protected pages that were not destroyed */
    uint64_t protected_right; /* … and saved as they were */
    uint64_t nameless; /* … neither, nor is any place left that said where their content is */
    uint64_t protected_older; /* saved in an older state, and told so */
    uint64_t passed;          /* … and not told, where it may be so */
    uint64_t orphans;         /* not right, but their content is saved as a regular page */
    uint64_t regular_there;
    uint64_t regular_right;
    uint64_t adopted; /* pages that were saved though they were free */
    /* Where it is; all that was seen right afterwards, and taken back byte for byte. */
    uint64_t repaired;
    uint64_t repaired_right; /* protected pages not destroyed, and as they were after a repair */
    uint64_t repaired_there; /* … of so many */
};

/* A page of the specimen, or a part of it, is to be counted as destroyed. */
struct destroyed {
    uint64_t first, end; /* bytes of the file */
};

/* A number that tells files from each other, by their length and content. */
uint64_t damage_digest(const char *path);

/*
 * Opens, checks, rescues and repairs the specimen as it is, and takes the repair back; judges all
 * that is shown, and adds to the tally. Ends the program where something wrong was said to be
 * right; `what` then says which damage it was.
 */
void damage_try(const struct specimen *specimen, const struct destroyed *destroyed, size_t count,
                struct tally *tally, const char *what);

#endif
