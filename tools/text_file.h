/* SPDX-License-Identifier: MIT */
/* Small files of text, as in /proc. Shared with the driver. */
#ifndef TEXT_FILE_H
#define TEXT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The beginning of a file, as a string; false if nothing can be read there. `directory` is a
 * descriptor, or AT_FDCWD.
 */
bool text_file_read(char *text, size_t size, int directory, const char *name);

#endif
