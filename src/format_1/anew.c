/* SPDX-License-Identifier: MIT */
/*
 * The whole metadata made anew in memory, to be written as one checkpoint.
 *
 * What the disk has stays what counts until the new root is durable: its nodes are overwritten by
 * nobody, since whoever fills the empty trees keeps the format from every page that is in use
 * (struct format's `kept`). What the format remembers of the disk, its roots and their generations,
 * stays.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "format_1/state.h"

/* The durable root, in memory, without any page in use but the first three. */
static void empty_root(struct format_1 *f, uint64_t total)
{
    unsigned char *root = f->root.durable->bytes;

    root[f->space.height_at] = 0;
    root[f->directory.height_at] = 0;
    memset(root + f->space.area, 0, f->space.area_size);
    memset(root + f->directory.area, 0, f->directory.area_size);
    put_u64(root + ROOT_TOTAL, total);
    put_u64(root + ROOT_FREE, total - FIRST_USER_PAGE);
    put_u64(root + ROOT_PROTECTED, 0);
    put_u64(root + ROOT_METADATA, FIRST_USER_PAGE);
    put_u64(root + ROOT_NEXT, 0);
    put_u64(root + ROOT_AFTER, 0);
    for (unsigned page = 0; page < FIRST_USER_PAGE; page++)
        mpgi_uses_set(root + f->space.area, page, MPG_USE_METADATA);
}

int mpgi_begin_anew_1(struct format *format, uint64_t total, bool *unavailable)
{
    struct format_1 *f = format_1_of(format);
    struct node_cache cache;
    int error = 0;

    /*
     * A record that a full disk left would otherwise be annulled with the new root's contents,
     * among which it may lie.
     */
    if (f->chain.to_annul != 0)
        error = mpgi_commit_write_contents(format, true);
    *unavailable = f->sealed.sync_failed;
    if (error)
        return error;
    if (f->rest.next != 0 || f->rest.current.count > 0 || f->rest.old.count > 0) {
        error = mpgi_fold(f, unavailable);
        if (error)
            return error;
    }
    error = mpgi_cache_init(&cache, &f->cache.space, format->cache_size);
    if (error)
        return error;
    mpgi_commit_forget(f);
    mpgi_cache_free(&f->cache);
    f->cache = cache;
    free(f->root.previous);
    f->root.previous = NULL;
    f->commits = 0; /* so that no chain begins behind the root */
    empty_root(f, total);
    return 0;
}
