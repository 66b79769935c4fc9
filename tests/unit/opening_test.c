/* SPDX-License-Identifier: MIT */
/*
 * Rule 12 while a file is opened where a lock keeps nobody out: what opening writes again is not
 * written over what somebody else has committed since it was read.
 */
#include "pager/open.h"
#include "support/api.h"

static const mpg_protected_id counter = {0};

/* Enough commits for every place to have been used again. */
#define COMMITS 24

static struct {
    const struct scratch *scratch;
    unsigned at;    /* before which call somebody else commits */
    unsigned reads; /* calls so far */
    bool written;   /* opening has begun to write */
    bool intruded;
} other;

static void commit_all(mpg_pager *pager, unsigned char first)
{
    for (unsigned i = 0; i < COMMITS; i++)
        assert_int_equal(put_protected(pager, counter, (unsigned char)(first + i)), 0);
}

static int no_lock(void *context, int fd, enum io_lock lock)
{
    (void)context;
    (void)fd;
    (void)lock;
    return 0;
}

static void local_lock(void *context, int fd, struct sharing *sharing)
{
    (void)context;
    (void)fd;
    *sharing = (struct sharing){
        .others = true, .lock_is_local = true, .is_meeting = true, .type = "fuse.other"};
}

static ssize_t late_read(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    if (++other.reads == other.at && !other.written) {
        mpg_pager *pager = scratch_open(other.scratch);

        commit_all(pager, 100);
        assert_int_equal(mpg_close(pager), 0);
        other.intruded = true;
    }
    return mpgi_io_system.pread(context, fd, data, length, offset);
}

static ssize_t seen_write(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    other.written = true;
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

/* A file as a process leaves it that is killed: a copy of one that is open. */
static void leave_file(const struct scratch *scratch)
{
    static unsigned char bytes[1 << 20];
    mpg_pager *pager;
    ssize_t length;
    int fd;

    (void)unlink(scratch->path);
    pager = api_create(scratch);
    assert_int_equal(mpg_alloc_protected_at(pager, counter), 0);
    commit_all(pager, 1);
    fd = open(scratch->path, O_RDONLY | O_CLOEXEC);
    length = read(fd, bytes, sizeof(bytes));
    assert_true(length > 0 && (size_t)length < sizeof(bytes));
    close(fd);
    assert_int_equal(mpg_close(pager), 0);
    fd = open(scratch->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, bytes, (size_t)length), length);
    close(fd);
}

static unsigned char last_byte(const struct scratch *scratch)
{
    mpg_pager *pager = scratch_open(scratch);
    unsigned char *page = page_of(0);
    unsigned char byte;

    assert_int_equal(mpg_protected_read(page, pager, counter), 0);
    byte = page[0];
    free(page);
    assert_int_equal(mpg_close(pager), 0);
    return byte;
}

/*
 * Opens the file while somebody else commits before its n-th read. Returns whether there was one.
 */
static bool open_beside(const struct scratch *scratch, unsigned at, bool *changed)
{
    struct io io = mpgi_io_system;
    mpg_options options = MPG_OPTIONS_INIT;
    mpg_pager *pager;
    int result;

    io.lock = no_lock;
    io.sharing = local_lock;
    io.pread = late_read;
    io.pwrite = seen_write;
    options.flags = MPG_LOCAL_LOCK;
    memset(&other, 0, sizeof(other));
    other.scratch = scratch;
    other.at = at;
    result = mpgi_open_with(&pager, scratch->path, &options, false, &io, NULL);
    *changed |= result == MPG_E_CHANGED;
    if (result == 0)
        (void)mpg_close(pager);
    return other.intruded;
}

static void newer_work_is_not_written_over(void **state)
{
    const struct scratch *scratch = *state;
    bool intruded = true, changed = false;

    for (unsigned at = 1; intruded; at++) {
        leave_file(scratch);
        intruded = open_beside(scratch, at, &changed);
        assert_int_equal(last_byte(scratch), intruded ? 100 + COMMITS - 1 : COMMITS);
    }
    assert_true(changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCRATCH_TEST(newer_work_is_not_written_over)};
    int failed = 0;

    api_page_size = 1024;
    failed |= SCRATCH_RUN("opening beside somebody else, pages of 1024 bytes", tests);
    api_page_size = 4096;
    failed |= SCRATCH_RUN("opening beside somebody else, pages of 4096 bytes", tests);
    return failed;
}
