/* SPDX-License-Identifier: MIT */
#include "format/versions.h"

#include <stdlib.h>
#include <string.h>

struct buffer *mpgi_buffer_new(size_t size)
{
    struct buffer *buffer;

    if (size > SIZE_MAX - sizeof(*buffer))
        return NULL;
    buffer = calloc(1, sizeof(*buffer) + size);
    if (buffer != NULL)
        buffer->size = size;
    return buffer;
}

const struct buffer *mpgi_versions_get(const struct versions *versions, enum version version)
{
    if (version == VERSION_NEWEST && versions->pending != NULL)
        return versions->pending;
    if (version != VERSION_DURABLE && versions->frozen != NULL)
        return versions->frozen;
    return versions->durable;
}

struct buffer *mpgi_versions_edit(struct versions *versions, size_t size)
{
    const struct buffer *newest = mpgi_versions_get(versions, VERSION_NEWEST);
    size_t copied = newest != NULL ? newest->size : 0;
    struct buffer *edited;

    if (versions->pending != NULL && versions->pending->size >= size)
        return versions->pending;
    if (newest != NULL && newest->size > size)
        size = newest->size;
    /* Not cleared first: that costs as much as the copy. */
    edited = size <= SIZE_MAX - sizeof(*edited) ? malloc(sizeof(*edited) + size) : NULL;
    if (edited == NULL)
        return NULL;
    edited->size = size;
    if (newest != NULL)
        memcpy(edited->bytes, newest->bytes, newest->size);
    memset(edited->bytes + copied, 0, size - copied);
    free(versions->pending);
    versions->pending = edited;
    return edited;
}

void mpgi_versions_freeze(struct versions *versions)
{
    versions->frozen = versions->pending;
    versions->pending = NULL;
}

void mpgi_versions_publish(struct versions *versions)
{
    free(versions->previous);
    versions->previous = versions->durable;
    versions->durable = versions->frozen;
    versions->frozen = NULL;
}

void mpgi_versions_forget_previous(struct versions *versions)
{
    free(versions->previous);
    versions->previous = NULL;
}

void mpgi_versions_discard(struct versions *versions)
{
    free(versions->frozen);
    free(versions->pending);
    versions->frozen = NULL;
    versions->pending = NULL;
}

void mpgi_versions_free(struct versions *versions)
{
    mpgi_versions_discard(versions);
    free(versions->previous);
    free(versions->durable);
    versions->previous = NULL;
    versions->durable = NULL;
}
