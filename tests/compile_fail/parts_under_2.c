/* SPDX-License-Identifier: MIT */
/* A page divided into one part. */
#include "mappedpages_typed.h"

#ifdef FAULT
MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 4096);
#else
MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 2048);
#endif
