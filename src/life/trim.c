/* SPDX-License-Identifier: MIT */
/* Giving back the disk space of all that is free. */
#include "base/bytes.h"
#include "base/error.h"
#include "mappedpages.h"
#include "pager/give_back.h"

int mpg_trim(uint64_t *pages, mpg_pager *pager, uint64_t first, uint64_t count, uint64_t least)
{
    uint64_t end = count > UINT64_MAX - first ? UINT64_MAX : first + count;
    uint64_t at = first;
    uint64_t all = 0;
    uint64_t kept = 0;
    int result = mpgi_find_trim_end(&kept, pager);

    end = min_u64(end, kept);
    while (at < end && result == 0) {
        uint64_t now;

        result = mpgi_give_back_step(&now, pager, &at, end, least);
        all += now;
    }
    if (result == 0 && pages != NULL)
        *pages = all;
    return result;
}
