/* SPDX-License-Identifier: MIT */
/* Making page files: what opening with MPG_CREATE needs of it. */
#ifndef MPGI_CREATE_H
#define MPGI_CREATE_H

#include <stdbool.h>
#include <stdint.h>

#include "mappedpages.h"
#include "os/io.h"

bool mpgi_is_page_size(uint64_t size);

/* The caller's options, checked and with all defaults but those of a new file. */
int mpgi_take_options(mpg_options *taken, const mpg_options *options);

int mpgi_create_with(mpg_pager **pager, const char *path, const mpg_options *options,
                     const struct io *io, void *context);

/* The same, by options that were taken, where the name may be a symbolic link to nothing. */
int mpgi_create_missing(mpg_pager **pager, const char *path, const mpg_options *options,
                        const struct io *io, void *context);

/*
 * Puts pages into a new file, all durable in the end, before it has its name. It is called again,
 * for another file, where the first one turns out not to get its name the way it was made.
 */
typedef int create_content(void *context, mpg_pager *pager);
/*
 * A file that appears with its content. Where names cannot be given to what has another one, or
 * none, it fails.
 */
int mpgi_create_filled(mpg_pager **pager, const char *path, const mpg_options *options,
                       create_content *content, void *context);

/* Whether nobody has made a page file of it, or that was cut short. */
bool mpgi_is_to_be_made(const struct file *file);
/* Makes a page file of such a one, which is open and locked, and loads it. */
int mpgi_create_in_place(mpg_pager *pager, const mpg_options *options);

#endif
