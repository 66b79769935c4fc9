/* SPDX-License-Identifier: MIT */
/* A page size under 1024. */
#include "mappedpages_typed.h"

#ifdef FAULT
MPG_DEFINE_PAGER(blk, 512);
#else
MPG_DEFINE_PAGER(blk, 1024);
#endif
