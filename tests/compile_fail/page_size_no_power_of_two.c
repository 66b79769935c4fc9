/* SPDX-License-Identifier: MIT */
/* A page size that is no power of two. */
#include "mappedpages_typed.h"

#ifdef FAULT
MPG_DEFINE_PAGER(blk, 5120);
#else
MPG_DEFINE_PAGER(blk, 4096);
#endif
