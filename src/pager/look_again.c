/* SPDX-License-Identifier: MIT */
#include "pager/look_again.h"

#include <time.h>

#include "base/error.h"
#include "base/rules.h"

int mpgi_check_not_changed(mpg_pager *pager, const char *operation)
{
    if (!pager->file.changed)
        return 0;
    return mpgi_fail(MPG_E_CHANGED, operation, MPG_NO_PAGE,
                     "%s: somebody else has changed it while it was open: nothing more is written "
                     "to it; close it, see what it holds, and open it again",
                     pager->file.path);
}

int mpgi_look_again(mpg_pager *pager)
{
    int result = mpgi_check_not_changed(pager, "look again");

    if (result == 0 && RULE_HOLDS(12))
        result = mpgi_file_check_length(&pager->file);
    /* Where others are on another machine, and a lock reaches them, the next commit will do. */
    if (result == 0 && pager->file.sharing.others && !pager->file.sharing.lock_is_local)
        return 0;
    return result != 0 ? result : mpgi_format_look_again(pager->format, LOOK_ASIDE);
}

/*
 * Nanoseconds; less than it takes to start a program, and a few writes. A look at the root costs as
 * much as a write.
 */
#define LOOK_PAUSE UINT64_C(50000)

/*
 * Whether the last look was a moment ago, and the file is as long as it was then. Without the lock.
 */
static bool is_as_seen(const mpg_pager *pager, uint64_t now)
{
    uint64_t bytes;

    if (pager->file.changed || now - atomic_load(&pager->looked) >= LOOK_PAUSE)
        return false;
    return !RULE_HOLDS(12) || (mpgi_file_length(&pager->file, &bytes) == 0 &&
                               bytes == atomic_load(&pager->looked_bytes));
}

int mpgi_look_again_often(mpg_pager *pager)
{
    bool often = pager->file.io->length != NULL && !pager->file.sharing.others;
    struct timespec time = {0};
    uint64_t now;
    int result;

    often = often && clock_gettime(CLOCK_MONOTONIC, &time) == 0;
    now = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
    if (often && is_as_seen(pager, now))
        return 0;
    pager_lock(pager);
    result = mpgi_look_again(pager);
    if (result == 0 && often) {
        atomic_store(&pager->looked_bytes, pager->file.bytes);
        atomic_store(&pager->looked, now);
    }
    pager_unlock(pager);
    return result;
}

int mpgi_look_again_committing(mpg_pager *pager, uint64_t bytes, enum look look)
{
    uint64_t now;
    int result;

    atomic_store(&pager->looked, 0);
    if (!RULE_HOLDS(12))
        return 0;
    result = mpgi_file_length_now(&pager->file, &now);
    if (result == 0 && now != bytes) {
        /* Another thread may have made it grow, which it does under the lock. */
        pager_lock(pager);
        result = mpgi_file_check_length(&pager->file);
        pager_unlock(pager);
    }
    return result != 0 ? result : mpgi_format_look_again(pager->format, look);
}

int mpgi_check_page_is_there(const mpg_pager *pager, uint64_t page)
{
    uint64_t bytes;
    int result = mpgi_file_length(&pager->file, &bytes);

    if (result != 0 || bytes / pager->page_size > page)
        return result;
    return mpgi_fail(MPG_E_TRUNCATED, "get", page,
                     "%s: it has %llu bytes now, and ends before page %llu does", pager->file.path,
                     (unsigned long long)bytes, (unsigned long long)page);
}
