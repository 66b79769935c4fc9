/* SPDX-License-Identifier: MIT */
#include "format/format.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/id_map.h"
#include "base/rules.h"
#include "base/sheet.h"
#include "os/grow.h"
#include "os/io.h"

/* A file grows by an eighth of itself, within these bounds in bytes. */
#define GROW_LEAST (UINT64_C(64) << 10)
#define GROW_MOST (UINT64_C(256) << 20)

bool mpgi_format_holds(const struct format *format, uint64_t page)
{
    return (format->reserved != NULL && mpgi_id_map_find(format->reserved, page) != NULL) ||
           (format->kept != NULL && mpgi_sheet_bit(format->kept, page));
}

int mpgi_format_look_again(struct format *format, enum look look)
{
    bool same = false;
    int result;

    if (!RULE_HOLDS(12))
        return 0;
    result = format->ops->look_again(format, look, &same);
    if (result != 0 && result != MPG_E_TRUNCATED)
        return result;
    if (result == 0 && same)
        return 0;
    return mpgi_file_fail_changed(format->file,
                                  "what it says is current is not what this program left there");
}

/* Rule 12, under the pager's lock: before the file is made longer than it was left. */
static int look_before_growing(struct format *format)
{
    int result = RULE_HOLDS(12) ? mpgi_file_check_length(format->file) : 0;

    return result != 0 ? result : mpgi_format_look_again(format, LOOK_ASIDE);
}

int mpgi_format_grow(struct format *format, uint64_t pages)
{
    uint64_t total = format->ops->total_pages(format, VERSION_NEWEST);
    uint64_t page_size = format->page_size;
    uint64_t step = min_u64(max_u64(total / 8 * page_size, GROW_LEAST), GROW_MOST) / page_size;
    struct mpg_stat st;
    uint64_t target;
    int result;

    if (pages <= total)
        return 0;
    format->ops->facts(format, VERSION_NEWEST, &st);
    if (pages > st.max_pages)
        return mpgi_fail(MPG_E_FILE_FULL, "grow", MPG_NO_PAGE,
                         "%s: file full: the format holds %llu pages of %u bytes",
                         format->file->path, (unsigned long long)st.max_pages,
                         (unsigned)format->page_size);
    target = min_u64(max_u64(pages, total + step), st.max_pages);
    if (RULE_HOLDS(9)) {
        result = look_before_growing(format);
        if (result != 0)
            return result;
        result = mpgi_file_grow(format->file, target * page_size);
        /* Perhaps there is room for what is needed, though not for the step. */
        if (result != 0 && target > pages) {
            target = pages;
            result = mpgi_file_grow(format->file, target * page_size);
        }
        if (result != 0)
            return result;
    }
    return format->ops->set_total(format, target);
}

/* Pages beyond the end that nodes of one path, and a spare copy of page 0, may have. */
#define BEYOND_END 64

int mpgi_format_check_lowest(struct format *format, uint64_t page)
{
    uint64_t total = format->ops->total_pages(format, VERSION_NEWEST);
    uint64_t held = format->reserved != NULL ? format->reserved->count : 0;

    if (page <= total || page - total <= BEYOND_END + held)
        return 0;
    return mpgi_fail(MPG_E_CORRUPT_METADATA, "alloc", page,
                     "%s: the lowest free page is said to be %llu, but the file ends with page "
                     "%llu",
                     format->file->path, (unsigned long long)page, (unsigned long long)total - 1);
}
