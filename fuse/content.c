/* SPDX-License-Identifier: MIT */
#include "content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attributes.h"
#include "batch.h"
#include "follow.h"
#include "info.h"
#include "log.h"
#include "scratch.h"
#include "snapshot.h"

/* A page that is gone under a node is stale: where there is no page the name would not be found. */
static int failure(int code, const char *doing)
{
    int error = log_failure(code, doing);

    return error == ENOENT || error == EPERM ? ESTALE : error;
}

static int read_scratch(struct fs *fs, uint64_t serial, const unsigned char **data, uint64_t offset,
                        size_t *length)
{
    unsigned char *buffer = fs_buffer(*length);

    if (buffer == NULL) {
        return ENOMEM;
    }
    *data = buffer;
    return scratch_read(fs->scratch, serial, buffer, offset, length);
}

static int read_info(const struct fs *fs, const struct target *target, const struct handle *handle,
                     const unsigned char **data, uint64_t offset, size_t *length)
{
    unsigned char *buffer = fs_buffer(*length);
    char *text = handle != NULL ? handle->text : NULL;
    size_t there = handle != NULL ? handle->text_length : 0;
    int error = buffer == NULL ? ENOMEM : 0;

    if (error == 0 && handle == NULL && info_is(target)) {
        error = info_text(&text, &there, fs, target);
    }
    if (error != 0) {
        return error;
    }
    there = offset < there ? there - (size_t)offset : 0;
    *length = *length < there ? *length : there;
    if (*length > 0) {
        memcpy(buffer, text + offset, *length);
    }
    if (handle == NULL) {
        free(text);
    }
    *data = buffer;
    return 0;
}

int content_read(struct fs *fs, const struct target *target, struct handle *handle,
                 const unsigned char **data, uint64_t offset, size_t *length)
{
    unsigned char *buffer = NULL;
    unsigned tries = 0;
    int code;

    if (target->kind == NODE_SCRATCH) {
        return read_scratch(fs, target->id, data, offset, length);
    }
    if (target->kind == NODE_FIXED) {
        return read_info(fs, target, handle, data, offset, length);
    }
    if (offset >= fs->page_size) {
        *length = 0;
        return 0;
    }
    if (*length > fs->page_size - offset) {
        *length = fs->page_size - (size_t)offset;
    }
    follow_refresh(fs);
    do {
        if (target->kind == NODE_PAGE) {
            buffer = fs_buffer(*length);
            code = buffer == NULL ? MPG_E_NO_MEMORY
                                  : mpg_page_read(buffer, fs->pager, (mpg_page_id){target->id},
                                                  (size_t)offset, *length);
        } else {
            code = snapshot_read(fs, target, &buffer, offset, *length);
        }
    } while (follow_again(fs, code, &tries));
    if (code != MPG_OK) {
        return failure(code, "read");
    }
    if (target->kind == NODE_PROTECTED && handle != NULL) {
        handle_apply(handle, buffer, offset, *length);
    }
    *data = buffer;
    return 0;
}

/* Commits bytes, or zeros if `data` is NULL, at once. */
static int commit_bytes(struct fs *fs, uint64_t id, const struct client *client, const void *data,
                        uint64_t offset, uint64_t length)
{
    struct stage stage = {.page_size = fs->page_size};
    int error = data != NULL ? stage_write(&stage, client, data, offset, length)
                             : stage_zero(&stage, client, offset, length);
    int code = error != 0 ? MPG_E_NO_MEMORY
                          : stage_commit(&stage, fs->writable, (mpg_protected_id){id}, NULL);

    stage_clear(&stage);
    return code;
}

int content_write(struct fs *fs, const struct target *target, struct handle *handle,
                  const struct client *client, const void *data, uint64_t offset, size_t *length)
{
    int code;

    if (target->kind == NODE_SCRATCH) {
        return scratch_write(fs->scratch, target->id, data, offset, *length);
    }
    if (batch_is(target) && handle != NULL) {
        return handle_stage(fs, handle, 0, client, data, offset, *length);
    }
    if (target->kind != NODE_PAGE && target->kind != NODE_PROTECTED) {
        return EPERM;
    }
    if (offset >= fs->page_size) {
        return EFBIG;
    }
    if (*length > fs->page_size - offset) {
        *length = fs->page_size - (size_t)offset;
    }
    if (target->kind == NODE_PROTECTED && handle != NULL) {
        return handle_stage(fs, handle, target->id, client, data, offset, *length);
    }
    code = target->kind == NODE_PROTECTED
               ? commit_bytes(fs, target->id, client, data, offset, *length)
               : mpg_page_write(fs->writable, (mpg_page_id){target->id}, data, (size_t)offset,
                                *length);
    if (code != MPG_OK) {
        return failure(code, "write");
    }
    attributes_touch(fs, target->kind, target->id);
    return 0;
}

static int zero_page(struct fs *fs, uint64_t id, uint64_t offset, uint64_t length)
{
    static const unsigned char zeros[64 * 1024];

    while (length > 0) {
        size_t part = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);
        int code = mpg_page_write(fs->writable, (mpg_page_id){id}, zeros, (size_t)offset, part);

        if (code != MPG_OK) {
            return code;
        }
        offset += part;
        length -= part;
    }
    return MPG_OK;
}

int content_zero(struct fs *fs, const struct target *target, struct handle *handle,
                 const struct client *client, uint64_t offset, uint64_t length)
{
    int code;

    if (target->kind == NODE_SCRATCH) {
        return scratch_zero(fs->scratch, target->id, offset, length, false);
    }
    if (target->kind == NODE_PROTECTED && handle != NULL) {
        return length == 0 ? 0 : handle_stage_zeros(fs, handle, target->id, client, offset, length);
    }
    if (length == 0) {
        return 0;
    }
    code = target->kind == NODE_PAGE ? zero_page(fs, target->id, offset, length)
                                     : commit_bytes(fs, target->id, client, NULL, offset, length);
    if (code != MPG_OK) {
        return failure(code, "truncate");
    }
    attributes_touch(fs, target->kind, target->id);
    return 0;
}

/* Opening it with O_TRUNC, too, as there is nothing in it then. */
static int truncate_batch(struct fs *fs, struct handle *handle, const struct client *client,
                          uint64_t size)
{
    uint64_t end = 0;

    if (handle == NULL) {
        return size == 0 ? 0 : EPERM;
    }
    handle_cut(handle, size, &end);
    return size > end ? handle_stage_zeros(fs, handle, 0, client, end, size - end) : 0;
}

int content_truncate(struct fs *fs, const struct target *target, struct handle *handle,
                     const struct client *client, uint64_t size)
{
    if (target->kind == NODE_SCRATCH) {
        return scratch_truncate(fs->scratch, target->id, size);
    }
    if (batch_is(target)) {
        return truncate_batch(fs, handle, client, size);
    }
    if (target->kind != NODE_PAGE && target->kind != NODE_PROTECTED) {
        return EPERM;
    }
    if (size > fs->page_size) {
        return EFBIG;
    }
    return content_zero(fs, target, handle, client, size, fs->page_size - size);
}
