/* SPDX-License-Identifier: MIT */
/* What pages of the file are used for. */
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "pager/pager.h"

/* Pages looked at while the lock is held once: others want it, too. */
#define WINDOW_WORDS 64
#define WINDOW (WINDOW_WORDS * UINT64_C(64))

int mpg_page_use(enum mpg_page_use *use, const mpg_pager *pager, uint64_t page)
{
    enum mpg_page_use found = MPG_USE_METADATA;
    int result = 0;

    if (known_has(&pager->regular, page)) {
        *use = MPG_USE_REGULAR;
        return 0;
    }
    pager_lock(pager);
    if (page >= pager->ops->total_pages(pager->format, visible_version(pager)))
        result = mpgi_fail(MPG_E_OUT_OF_BOUNDS, "page_use", page, "%s: there is no page %llu",
                           pager->file.path, (unsigned long long)page);
    else if (page >= FIRST_USER_PAGE)
        result = mpgi_explain_damage(
            pager, pager->ops->get_use(pager->format, visible_version(pager), page, &found));
    pager_unlock(pager);
    if (result == 0)
        *use = found;
    return result;
}

/* Notes the pages [first, end) of which a bit is set; bit 0 is page `base`. */
static void note(unsigned char *uses, uint64_t first, uint64_t end, uint64_t base,
                 const uint64_t *bits, enum mpg_page_use use)
{
    for (unsigned word = 0; word < WINDOW_WORDS; word++) {
        for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
            uint64_t page = base + word * UINT64_C(64) + (unsigned)__builtin_ctzll(left);

            if (page >= first && page < end)
                uses[page - first] = (unsigned char)use;
        }
    }
}

/* Notes which of the pages [first, end) have one use. Lock held. */
static int look_for(unsigned char *uses, const mpg_pager *pager, uint64_t first, uint64_t end,
                    enum mpg_page_use use)
{
    uint64_t at = first;

    while (at < end) {
        uint64_t bits[WINDOW_WORDS];
        uint64_t base = at & ~UINT64_C(63);
        int result = pager->ops->scan_use(pager->format, visible_version(pager), use, base, bits,
                                          WINDOW_WORDS, &at);

        if (result != 0)
            return result;
        note(uses, first, end, base, bits, use);
    }
    return 0;
}

static int look_at_window(unsigned char *uses, const mpg_pager *pager, uint64_t first, uint64_t end)
{
    int result = 0;

    memset(uses, MPG_USE_FREE, end - first);
    for (int use = MPG_USE_REGULAR; use <= MPG_USE_METADATA && result == 0; use++)
        result = look_for(uses, pager, first, end, (enum mpg_page_use)use);
    for (uint64_t page = first; page < min_u64(end, FIRST_USER_PAGE); page++)
        uses[page - first] = MPG_USE_METADATA;
    return result;
}

int mpg_page_uses(unsigned char *uses, const mpg_pager *pager, uint64_t first, size_t count)
{
    uint64_t end = count > UINT64_MAX - first ? UINT64_MAX : first + count;
    int result = 0;

    for (uint64_t at = first; at < end && result == 0; at += WINDOW) {
        uint64_t stop = min_u64(end, at < UINT64_MAX - WINDOW ? at + WINDOW : UINT64_MAX);

        pager_lock(pager);
        result = mpgi_explain_damage(pager, look_at_window(uses + (at - first), pager, at, stop));
        pager_unlock(pager);
        if (stop == UINT64_MAX)
            break;
    }
    return result;
}
