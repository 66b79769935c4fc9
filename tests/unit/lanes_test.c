/* SPDX-License-Identifier: MIT */
/*
 * Descriptors to read by: one thread needs one, several have one each on processors of their own, a
 * few at most; none is left behind, and where there are none to be had reading goes on.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#include "os/descriptor.h"
#include "os/lanes.h"
#include "pager/open.h"
#include "support/scratch_file.h"

#define PAGE_SIZE 1024u
#define READS 50

/* How many descriptors of this process are of the file. */
static unsigned descriptors(const char *path)
{
    struct stat wanted;
    struct dirent *entry;
    unsigned count = 0;
    DIR *all = opendir("/proc/self/fd");

    assert_non_null(all);
    assert_int_equal(stat(path, &wanted), 0);
    while ((entry = readdir(all)) != NULL) {
        struct stat st;

        if (fstatat(dirfd(all), entry->d_name, &st, 0) == 0 && st.st_ino == wanted.st_ino &&
            st.st_dev == wanted.st_dev)
            count++;
    }
    closedir(all);
    return count;
}

static unsigned opened_again; /* by failing_again; several may call it at once, each once */

static int failing_again(void *context, int fd)
{
    (void)context;
    (void)fd;
    __atomic_fetch_add(&opened_again, 1, __ATOMIC_RELAXED);
    return -1;
}

/* Whether processor n is one that this process may use. */
static bool has_processor(int n)
{
    cpu_set_t allowed;

    return sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_ISSET(n, &allowed);
}

struct reader {
    pthread_t thread;
    const mpg_pager *pager;
    mpg_protected_id id;
    int processor;
    bool fine;
};

static void *read_there(void *argument)
{
    struct reader *reader = argument;
    unsigned char content[PAGE_SIZE];
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(reader->processor, &one);
    reader->fine = pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0;
    for (unsigned i = 0; i < READS && reader->fine; i++)
        reader->fine = mpg_protected_read(content, reader->pager, reader->id) == 0 &&
                       content[0] == 7 && content[PAGE_SIZE - 1] == 7;
    return NULL;
}

/* One thread on each processor that there is, twice as many as there are lanes at most. */
static void read_everywhere(const mpg_pager *pager, mpg_protected_id id)
{
    struct reader readers[2 * LANES];
    unsigned count = 0;

    for (int n = 0; n < 2 * LANES; n++) {
        struct reader *reader = &readers[count];

        if (!has_processor(n))
            continue;
        *reader = (struct reader){.pager = pager, .id = id, .processor = n};
        assert_int_equal(pthread_create(&reader->thread, NULL, read_there, reader), 0);
        count++;
    }
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_true(readers[i].fine);
    }
}

static mpg_pager *open_with(const struct scratch *scratch, const struct io *io,
                            mpg_protected_id *id)
{
    mpg_options options = scratch_options(scratch, PAGE_SIZE);
    unsigned char content[PAGE_SIZE];
    mpg_pager *pager;
    mpg_txn *txn;

    memset(content, 7, sizeof(content));
    assert_int_equal(mpgi_create_with(&pager, scratch->path, &options, io, NULL), 0);
    assert_int_equal(mpg_alloc_protected(id, pager), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_protected_write(txn, *id, content, 0, PAGE_SIZE), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    return pager;
}

static void one_thread_opens_the_file_once(void **state)
{
    const struct scratch *scratch = *state;
    unsigned char content[PAGE_SIZE];
    mpg_protected_id id;
    mpg_pager *pager = open_with(scratch, &mpgi_io_system, &id);

    for (unsigned i = 0; i < READS; i++)
        assert_int_equal(mpg_protected_read(content, pager, id), 0);
    assert_int_equal(descriptors(scratch->path), 1);
    assert_int_equal(mpg_close(pager), 0);
}

static void several_have_one_each_and_none_is_left(void **state)
{
    const struct scratch *scratch = *state;
    mpg_protected_id id;
    mpg_pager *pager = open_with(scratch, &mpgi_io_system, &id);
    unsigned wanted = 1;

    for (int lane = 1; lane < LANES; lane++)
        wanted += has_processor(lane) || has_processor(lane + LANES) ? 1 : 0;
    read_everywhere(pager, id);
    assert_int_equal(descriptors(scratch->path), wanted);
    read_everywhere(pager, id);
    assert_int_equal(descriptors(scratch->path), wanted);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(descriptors(scratch->path), 0);
}

static void reading_goes_on_where_there_is_none_to_be_had(void **state)
{
    const struct scratch *scratch = *state;
    struct io io = mpgi_io_system;
    mpg_protected_id id;
    mpg_pager *pager;

    io.again = failing_again;
    pager = open_with(scratch, &io, &id);
    opened_again = 0;
    read_everywhere(pager, id);
    read_everywhere(pager, id);
    assert_true(opened_again < LANES); /* once for each */
    assert_int_equal(descriptors(scratch->path), 1);
    assert_int_equal(mpg_close(pager), 0);
}

/* What /proc seems to be may be something else. */
static void another_file_of_that_name_is_not_taken(void **state)
{
    const struct scratch *scratch = *state;
    int fd = open(scratch->path, O_RDWR | O_CREAT, 0600);
    int again;

    assert_true(fd >= 0);
    again = mpgi_open_same(scratch->path, fd);
    assert_true(again >= 0 && again != fd);
    assert_int_equal(write(again, "", 1), -1); /* it is for reading alone */
    assert_int_equal(close(again), 0);
    assert_int_equal(mpgi_open_same("/dev/null", fd), -1);
    assert_int_equal(mpgi_open_same(scratch->directory, fd), -1);
    assert_int_equal(descriptors(scratch->path), 1);
    assert_int_equal(close(fd), 0);
}

/* Another file of that length, of zeros, which is open by now where the page file was. */
static int put_in_place(int fd, const char *path)
{
    struct stat st;
    int other = open(path, O_RDWR | O_CREAT, 0600);

    assert_int_equal(fstat(fd, &st), 0);
    assert_true(other >= 0 && ftruncate(other, st.st_size) == 0);
    assert_int_equal(dup2(other, fd), fd);
    return other;
}

/* The program closed what was not its own to close, or put another file there. */
static void what_is_put_in_its_place_is_left_alone(void **state)
{
    const struct scratch *scratch = *state;
    unsigned char found[PAGE_SIZE], content[PAGE_SIZE] = {9};
    char path[512];
    mpg_protected_id id;
    mpg_pager *pager = open_with(scratch, &mpgi_io_system, &id);
    struct reader here = {.pager = pager, .id = id, .processor = 1};
    cpu_set_t before;
    mpg_txn *txn;
    int other;

    if (!has_processor(1)) {
        assert_int_equal(mpg_close(pager), 0);
        skip(); /* no lane but the file's own */
    }
    snprintf(path, sizeof(path), "%s.other", scratch->path);
    read_everywhere(pager, id);
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    (void)read_there(&here); /* this thread reads by a lane from now on */
    assert_true(here.fine);
    other = put_in_place(mpg_descriptor(pager), path);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    assert_int_equal(mpg_txn_protected_write(txn, id, content, 0, PAGE_SIZE), 0);
    assert_int_equal(mpg_txn_commit(txn, 0), MPG_E_CHANGED);
    mpg_txn_abort(txn);
    (void)mpg_close(pager);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    memset(content, 0, sizeof(content));
    for (off_t at = 0; pread(other, found, sizeof(found), at) > 0; at += PAGE_SIZE)
        assert_memory_equal(found, content, sizeof(found));
    close(other);
    unlink(path);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(one_thread_opens_the_file_once),
        SCRATCH_TEST(several_have_one_each_and_none_is_left),
        SCRATCH_TEST(reading_goes_on_where_there_is_none_to_be_had),
        SCRATCH_TEST(another_file_of_that_name_is_not_taken),
        SCRATCH_TEST(what_is_put_in_its_place_is_left_alone),
    };

    return SCRATCH_RUN("lanes", tests);
}
