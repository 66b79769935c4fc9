/* SPDX-License-Identifier: MIT */
/* What the first bytes of page 0 say in every format. */
#ifndef MPGI_SUPERBLOCK_H
#define MPGI_SUPERBLOCK_H

enum superblock_offset {
    SUPERBLOCK_TAG = 0,            /* 4 bytes, "MPPG" */
    SUPERBLOCK_VERSION = 4,        /* 4 bytes: major, minor, patch, build */
    SUPERBLOCK_PAGE_SIZE_LOG2 = 8, /* 4 bytes */
    SUPERBLOCK_HEAD_SIZE = 12,     /* so much is read before the page size is known */
};

#define SUPERBLOCK_TAG_TEXT "MPPG"

#endif
