/* SPDX-License-Identifier: MIT */
/*
 * One kind of work on a mounted directory, timed: prints nanoseconds an operation.
 *
 *     mount_client list DIR                        read the directory DIR
 *     mount_client list-stat DIR                   … and stat each entry
 *     mount_client read DIR FIRST COUNT SIZE       open, read, close files FIRST, FIRST + 1, …
 *     mount_client drop-read DIR FIRST COUNT SIZE  the same, their cached content dropped before
 *     mount_client write DIR FIRST COUNT SIZE      open, write the whole of it, close
 *     mount_client page-read FILE COUNT            read a page of an open file again and again
 *     mount_client page-write FILE COUNT           …
 *     mount_client create DIR FIRST COUNT CLIENTS  create and close, by several processes at once
 *     mount_client unlink DIR FIRST COUNT CLIENTS
 *     mount_client commit DIR FIRST COUNT CLIENTS  open, write a page, close, in random order
 *     mount_client floor DIR COUNT PAUSE           what the disk does (see floor.c), with so many
 *                                                  nanoseconds before each, not counted
 *
 * and what makes the files for it, without a time:
 *
 *     mount_client tree DIR FIRST COUNT SIZE       plain files
 *     mount_client make FILE SIZE PAGES PROTECTED SPARE CONTENT
 *                                                  a page file; the first CONTENT pages and all
 *                                                  protected ones are written; the SPARE ids behind
 *                                                  the pages are free, and were never written
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "library.h"

#define PAGE 4096

static unsigned char buffer[1 << 20];

/* The words after the name of the work. */
struct task {
    char *const *words;
    const char *path;
    uint64_t first, count, last; /* numbers 2, 3 and 4, as far as they are there */
    uint64_t size;
};

static void name_of(char name[24], uint64_t id)
{
    (void)snprintf(name, 24, "%llu", (unsigned long long)id);
}

static int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        die_errno(path);
    return fd;
}

static void print_time(uint64_t begin, uint64_t operations)
{
    printf("%.1f\n", (double)(now_ns() - begin) / (double)operations);
}

/* ---- listing ---- */

static void list(const char *path, bool look)
{
    uint64_t begin = now_ns(), entries = 0;
    DIR *directory = opendir(path);
    const struct dirent *entry;
    struct stat st;

    if (directory == NULL)
        die_errno(path);
    while ((entry = readdir(directory)) != NULL) {
        if (look && fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            die_errno(entry->d_name);
        entries++;
    }
    (void)closedir(directory);
    print_time(begin, entries);
}

static void do_list(const struct task *task)
{
    list(task->path, false);
}

static void do_list_stat(const struct task *task)
{
    list(task->path, true);
}

/* ---- files ---- */

static int open_file(int directory, uint64_t id, int flags)
{
    char name[24];
    int fd;

    name_of(name, id);
    fd = openat(directory, name, flags | O_CLOEXEC, 0644);
    if (fd < 0)
        die_errno(name);
    return fd;
}

/*
 * Opens the first file from *id on that is there, and moves *id past it: here and there an id
 * belongs to the page file's own metadata.
 */
static int open_next(int directory, uint64_t *id, int flags)
{
    for (int tries = 0; tries < 1000; tries++) {
        char name[24];
        int fd;

        name_of(name, (*id)++);
        fd = openat(directory, name, flags | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        if (errno != ENOENT)
            die_errno(name);
    }
    die_errno("no file of this number or the next ones");
}

static void read_file(int fd, uint64_t size)
{
    for (uint64_t at = 0; at < size;) {
        ssize_t got = read(fd, buffer, sizeof(buffer));

        if (got <= 0)
            die_errno("read");
        at += (uint64_t)got;
    }
}

static void write_file(int fd, uint64_t size)
{
    for (uint64_t at = 0; at < size;) {
        size_t most = size - at < sizeof(buffer) ? (size_t)(size - at) : sizeof(buffer);
        ssize_t put = write(fd, buffer, most);

        if (put <= 0)
            die_errno("write");
        at += (uint64_t)put;
    }
}

static void close_file(int fd)
{
    if (close(fd) != 0)
        die_errno("close");
}

static void do_read(const struct task *task)
{
    int directory = open_directory(task->path);
    uint64_t id = task->first;
    uint64_t begin = now_ns();

    for (uint64_t i = 0; i < task->count; i++) {
        int fd = open_next(directory, &id, O_RDONLY);

        read_file(fd, task->size);
        close_file(fd);
    }
    print_time(begin, task->count);
}

static void do_drop_read(const struct task *task)
{
    int directory = open_directory(task->path);
    uint64_t id = task->first;

    for (uint64_t i = 0; i < task->count; i++) {
        int fd = open_next(directory, &id, O_RDONLY);

        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close_file(fd);
    }
    (void)close(directory);
    do_read(task);
}

static void do_write(const struct task *task)
{
    int directory = open_directory(task->path);
    uint64_t id = task->first;
    uint64_t begin = now_ns();

    for (uint64_t i = 0; i < task->count; i++) {
        int fd = open_next(directory, &id, O_WRONLY);

        write_file(fd, task->size);
        close_file(fd);
    }
    print_time(begin, task->count);
}

static void do_page_read(const struct task *task)
{
    int fd = open(task->path, O_RDONLY | O_CLOEXEC);
    uint64_t begin = now_ns();

    for (uint64_t i = 0; i < task->first; i++)
        if (pread(fd, buffer, PAGE, 0) != PAGE)
            die_errno(task->path);
    print_time(begin, task->first);
}

static void do_page_write(const struct task *task)
{
    int fd = open(task->path, O_WRONLY | O_CLOEXEC);
    uint64_t begin = now_ns();

    for (uint64_t i = 0; i < task->first; i++)
        if (pwrite(fd, buffer, PAGE, 0) != PAGE)
            die_errno(task->path);
    print_time(begin, task->first);
}

/* ---- several clients at once ---- */

typedef void (*work)(int directory, uint64_t first, uint64_t count, uint64_t seed);

static void create_files(int directory, uint64_t first, uint64_t count, uint64_t seed)
{
    (void)seed;
    for (uint64_t i = 0; i < count; i++)
        close_file(open_file(directory, first + i, O_WRONLY | O_CREAT | O_EXCL));
}

static void unlink_files(int directory, uint64_t first, uint64_t count, uint64_t seed)
{
    char name[24];

    (void)seed;
    for (uint64_t i = 0; i < count; i++) {
        name_of(name, first + i);
        if (unlinkat(directory, name, 0) != 0)
            die_errno(name);
    }
}

static void commit_files(int directory, uint64_t first, uint64_t count, uint64_t seed)
{
    for (uint64_t i = 0; i < count; i++) {
        int fd = open_file(directory, first + next_random(&seed) % count, O_WRONLY);

        memset(buffer, (int)i, PAGE);
        write_file(fd, PAGE);
        close_file(fd);
    }
}

/* Lets `clients` processes do their share each; they begin when the pipe is closed. */
static void share(const struct task *task, work job)
{
    uint64_t clients = task->last > 0 ? task->last : 1, each = task->count / clients, begin;
    int gate[2], failed = 0;
    char byte;

    if (pipe(gate) != 0)
        die_errno("pipe");
    for (uint64_t client = 0; client < clients; client++) {
        pid_t pid = fork();

        if (pid < 0)
            die_errno("fork");
        if (pid == 0) {
            int directory = open_directory(task->path);

            (void)close(gate[1]);
            if (read(gate[0], &byte, 1) == 0)
                job(directory, task->first + client * each, each, client + 1);
            _exit(0);
        }
    }
    (void)usleep(20000);
    begin = now_ns();
    (void)close(gate[1]);
    for (uint64_t client = 0; client < clients; client++) {
        int status;

        if (wait(&status) < 0 || status != 0)
            failed = 1;
    }
    if (failed)
        exit(1);
    print_time(begin, each * clients);
}

static void do_create(const struct task *task)
{
    share(task, create_files);
}

static void do_unlink(const struct task *task)
{
    share(task, unlink_files);
}

static void do_commit(const struct task *task)
{
    share(task, commit_files);
}

static void do_floor(const struct task *task)
{
    struct place place = {.directory = task->path};
    struct floor_file *floor = floor_open(&place);
    const uint64_t pause = task->count;
    uint64_t taken = 0;

    for (uint64_t i = 0; i < task->first; i++) {
        uint64_t begin = now_ns();

        while (now_ns() - begin < pause) {
            /* the pause is not counted; the processor goes on, as it does on a mount */
        }
        begin = now_ns();
        floor_run(floor, 1);
        taken += now_ns() - begin;
    }
    printf("%.1f\n", (double)taken / (double)task->first);
    floor_close(floor);
}

/* ---- making files ---- */

static void do_tree(const struct task *task)
{
    int directory = open_directory(task->path);

    for (uint64_t i = 0; i < task->count; i++) {
        int fd = open_file(directory, task->first + i, O_WRONLY | O_CREAT | O_EXCL);

        write_file(fd, task->size);
        close_file(fd);
    }
    if (syncfs(directory) != 0)
        die_errno("syncfs");
}

static void make_protected(mpg_pager *pager, uint64_t count)
{
    mpg_protected_id *ids = must_alloc((count + 1) * sizeof(*ids));
    mpg_txn *txn;

    must(mpg_alloc_protected_bulk(ids, pager, count), "alloc_protected_bulk");
    for (int copy = 0; copy < 2; copy++) {
        must(mpg_txn_begin(&txn, pager), "txn_begin");
        for (uint64_t i = 0; i < count; i++)
            must(mpg_txn_protected_write(txn, ids[i], buffer, 0, mpg_page_size(pager)),
                 "txn_protected_write");
        must(mpg_txn_commit(txn, 0), "txn_commit");
    }
    free(ids);
}

static void do_make(const struct task *task)
{
    mpg_options options = MPG_OPTIONS_INIT;
    uint64_t pages = task->count, protected = task->last;
    uint64_t spare = strtoull(task->words[4], NULL, 10);
    uint64_t content = strtoull(task->words[5], NULL, 10);
    mpg_page_id *ids = must_alloc((pages + spare + 1) * sizeof(*ids));
    mpg_pager *pager;

    options.page_size = (uint32_t)task->first;
    options.initial_pages = pages + 2 * protected + spare + 64;
    options.flags = content < pages ? MPG_SPARSE : 0;
    must(mpg_create(&pager, task->path, &options), "create");
    /* Contents of protected pages may go to any page that is free: they get theirs before. */
    must(mpg_alloc_bulk(ids, pager, pages + spare, 0), "alloc_bulk");
    for (uint64_t i = 0; i < content; i++)
        must(mpg_page_write(pager, ids[i], buffer, 0, options.page_size), "page_write");
    if (protected > 0)
        make_protected(pager, protected);
    must(mpg_free_bulk(pager, ids + pages, spare), "free_bulk");
    must(mpg_sync(pager), "sync");
    must(mpg_close(pager), "close");
    free(ids);
}

static const struct {
    const char *name;
    void (*run)(const struct task *task);
    int words; /* how many there must be after the name */
} works[] = {
    {"list", do_list, 1},
    {"list-stat", do_list_stat, 1},
    {"read", do_read, 4},
    {"drop-read", do_drop_read, 4},
    {"write", do_write, 4},
    {"page-read", do_page_read, 2},
    {"page-write", do_page_write, 2},
    {"create", do_create, 4},
    {"unlink", do_unlink, 4},
    {"commit", do_commit, 4},
    {"floor", do_floor, 3},
    {"tree", do_tree, 4},
    {"make", do_make, 6},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 2 && i < sizeof(works) / sizeof(works[0]); i++) {
        struct task task = {.words = argv + 2, .path = argv[2]};

        if (strcmp(works[i].name, argv[1]) != 0 || works[i].words != argc - 2)
            continue;
        task.first = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
        task.count = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
        task.last = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
        task.size = task.last;
        memset(buffer, 0x5a, sizeof(buffer));
        works[i].run(&task);
        return 0;
    }
    fprintf(stderr, "usage: mount_client WORK PATH NUMBER…, see the source\n");
    return 2;
}
