/* SPDX-License-Identifier: MIT */
/*
 * One block of metadata in memory, in the versions that coexist while commits are under
 * way.
 *
 *   previous   what the commit before the last durable one left (right after a commit changed it)
 *   durable    what the last durable commit left: what readers see
 *   frozen     what the commit in flight writes: nobody changes it, the committing thread writes it
 *   pending    what the next commit will write: operations change it
 *
 * A version that does not differ from the one before it is not stored (NULL). All of this is
 * protected by the pager's lock, except that the committing thread may read `frozen` without it.
 */
#ifndef MPGI_VERSIONS_H
#define MPGI_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum version {
    VERSION_DURABLE, /* what readers see */
    VERSION_FROZEN,  /* durable, or what the commit in flight makes of it */
    VERSION_NEWEST,  /* with everything applied */
};

struct buffer {
    size_t size;
    _Alignas(16) unsigned char bytes[];
};

struct versions {
    struct buffer *previous;
    struct buffer *durable;
    struct buffer *frozen;
    struct buffer *pending;
};

/* A zeroed buffer, or NULL. Freed with free(). */
struct buffer *mpgi_buffer_new(size_t size);

/* The buffer that shows a version, or NULL where the block does not exist in it. */
const struct buffer *mpgi_versions_get(const struct versions *versions, enum version version);

/*
 * The pending buffer, made as a copy of the newest version if there is none yet, at least `size`
 * bytes long (zero-filled beyond the copy). NULL if memory ran out.
 */
struct buffer *mpgi_versions_edit(struct versions *versions, size_t size);

/* pending → frozen. There must be no frozen one. */
void mpgi_versions_freeze(struct versions *versions);
/* frozen → durable → previous. Called for every block of the batch that became durable. */
void mpgi_versions_publish(struct versions *versions);
/* Forgets `previous`. Called when a later commit, which did not change this block, is durable. */
void mpgi_versions_forget_previous(struct versions *versions);
/* Forgets frozen and pending. */
void mpgi_versions_discard(struct versions *versions);
void mpgi_versions_free(struct versions *versions);

#endif
