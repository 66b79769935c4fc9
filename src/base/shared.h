/* SPDX-License-Identifier: MIT */
/*
 * Bytes on the heap with several holders: whoever drops them last frees them. Only who holds them
 * alone may change them. Holders need no lock among each other.
 */
#ifndef MPGI_SHARED_H
#define MPGI_SHARED_H

#include <stddef.h>

/* Not initialised, held by the caller alone; NULL: no memory. */
void *mpgi_shared_new(size_t size);
/* One holder more. Returns the bytes. */
void *mpgi_shared_hold(void *bytes);
/* One holder less. NULL is none. */
void mpgi_shared_drop(void *bytes);
/*
 * The same bytes, `size` of them, held by the caller alone: these, or a copy instead of them. NULL:
 * no memory, and the caller holds them as before.
 */
void *mpgi_shared_own(void *bytes, size_t size);

#endif
