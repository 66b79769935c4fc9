/* SPDX-License-Identifier: MIT */
#include "info.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "describe.h"
#include "follow.h"
#include "log.h"

bool info_is(const struct target *target)
{
    return target->kind == NODE_FIXED &&
           (target->id == FIXED_INFO || target->id == FIXED_INFO_JSON);
}

int info_text(char **text, size_t *length, const struct fs *fs, const struct target *target)
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
    if (target->id == FIXED_INFO_JSON) {
        describe_json(stream, fs->path, &st);
    } else {
        describe_file(stream, &st, false);
    }
    if (fclose(stream) != 0) {
        free(*text);
        *text = NULL;
        return ENOMEM;
    }
    return 0;
}

size_t info_length(const struct fs *fs, const struct target *target)
{
    size_t length;
    char *text;

    if (info_text(&text, &length, fs, target) != 0) {
        return 0;
    }
    free(text);
    return length;
}
