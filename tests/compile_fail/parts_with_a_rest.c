/* SPDX-License-Identifier: MIT */
/* A page divided into parts that leave a rest. */
#include "mappedpages_typed.h"

#ifdef FAULT
MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 500);
#else
MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 512);
#endif
