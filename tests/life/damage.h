/* SPDX-License-Identifier: MIT */
/*
 * Page files whose content is known, damaged on purpose. What each page holds follows from its id and from how often it was
 * written, so that whatever is read can be judged: right, older, or wrong.
 */
#ifndef DAMAGE_H
#define DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mappedpages.h"

/* What a file is to be. */
struct specimen_kind {
    const char *name;
    int format;
    uint32_t page_size;
    unsigned protected_count;
    unsigned regular_count;
    uint64_t regular_step; /* between the ids of regular pages */
    bool closed;           /* otherwise as after a crash of the process */
};

struct specimen {
    const struct specimen_kind *kind;
    char path[256];
    char older[270]; /* a copy of it, as it was before it was opened for the last time */
    uint64_t pages;
    unsigned char *uses; /* enum mpg_page_use, a byte a page; owned */
    uint64_t *content;   /* where the content of each protected page is, 0: it was freed; owned */
    unsigned *version;   /* how often each was written; owned */
};

/* The share of what was not destroyed that is still there. */
struct tally {
    bool
        may_be_older; /* what says which state counts was made older: that is no damage that can be seen */
    bool counts_lost; /* a content that is nowhere any more is counted, and else ends the program */
    uint64_t lost;    /* … so many */
    uint64_t trials;
    uint64_t opened;          /* of these the file still opened */
    uint64_t found;           /* check, or opening, reported a fault */
    uint64_t rescued;         /* rescue made a file */
    uint64_t protected_there; /* protected pages that were not destroyed */
    uint64_t protected_right; /* … and saved as they were */
    uint64_t protected_older; /* saved in an older state, and told so */
    uint64_t orphans;         /* not right, but their content is saved as a regular page */
    uint64_t regular_there;
    uint64_t regular_right;
    uint64_t adopted; /* pages that were saved though they were free */
    uint64_t
        repaired; /* where it is; all that was seen right afterwards, and taken back byte for byte */
    uint64_t
        repaired_right; /* protected pages that were not destroyed, and are as they were after a repair */
    uint64_t repaired_there; /* … of so many */
};

/* A page of the specimen, or a part of it, is to be counted as destroyed. */
struct destroyed {
    uint64_t first, end; /* bytes of the file */
};

/* The next of a sequence of numbers at random, the same in every run; it goes on from a seed that is not 0. */
uint64_t damage_random(void);
void damage_seed(uint64_t seed);

/* Says what the system said of `what`, and ends the program. */
void damage_die(const char *what) __attribute__((noreturn));

/* A number that tells files from each other, by their length and content. */
uint64_t damage_digest(const char *path);

void damage_make(struct specimen *specimen, const struct specimen_kind *kind,
                 const char *directory);
void damage_free(struct specimen *specimen);

/*
 * Opens, checks, rescues and repairs the specimen as it is, and takes the repair back; judges all that is shown,
 * and adds to the tally. Ends the program where something wrong was said to be right; `what` then says which
 * damage it was.
 */
void damage_try(const struct specimen *specimen, const struct destroyed *destroyed, size_t count,
                struct tally *tally, const char *what);

#endif
