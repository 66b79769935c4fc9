/* SPDX-License-Identifier: MIT */
/*
 * Random I/O on one file, compared with memory at every step, in the manner of fsx:
 *
 *     random_io FILE OPERATIONS SEED [protected]
 *
 * The file has a fixed size; truncating only zeroes from there on. With `protected` it is never
 * mapped shared and writable, as protected pages cannot be; and what sendfile(2) and private maps
 * show is what was committed last. A second descriptor looks on, and sees that always. On a
 * difference prints what it did last.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *path;
static int fd;
static int onlooker;     /* another descriptor, which only reads */
static int pipe_ends[2]; /* to splice through */
static int plain = -1;   /* a plain file, to send to */
static size_t size;
static unsigned char *model, *seen;
static unsigned char *committed; /* what others see: of a protected page the last commit */
static uint64_t state;
static bool protected;

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

static void compare_with(const unsigned char *wanted, const char *what, size_t offset,
                         size_t length)
{
    for (size_t i = offset; i < offset + length; i++) {
        if (seen[i] == wanted[i])
            continue;
        (void)fprintf(stderr, "%s: %s of %zu bytes at %zu: byte %zu is %02x instead of %02x\n",
                      path, what, length, offset, i, seen[i], wanted[i]);
        fail();
    }
}

static void compare(const char *what, size_t offset, size_t length)
{
    compare_with(model, what, offset, length);
}

/* What was written is everybody's to see now. */
static void commit(void)
{
    if (committed != model)
        memcpy(committed, model, size);
}

/* After a truncation the kernel believes the file to be short until somebody asks. */
static void ask_for_size(void)
{
    struct stat st;

    check(fstat(fd, &st) == 0 && (size_t)st.st_size == size, "fstat", 0, size);
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

    ask_for_size();
    map = mmap(NULL, size, protection, protected ? MAP_PRIVATE : MAP_SHARED, fd, 0);

    note(writable ? "mapped write" : "mapped read", offset, length);
    check(map != MAP_FAILED, "map", 0, size);
    if (writable) {
        memset(map + offset, (int)draw(255), length);
        memcpy(model + offset, map + offset, length);
        check(msync(map, size, MS_SYNC) == 0, "msync", 0, size);
    } else {
        memcpy(seen + offset, map + offset, length);
        compare_with(protected ? committed : model, "mapped read", offset, length);
    }
    check(munmap(map, size) == 0, "unmap", 0, size);
}

/* What the onlooker, or we, take by sendfile(2), or by splice(2). */
static void send_some(size_t offset, size_t length, bool ours, bool spliced)
{
    const char *what =
        spliced ? (ours ? "splice" : "others' splice") : (ours ? "sendfile" : "others' sendfile");
    off_t from = (off_t)offset;
    size_t done_here = 0;

    note(what, offset, length);
    ask_for_size();
    check(ftruncate(plain, 0) == 0 && lseek(plain, 0, SEEK_SET) == 0, "the plain file", 0, 0);
    while (done_here < length) {
        ssize_t part;

        if (spliced) {
            part = splice(ours ? fd : onlooker, &from, pipe_ends[1], NULL,
                          length - done_here < 4096 ? length - done_here : 4096, 0);
            if (part > 0)
                part = read(pipe_ends[0], seen + offset + done_here, (size_t)part);
        } else {
            part = sendfile(plain, ours ? fd : onlooker, &from, length - done_here);
            if (part > 0)
                part = pread(plain, seen + offset + done_here, (size_t)part, (off_t)done_here);
        }
        check(part > 0, what, offset, length);
        done_here += (size_t)part;
    }
    compare_with(committed, what, offset, length);
}

static void look_on(size_t offset, size_t length)
{
    note("others' read", offset, length);
    check(pread(onlooker, seen + offset, length, (off_t)offset) == (ssize_t)length, "others' read",
          offset, length);
    compare_with(committed, "others' read", offset, length);
}

/* Copies within the page, to what lies wholly before or behind. */
static void copy_some(size_t offset, size_t length)
{
    off_t from, to;

    if (length > size / 2)
        length = size / 2;
    if (offset + length > size - length) {
        from = (off_t)offset;
        to = (off_t)draw(offset >= length ? offset - length + 1 : 1);
        if (offset < length)
            return;
    } else {
        from = (off_t)offset;
        to = (off_t)(offset + length + draw(size - offset - 2 * length + 1));
    }
    note("copy from", (size_t)from, length);
    note("copy to", (size_t)to, length);
    ask_for_size();
    memmove(model + to, model + from, length);
    while (length > 0) {
        ssize_t part = copy_file_range(fd, &from, fd, &to, length, 0);

        check(part > 0, "copy", (size_t)from, length);
        length -= (size_t)part;
    }
}

static void reopen(void)
{
    struct stat st;

    note("reopening", 0, 0);
    check(close(fd) == 0, "close", 0, 0);
    commit();
    fd = open(path, O_RDWR);
    check(fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size == size, "open", 0, 0);
    look_on(0, size);
    read_some(0, size);
}

static void step(void)
{
    size_t offset = draw(size);
    size_t length = draw(size - offset) + 1;
    unsigned choice = (unsigned)draw(1000);

    if (size > 65536 && draw(10) != 0)
        length = length % 4096 + 1 > size - offset ? size - offset : length % 4096 + 1;
    if (choice < 400)
        read_some(offset, length);
    else if (choice < 800)
        write_some(offset, length);
    else if (choice < 850)
        truncate_some(offset);
    else if (choice < 900)
        copy_some(offset, length);
    else if (choice < 920)
        map_some(offset, length, false);
    else if (choice < 940 && !protected)
        map_some(offset, length, true);
    else if (choice < 960)
        send_some(offset, length, draw(2) != 0, false);
    else if (choice < 980)
        send_some(offset, length, draw(2) != 0, true);
    else if (choice < 993)
        look_on(offset, length);
    else if (choice < 997)
        read_some(0, size);
    else if (choice < 999)
        note("fsync", 0, 0), check(fsync(fd) == 0, "fsync", 0, 0), commit();
    else
        reopen();
}

int main(int argc, char **argv)
{
    struct stat st;
    unsigned long operations;

    if (argc < 4) {
        (void)fprintf(stderr, "usage: %s FILE OPERATIONS SEED [protected]\n", argv[0]);
        return 2;
    }
    path = argv[1];
    operations = strtoul(argv[2], NULL, 10);
    state = strtoul(argv[3], NULL, 10) * UINT64_C(0x9E3779B97F4A7C15) + 1;
    protected = argc >= 5;
    fd = open(path, O_RDWR);
    onlooker = open(path, O_RDONLY);
    plain = open("random_io.plain", O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0 && onlooker >= 0 && plain >= 0 && fstat(fd, &st) == 0, "open", 0, 0);
    check(pipe(pipe_ends) == 0, "pipe", 0, 0);
    size = (size_t)st.st_size;
    model = calloc(3, size);
    check(model != NULL, "memory", 0, size);
    seen = model + size;
    committed = protected ? seen + size : model;
    check(pread(fd, model, size, 0) == (ssize_t)size, "read", 0, size);
    commit();
    for (unsigned long i = 0; i < operations; i++)
        step();
    reopen();
    check(close(fd) == 0, "close", 0, 0);
    free(model);
    return 0;
}
