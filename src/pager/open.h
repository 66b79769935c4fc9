/* SPDX-License-Identifier: MIT */
/* Opening with system calls of the caller's choice; what the tests come in through. */
#ifndef MPGI_OPEN_H
#define MPGI_OPEN_H

#include "mappedpages.h"
#include "os/io.h"
#include "pager/create.h"

int mpgi_open_with(mpg_pager **pager, const char *path, const mpg_options *options, bool read_only,
                   const struct io *io, void *context);

#endif
