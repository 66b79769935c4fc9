/* SPDX-License-Identifier: MIT */
/* Opening and closing page files. */
#include "pager/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "format/superblock.h"
#include "os/new_file.h"
#include "pager/create.h"
#include "pager/edit.h"
#include "pager/look_again.h"
#include "pager/pager.h"
#include "pager/settle.h"

#define MIN_PAGES 4

/* How often a name may come and go while a file of it is to be opened or made. */
#define MOST_TRIES 100

/* ---- which format ---- */

/* Reads the head of page 0: the format it is of, and the page size. */
static int identify(const struct format_ops **ops, uint32_t *page_size, const struct file *file)
{
    unsigned char head[SUPERBLOCK_HEAD_SIZE];
    unsigned major, minor;
    uint32_t log2;
    int result;

    if (file->bytes < sizeof(head))
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: %llu bytes are too few for a page file", file->path,
                         (unsigned long long)file->bytes);
    result = mpgi_file_read(file, head, sizeof(head), 0, 0);
    if (result != 0)
        return result;
    if (mpgi_new_file_is_marked(file))
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: it is being made, or that was cut short: create it anew", file->path);
    if (memcmp(head + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4) != 0)
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: not a page file: it does not begin with " SUPERBLOCK_TAG_TEXT,
                         file->path);
    major = head[SUPERBLOCK_VERSION];
    minor = head[SUPERBLOCK_VERSION + 1];
    if (major == 0 && minor > 2)
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: format %u.%u is newer than 0.2, the last of its kind", file->path,
                         major, minor);
    if (major > 1)
        return mpgi_fail(MPG_E_UNSUPPORTED_VERSION, "open", 0,
                         "%s: format %u.%u is newer than this library knows", file->path, major,
                         minor);
    log2 = get_u32(head + SUPERBLOCK_PAGE_SIZE_LOG2);
    if (log2 > 30 || !mpgi_is_page_size(UINT64_C(1) << log2))
        return mpgi_fail(MPG_E_INVALID_PAGE_SIZE, "open", 0,
                         "%s: 2^%u is not a page size from 1 KiB to 1 GiB", file->path, log2);
    *ops = major == 0 ? &mpgi_format_0_2 : &mpgi_format_1;
    *page_size = UINT32_C(1) << log2;
    if (file->bytes / *page_size < MIN_PAGES)
        return mpgi_fail(MPG_E_CORRUPT_SUPERBLOCK, "open", 0,
                         "%s: %llu bytes are less than the four pages of %u bytes it must have",
                         file->path, (unsigned long long)file->bytes, (unsigned)*page_size);
    return 0;
}

/* ---- open ---- */

static int lock_file(mpg_pager *pager, unsigned flags)
{
    int result = 0;

    if (!pager->read_only)
        result = mpgi_pager_lock_to_write(pager, flags);
    else if ((flags & MPG_LOCK_SHARED) != 0)
        result = mpgi_file_lock(&pager->file, IO_LOCK_SHARED);
    pager->file.ask = true; /* others had it until now */
    if (result == 0)
        result = mpgi_file_reload_size(&pager->file); /* it may have grown before the lock */
    pager->file.backed_from = pager->file.bytes;
    /* Rule 14: of such a file no space is a page's own, and each address given out is tried. */
    pager->file.scarce = !pager->read_only && pager->file.io->moves != NULL &&
                         pager->file.io->moves(pager->file.context, pager->file.fd);
    return result;
}

/* Loads a file that is there. */
static int open_file(mpg_pager *pager, const mpg_options *options)
{
    const struct format_ops *ops = NULL;
    uint32_t page_size = 0;
    int result = identify(&ops, &page_size, &pager->file);

    if (result != 0)
        return result;
    if (options->page_size != 0 && options->page_size != page_size)
        return mpgi_fail(MPG_E_INVALID_PAGE_SIZE, "open", 0, "%s: its pages have %u bytes, not %u",
                         pager->file.path, (unsigned)page_size, (unsigned)options->page_size);
    pager->found_bytes = pager->file.bytes;
    result = mpgi_load_state(&pager->format, ops, &pager->file, options->cache_size, page_size);
    /* Rule 1: what was found may exist in the page cache alone. */
    if (result == 0 && !pager->read_only)
        result = mpgi_settle_found(pager);
    return result;
}

/* What open_or_create returns where the name stands for another file meanwhile. */
#define OPEN_AGAIN 1

/*
 * With MPG_CREATE, what was opened may be empty, or one whose making was cut short: who has the
 * lock may make a page file of it. On failure it is empty, and not removed: others may be waiting
 * for it.
 */
static int open_or_fill(mpg_pager *pager, const mpg_options *options)
{
    const struct file *file = &pager->file;

    if ((options->flags & MPG_CREATE) == 0 || !mpgi_is_to_be_made(file))
        return open_file(pager, options);
    if (file->io->has_name != NULL && !file->io->has_name(file->context, file->fd))
        return OPEN_AGAIN;
    return mpgi_create_in_place(pager, options);
}

/* Opens what is there. */
static int open_once(mpg_pager **pager, const char *path, const mpg_options *options,
                     bool read_only, const struct io *io, void *context)
{
    mpg_pager *made = mpgi_pager_new(read_only);
    mpg_error_info error;
    int result;

    if (made == NULL)
        return mpgi_fail_memory("open");
    result = mpgi_file_open(&made->file, io, context, path, read_only);
    if (result == 0) {
        made->file.sparse = (options->flags & MPG_SPARSE) != 0;
        result = lock_file(made, options->flags);
    }
    if (result == 0)
        result = open_or_fill(made, options);
    if (result != 0) {
        (void)mpg_last_error(&error);
        (void)mpgi_pager_free(made);
        (void)mpgi_fail_again(&error);
        return result;
    }
    mpgi_pager_set_up(made, options);
    *pager = made;
    return 0;
}

static bool is_missing(int result)
{
    mpg_error_info error;

    return result == MPG_E_IO && mpg_last_error(&error) == MPG_E_IO && error.system_errno == ENOENT;
}

/* Of two that open and make the same file at once, one makes it, and the other finds it. */
static int open_or_make(mpg_pager **pager, const char *path, const mpg_options *options,
                        const struct io *io, void *context)
{
    for (int i = 0; i < MOST_TRIES; i++) {
        int result = open_once(pager, path, options, false, io, context);

        if (is_missing(result)) {
            result = mpgi_create_missing(pager, path, options, io, context);
            if (result == MPG_E_EXISTS)
                continue;
        }
        if (result != OPEN_AGAIN)
            return result;
    }
    return mpgi_fail(MPG_E_BUSY, "open", MPG_NO_PAGE,
                     "%s: busy: others make it and remove it again and again", path);
}

int mpgi_open_with(mpg_pager **pager, const char *path, const mpg_options *options, bool read_only,
                   const struct io *io, void *context)
{
    mpg_options taken;
    int result = mpgi_take_options(&taken, options);

    if (result != 0)
        return result;
    if ((taken.flags & MPG_CREATE) == 0)
        return open_once(pager, path, &taken, read_only, io, context);
    if (read_only)
        return mpgi_fail(MPG_E_INVALID, "open", MPG_NO_PAGE,
                         "%s: to make a file it must be opened for writing", path);
    return open_or_make(pager, path, &taken, io, context);
}

int mpg_open(mpg_pager **pager, const char *path, const mpg_options *options)
{
    return mpgi_open_with(pager, path, options, false, &mpgi_io_system, NULL);
}

int mpg_open_readonly(const mpg_pager **pager, const char *path, const mpg_options *options)
{
    mpg_pager *made;
    int result = mpgi_open_with(&made, path, options, true, &mpgi_io_system, NULL);

    if (result == 0)
        *pager = made;
    return result;
}

/* ---- the map ---- */

int mpgi_map_page(unsigned char **data, mpg_pager *pager, uint64_t page)
{
    return mpgi_map_find(data, &pager->map, &pager->file, offset_of_page(pager, page),
                         pager->page_size);
}

/* ---- close ---- */

/* What gathered is committed, and the last commit marked as whole. */
static int end_cleanly(mpg_pager *pager)
{
    bool deferred = pager->gathering->changes > 0;
    int result = 0;

    if (pager->ops->is_dirty(pager->format))
        result = mpgi_edit_sync(pager, "close");
    if (result != 0 && deferred)
        return result;
    if (result == 0)
        result = mpgi_look_again(pager);
    if (result == 0 && pager->ops->make_alike != NULL)
        result = pager->ops->make_alike(pager->format);
    if (result == 0 && pager->ops->is_dirty(pager->format))
        result = mpgi_edit_sync(pager, "close");
    if (result == 0 && pager->ops->close != NULL)
        result = pager->ops->close(pager->format);
    /* Rule 13: all that was committed is durable without it. */
    if (result == MPG_E_NO_SPACE && RULE_HOLDS(13))
        return 0;
    return result;
}

int mpg_close(const mpg_pager *pager)
{
    mpg_pager *own;
    int result = 0, closed;

    if (pager == NULL)
        return 0;
    own = unconst(pager);
    if (!own->read_only && !own->unavailable && !own->unsettled && !own->file.changed)
        result = end_cleanly(own);
    closed = mpgi_pager_free(own);
    return result != 0 ? result : closed;
}
