/* SPDX-License-Identifier: MIT */
/* A page size over 1 GiB. */
#include "mappedpages_typed.h"

#ifdef FAULT
MPG_DEFINE_PAGER(blk, UINT64_C(1) << 31);
#else
MPG_DEFINE_PAGER(blk, UINT64_C(1) << 30);
#endif
