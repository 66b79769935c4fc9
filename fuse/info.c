/* SPDX-License-Identifier: MIT */
#include "info.h"

#include <stdio.h>
#include <stdlib.h>

#include "describe.h"
#include "log.h"

char *info_text(const struct fs *fs, size_t *length)
{
    struct mpg_stat st = {.size = sizeof(st)};
    int code = mpg_stat(&st, fs->pager);
    char *text = NULL;
    FILE *stream;

    if (code != MPG_OK) {
        log_failure(code, "info");
        return NULL;
    }
    stream = open_memstream(&text, length);
    if (stream == NULL) {
        return NULL;
    }
    describe_file(stream, &st);
    if (fclose(stream) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

size_t info_length(const struct fs *fs)
{
    size_t length = 0;

    free(info_text(fs, &length));
    return length;
}
