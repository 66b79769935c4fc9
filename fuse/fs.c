/* SPDX-License-Identifier: MIT */
#include "fs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "follow.h"
#include "log.h"

int fs_page_exists(const struct fs *fs, enum node_kind kind, uint64_t id)
{
    enum mpg_page_use use = MPG_USE_REGULAR;
    mpg_protected_info info;
    unsigned tries = 0;
    int code;

    do {
        code = kind == NODE_PROTECTED ? mpg_protected_stat(&info, fs->pager, (mpg_protected_id){id})
                                      : mpg_page_use(&use, fs->pager, id);
    } while (follow_again(fs, code, &tries));
    if (code == MPG_OK && kind == NODE_PAGE && use != MPG_USE_REGULAR) {
        return ENOENT;
    }
    return code == MPG_OK ? 0 : log_failure(code, "looking a page up");
}

int fs_free_page(struct fs *fs, enum node_kind kind, uint64_t id)
{
    return kind == NODE_PAGE ? mpg_free(fs->writable, (mpg_page_id){id})
                             : mpg_free_protected(fs->writable, (mpg_protected_id){id});
}

struct buffer {
    size_t length;
    unsigned char data[];
};

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    if (pthread_key_create(&buffer_key, free) != 0) {
        abort(); /* there is no thread without its buffer; nothing is mounted yet */
    }
}

void *fs_buffer(size_t length)
{
    struct buffer *buffer;

    pthread_once(&buffer_once, make_key);
    buffer = pthread_getspecific(buffer_key);
    if (buffer == NULL || buffer->length < length) {
        free(buffer);
        pthread_setspecific(buffer_key, NULL);
        buffer = malloc(sizeof(*buffer) + length);
        if (buffer == NULL) {
            return NULL;
        }
        buffer->length = length;
        if (pthread_setspecific(buffer_key, buffer) != 0) {
            free(buffer);
            return NULL;
        }
    }
    return buffer->data;
}
