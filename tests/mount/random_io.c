/* SPDX-License-Identifier: MIT */
/*
 * Random I/O on one file, compared with memory at every step, in the manner of fsx:
 *
 *     random_io FILE OPERATIONS SEED [private]
 *
 * The file has a fixed size; truncating only zeroes from there on. With `private` it is never
 * mapped shared and writable, as protected pages cannot be. On a difference prints what it did
 * last.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *path;
static int fd;
static size_t size;
static unsigned char *model, *seen;
static uint64_t state;
static bool shared_maps = true;

/* What was done last, for a report. */
#define LAST 12
static struct {
    const char *what;
    size_t offset, length;
} last[LAST];
static unsigned long done;

static void note(const char *what, size_t offset, size_t length)
{
    last[done % LAST].what = what;
    last[done % LAST].offset = offset;
    last[done % LAST].length = length;
    done++;
}

static void fail(void)
{
    for (unsigned long i = done < LAST ? 0 : done - LAST; i < done; i++)
        (void)fprintf(stderr, "  %s of %zu bytes at %zu\n", last[i % LAST].what,
                      last[i % LAST].length, last[i % LAST].offset);
    exit(1);
}

static void check(bool fine, const char *what, size_t offset, size_t length)
{
    if (fine)
        return;
    (void)fprintf(stderr, "%s: %s of %zu bytes at %zu went wrong: %s\n", path, what, length, offset,
                  strerror(errno));
    fail();
}

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void compare(const char *what, size_t offset, size_t length)
{
    for (size_t i = offset; i < offset + length; i++) {
        if (seen[i] == model[i])
            continue;
        (void)fprintf(stderr, "%s: %s of %zu bytes at %zu: byte %zu is %02x instead of %02x\n",
                      path, what, length, offset, i, seen[i], model[i]);
        fail();
    }
}

static void read_some(size_t offset, size_t length)
{
    note("read", offset, length);
    check(pread(fd, seen + offset, length, (off_t)offset) == (ssize_t)length, "read", offset,
          length);
    compare("read", offset, length);
}

static void write_some(size_t offset, size_t length)
{
    unsigned char byte = (unsigned char)draw(255);

    note("write", offset, length);
    for (size_t i = 0; i < length; i++)
        model[offset + i] = (unsigned char)(byte + i % 13);
    check(pwrite(fd, model + offset, length, (off_t)offset) == (ssize_t)length, "write", offset,
          length);
}

static void truncate_some(size_t offset)
{
    note("truncate", offset, 0);
    memset(model + offset, 0, size - offset);
    check(ftruncate(fd, (off_t)offset) == 0, "truncate", offset, 0);
}

static void map_some(size_t offset, size_t length, bool writable)
{
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    unsigned char *map;
    struct stat st;

    /* After a truncation the kernel believes the file to be short until somebody asks. */
    check(fstat(fd, &st) == 0 && (size_t)st.st_size == size, "fstat", 0, size);
    map = mmap(NULL, size, protection, shared_maps ? MAP_SHARED : MAP_PRIVATE, fd, 0);

    note(writable ? "mapped write" : "mapped read", offset, length);
    check(map != MAP_FAILED, "map", 0, size);
    if (writable) {
        memset(map + offset, (int)draw(255), length);
        memcpy(model + offset, map + offset, length);
        check(msync(map, size, MS_SYNC) == 0, "msync", 0, size);
    } else {
        memcpy(seen + offset, map + offset, length);
        compare("mapped read", offset, length);
    }
    check(munmap(map, size) == 0, "unmap", 0, size);
}

static void reopen(void)
{
    struct stat st;

    note("reopening", 0, 0);
    check(close(fd) == 0, "close", 0, 0);
    fd = open(path, O_RDWR);
    check(fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size == size, "open", 0, 0);
    read_some(0, size);
}

static void step(void)
{
    size_t offset = draw(size);
    size_t length = draw(size - offset) + 1;
    unsigned choice = (unsigned)draw(1000);

    if (size > 65536 && draw(10) != 0)
        length = length % 4096 + 1 > size - offset ? size - offset : length % 4096 + 1;
    if (choice < 450)
        read_some(offset, length);
    else if (choice < 900)
        write_some(offset, length);
    else if (choice < 950)
        truncate_some(offset);
    else if (choice < 970)
        map_some(offset, length, false);
    else if (choice < 990 && shared_maps)
        map_some(offset, length, true);
    else if (choice < 997)
        read_some(0, size);
    else if (choice < 999)
        note("fsync", 0, 0), check(fsync(fd) == 0, "fsync", 0, 0);
    else
        reopen();
}

int main(int argc, char **argv)
{
    struct stat st;
    unsigned long operations;

    if (argc < 4) {
        (void)fprintf(stderr, "usage: %s FILE OPERATIONS SEED [private]\n", argv[0]);
        return 2;
    }
    path = argv[1];
    operations = strtoul(argv[2], NULL, 10);
    state = strtoul(argv[3], NULL, 10) * UINT64_C(0x9E3779B97F4A7C15) + 1;
    shared_maps = argc < 5;
    fd = open(path, O_RDWR);
    check(fd >= 0 && fstat(fd, &st) == 0, "open", 0, 0);
    size = (size_t)st.st_size;
    model = calloc(2, size);
    check(model != NULL, "memory", 0, size);
    seen = model + size;
    check(pread(fd, model, size, 0) == (ssize_t)size, "read", 0, size);
    for (unsigned long i = 0; i < operations; i++)
        step();
    reopen();
    check(close(fd) == 0, "close", 0, 0);
    free(model);
    return 0;
}
