/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_USE_H
#define FUZZ_USE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Does everything that the library can do with a page file that has these bytes. Whatever they are:
 * it works, or fails with an error and a message. Ends the program if something else happens.
 */
void use_image(const unsigned char *bytes, size_t size);

/* How many of the images used so far could be opened, read-only and for writing. */
struct fuzz_counts {
    unsigned long used, opened, opened_for_writing, sound;
};
extern struct fuzz_counts fuzz_counts;

/* Whether to tell each error and each fault on standard error. */
extern bool fuzz_tell;

#endif
