/* SPDX-License-Identifier: MIT */
#include "info.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "describe.h"
#include "follow.h"
#include "log.h"

int info_text(char **text, size_t *length, const struct fs *fs)
{
    struct mpg_stat st = {.size = sizeof(st)};
    unsigned tries = 0;
    int code;
    FILE *stream;

    follow_refresh(fs);
    do {
        code = mpg_stat(&st, fs->pager);
    } while (follow_again(fs, code, &tries));
    *text = NULL;
    *length = 0;
    if (code != MPG_OK) {
        return log_failure(code, "info");
    }
    stream = open_memstream(text, length);
    if (stream == NULL) {
        return ENOMEM;
    }
    describe_file(stream, &st);
    if (fclose(stream) != 0) {
        free(*text);
        *text = NULL;
        return ENOMEM;
    }
    return 0;
}

size_t info_length(const struct fs *fs)
{
    size_t length;
    char *text;

    if (info_text(&text, &length, fs) != 0) {
        return 0;
    }
    free(text);
    return length;
}
