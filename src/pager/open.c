/* SPDX-License-Identifier: MIT */
/* Creating, opening and closing page files. */
#include "pager/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/rules.h"
#include "format/superblock.h"
#include "pager/edit.h"
#include "pager/look_again.h"
#include "pager/pager.h"

#define DEFAULT_CACHE_SIZE ((size_t)4 << 20)
#define MIN_PAGES 4

#define KNOWN_OPTIONS (MPG_LOCK_SHARED | MPG_DEFER_ALLOCATION | MPG_SPARSE | MPG_CREATE)

static int take_options(mpg_options *taken, const mpg_options *options)
{
    static const mpg_options defaults = MPG_OPTIONS_INIT;
    int result;

    *taken = options != NULL ? *options : defaults;
    if (taken->size != sizeof(*taken))
        return mpgi_fail(MPG_E_INVALID, "options", MPG_NO_PAGE,
                         "options of %zu bytes are not of this version (%zu)", taken->size,
                         sizeof(*taken));
    result = mpgi_check_flags(taken->flags, KNOWN_OPTIONS, "options");
    if (result != 0)
        return result;
    if (taken->cache_size == 0)
        taken->cache_size = DEFAULT_CACHE_SIZE;
    return 0;
}

static bool is_page_size(uint64_t size)
{
    return size >= MPG_PAGE_SIZE_MIN && size <= MPG_PAGE_SIZE_MAX && (size & (size - 1)) == 0;
}

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
    if (log2 > 30 || !is_page_size(UINT64_C(1) << log2))
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

/* ---- a pager in memory ---- */

static void init_locks(mpg_pager *pager)
{
    pthread_mutexattr_t adaptive;
    pthread_condattr_t monotonic;

    (void)pthread_mutexattr_init(&adaptive);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    /* It is held for a microsecond or two, and sleeping takes longer than that. */
    (void)pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    (void)pthread_mutex_init(&pager->lock, &adaptive);
    (void)pthread_mutexattr_destroy(&adaptive);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pager->settled, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

static mpg_pager *new_pager(bool read_only)
{
    mpg_pager *pager = calloc(1, sizeof(*pager));

    if (pager == NULL)
        return NULL;
    pager->file.fd = -1;
    pager->read_only = read_only;
    if (!read_only) {
        pager->gathering = mpgi_batch_new();
        if (pager->gathering == NULL) {
            free(pager);
            return NULL;
        }
    }
    init_locks(pager);
    return pager;
}

static int free_pager(mpg_pager *pager)
{
    int result = 0;

    if (pager->format != NULL)
        pager->format->ops->unload(pager->format);
    if (pager->file.io != NULL) {
        mpgi_map_release(&pager->map, &pager->file);
        result = mpgi_file_close(&pager->file);
    }
    mpgi_batch_free(pager->gathering);
    mpgi_batch_free(pager->spare);
    mpgi_id_map_clear(&pager->pins);
    mpgi_id_map_clear(&pager->writers);
    mpgi_id_map_clear(&pager->reserved);
    mpgi_id_map_clear(&pager->reserved_protected);
    mpgi_id_map_clear(&pager->verified);
    (void)pthread_cond_destroy(&pager->settled);
    (void)pthread_mutex_destroy(&pager->lock);
    free(pager);
    return result;
}

/* What follows from the page size and the loaded format. */
static void set_up(mpg_pager *pager, const mpg_options *options)
{
    pager->page_size = pager->format->page_size;
    pager->ops = pager->format->ops;
    pager->format->reserved = &pager->reserved;
    pager->zero_crc = mpgi_crc_extend_zeros(0, pager->page_size);
    pager->entry_changes = 1;
    pager->deferred = !pager->read_only && (options->flags & MPG_DEFER_ALLOCATION) != 0;
    mpgi_map_init(&pager->map, &pager->file, options->address_space, pager->page_size);
}

/* ---- create ---- */

static int check_create(const struct format_ops **ops, const mpg_options *options)
{
    uint64_t page_size = options->page_size;

    if (!is_page_size(page_size))
        return mpgi_fail(MPG_E_INVALID_PAGE_SIZE, "create", MPG_NO_PAGE,
                         "a page size of %llu bytes is not a power of two from 1 KiB to 1 GiB",
                         (unsigned long long)page_size);
    if (options->format != MPG_FORMAT_0_2 && options->format != MPG_FORMAT_1)
        return mpgi_fail(MPG_E_INVALID, "create", MPG_NO_PAGE, "there is no format %d",
                         options->format);
    if (options->label != NULL && options->format == MPG_FORMAT_0_2)
        return mpgi_fail(MPG_E_INVALID, "create", MPG_NO_PAGE, "format 0.2 has no label");
    if (options->label != NULL && strlen(options->label) > MPG_LABEL_MAX)
        return mpgi_fail(MPG_E_INVALID, "create", MPG_NO_PAGE,
                         "a label of %zu bytes is longer than %d", strlen(options->label),
                         MPG_LABEL_MAX);
    *ops = options->format == MPG_FORMAT_0_2 ? &mpgi_format_0_2 : &mpgi_format_1;
    return 0;
}

/* The options of a new file, complete and checked. */
static int take_create_options(const struct format_ops **ops, mpg_options *options)
{
    if (options->page_size == 0)
        options->page_size = MPG_PAGE_SIZE_DEFAULT;
    if (options->format == MPG_FORMAT_DEFAULT)
        options->format = MPG_FORMAT_1;
    options->initial_pages = max_u64(options->initial_pages, MIN_PAGES);
    return check_create(ops, options);
}

/* Makes a page file of an empty one, which is locked, and loads it. */
static int fill_new_file(mpg_pager *pager, const struct format_ops *ops, const mpg_options *options)
{
    struct file *file = &pager->file;
    struct create_parameters parameters = {
        .page_size = options->page_size,
        .initial_pages = options->initial_pages,
        .label = options->label,
    };
    int result = ops->create(file, &parameters);

    if (result == 0)
        result = mpgi_file_sync(file);
    if (result == 0 && file->io->sync_directory(file->context, file->path) != 0)
        result = mpgi_fail_errno(errno, "fsync of its directory", MPG_NO_PAGE, file->path);
    if (result == 0)
        result = ops->load(&pager->format, file, false, options->cache_size);
    return result;
}

int mpgi_create_with(mpg_pager **pager, const char *path, const mpg_options *options,
                     const struct io *io, void *context)
{
    const struct format_ops *ops = NULL;
    mpg_options taken;
    mpg_pager *made;
    bool own = false;
    int result = take_options(&taken, options);

    if (result == 0)
        result = take_create_options(&ops, &taken);
    if (result != 0)
        return result;
    made = new_pager(false);
    if (made == NULL)
        return mpgi_fail_memory("create");
    result = mpgi_file_open(&made->file, io, context, path, FILE_MAKE);
    if (result == 0) {
        made->file.sparse = (taken.flags & MPG_SPARSE) != 0;
        result = mpgi_file_lock(&made->file, IO_LOCK_EXCLUSIVE);
        own = result != MPG_E_BUSY; /* else somebody opened it already, and it is theirs */
    }
    if (result == 0)
        result = fill_new_file(made, ops, &taken);
    if (result != 0) {
        mpg_error_info error;

        (void)mpg_last_error(&error);
        if (own)
            (void)io->unlink(context, path);
        (void)free_pager(made);
        return mpgi_fail_again(&error);
    }
    set_up(made, &taken);
    *pager = made;
    return 0;
}

int mpg_create(mpg_pager **pager, const char *path, const mpg_options *options)
{
    return mpgi_create_with(pager, path, options, &mpgi_io_system, NULL);
}

/* ---- open ---- */

/*
 * Rule 6: if the sync fails, what recovery wrote may be in the page cache alone, and must not be what
 * the next opening trusts.
 */
static int sync_what_was_found(mpg_pager *pager)
{
    struct format *format = pager->format;
    int result = mpgi_file_sync(&pager->file);
    mpg_error_info error;

    if (result == 0)
        return 0;
    (void)mpg_last_error(&error);
    if (format->ops->put_back != NULL)
        format->ops->put_back(format);
    else if (format->replaced != NULL)
        (void)mpgi_file_write(&pager->file, format->replaced->bytes, format->replaced->size,
                              format->replaced_at, MPG_NO_PAGE);
    return mpgi_fail_again(&error);
}

static int lock_file(mpg_pager *pager, unsigned flags)
{
    int result = 0;

    if (!pager->read_only)
        result = mpgi_file_lock(&pager->file, IO_LOCK_EXCLUSIVE);
    else if ((flags & MPG_LOCK_SHARED) != 0)
        result = mpgi_file_lock(&pager->file, IO_LOCK_SHARED);
    if (result == 0)
        result = mpgi_file_reload_size(&pager->file); /* it may have grown before the lock */
    pager->file.backed_from = pager->file.bytes;
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
    if (result == 0 && !pager->read_only && RULE_HOLDS(1))
        result = sync_what_was_found(pager);
    return result;
}

/*
 * With MPG_CREATE, what was opened may be empty: nobody has made a page file of it, and who has the
 * lock may. On failure it is empty again, and not removed: others may be waiting for it.
 */
static int open_or_fill(mpg_pager *pager, const mpg_options *options)
{
    const struct file *file = &pager->file;
    const struct format_ops *ops = NULL;
    mpg_options taken = *options;
    mpg_error_info error;
    int result;

    if (file->bytes > 0)
        return open_file(pager, options);
    if (file->io->has_name != NULL && !file->io->has_name(file->context, file->fd))
        return mpgi_fail(MPG_E_BUSY, "open", MPG_NO_PAGE,
                         "%s: busy: somebody else made it and gave it up meanwhile", file->path);
    result = take_create_options(&ops, &taken);
    if (result == 0)
        result = fill_new_file(pager, ops, &taken);
    if (result != 0) {
        (void)mpg_last_error(&error);
        (void)file->io->truncate(file->context, file->fd, 0);
        (void)mpgi_fail_again(&error);
    }
    return result;
}

int mpgi_open_with(mpg_pager **pager, const char *path, const mpg_options *options, bool read_only,
                   const struct io *io, void *context)
{
    enum file_mode mode = read_only ? FILE_READ : FILE_WRITE;
    mpg_options taken;
    mpg_pager *made;
    bool create;
    int result = take_options(&taken, options);

    if (result != 0)
        return result;
    create = (taken.flags & MPG_CREATE) != 0;
    if (create && read_only)
        return mpgi_fail(MPG_E_INVALID, "open", MPG_NO_PAGE,
                         "%s: to make a file it must be opened for writing", path);
    made = new_pager(read_only);
    if (made == NULL)
        return mpgi_fail_memory("open");
    result = mpgi_file_open(&made->file, io, context, path, create ? FILE_MAKE_IF_MISSING : mode);
    if (result == 0) {
        made->file.sparse = (taken.flags & MPG_SPARSE) != 0;
        result = lock_file(made, taken.flags);
    }
    if (result == 0)
        result = create ? open_or_fill(made, &taken) : open_file(made, &taken);
    if (result != 0) {
        mpg_error_info error;

        (void)mpg_last_error(&error);
        (void)free_pager(made);
        return mpgi_fail_again(&error);
    }
    set_up(made, &taken);
    *pager = made;
    return 0;
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
    bool written = false;
    int result = 0;

    if (pager->ops->is_dirty(pager->format))
        result = mpgi_edit_sync(pager, "close");
    if (result == 0)
        result = mpgi_look_again(pager);
    if (result == 0 && pager->ops->write_closing != NULL)
        result = pager->ops->write_closing(pager->format, &written);
    if (result == 0 && written)
        result = mpgi_file_sync(&pager->file);
    if (result != 0 && written) {
        /* Rule 6: it may be in the page cache alone, and the next opening would trust it. */
        mpg_error_info error;

        (void)mpg_last_error(&error);
        (void)pager->ops->restore_root(pager->format);
        (void)mpgi_fail_again(&error);
    }
    return result;
}

int mpg_close(const mpg_pager *pager)
{
    mpg_pager *own;
    int result = 0, closed;

    if (pager == NULL)
        return 0;
    own = unconst(pager);
    if (!own->read_only && !own->unavailable && !own->file.changed)
        result = end_cleanly(own);
    closed = free_pager(own);
    return result != 0 ? result : closed;
}
