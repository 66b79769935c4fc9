/* SPDX-License-Identifier: MIT */
/* Readers beside a writer: which state they load, how they move on, and what an error means. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "format/superblock.h"
#include "pager/look_again.h"
#include "pager/pager.h"

/* How often a reader tries again when a writer's commits overtake its opening. */
#define MOST_LOAD_ATTEMPTS 100

/*
 * … and how often it finds the same damage in a file that nobody changes, until it believes it: a
 * large page that is being written may show its new beginning before its end.
 */
#define ENOUGH_LOOKS 3

/*
 * Changes with each commit: the length, and the beginnings of the three pages that say which state
 * is current, with generations and checksums. (Whole pages that end with their own checksum all
 * have the same one.)
 */
static int look_at_state(uint32_t *state, const struct file *file, uint32_t page_size)
{
    unsigned char bytes[64];
    int result = 0;

    *state = crc_of(&file->bytes, sizeof(file->bytes));
    for (uint64_t page = 0; page < 3 && result == 0; page++) {
        result = mpgi_file_read(file, bytes, sizeof(bytes), page * page_size, page);
        if (result == 0)
            *state = crc_extend(*state, bytes, sizeof(bytes));
    }
    return result;
}

/* Whether the file is another than it was when *state was looked at. It is looked at again. */
static bool has_changed(uint32_t *state, struct file *file, uint32_t page_size)
{
    uint32_t before = *state;

    return mpgi_file_reload_size(file) == 0 && look_at_state(state, file, page_size) == 0 &&
           *state != before;
}

/*
 * What damage means that a reader without a lock found in a file that others may be writing to from
 * elsewhere, after looking past this system's cache: only where a lock tells that nobody is writing
 * it is what it looks like. The failure is this thread's last one.
 */
static int judge_from_afar(struct file *file, int result)
{
    mpg_error_info error;
    const char *why;

    if (!mpg_is_damage(result) || !file->ask || !file->sharing.others)
        return result;
    (void)mpg_last_error(&error);
    if (file->sharing.lock_is_local) {
        why = "what is read there need not be of one moment";
    } else if (mpgi_file_lock(file, IO_LOCK_SHARED) != 0) {
        why = "a writer has it open elsewhere";
    } else {
        (void)mpgi_file_lock(file, IO_LOCK_NONE);
        return mpgi_fail_again(&error);
    }
    return mpgi_fail(MPG_E_STALE, error.operation, error.page,
                     "%s: it cannot be read as one state (%s), or it is damaged: refresh, or look "
                     "where it lies",
                     file->path, why);
}

int mpgi_load_state(struct format **format, const struct format_ops *ops, struct file *file,
                    size_t cache_size, uint32_t page_size)
{
    mpg_error_info error;
    unsigned unchanged = 0;
    uint32_t state = 0;
    int result = file->read_only ? look_at_state(&state, file, page_size) : 0;

    if (result == 0)
        result = ops->load(format, file, file->read_only, cache_size);
    for (int i = 0; file->read_only && result != 0 && i < MOST_LOAD_ATTEMPTS; i++) {
        (void)mpg_last_error(&error);
        unchanged = has_changed(&state, file, page_size) ? 0 : unchanged + 1;
        if (unchanged == ENOUGH_LOOKS)
            return judge_from_afar(file, mpgi_fail_again(&error));
        result = ops->load(format, file, true, cache_size);
    }
    return result;
}

static int fail_another(const mpg_pager *pager)
{
    return mpgi_fail(MPG_E_CHANGED, "refresh", MPG_NO_PAGE,
                     "%s: it is another page file than the one that was opened: close it, and open "
                     "it again",
                     pager->file.path);
}

/* Whether the head of the file still is that of its format and page size; else nothing fits. */
static int check_same_kind(const mpg_pager *pager)
{
    unsigned char head[SUPERBLOCK_HEAD_SIZE];
    int result = mpgi_file_read(&pager->file, head, sizeof(head), 0, 0);

    if (result != 0 || memcmp(head + SUPERBLOCK_TAG, SUPERBLOCK_TAG_TEXT, 4) != 0)
        return result; /* damage, if anything: loading tells */
    if ((head[SUPERBLOCK_VERSION] == 0) == (pager->ops->id == MPG_FORMAT_0_2) &&
        get_u32(head + SUPERBLOCK_PAGE_SIZE_LOG2) == (uint32_t)__builtin_ctz(pager->page_size))
        return 0;
    return fail_another(pager);
}

/* Whether what was loaded is of the file that was opened, and not of one copied over it. */
static bool is_same_file(const mpg_pager *pager, struct format *newest)
{
    struct mpg_stat then = {0}, now = {0};

    pager->ops->facts(pager->format, VERSION_DURABLE, &then);
    pager->ops->facts(newest, VERSION_DURABLE, &now);
    return newest->page_size == pager->page_size &&
           memcmp(now.uuid, then.uuid, sizeof(now.uuid)) == 0;
}

/* Loads the newest state beside the present one. Called with the lock held. */
static int load_newest(struct format **format, mpg_pager *pager)
{
    int result = mpgi_file_reload_size(&pager->file);

    if (result == 0)
        result = check_same_kind(pager);
    if (result == 0)
        result = mpgi_load_state(format, pager->ops, &pager->file, pager->format->cache_size,
                                 pager->page_size);
    if (result != 0)
        return result;
    if (!is_same_file(pager, *format)) {
        pager->ops->unload(*format);
        return fail_another(pager);
    }
    mpgi_pager_tell(pager, *format);
    return 0;
}

/*
 * Whether the state that is loaded is known to be the newest. From another machine's file several
 * reads need not be of one moment. Called with the lock held.
 */
static bool is_newest(mpg_pager *pager)
{
    bool newest = false;
    uint64_t bytes;

    return pager->ops->look_newer != NULL && pager->format->redo.count == 0 &&
           !pager->file.sharing.others && mpgi_file_length(&pager->file, &bytes) == 0 &&
           bytes == pager->file.bytes && pager->ops->look_newer(pager->format, &newest) == 0 &&
           newest;
}

/* Addresses of what counted instead of pages may have been given out, and stay good. */
static void keep_redo(mpg_pager *pager)
{
    struct format_redo *redo = &pager->format->redo;

    if (redo->contents == NULL)
        return;
    pager->outlived[pager->outlived_count++] = redo->contents;
    redo->contents = NULL;
}

static int reserve_outlived(mpg_pager *pager)
{
    size_t size = (pager->outlived_count + 1) * sizeof(*pager->outlived);
    void *moved;

    if (pager->format->redo.contents == NULL)
        return 0;
    moved = realloc(pager->outlived, size);
    if (moved == NULL)
        return mpgi_fail_memory("refresh");
    pager->outlived = moved;
    return 0;
}

/*
 * Goes on to the newest state from the one that is loaded, which is not it. Called with the lock
 * held.
 */
static bool follow(mpg_pager *pager)
{
    bool newest = false;

    if (pager->ops->follow == NULL || pager->format->redo.count != 0 || pager->file.sharing.others)
        return false;
    return mpgi_file_reload_size(&pager->file) == 0 &&
           pager->ops->follow(pager->format, &newest) == 0 && newest;
}

/* What is known of pages may be of the state before. */
static void forget_known(mpg_pager *pager)
{
    mpgi_known_forget_all(&pager->regular);
    mpgi_entries_forget_all(&pager->entries);
}

static int load_anew(mpg_pager *pager)
{
    struct format *newest;
    int result = reserve_outlived(pager);

    if (result == 0)
        result = load_newest(&newest, pager);
    if (result != 0)
        return result;
    keep_redo(pager);
    pager->ops->unload(pager->format);
    pager->format = newest;
    return 0;
}

int mpg_refresh(const mpg_pager *pager)
{
    mpg_pager *own = unconst(pager);
    int result = 0;

    if (!pager->read_only)
        return mpgi_fail(MPG_E_INVALID, "refresh", MPG_NO_PAGE,
                         "%s: open for writing, it is always up to date", pager->file.path);
    pager_lock(pager);
    if (!is_newest(own)) {
        if (!follow(own))
            result = load_anew(own);
        forget_known(own);
    }
    pager_unlock(pager);
    return result;
}

int mpgi_is_current(bool *current, const mpg_pager *pager)
{
    struct format *newest;
    int result = 0;

    pager_lock(pager);
    *current = is_newest(unconst(pager));
    if (!*current) {
        result = load_newest(&newest, unconst(pager));
        if (result == 0) {
            *current = pager->ops->same_state(pager->format, newest);
            pager->ops->unload(newest);
        }
    }
    pager_unlock(pager);
    return result;
}

/* A writer's: damage of what it left there, or somebody else's work. */
static int explain_to_writer(mpg_pager *pager, int result)
{
    mpg_error_info error;

    (void)mpg_last_error(&error);
    return mpgi_look_again(pager) == MPG_E_CHANGED ? MPG_E_CHANGED
                                                   : (mpgi_fail_again(&error), result);
}

int mpgi_explain_failure(const mpg_pager *pager, int result)
{
    struct format *newest;
    mpg_error_info error;
    bool same;
    int loaded;

    if (!mpg_is_damage(result))
        return result;
    if (!pager->read_only)
        return explain_to_writer(unconst(pager), result);
    (void)mpg_last_error(&error);
    loaded = load_newest(&newest, unconst(pager));
    if (loaded == MPG_E_STALE || loaded == MPG_E_CHANGED)
        return loaded;
    if (loaded != 0)
        return judge_from_afar(&unconst(pager)->file, mpgi_fail_again(&error));
    same = pager->ops->same_state(pager->format, newest);
    pager->ops->unload(newest);
    if (same)
        return judge_from_afar(&unconst(pager)->file, mpgi_fail_again(&error));
    return mpgi_fail(MPG_E_STALE, error.operation, error.page,
                     "%s: a writer has overwritten the state that was opened; refresh",
                     pager->file.path);
}
