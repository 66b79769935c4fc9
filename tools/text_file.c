/* SPDX-License-Identifier: MIT */
#include "text_file.h"

#include <fcntl.h>
#include <unistd.h>

bool text_file_read(char *text, size_t size, int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t length;

    if (fd < 0) {
        return false;
    }
    length = read(fd, text, size - 1);
    (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}
