/* SPDX-License-Identifier: MIT */
#include "live.h"

#include "command.h"
#include "mappedpages_copy.h"
#include "output.h"
#include "progress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *make_private_directory(void)
{
    const char *parent = getenv("TMPDIR");
    char *directory;

    if (asprintf(&directory, "%s/mappedpages-XXXXXX",
                 parent != NULL && parent[0] == '/' ? parent : "/var/tmp") < 0) {
        errno = ENOMEM;
        return NULL;
    }
    if (mkdtemp(directory) == NULL) {
        free(directory);
        return NULL;
    }
    return directory;
}

static int copy(const char *from, const char *to, bool quiet)
{
    mpg_copy_options how = MPG_COPY_OPTIONS_INIT;
    struct progress progress;
    int result;

    how.flags = MPG_COPY_SAME_UUID; /* it passes for the file */
    how.progress = progress_go_on;
    how.context = &progress;
    progress_begin(&progress, "copy", 0, quiet);
    result = mpg_copy(NULL, from, to, &how);
    progress_end(&progress);
    return result;
}

int open_copy(const mpg_pager **pager, const char *path, bool quiet)
{
    char *directory, *name = NULL;
    int status = STATUS_FINE;
    int copied;

    hold_signals();
    directory = make_private_directory();
    if (directory == NULL || asprintf(&name, "%s/copy", directory) < 0) {
        complain("temporary directory", "%s", strerror(errno));
        free(directory);
        return STATUS_FAILED;
    }
    copied = copy(path, name, quiet);
    if (copied != 0 && copied != MPG_E_CANCELLED) {
        status = report_failure(path, false);
    } else if (copied == 0 && mpg_open_readonly(pager, name, NULL) != 0) {
        status = report_failure(name, false);
    }
    (void)unlink(name);
    (void)rmdir(directory);
    free(name);
    free(directory);
    if (copied == MPG_E_CANCELLED) {
        let_signals_end(); /* nothing is left of the copy */
        return STATUS_FAILED;
    }
    return status;
}
