/* SPDX-License-Identifier: MIT */
/* For the tests of format 1: files of it, and their bytes. */
#ifndef FORMAT_1_FILE_H
#define FORMAT_1_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "format_1/state.h"
#include "pager/open.h"

static const uint32_t page_sizes[] = {1024, 2048, 4096, 8192, 65536};
#define PAGE_SIZES (sizeof(page_sizes) / sizeof(page_sizes[0]))

static char directory[] = "/tmp/format-1-XXXXXX";
static char path[64];

/* Nothing here is about power failures, so nothing needs to wait for a disk. */
static struct io quick;

static inline int no_sync(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

static inline int begin(void **state)
{
    (void)state;
    quick = mpgi_io_system;
    quick.fdatasync = no_sync;
    quick.pwritev = NULL; /* so that all that is written goes through pwrite */
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/file.mpp", directory);
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(directory);
}

static inline mpg_pager *make(uint32_t page_size)
{
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;

    options.page_size = page_size;
    options.format = MPG_FORMAT_1;
    options.label = "a label";
    options.flags = MPG_SPARSE;
    (void)unlink(path);
    assert_int_equal(mpgi_create_with(&pager, path, &options, &quick, NULL), 0);
    return pager;
}

static inline int try_open(mpg_pager **pager, bool read_only)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_SPARSE;
    return mpgi_open_with(pager, path, &options, read_only, &quick, NULL);
}

static inline mpg_pager *open_again(mpg_pager *pager)
{
    if (pager != NULL)
        assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(try_open(&pager, false), 0);
    return pager;
}

static inline void print_fault(void *context, const mpg_fault *fault)
{
    (void)context;
    print_message("fault %d, page %" PRIu64 ": %s\n", fault->code, fault->page, fault->message);
}

static inline void assert_sound(const mpg_pager *pager)
{
    mpg_check_result result;

    assert_int_equal(
        mpg_check(&result, pager,
                  &(mpg_check_options){.size = sizeof(mpg_check_options), .report = print_fault}),
        0);
    assert_int_equal(result.faults, 0);
}

static inline ssize_t lost_pwrite(void *context, int fd, const void *data, size_t length,
                                  uint64_t offset)
{
    (void)context;
    (void)fd;
    (void)data;
    (void)offset;
    return (ssize_t)length;
}

/*
 * Ends a pager as a crash would: the file does not learn that it was closed; which closing may find
 * out.
 */
static inline void die(mpg_pager *pager)
{
    int result;

    quick.pwrite = lost_pwrite;
    result = mpg_close(pager);
    assert_true(result == 0 || result == MPG_E_CHANGED);
    quick.pwrite = mpgi_io_system.pwrite;
}

static inline struct mpg_stat stat_of(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, pager), 0);
    return st;
}

static inline mpg_page_id page_id(uint64_t value)
{
    return (mpg_page_id){value};
}

static inline mpg_protected_id protected_id(uint64_t value)
{
    return (mpg_protected_id){value};
}

/* Commits a content of one repeated byte. */
static inline void write_protected(mpg_pager *pager, uint64_t id, int byte)
{
    mpg_writer *writer;

    assert_int_equal(mpg_writer_open(&writer, pager, protected_id(id)), 0);
    memset(mpg_writer_data(writer), byte, mpg_page_size(pager));
    assert_int_equal(mpg_writer_commit(writer), 0);
}

static inline int first_byte(const mpg_pager *pager, uint64_t id)
{
    unsigned char *data = malloc(mpg_page_size(pager));
    int byte;

    assert_non_null(data);
    assert_int_equal(mpg_protected_read(data, pager, protected_id(id)), 0);
    byte = data[0];
    for (size_t i = 0; i < mpg_page_size(pager); i++)
        assert_int_equal(data[i], byte);
    free(data);
    return byte;
}

/* ---- Bytes of the file --------------------------------------------------------------------- */

static inline void read_at(void *data, size_t length, uint64_t offset)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, data, length, (off_t)offset), length);
    assert_int_equal(close(fd), 0);
}

static inline void write_at(const void *data, size_t length, uint64_t offset)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, length, (off_t)offset), length);
    assert_int_equal(close(fd), 0);
}

static inline void flip_at(uint64_t offset)
{
    unsigned char byte;

    read_at(&byte, 1, offset);
    byte ^= 0x10;
    write_at(&byte, 1, offset);
}

/* The page that holds the root of the newest commit. */
static inline unsigned newest_root_page(uint32_t page_size)
{
    unsigned char generation[2][8];

    for (unsigned i = 0; i < 2; i++)
        read_at(generation[i], 8, (uint64_t)(i + 1) * page_size + NODE_GENERATION);
    return get_u64(generation[1]) > get_u64(generation[0]) ? 2 : 1;
}

/*
 * Where what makes the newest commit count is: the last record of the chain, or the newest root
 * where none follows it. A byte of it that its checksum covers.
 */
static inline uint64_t newest_mark(uint32_t page_size)
{
    uint64_t at = (uint64_t)newest_root_page(page_size) * page_size;
    unsigned char head[RECORD_BODY], root[8];
    uint64_t generation;
    struct stat st;

    read_at(root, 8, at + NODE_GENERATION);
    generation = get_u64(root);
    assert_int_equal(stat(path, &st), 0);
    for (uint64_t offset = 3 * (uint64_t)page_size; offset < (uint64_t)st.st_size;
         offset += page_size) {
        read_at(head, sizeof(head), offset);
        if (memcmp(head, TYPE_RECORD, TYPE_SIZE) != 0 ||
            get_u64(head + RECORD_GENERATION) <= generation)
            continue;
        generation = get_u64(head + RECORD_GENERATION);
        at = offset;
    }
    return at + RECORD_TOTAL;
}

/* ---- A commit ------------------------------------------------------------------------------ */

/*
 * A file whose last commit changed protected page 0 from 1 to 2; by a root, or by a record where
 * there is room.
 */
static inline void make_committed_by(uint32_t page_size, bool tall, bool by_root)
{
    mpg_pager *pager = make(page_size);
    mpg_protected_id id;

    if (tall) {
        assert_int_equal(mpg_alloc_protected_at(pager, protected_id(500)), 0);
        assert_int_equal(mpg_alloc_at(pager, page_id(100000), 0), 0);
    }
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    write_protected(pager, 0, 1);
    if (by_root) /* as the first commit after opening is */
        pager = open_again(pager);
    write_protected(pager, 0, 2);
    die(pager);
}

static inline void make_committed(uint32_t page_size, bool tall)
{
    make_committed_by(page_size, tall, false);
}

#endif
