/* SPDX-License-Identifier: MIT */
/* Making page files (rule 15). */
#include "pager/create.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "os/new_file.h"
#include "pager/pager.h"

#define DEFAULT_CACHE_SIZE ((size_t)4 << 20)
#define MIN_PAGES 4

/* How many symbolic links in a row lead to a file that is not there yet. */
#define MOST_LINKS 40

/* ---- options ---- */

#define KNOWN_OPTIONS                                                                              \
    (MPG_LOCK_SHARED | MPG_DEFER_ALLOCATION | MPG_SPARSE | MPG_CREATE | MPG_LOCAL_LOCK |           \
     MPG_DISCARD)

int mpgi_take_options(mpg_options *taken, const mpg_options *options)
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

bool mpgi_is_page_size(uint64_t size)
{
    return size >= MPG_PAGE_SIZE_MIN && size <= MPG_PAGE_SIZE_MAX && (size & (size - 1)) == 0;
}

static int check_create(const struct format_ops **ops, const mpg_options *options)
{
    uint64_t page_size = options->page_size;

    if (!mpgi_is_page_size(page_size))
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

/* ---- a new file ---- */

/* Makes a page file of an empty one, which is locked, and loads it. It is durable afterwards. */
static int fill(mpg_pager *pager, const struct format_ops *ops, const mpg_options *options)
{
    struct file *file = &pager->file;
    struct create_parameters parameters = {
        .page_size = options->page_size,
        .initial_pages = options->initial_pages,
        .label = options->label,
    };
    int result = file->in_place ? mpgi_new_file_mark(file) : 0;

    if (result == 0)
        result = ops->create(file, &parameters);
    if (result == 0)
        result = ops->load(&pager->format, file, false, options->cache_size);
    return result == 0 ? mpgi_file_sync(file) : result;
}

/* A new file: what it is to be, and where. */
struct creation {
    const char *path;
    const struct format_ops *ops;
    const mpg_options *options; /* complete and checked */
    const struct io *io;
    void *context;           /* of `io` */
    create_content *content; /* NULL: it has no pages yet */
    void *content_context;
};

/* Returns NEW_NOT_HERE where the file cannot be made that way; `pager` has no file then. */
static int make_this_way(mpg_pager *pager, const struct creation *creation, enum new_way way)
{
    struct file *file = &pager->file;
    const mpg_options *options = creation->options;
    int result = mpgi_new_file_begin(file, creation->io, creation->context, creation->path, way);

    if (result != 0)
        return result;
    file->sparse = (options->flags & MPG_SPARSE) != 0;
    result = mpgi_pager_lock_to_write(pager, options->flags);
    if (result == MPG_E_BUSY)
        return result; /* somebody opened it already, and it is theirs */
    if (result == 0)
        result = fill(pager, creation->ops, options);
    if (result == 0)
        mpgi_pager_set_up(pager, options);
    if (result == 0 && creation->content != NULL)
        result = creation->content(creation->content_context, pager);
    return mpgi_new_file_finish(file, result);
}

static int make(mpg_pager **pager, const struct creation *creation)
{
    /* In place the name stands for the file before it has its content. */
    enum new_way end = creation->content != NULL ? NEW_IN_PLACE : NEW_WAYS;
    int result = NEW_NOT_HERE;

    for (enum new_way way = mpgi_new_file_first_way(); result == NEW_NOT_HERE && way < end; way++) {
        mpg_pager *made = mpgi_pager_new(false);
        mpg_error_info error;

        if (made == NULL)
            return mpgi_fail_memory("create");
        result = make_this_way(made, creation, way);
        if (result == 0) {
            *pager = made;
            return 0;
        }
        (void)mpg_last_error(&error);
        (void)mpgi_pager_free(made);
        (void)mpgi_fail_again(&error);
    }
    if (result == NEW_NOT_HERE)
        return mpgi_fail_errno(EOPNOTSUPP, "rename", MPG_NO_PAGE, creation->path);
    return result;
}

int mpgi_create_missing(mpg_pager **pager, const char *path, const mpg_options *options,
                        const struct io *io, void *context)
{
    const struct format_ops *ops = NULL;
    mpg_options taken = *options;
    char *target = NULL;
    int result = take_create_options(&ops, &taken);

    if (result != 0)
        return result;
    for (int links = 0; io->target != NULL && links < MOST_LINKS; links++) {
        char *next = io->target(context, target != NULL ? target : path);

        if (next == NULL)
            break;
        free(target);
        target = next;
    }
    result = make(pager, &(struct creation){.path = target != NULL ? target : path,
                                            .ops = ops,
                                            .options = &taken,
                                            .io = io,
                                            .context = context});
    free(target);
    return result;
}

bool mpgi_is_to_be_made(const struct file *file)
{
    return file->bytes == 0 || mpgi_new_file_is_marked(file);
}

int mpgi_create_in_place(mpg_pager *pager, const mpg_options *options)
{
    struct file *file = &pager->file;
    const struct format_ops *ops = NULL;
    mpg_options taken = *options;
    mpg_error_info error;
    int result = take_create_options(&ops, &taken);

    if (result != 0)
        return result;
    if (file->bytes > 0 && file->io->truncate(file->context, file->fd, 0) != 0)
        return mpgi_fail_errno(errno, "ftruncate", MPG_NO_PAGE, file->path);
    file->bytes = 0;
    file->backed_from = 0;
    file->in_place = true;
    if (file->io->prepare != NULL)
        file->io->prepare(file->context, file->fd);
    result = fill(pager, ops, &taken);
    if (result == 0)
        result = mpgi_new_file_sync_name(file);
    if (result != 0) {
        (void)mpg_last_error(&error);
        (void)file->io->truncate(file->context, file->fd, 0);
        (void)mpgi_fail_again(&error);
    }
    return result;
}

/* What there is by that name may be a file whose making was cut short. Otherwise EXISTS. */
static int make_unfinished(mpg_pager **pager, const char *path, const mpg_options *options,
                           const struct io *io, void *context, int exists)
{
    mpg_error_info error, other;
    mpg_pager *made = NULL;
    int result;

    (void)mpg_last_error(&error);
    made = mpgi_pager_new(false);
    if (made == NULL)
        return mpgi_fail_memory("create");
    result = mpgi_file_open(&made->file, io, context, path, false);
    if (result != 0 || !mpgi_new_file_is_marked(&made->file)) {
        (void)mpgi_pager_free(made);
        (void)mpgi_fail_again(&error);
        return exists;
    }
    made->file.sparse = (options->flags & MPG_SPARSE) != 0;
    result = mpgi_pager_lock_to_write(made, options->flags);
    if (result == 0)
        result = mpgi_file_reload_size(&made->file);
    if (result == 0 && !mpgi_new_file_is_marked(&made->file))
        result = mpgi_fail_again(&error);
    if (result == 0)
        result = mpgi_create_in_place(made, options);
    if (result != 0) {
        (void)mpg_last_error(&other);
        (void)mpgi_pager_free(made);
        return mpgi_fail_again(&other);
    }
    mpgi_pager_set_up(made, options);
    *pager = made;
    return 0;
}

/* Completes what is to be made by what the options say. `taken` is to live as long as that. */
static int take_options(struct creation *creation, mpg_options *taken, const mpg_options *options)
{
    int result = mpgi_take_options(taken, options);

    creation->options = taken;
    return result != 0 ? result : take_create_options(&creation->ops, taken);
}

int mpgi_create_with(mpg_pager **pager, const char *path, const mpg_options *options,
                     const struct io *io, void *context)
{
    struct creation creation = {.path = path, .io = io, .context = context};
    mpg_options taken;
    int result = take_options(&creation, &taken, options);

    if (result != 0)
        return result;
    result = make(pager, &creation);
    return result == MPG_E_EXISTS ? make_unfinished(pager, path, &taken, io, context, result)
                                  : result;
}

int mpgi_create_filled(mpg_pager **pager, const char *path, const mpg_options *options,
                       create_content *content, void *context)
{
    struct creation creation = {
        .path = path, .io = &mpgi_io_system, .content = content, .content_context = context};
    mpg_options taken;
    int result = take_options(&creation, &taken, options);

    return result != 0 ? result : make(pager, &creation);
}

int mpg_create(mpg_pager **pager, const char *path, const mpg_options *options)
{
    return mpgi_create_with(pager, path, options, &mpgi_io_system, NULL);
}
