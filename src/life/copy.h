/* SPDX-License-Identifier: MIT */
#ifndef MPGI_COPY_H
#define MPGI_COPY_H

#include "mappedpages_copy.h"
#include "os/io.h"

/* mpg_copy, with other calls. Both files are reached through the same table. */
int mpgi_copy_with(mpg_copy_result *result, const char *from, const char *to,
                   const mpg_copy_options *options, const struct io *io, void *context);

#endif
