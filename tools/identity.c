/* SPDX-License-Identifier: MIT */
#include "identity.h"

#include "command.h"
#include "escape.h"
#include "file.h"
#include "json.h"
#include "output.h"

#include <stdio.h>

int identity_missing(const char *path, const char *what, bool json)
{
    mpg_error_info info = {.code = MPG_E_INVALID, .page = MPG_NO_PAGE, .operation = "open"};

    (void)snprintf(info.message, sizeof info.message, "files of format 0.2 have no %s", what);
    return report_error(path, &info, json);
}

int identity_print(const char *path, const char *key, const char *text, bool json)
{
    struct json out;

    if (!json) {
        escape_printf(stdout, "%s", text);
        fputc('\n', stdout);
        return finish_output(STATUS_FINE);
    }
    json_begin(&out, stdout);
    json_string(&out, "file", path);
    json_string(&out, key, text);
    json_end(&out);
    return finish_output(STATUS_FINE);
}

int identity_read(struct mpg_stat *st, const char *path, const char *what, bool json)
{
    struct patience patience = {0};
    const mpg_pager *pager;
    int status;

    if (open_reading(&pager, path, json) != STATUS_FINE) {
        return STATUS_FAILED;
    }
    do {
        st->size = sizeof *st;
        status = mpg_stat(st, pager);
    } while (moved_on(&patience, pager, status));
    if (status != 0) {
        return fail_and_close(pager, path, json);
    }
    status = st->format == MPG_FORMAT_1 ? STATUS_FINE : identity_missing(path, what, json);
    return close_file(pager, path, status);
}
