/* SPDX-License-Identifier: MIT */
/* What lies at a path, as far as its first bytes tell. Shared with the driver. */
#ifndef RECOGNIZE_H
#define RECOGNIZE_H

#include <stdint.h>

enum content_kind {
    CONTENT_OTHER,
    CONTENT_PAGES,       /* a page file */
    CONTENT_WITHOUT_TOP, /* one whose page 0 was overwritten */
    CONTENT_SHIFTED, /* one that begins further on: behind a partition table, a header, a mark */
    CONTENT_ARCHIVE, /* a tar archive */
    CONTENT_COMPRESSED,
    CONTENT_EMPTY,
    CONTENT_DEVICE,  /* a device or pipe that nothing more is known of */
    CONTENT_ON_DISK, /* a block device that begins as a page file does */
    CONTENT_DANGLING /* a symbolic link to nowhere */
};

struct content {
    enum content_kind kind;
    unsigned version;    /* CONTENT_PAGES: the major one: 0 is format 0.2 */
    uint64_t begins;     /* CONTENT_SHIFTED: at this byte */
    const char *unpacks; /* CONTENT_COMPRESSED: the program that does; also of a zip archive */
};

/* Waits for nothing, and reads some megabytes at most. */
struct content content_of(const char *path);

#endif
