/* SPDX-License-Identifier: MIT */

#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *spool_directory(void)
{
    const char *directory = getenv("TMPDIR");

    return directory != NULL && *directory != '\0' ? directory : "/tmp";
}

/* Opens a temporary file that has no name, or none any more. */
static int open_temporary(void)
{
    const char *directory = spool_directory();
    char *name = NULL;
    int fd;

    fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return fd;
    }
    if (asprintf(&name, "%s/mappedpages-XXXXXX", directory) < 0) {
        errno = ENOMEM;
        return -1;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0) {
        (void)unlink(name);
    }
    free(name);
    return fd;
}

int spool_begin(struct spool *spool, size_t page_size)
{
    memset(spool, 0, sizeof *spool);
    spool->page_size = page_size;
    spool->fd = open_temporary();
    return spool->fd < 0 ? -1 : 0;
}

static int write_all(const struct spool *spool, const unsigned char *content, off_t at)
{
    size_t written = 0;

    while (written < spool->page_size) {
        ssize_t did =
            pwrite(spool->fd, content + written, spool->page_size - written, at + (off_t)written);

        if (did < 0 && errno == EINTR) {
            continue;
        }
        if (did <= 0) {
            return -1;
        }
        written += (size_t)did;
    }
    return 0;
}

int spool_add(struct spool *spool, const struct archived_page *page, const void *content)
{
    if (spool->count == spool->capacity) {
        size_t capacity = spool->capacity == 0 ? 1024 : 2 * spool->capacity;
        struct spooled_page *pages = reallocarray(spool->pages, capacity, sizeof *pages);

        if (pages == NULL) {
            return -1;
        }
        spool->pages = pages;
        spool->capacity = capacity;
    }
    if (write_all(spool, content, (off_t)(spool->count * spool->page_size)) != 0) {
        return -1;
    }
    spool->pages[spool->count] = (struct spooled_page){*page, spool->count};
    spool->count++;
    return 0;
}

static bool is_same(const struct spooled_page *a, const struct spooled_page *b)
{
    return a->page.protected == b->page.protected && a->page.id == b->page.id;
}

static int compare(const void *one, const void *other)
{
    const struct spooled_page *a = one;
    const struct spooled_page *b = other;

    if (a->page.protected != b->page.protected) {
        return a->page.protected ? 1 : -1;
    }
    if (a->page.id != b->page.id) {
        return a->page.id < b->page.id ? -1 : 1;
    }
    return (a->place > b->place) - (a->place < b->place);
}

void spool_sort(struct spool *spool)
{
    size_t kept = 0;

    if (spool->count == 0) {
        return;
    }
    qsort(spool->pages, spool->count, sizeof *spool->pages, compare);
    for (size_t i = 1; i < spool->count; i++) {
        if (!is_same(&spool->pages[i], &spool->pages[kept])) {
            kept++;
        }
        spool->pages[kept] = spool->pages[i];
    }
    spool->count = kept + 1;
}

int spool_read(void *content, const struct spool *spool, const struct spooled_page *page)
{
    unsigned char *to = content;
    size_t filled = 0;

    while (filled < spool->page_size) {
        off_t at = (off_t)(page->place * spool->page_size + filled);
        ssize_t got = pread(spool->fd, to + filled, spool->page_size - filled, at);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? EIO : errno;
            return -1;
        }
        filled += (size_t)got;
    }
    return 0;
}

void spool_end(struct spool *spool)
{
    if (spool->fd >= 0) {
        (void)close(spool->fd);
    }
    free(spool->pages);
}
