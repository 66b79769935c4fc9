/* SPDX-License-Identifier: MIT */
/*
 * Format 1 at the edges of its trees: trees that grow in height, at every size of node and pair;
 * roots, nodes and contents that a crash left unfinished; generations that run out; features of the
 * future.
 */
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

static int no_sync(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

static int begin(void **state)
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

static int end(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(directory);
}

static mpg_pager *make(uint32_t page_size)
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

static int try_open(mpg_pager **pager, bool read_only)
{
    mpg_options options = MPG_OPTIONS_INIT;

    options.flags = MPG_SPARSE;
    return mpgi_open_with(pager, path, &options, read_only, &quick, NULL);
}

static mpg_pager *open_again(mpg_pager *pager)
{
    if (pager != NULL)
        assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(try_open(&pager, false), 0);
    return pager;
}

static void print_fault(void *context, const mpg_fault *fault)
{
    (void)context;
    print_message("fault %d, page %" PRIu64 ": %s\n", fault->code, fault->page, fault->message);
}

static void assert_sound(const mpg_pager *pager)
{
    mpg_check_result result;

    assert_int_equal(
        mpg_check(&result, pager,
                  &(mpg_check_options){.size = sizeof(mpg_check_options), .report = print_fault}),
        0);
    assert_int_equal(result.faults, 0);
}

static ssize_t lost_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    (void)context;
    (void)fd;
    (void)data;
    (void)offset;
    return (ssize_t)length;
}

/* Ends a pager as a crash would: the file does not learn that it was closed; which closing may find out. */
static void die(mpg_pager *pager)
{
    int result;

    quick.pwrite = lost_pwrite;
    result = mpg_close(pager);
    assert_true(result == 0 || result == MPG_E_CHANGED);
    quick.pwrite = mpgi_io_system.pwrite;
}

static struct mpg_stat stat_of(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    assert_int_equal(mpg_stat(&st, pager), 0);
    return st;
}

static mpg_page_id page_id(uint64_t value)
{
    return (mpg_page_id){value};
}

static mpg_protected_id protected_id(uint64_t value)
{
    return (mpg_protected_id){value};
}

/* Commits a content of one repeated byte. */
static void write_protected(mpg_pager *pager, uint64_t id, int byte)
{
    mpg_writer *writer;

    assert_int_equal(mpg_writer_open(&writer, pager, protected_id(id)), 0);
    memset(mpg_writer_data(writer), byte, mpg_page_size(pager));
    assert_int_equal(mpg_writer_commit(writer), 0);
}

static int first_byte(const mpg_pager *pager, uint64_t id)
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

static void read_at(void *data, size_t length, uint64_t offset)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, data, length, (off_t)offset), length);
    assert_int_equal(close(fd), 0);
}

static void write_at(const void *data, size_t length, uint64_t offset)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, length, (off_t)offset), length);
    assert_int_equal(close(fd), 0);
}

static void flip_at(uint64_t offset)
{
    unsigned char byte;

    read_at(&byte, 1, offset);
    byte ^= 0x10;
    write_at(&byte, 1, offset);
}

/* The page that holds the root of the newest commit. */
static unsigned newest_root_page(uint32_t page_size)
{
    unsigned char generation[2][8];

    for (unsigned i = 0; i < 2; i++)
        read_at(generation[i], 8, (uint64_t)(i + 1) * page_size + NODE_GENERATION);
    return get_u64(generation[1]) > get_u64(generation[0]) ? 2 : 1;
}

/*
 * Where what makes the newest commit count is: the last record of the chain, or the newest root where none follows it. A byte
 * of it that its checksum covers.
 */
static uint64_t newest_mark(uint32_t page_size)
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

/* ---- Growth -------------------------------------------------------------------------------- */

static void assert_pages(const mpg_pager *pager, const uint64_t *ids, size_t count)
{
    mpg_page_iter iter;
    mpg_page_id id;

    mpg_page_iter_begin(&iter, pager, page_id(0));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(mpg_page_iter_next(&id, &iter), 1);
        assert_int_equal(id.value, ids[i]);
    }
    assert_int_equal(mpg_page_iter_next(&id, &iter), 0);
}

static void new_file_says_what_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        mpg_pager *pager = open_again(make(page_sizes[i]));
        struct mpg_stat st = stat_of(pager);

        assert_int_equal(st.format, MPG_FORMAT_1);
        assert_int_equal(st.version[0], 1);
        assert_int_equal(st.page_size, page_sizes[i]);
        assert_int_equal(st.total_pages, 4);
        assert_int_equal(st.free_pages, 1);
        assert_int_equal(st.metadata_pages, 3);
        assert_int_equal(st.generation, 1);
        assert_string_equal(st.label, "a label");
        assert_true(st.created > 0);
        assert_false(is_zero(st.uuid, sizeof(st.uuid)));
        assert_sound(pager);
        assert_int_equal(mpg_close(pager), 0);
    }
}

/* Ids around each edge: the root's area, a leaf, what one level of references covers. */
static size_t edges_of(uint64_t *ids, uint32_t page_size)
{
    uint32_t node_size = node_size_of(page_size);
    uint64_t area = (uint64_t)root_area_size(node_size) * 4;
    uint64_t leaf = (uint64_t)(node_size - NODE_BODY) * 4;
    uint64_t level = root_area_size(node_size) / REF_SIZE * leaf;
    uint64_t edges[] = {area, leaf, 2 * leaf, level, level + leaf, 3 * level};
    size_t count = 0;

    ids[count++] = 5;
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        ids[count++] = edges[i] - 1;
        ids[count++] = edges[i];
    }
    return count;
}

static void space_tree_grows_by_named_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        mpg_pager *pager = make(page_sizes[i]);
        uint64_t ids[16];
        size_t count = edges_of(ids, page_sizes[i]);

        for (size_t k = 0; k < count; k++) {
            assert_int_equal(mpg_alloc_at(pager, page_id(ids[k]), 0), 0);
            assert_int_equal(mpg_alloc_at(pager, page_id(ids[k]), 0), MPG_E_EXISTS);
            assert_sound(pager);
            pager = open_again(pager);
            assert_pages(pager, ids, k + 1);
        }
        assert_int_equal(stat_of(pager).space_height, 2);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(mpg_free(pager, page_id(ids[k])), 0);
        assert_sound(pager);
        pager = open_again(pager);
        assert_pages(pager, NULL, 0);
        assert_int_equal(stat_of(pager).regular_pages, 0);
        assert_int_equal(mpg_close(pager), 0);
    }
}

/* All in one commit, from nothing to a tree of two levels. */
static void space_tree_grows_by_bulk(void **state)
{
    size_t count = 90000;
    mpg_page_id *ids = malloc(count * sizeof(*ids));
    mpg_pager *pager = make(1024);

    (void)state;
    assert_non_null(ids);
    assert_int_equal(mpg_alloc_bulk(ids, pager, count, 0), 0);
    for (size_t i = 1; i < count; i++)
        assert_true(ids[i].value > ids[i - 1].value);
    assert_int_equal(stat_of(pager).space_height, 2);
    assert_int_equal(stat_of(pager).regular_pages, count);
    assert_sound(pager);
    pager = open_again(pager);
    assert_sound(pager);
    assert_int_equal(mpg_free_bulk(pager, ids, count), 0);
    pager = open_again(pager);
    assert_sound(pager);
    assert_int_equal(stat_of(pager).regular_pages, 0);
    assert_int_equal(mpg_close(pager), 0);
    free(ids);
}

static void space_tree_grows_one_by_one(void **state)
{
    mpg_pager *pager = make(1024);
    uint64_t last = 0;

    (void)state;
    for (int i = 0; i < 9000; i++) {
        mpg_page_id id;

        assert_int_equal(mpg_alloc(&id, pager, 0), 0);
        /* Pages of records come back when they are not needed any more. */
        assert_true(id.value > last || i > 0);
        last = id.value > last ? id.value : last;
    }
    assert_in_range(last, 9002, 9400);
    assert_int_equal(stat_of(pager).space_height, 1);
    pager = open_again(pager);
    assert_sound(pager);
    assert_int_equal(stat_of(pager).regular_pages, 9000);
    assert_int_equal(mpg_close(pager), 0);
}

static void directory_tree_grows_by_named_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        uint32_t node_size = node_size_of(page_sizes[i]);
        uint64_t area = root_area_size(node_size) / ENTRY_SIZE;
        uint64_t leaf = (node_size - NODE_BODY) / ENTRY_SIZE;
        uint64_t level = root_area_size(node_size) / REF_SIZE * leaf;
        uint64_t ids[] = {0,        area - 1,  area,  leaf - 1,         leaf,
                          2 * leaf, level - 1, level, level + leaf - 1, level + 5 * leaf};
        size_t count = sizeof(ids) / sizeof(ids[0]);
        mpg_pager *pager = make(page_sizes[i]);

        for (size_t k = 0; k < count; k++) {
            assert_int_equal(mpg_alloc_protected_at(pager, protected_id(ids[k])), 0);
            write_protected(pager, ids[k], (int)k + 1);
            assert_sound(pager);
            pager = open_again(pager);
            for (size_t j = 0; j <= k; j++)
                assert_int_equal(first_byte(pager, ids[j]), j + 1);
        }
        assert_int_equal(stat_of(pager).directory_height, 2);
        assert_int_equal(stat_of(pager).protected_pages, count);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(mpg_free_protected(pager, protected_id(ids[k])), 0);
        assert_sound(pager);
        pager = open_again(pager);
        assert_int_equal(stat_of(pager).protected_pages, 0);
        assert_sound(pager);
        assert_int_equal(mpg_close(pager), 0);
    }
}

static void protected_ids_are_given_lowest_first(void **state)
{
    mpg_protected_id ids[200], id;
    mpg_pager *pager = make(1024);

    (void)state;
    assert_int_equal(mpg_alloc_protected_bulk(ids, pager, 200), 0);
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(ids[i].value, i);
    assert_int_equal(mpg_free_protected(pager, protected_id(150)), 0);
    assert_int_equal(mpg_free_protected(pager, protected_id(33)), 0);
    pager = open_again(pager);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(id.value, 33);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(id.value, 150);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(id.value, 200);
    assert_sound(pager);
    assert_int_equal(mpg_close(pager), 0);
}

/* Pages of a batch that failed are free again, and so are its nodes. */
static bool full;

static ssize_t failing_pwrite(void *context, int fd, const void *data, size_t length,
                              uint64_t offset)
{
    if (full) {
        errno = EIO;
        return -1;
    }
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

static void failed_commit_leaves_nothing(void **state)
{
    mpg_pager *pager;
    mpg_page_id ids[4000], id;

    (void)state;
    quick.pwrite = failing_pwrite;
    pager = make(1024);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 1000, 0), 0);
    full = true;
    assert_int_not_equal(mpg_alloc_bulk(ids, pager, 4000, 0), 0);
    full = false;
    quick.pwrite = mpgi_io_system.pwrite;
    assert_int_equal(stat_of(pager).regular_pages, 1000);
    assert_int_equal(stat_of(pager).space_height, 0);
    assert_sound(pager);
    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(id.value, 1003);
    assert_int_equal(mpg_alloc_bulk(ids, pager, 4000, 0), 0);
    pager = open_again(pager);
    assert_int_equal(stat_of(pager).regular_pages, 5001);
    assert_sound(pager);
    assert_int_equal(mpg_close(pager), 0);
}

/* ---- Commits that a crash left unfinished -------------------------------------------------- */

/* A file whose last commit changed protected page 0 from 1 to 2; by a root, or by a record where there is room. */
static void make_committed_by(uint32_t page_size, bool tall, bool by_root)
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

static void make_committed(uint32_t page_size, bool tall)
{
    make_committed_by(page_size, tall, false);
}

/* The file shows `byte`, goes on working, and shows it again when it is opened once more. */
static void assert_recovers(int byte)
{
    mpg_pager *pager;
    uint64_t generation;

    assert_int_equal(try_open(&pager, true), 0);
    assert_int_equal(first_byte(pager, 0), byte);
    assert_int_equal(mpg_close(pager), 0);
    pager = open_again(NULL);
    assert_int_equal(first_byte(pager, 0), byte);
    assert_sound(pager);
    pager = open_again(pager);
    assert_int_equal(first_byte(pager, 0), byte);
    generation = stat_of(pager).generation;
    write_protected(pager, 0, 3);
    assert_true(stat_of(pager).generation > generation);
    pager = open_again(pager);
    assert_int_equal(first_byte(pager, 0), 3);
    assert_sound(pager);
    assert_int_equal(mpg_close(pager), 0);
}

static void torn_root_falls_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        make_committed_by(page_sizes[i], false, true);
        assert_int_equal(newest_mark(page_sizes[i]) / page_sizes[i],
                         newest_root_page(page_sizes[i]));
        flip_at((uint64_t)newest_root_page(page_sizes[i]) * page_sizes[i] + 700);
        assert_recovers(1);
    }
}

static void torn_record_falls_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        make_committed(page_sizes[i], true);
        assert_true(newest_mark(page_sizes[i]) / page_sizes[i] > 2);
        flip_at(newest_mark(page_sizes[i]));
        assert_recovers(1);
    }
}

static void torn_content_falls_back(void **state)
{
    mpg_protected_info info;
    mpg_pager *pager;

    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        make_committed_by(page_sizes[i], i % 2 == 0, i % 3 == 0);
        assert_int_equal(try_open(&pager, true), 0);
        assert_int_equal(mpg_protected_stat(&info, pager, protected_id(0)), 0);
        assert_int_equal(mpg_close(pager), 0);
        flip_at((info.page[info.current] + 1) * page_sizes[i] - 1);
        assert_recovers(1);
    }
}

/* The newest root's reference to the first child of the directory tree. */
static void torn_node_falls_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        uint32_t area = root_area_size(node_size_of(page_sizes[i]));
        uint64_t root;
        unsigned char reference[REF_SIZE];

        make_committed_by(page_sizes[i], true, true);
        root = (uint64_t)newest_root_page(page_sizes[i]) * page_sizes[i];
        read_at(reference, sizeof(reference), root + ROOT_AREAS + area);
        flip_at(slot_offset(page_sizes[i], get_u64(reference) / 2, get_u64(reference) % 2) + 99);
        assert_recovers(1);
    }
}

/*
 * A commit whose root says that all was synced before it is not doubted: later damage is an error.
 */
static void damage_after_the_commit_is_reported(void **state)
{
    mpg_protected_info info;
    mpg_protected_id id;
    mpg_pager *pager;
    unsigned char data[4096];

    (void)state;
    make_committed(4096, false);
    pager = open_again(NULL);
    assert_int_equal(mpg_protected_stat(&info, pager, protected_id(0)), 0);
    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(mpg_close(pager), 0);
    flip_at(info.page[info.current] * 4096 + 17);
    pager = open_again(NULL);
    assert_int_equal(mpg_protected_read(data, pager, protected_id(0)), MPG_E_CORRUPT_PAGE);
    assert_int_equal(first_byte(pager, id.value), 0);
    assert_int_equal(mpg_close(pager), 0);
}

/* Closing the file says that its last commit was whole: what goes bad from then on is told. */
static void damage_of_a_closed_file_is_reported(void **state)
{
    mpg_protected_info info;
    mpg_pager *pager;
    unsigned char data[4096];
    uint64_t generation;

    (void)state;
    make_committed(4096, false);
    pager = open_again(NULL);
    write_protected(pager, 0, 9);
    assert_int_equal(mpg_protected_stat(&info, pager, protected_id(0)), 0);
    assert_int_equal(mpg_close(pager), 0);
    flip_at(info.page[info.current] * 4096 + 17);
    pager = open_again(NULL);
    assert_int_equal(mpg_protected_read(data, pager, protected_id(0)), MPG_E_CORRUPT_PAGE);

    /* That is said once: nothing is written where nothing was changed. */
    generation = stat_of(pager).generation;
    pager = open_again(pager);
    assert_int_equal(stat_of(pager).generation, generation);
    assert_int_equal(mpg_close(pager), 0);

    /* The same state is in both roots, so that either may go bad. */
    flip_at(info.page[info.current] * 4096 + 17);
    flip_at((uint64_t)newest_root_page(4096) * 4096 + 700);
    assert_int_equal(try_open(&pager, true), 0);
    assert_int_equal(first_byte(pager, 0), 9);
    assert_int_equal(mpg_close(pager), 0);
}

static void two_bad_roots_are_an_error(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    flip_at(4096 + 60);
    flip_at(2 * 4096 + 60);
    assert_int_equal(try_open(&pager, false), MPG_E_CORRUPT_METADATA);
    assert_int_equal(try_open(&pager, true), MPG_E_CORRUPT_METADATA);
}

static unsigned reads;

static ssize_t counted_pread(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    reads++;
    return mpgi_io_system.pread(context, fd, data, length, offset);
}

/* A reader tries again only where somebody commits. */
static void damage_is_not_looked_at_a_hundred_times(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    flip_at(4096 + 60);
    flip_at(2 * 4096 + 60);
    quick.pread = counted_pread;
    reads = 0;
    assert_int_equal(try_open(&pager, true), MPG_E_CORRUPT_METADATA);
    quick.pread = mpgi_io_system.pread;
    assert_in_range(reads, 3, 60);
}

/* Changes a count of both roots, and makes their checksums fit. */
static void change_count(uint32_t field, int64_t change)
{
    struct node_space space = {.page_size = 4096, .node_size = 4096};
    unsigned char root[4096];

    for (uint64_t page = 1; page <= 2; page++) {
        read_at(root, sizeof(root), page * 4096);
        space.seed = crc_of(root + ROOT_UUID, UUID_SIZE);
        put_u64(root + field, get_u64(root + field) + (uint64_t)change);
        put_u32(root + NODE_CRC, mpgi_node_crc(&space, root));
        write_at(root, sizeof(root), page * 4096);
    }
}

static void counts_are_checked(void **state)
{
    static const uint32_t fields[] = {ROOT_FREE, ROOT_METADATA, ROOT_PROTECTED};
    mpg_check_result result;
    mpg_pager *pager;

    (void)state;
    for (int i = 0; i < 3; i++) {
        pager = make(4096);
        assert_int_equal(mpg_alloc_at(pager, page_id(3), 0), 0);
        assert_int_equal(mpg_alloc_protected_at(pager, protected_id(0)), 0);
        assert_int_equal(mpg_close(pager), 0);
        change_count(fields[i], -1);
        assert_int_equal(try_open(&pager, true), 0);
        assert_int_equal(mpg_check(&result, pager, NULL), 0);
        assert_true(result.faults > 0);
        assert_int_equal(mpg_close(pager), 0);
        change_count(fields[i], 1);
        assert_int_equal(try_open(&pager, true), 0);
        assert_sound(pager);
        assert_int_equal(mpg_close(pager), 0);
        /* More pages than there are. */
        change_count(fields[i], 1000);
        assert_int_equal(try_open(&pager, true), MPG_E_CORRUPT_METADATA);
    }
}

static void file_cut_short_is_an_error(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    assert_int_equal(truncate(path, 5 * 4096), 0);
    assert_int_equal(try_open(&pager, false), MPG_E_TRUNCATED);
}

/* Rule 7: a failed commit uses up a generation, but not the page of the durable root. */
static void commit_after_a_failed_one_spares_the_durable_root(void **state)
{
    mpg_writer *writer;
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    quick.pwrite = failing_pwrite;
    pager = open_again(NULL);
    assert_int_equal(mpg_writer_open(&writer, pager, protected_id(0)), 0);
    full = true;
    assert_int_equal(mpg_writer_commit(writer), MPG_E_IO);
    full = false;
    quick.pwrite = mpgi_io_system.pwrite;
    memset(mpg_writer_data(writer), 7, 4096);
    assert_int_equal(mpg_writer_commit(writer), 0);
    die(pager);
    flip_at(newest_mark(4096));
    assert_recovers(2);
}

/* Each fallback uses up generations; they never come again. */
static void recovery_repeats(void **state)
{
    uint64_t generation = 0;

    (void)state;
    make_committed(4096, false);
    for (int i = 0; i < 5; i++) {
        mpg_pager *pager = open_again(NULL);

        write_protected(pager, 0, 1);
        write_protected(pager, 0, 2);
        assert_true(stat_of(pager).generation > generation);
        generation = stat_of(pager).generation;
        die(pager);
        flip_at(newest_mark(4096));
        assert_recovers(1);
    }
}

/* Later commits would have to have generations that make no sense. */
static void a_root_of_the_last_generations_can_only_be_read(void **state)
{
    struct node_space space = {.node_size = 4096, .page_size = 4096};
    unsigned char superblock[4096], root[4096];
    mpg_pager *pager;
    unsigned page;

    (void)state;
    make_committed_by(4096, false, true);
    page = newest_root_page(4096);
    read_at(superblock, sizeof(superblock), 0);
    read_at(root, sizeof(root), page * UINT64_C(4096));
    space.seed = crc_of(superblock + SB_UUID, UUID_SIZE);
    mpgi_root_finish(&space, root, (UINT64_C(1) << 63) - 2, true);
    write_at(root, sizeof(root), page * UINT64_C(4096));
    assert_int_equal(try_open(&pager, true), 0);
    assert_int_equal(first_byte(pager, 0), 2);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(try_open(&pager, false), MPG_E_CORRUPT_METADATA);
}

static unsigned failing_sync; /* counted from the next sync on, from 1; 0: none */

static int failing_fdatasync(void *context, int fd)
{
    if (failing_sync > 0 && --failing_sync == 0) {
        errno = EIO;
        return -1;
    }
    return mpgi_io_system.fdatasync(context, fd);
}

static void read_roots(unsigned char roots[2][4096])
{
    read_at(roots[0], 4096, 4096);
    read_at(roots[1], 4096, 2 * 4096);
}

/* Rule 6: after a failed sync the next opening must not find what is perhaps in the cache alone. */
static void a_recovery_that_is_not_synced_is_taken_back(void **state)
{
    unsigned char before[2][4096], after[2][4096];
    unsigned durable;
    mpg_pager *pager;

    (void)state;
    for (int i = 1; i <= 4; i++) { /* of what was found, of nodes, of the root, of the second one */
        make_committed_by(4096, false, true);
        durable = 3 - newest_root_page(4096);
        flip_at((uint64_t)(3 - durable) * 4096 + 700);
        read_roots(before);
        quick.fdatasync = failing_fdatasync;
        failing_sync = i;
        assert_int_equal(try_open(&pager, false), MPG_E_IO);
        quick.fdatasync = mpgi_io_system.fdatasync;
        read_roots(after);
        if (i < 4)
            assert_memory_equal(after[durable - 1], before[durable - 1], 4096);
        if (i == 3)
            assert_memory_equal(after[2 - durable], before[durable - 1], 4096);
        assert_recovers(1);
    }
}

static void a_closing_root_that_is_not_synced_is_taken_back(void **state)
{
    unsigned char roots[2][4096];
    uint64_t generation;
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    pager = open_again(NULL);
    write_protected(pager, 0, 5);
    generation = stat_of(pager).generation;
    quick.fdatasync = failing_fdatasync;
    failing_sync = 1;
    assert_int_equal(mpg_close(pager), MPG_E_IO);
    quick.fdatasync = mpgi_io_system.fdatasync;
    read_roots(roots);
    assert_int_equal(get_u64(roots[0] + NODE_GENERATION), generation);
    assert_int_equal(get_u64(roots[1] + NODE_GENERATION), generation);
    assert_recovers(5);
}

/* ---- Page 0 -------------------------------------------------------------------------------- */

static void set_superblock(uint32_t offset, unsigned char value)
{
    unsigned char page[4096];

    read_at(page, sizeof(page), 0);
    page[offset] = value;
    put_u32(page + sizeof(page) - SB_CRC_SIZE, crc_of(page, sizeof(page) - SB_CRC_SIZE));
    write_at(page, sizeof(page), 0);
}

static void features_of_the_future(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    set_superblock(SB_FEATURES, 1);
    pager = open_again(NULL);
    assert_int_equal(stat_of(pager).features[0], 1);
    assert_int_equal(mpg_close(pager), 0);
    set_superblock(SB_FEATURES + 8, 1);
    assert_int_equal(try_open(&pager, false), MPG_E_READ_ONLY);
    assert_int_equal(try_open(&pager, true), 0);
    assert_int_equal(first_byte(pager, 0), 2);
    assert_int_equal(mpg_close(pager), 0);
    set_superblock(SB_FEATURES + 16 + 7, 0x80);
    assert_int_equal(try_open(&pager, false), MPG_E_UNSUPPORTED_VERSION);
    assert_int_equal(try_open(&pager, true), MPG_E_UNSUPPORTED_VERSION);
}

static void damaged_superblock_is_an_error(void **state)
{
    mpg_pager *pager;

    (void)state;
    make_committed(4096, false);
    flip_at(SB_LABEL);
    assert_int_equal(try_open(&pager, false), MPG_E_CORRUPT_SUPERBLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_file_says_what_it_is),
        cmocka_unit_test(space_tree_grows_by_named_pages),
        cmocka_unit_test(space_tree_grows_by_bulk),
        cmocka_unit_test(space_tree_grows_one_by_one),
        cmocka_unit_test(directory_tree_grows_by_named_pages),
        cmocka_unit_test(protected_ids_are_given_lowest_first),
        cmocka_unit_test(failed_commit_leaves_nothing),
        cmocka_unit_test(torn_root_falls_back),
        cmocka_unit_test(torn_record_falls_back),
        cmocka_unit_test(torn_content_falls_back),
        cmocka_unit_test(torn_node_falls_back),
        cmocka_unit_test(damage_after_the_commit_is_reported),
        cmocka_unit_test(damage_of_a_closed_file_is_reported),
        cmocka_unit_test(two_bad_roots_are_an_error),
        cmocka_unit_test(damage_is_not_looked_at_a_hundred_times),
        cmocka_unit_test(counts_are_checked),
        cmocka_unit_test(file_cut_short_is_an_error),
        cmocka_unit_test(commit_after_a_failed_one_spares_the_durable_root),
        cmocka_unit_test(recovery_repeats),
        cmocka_unit_test(a_recovery_that_is_not_synced_is_taken_back),
        cmocka_unit_test(a_closing_root_that_is_not_synced_is_taken_back),
        cmocka_unit_test(a_root_of_the_last_generations_can_only_be_read),
        cmocka_unit_test(features_of_the_future),
        cmocka_unit_test(damaged_superblock_is_an_error),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
