/* SPDX-License-Identifier: MIT */
#include "base/shared.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct shared {
    atomic_size_t holders;
    _Alignas(16) unsigned char bytes[];
};

static struct shared *shared_of(void *bytes)
{
    return (struct shared *)(void *)((unsigned char *)bytes - offsetof(struct shared, bytes));
}

void *mpgi_shared_new(size_t size)
{
    struct shared *made = size <= SIZE_MAX - sizeof(*made) ? malloc(sizeof(*made) + size) : NULL;

    if (made == NULL)
        return NULL;
    atomic_init(&made->holders, 1);
    return made->bytes;
}

void *mpgi_shared_hold(void *bytes)
{
    (void)atomic_fetch_add_explicit(&shared_of(bytes)->holders, 1, memory_order_relaxed);
    return bytes;
}

void mpgi_shared_drop(void *bytes)
{
    /* What others did with them comes before they are freed. */
    if (bytes != NULL &&
        atomic_fetch_sub_explicit(&shared_of(bytes)->holders, 1, memory_order_acq_rel) == 1)
        free(shared_of(bytes));
}

void *mpgi_shared_own(void *bytes, size_t size)
{
    void *own;

    /* Nobody else can become a holder but through one that there is. */
    if (atomic_load_explicit(&shared_of(bytes)->holders, memory_order_acquire) == 1)
        return bytes;
    own = mpgi_shared_new(size);
    if (own == NULL)
        return NULL;
    memcpy(own, bytes, size);
    mpgi_shared_drop(bytes);
    return own;
}
