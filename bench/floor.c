/* SPDX-License-Identifier: MIT */
/*
 * The floor: what the disk does, with no page file about. One pwrite of 4 KiB at a random page and
 * one fdatasync, on a file of 64 MiB whose every page was written and synced before the clock
 * starts. (Space that is only reserved would cost a change of metadata at its first write, and so a
 * second one to the journal.)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "library.h"

#define FLOOR_PAGES 16384u

char *fresh_path(const struct place *place, const char *name)
{
    size_t size = strlen(place->directory) + strlen(name) + 2;
    char *path = must_alloc(size);

    (void)snprintf(path, size, "%s/%s", place->directory, name);
    (void)unlink(path);
    return path;
}

struct floor_file {
    int fd;
    char *path;
    uint64_t random;
    unsigned char page[PAGE_SIZE_USED];
    unsigned char piece[16 * PAGE_SIZE_USED];
};

struct floor_file *floor_open(const struct place *place)
{
    struct floor_file *floor = must_alloc(sizeof(*floor));

    floor->path = fresh_path(place, "floor");
    floor->fd = open(floor->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (floor->fd < 0)
        die_errno(floor->path);
    memset(floor->page, 0x5a, sizeof(floor->page));
    for (unsigned i = 0; i < FLOOR_PAGES; i++)
        if (pwrite(floor->fd, floor->page, PAGE_SIZE_USED, (off_t)i * PAGE_SIZE_USED) !=
            PAGE_SIZE_USED)
            die_errno("pwrite");
    if (fsync(floor->fd) != 0)
        die_errno("fsync");
    return floor;
}

void floor_write(struct floor_file *floor, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++) {
        uint64_t page = next_random(&floor->random) % FLOOR_PAGES;

        memcpy(floor->page, &page, sizeof(page));
        if (pwrite(floor->fd, floor->page, PAGE_SIZE_USED, (off_t)(page * PAGE_SIZE_USED)) !=
            PAGE_SIZE_USED)
            die_errno("pwrite");
    }
    if (fdatasync(floor->fd) != 0)
        die_errno("fdatasync");
}

void floor_write_piece(struct floor_file *floor, unsigned pages)
{
    uint64_t page = next_random(&floor->random) % (FLOOR_PAGES - pages);
    size_t length = (size_t)pages * PAGE_SIZE_USED;

    memcpy(floor->piece, &page, sizeof(page));
    if (pwrite(floor->fd, floor->piece, length, (off_t)(page * PAGE_SIZE_USED)) != (ssize_t)length)
        die_errno("pwrite");
    if (fdatasync(floor->fd) != 0)
        die_errno("fdatasync");
}

void floor_run(void *context, unsigned operations)
{
    for (unsigned i = 0; i < operations; i++)
        floor_write(context, 1);
}

void floor_close(struct floor_file *floor)
{
    (void)close(floor->fd);
    (void)unlink(floor->path);
    free(floor->path);
    free(floor);
}
