/* SPDX-License-Identifier: MIT */
#include "life/copy_older.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/error.h"
#include "life/copy_state.h"
#include "pager/open.h"

/* Pages of an older copy of format 0.2 that are looked at. */
#define SAMPLES 1024

/* ---- UUIDs ---- */

#define HALF 8

/* Of 64 bits, each depends on all of what goes in. */
static uint64_t mix(uint64_t word)
{
    word += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

/* The second half of a UUID that begins like `uuid`, of a copy of the file with the UUID `of`. */
static void follow(uint8_t *half, const uint8_t *uuid, const uint8_t *of)
{
    uint64_t words[] = {get_u64(of), get_u64(of + HALF), get_u64(uuid)};
    uint64_t mixed = 0;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        mixed = mix(mixed ^ words[i]);
    put_u64(half, mixed);
    half[0] = (uint8_t)((half[0] & 0x3f) | 0x80);
}

int mpgi_copy_uuid_draw(uint8_t *uuid, const uint8_t *of, const char *path)
{
    if (getrandom(uuid, HALF, 0) != HALF)
        return mpgi_fail(MPG_E_IO, "copy", MPG_NO_PAGE, "%s: the system gave no random numbers",
                         path);
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80); /* the kind whose bits are its maker's business */
    follow(uuid + HALF, uuid, of);
    return 0;
}

static bool is_of(const uint8_t *uuid, const uint8_t *of)
{
    uint8_t half[HALF];

    follow(half, uuid, of);
    return memcmp(half, uuid + HALF, HALF) == 0;
}

static int fail_stranger(const mpg_pager *older, const mpg_pager *source, const char *why)
{
    return mpgi_fail(MPG_E_EXISTS, "copy", MPG_NO_PAGE,
                     "%s: it exists, and is not known to be an older copy of %s%s",
                     older->file.path, source->file.path, why);
}

static int check_uuids(const mpg_pager *older, const struct mpg_stat *copy, const mpg_pager *source,
                       const struct mpg_stat *st)
{
    if (memcmp(copy->uuid, st->uuid, COPY_UUID_SIZE) == 0 || is_of(copy->uuid, st->uuid))
        return 0;
    return fail_stranger(older, source,
                         is_of(st->uuid, copy->uuid) ? ": that is a copy of this one"
                                                     : ": its UUID says nothing of the kind");
}

/* ---- contents ---- */

struct resemblance {
    const mpg_pager *older, *source;
    unsigned char *pages; /* one of each */
    uint64_t step;        /* every so manieth page is looked at */
    uint64_t seen;        /* pages so far */
    uint64_t looked, alike;
};

/* Counts one of the pages that have a content. What the source has not, is not like it. */
static int look_at(struct resemblance *r, uint64_t page)
{
    uint32_t size = r->older->page_size;
    uint64_t offset = page * size;
    unsigned char *mine = r->pages, *theirs = r->pages + size;
    int result;

    if (r->seen++ % r->step != 0)
        return 0;
    result = mpgi_file_read(&r->older->file, mine, size, offset, page);
    if (result != 0 || (mine[0] == 0 && memcmp(mine, mine + 1, size - 1) == 0))
        return result;
    r->looked++;
    if (offset + size > r->source->file.bytes)
        return 0;
    result = mpgi_file_read(&r->source->file, theirs, size, offset, page);
    r->alike += result == 0 && memcmp(mine, theirs, size) == 0;
    return result;
}

static int look_at_all(struct resemblance *r, const struct copy_state *state)
{
    int result = 0;

    r->step = (state->regular + state->entry_count) / SAMPLES + 1;
    for (size_t i = 0; i < state->run_count; i++) {
        const struct copy_run *run = &state->runs[i];

        for (uint64_t page = 0; page < run->count && result == 0; page++)
            result = look_at(r, run->first + page);
    }
    for (size_t i = 0; i < state->entry_count && result == 0; i++)
        result = look_at(r, entry_page(&state->entries[i].entry));
    return result;
}

static int check_contents(const mpg_pager *older, const mpg_pager *source)
{
    struct resemblance r = {.older = older, .source = source};
    struct copy_state state;
    int result;

    pager_lock(older);
    result = mpgi_copy_state_read(&state, older->format);
    pager_unlock(older);
    r.pages = malloc(2 * (size_t)older->page_size);
    if (result == 0 && r.pages == NULL)
        result = mpgi_fail_memory("copy");
    if (result == 0)
        result = look_at_all(&r, &state);
    free(r.pages);
    mpgi_copy_state_free(&state);
    if (result != 0 || 2 * r.alike > r.looked || r.looked == 0)
        return result;
    return fail_stranger(older, source,
                         ": format 0.2 has no UUIDs, and most of what is in it is different");
}

/* ---- the file ---- */

static int fail_path(const char *path, const char *operation)
{
    return mpgi_fail_errno(errno, operation, MPG_NO_PAGE, path);
}

int mpgi_copy_older_find(char **real, const char *path, const char *source)
{
    struct stat from, older;

    if (stat(path, &older) != 0)
        return errno == ENOENT ? 0 : fail_path(path, "stat");
    if (!S_ISREG(older.st_mode))
        return mpgi_fail(MPG_E_INVALID, "copy", MPG_NO_PAGE,
                         "%s: it is no regular file, whose place another one could take", path);
    if (stat(source, &from) == 0 && from.st_dev == older.st_dev && from.st_ino == older.st_ino)
        return mpgi_fail(MPG_E_INVALID, "copy", MPG_NO_PAGE, "%s: it is the file itself", path);
    if (lstat(path, &older) != 0)
        return fail_path(path, "lstat");
    if (!S_ISLNK(older.st_mode))
        return 0;
    *real = realpath(path, NULL);
    return *real != NULL ? 0 : fail_path(path, "realpath");
}

static int check_older(const mpg_pager *older, const mpg_pager *source)
{
    struct mpg_stat copy = {0}, st = {0};

    older->ops->facts(older->format, VERSION_DURABLE, &copy);
    source->ops->facts(source->format, VERSION_DURABLE, &st);
    if (copy.format == MPG_FORMAT_1 && st.format == MPG_FORMAT_1)
        return check_uuids(older, &copy, source, &st);
    return check_contents(older, source);
}

static int fail_unlike(const mpg_pager *older, const char *what)
{
    return mpgi_fail(MPG_E_INVALID, "copy", MPG_NO_PAGE,
                     "%s: it is of another %s than the copy would be: make another copy",
                     older->file.path, what);
}

int mpgi_copy_older_open(mpg_pager **older, const char *path, const mpg_pager *source,
                         const struct format_ops *ops, bool any)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_error_info error;
    int result;

    options.flags = MPG_LOCAL_LOCK;
    result = mpgi_open_with(older, path, &options, false, source->file.io, source->file.context);
    if (result == MPG_E_IO && mpg_last_error(&error) != 0 && error.system_errno == ENOENT)
        return 0;
    if (result != 0)
        return result;
    if ((*older)->ops != ops)
        return fail_unlike(*older, "format");
    if ((*older)->page_size != source->page_size)
        return fail_unlike(*older, "page size");
    return any ? 0 : check_older(*older, source);
}

int mpgi_copy_older_clone(bool *cloned, const mpg_pager *older, struct file *file)
{
    *cloned = file->io->clone != NULL &&
              file->io->clone(file->context, file->fd, older->file.fd) == 0 &&
              mpgi_file_reload_size(file) == 0;
    if (*cloned || file->bytes == 0)
        return 0;
    (void)file->io->truncate(file->context, file->fd, 0);
    return mpgi_file_reload_size(file);
}
