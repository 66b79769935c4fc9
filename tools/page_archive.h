/* SPDX-License-Identifier: MIT */
/*
 * Pages in a tar archive: pages/<id> and protected/<id>, as they are called on a mount. What such
 * an archive holds besides (directories, info.json, info) is passed over; anything else makes it
 * one that is refused.
 */
#ifndef PAGE_ARCHIVE_H
#define PAGE_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archived_page {
    bool protected;
    uint64_t id;
};

/*
 * tar has no checksum of contents, so what dump writes has one of its own: the CRC32 of each
 * member, as the name of the user that it belongs to. A member that comes from elsewhere has no
 * such user, and is taken as it is.
 */
#define ARCHIVED_CHECKSUM_SIZE 16
void page_archive_checksum(char text[ARCHIVED_CHECKSUM_SIZE], const void *data, size_t length);

/*
 * Nor does tar know how many members there are, and zeros end its archives; so the name of the
 * group says which page of how many it is, from 1 on, as 3of30. info.json, in front of them, is 0.
 */
#define ARCHIVED_PLACE_SIZE 44
void page_archive_place(char text[ARCHIVED_PLACE_SIZE], uint64_t number, uint64_t count);

struct page_archive; /* one that is being read */

/*
 * Reads from a descriptor, which stays the caller's; also what compressors make of an archive.
 * NULL: no memory. What is no archive shows with the first page.
 */
struct page_archive *page_archive_open(int fd, size_t page_size);
/* Reads from memory, which must stay: plain tar alone, so that it is no longer than it looks. */
struct page_archive *page_archive_open_memory(const void *data, size_t length, size_t page_size);
void page_archive_close(struct page_archive *archive);

/*
 * The next page; its content, followed by zeros up to page_size, into `content`. Returns 1; 0 at
 * the end of the archive; -1 where it is damaged, or holds what is no page: see page_archive_error.
 */
int page_archive_next(struct archived_page *page, struct page_archive *archive, void *content);
/*
 * At the end: whether there was no member in it, as of a command that failed before it wrote any.
 */
bool page_archive_is_nothing(const struct page_archive *archive);
/* What was wrong with it, for a person. */
const char *page_archive_error(const struct page_archive *archive);

#endif
