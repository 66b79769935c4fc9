/* SPDX-License-Identifier: MIT */
/* Parts of a page whose size is no power of two. */
#include "mappedpages_typed.h"

#ifdef FAULT
MPG_DEFINE_SUB_ALLOCATOR(rec, 5120, 512);
#else
MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 512);
#endif
