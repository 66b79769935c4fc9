/* SPDX-License-Identifier: MIT */
#include "recognize.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* As far into a file a page file is looked for: a first partition begins at 1 MiB, as a rule. */
#define SEARCHED ((size_t)2 << 20)
/* Larger pages of metadata of format 0.2 are not read to find out what a file was. */
#define LARGEST_SUMMED ((uint64_t)4 << 20)

/* What both formats begin with. */
#define TAG "MPPG"
#define HEAD 12
#define LEAST_SHIFT 10
#define MOST_SHIFT 30

static uint64_t number_at(const unsigned char *bytes, unsigned count)
{
    uint64_t number = 0;

    while (count-- > 0) {
        number = number << 8 | bytes[count];
    }
    return number;
}

static bool stands_at(int fd, uint64_t offset, const char *what)
{
    char found[8];
    size_t length = strlen(what);

    return pread(fd, found, length, (off_t)offset) == (ssize_t)length &&
           memcmp(found, what, length) == 0;
}

/* Version and page size, behind the tag, are possible, and so is the length. */
static bool is_head(const unsigned char *head, uint64_t file_bytes)
{
    uint64_t shift = number_at(head + 8, 4);

    return head[4] <= 1 && shift >= LEAST_SHIFT && shift <= MOST_SHIFT &&
           file_bytes >= UINT64_C(4) << shift;
}

/* Nothing but the tag, or little more, is wrong with page 0. */
static bool has_head(int fd, uint64_t file_bytes)
{
    unsigned char head[HEAD];

    return pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) && is_head(head, file_bytes) &&
           file_bytes % (UINT64_C(1) << head[8]) == 0;
}

/*
 * A page of metadata of format 0.2: its numbers are possible, pages 0 to 2 are taken, its checksum
 * holds.
 */
static bool is_metadata(int fd, uint64_t offset, uint64_t size, uint64_t file_bytes)
{
    unsigned char begin[25];
    unsigned char *page;
    uint64_t total;
    bool whole;

    if (offset + size > file_bytes || size > LARGEST_SUMMED ||
        pread(fd, begin, sizeof(begin), (off_t)offset) != (ssize_t)sizeof(begin)) {
        return false;
    }
    total = number_at(begin, 8);
    if (total < 4 || total > (size - 28) * 8 || number_at(begin + 16, 8) > total ||
        (begin[24] & 7) != 7) {
        return false;
    }
    page = malloc(size);
    whole = page != NULL && pread(fd, page, size, (off_t)offset) == (ssize_t)size &&
            crc32_z(0, page, size - 4) == number_at(page + size - 4, 4);
    free(page);
    return whole;
}

/* Page 0 is lost, but page 1 or 2 is where it would be. */
static bool has_second_page(int fd, uint64_t file_bytes)
{
    for (unsigned shift = LEAST_SHIFT; shift <= MOST_SHIFT; shift++) {
        for (uint64_t page = 1; page <= 2; page++) {
            uint64_t size = UINT64_C(1) << shift;

            if (stands_at(fd, page * size, "MPGR") ||
                is_metadata(fd, page * size, size, file_bytes)) {
                return true;
            }
        }
    }
    return false;
}

/* Where a page file begins that does not begin with the file; 0: nowhere. */
static uint64_t find_beginning(int fd, uint64_t file_bytes)
{
    unsigned char *bytes = malloc(SEARCHED);
    ssize_t length = bytes != NULL ? pread(fd, bytes, SEARCHED, 0) : -1;
    uint64_t found = 0;

    for (ssize_t at = 1; found == 0 && at + HEAD <= length; at++) {
        const unsigned char *next = memmem(bytes + at, (size_t)(length - at), TAG, sizeof(TAG) - 1);

        if (next == NULL || next + HEAD > bytes + length) {
            break;
        }
        at = next - bytes;
        if (is_head(next, file_bytes - (uint64_t)at)) {
            found = (uint64_t)at;
        }
    }
    free(bytes);
    return found;
}

static const char *unpacks(int fd)
{
    static const struct {
        const char *tag, *program;
    } known[] = {{"\x1f\x8b", "gunzip"}, {"\x28\xb5\x2f\xfd", "unzstd"}, {"\xfd\x37zXZ", "unxz"},
                 {"BZh", "bunzip2"},     {"\x04\x22\x4d\x18", "unlz4"},  {"PK\x03\x04", "unzip"}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (stands_at(fd, 0, known[i].tag)) {
            return known[i].program;
        }
    }
    return NULL;
}

static struct content content_of_file(int fd, uint64_t file_bytes)
{
    struct content content = {.version = 1, .unpacks = unpacks(fd)};

    if (file_bytes == 0) {
        char byte;

        /* What /proc shows has no length, and is not empty. */
        content.kind = pread(fd, &byte, 1, 0) == 0 ? CONTENT_EMPTY : CONTENT_OTHER;
    } else if (stands_at(fd, 0, TAG)) {
        unsigned char version = 1;

        content.kind = CONTENT_PAGES;
        (void)!pread(fd, &version, 1, sizeof(TAG) - 1);
        content.version = version;
    } else if (content.unpacks != NULL) {
        content.kind = CONTENT_COMPRESSED;
    } else if (has_second_page(fd, file_bytes) || has_head(fd, file_bytes)) {
        content.kind = CONTENT_WITHOUT_TOP;
    } else if (stands_at(fd, 257, "ustar")) {
        content.kind = CONTENT_ARCHIVE;
    } else {
        content.begins = find_beginning(fd, file_bytes);
        content.kind = content.begins > 0 ? CONTENT_SHIFTED : CONTENT_OTHER;
    }
    return content;
}

struct content content_of(const char *path)
{
    struct content content = {.kind = CONTENT_OTHER, .version = 1};
    struct stat st;
    int fd;

    if (stat(path, &st) != 0) {
        content.kind = errno == ENOENT && lstat(path, &st) == 0 ? CONTENT_DANGLING : CONTENT_OTHER;
        return content;
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        content.kind = S_ISDIR(st.st_mode) ? CONTENT_OTHER : CONTENT_DEVICE;
        return content;
    }
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0 && S_ISREG(st.st_mode)) {
        content = content_of_file(fd, (uint64_t)st.st_size);
    } else if (S_ISBLK(st.st_mode)) {
        content.kind = fd >= 0 && stands_at(fd, 0, TAG) ? CONTENT_ON_DISK : CONTENT_DEVICE;
    }
    if (fd >= 0) {
        close(fd);
    }
    return content;
}
