/* SPDX-License-Identifier: MIT */
/* In place of format 1 until it is there. */
#include "error.h"
#include "format.h"
#include "io.h"

static int create(struct file *file, const struct create_parameters *parameters)
{
    (void)parameters;
    return mpgi_fail(MPG_E_UNSUPPORTED_VERSION, "create", MPG_NO_PAGE,
                     "%s: format 1 is not known to this library", file->path);
}

static int load(struct format **format, struct file *file, bool read_only, size_t cache_size)
{
    (void)format;
    (void)read_only;
    (void)cache_size;
    return mpgi_fail(MPG_E_UNSUPPORTED_VERSION, "open", MPG_NO_PAGE,
                     "%s: format 1 is not known to this library", file->path);
}

const struct format_ops mpgi_format_1 = {.id = MPG_FORMAT_1, .create = create, .load = load};
