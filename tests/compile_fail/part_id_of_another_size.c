/* SPDX-License-Identifier: MIT */
/* The id of a part of 64 bytes where one of 512 is wanted. */
#include "mappedpages_typed.h"

MPG_DEFINE_SUB_ALLOCATOR(rec, 4096, 512);
MPG_DEFINE_SUB_ALLOCATOR(tiny, 4096, 64);

int give_back(rec_sub sub, rec_id large, tiny_id small);

int give_back(rec_sub sub, rec_id large, tiny_id small)
{
    (void)large;
    (void)small;
#ifdef FAULT
    return rec_free(sub, small);
#else
    return rec_free(sub, large);
#endif
}
