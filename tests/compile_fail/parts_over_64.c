/* SPDX-License-Identifier: MIT */
/* A page divided into more than 64 parts. */
#include "mappedpages_typed.h"

#ifdef FAULT
MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 32);
#else
MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 64);
#endif
