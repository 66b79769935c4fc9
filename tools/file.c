/* SPDX-License-Identifier: MIT */

#include "file.h"

#include "command.h"
#include "output.h"

/* Against a writer that commits faster than one page can be read, a reader gives up in the end. */
#define MOST_REFRESHES 1000

int open_reading(const mpg_pager **pager, const char *path, bool json)
{
    if (mpg_open_readonly(pager, path, NULL) != 0) {
        return report_failure(path, json);
    }
    return STATUS_FINE;
}

int open_writing(mpg_pager **pager, const char *path, bool json)
{
    if (mpg_open(pager, path, NULL) != 0) {
        return report_failure(path, json);
    }
    return STATUS_FINE;
}

int close_file(const mpg_pager *pager, const char *path, int status)
{
    if (mpg_close(pager) != 0) {
        return report_failure(path, false);
    }
    return status;
}

int fail_and_close(const mpg_pager *pager, const char *path, bool json)
{
    int status = report_failure(path, json);

    return close_file(pager, path, status);
}

bool moved_on(struct patience *patience, const mpg_pager *pager, int status)
{
    if (status != MPG_E_STALE) {
        patience->refreshes = 0;
        return false;
    }
    if (patience->refreshes >= MOST_REFRESHES || mpg_refresh(pager) != 0) {
        return false;
    }
    patience->refreshes++;
    patience->moved = true;
    return true;
}
