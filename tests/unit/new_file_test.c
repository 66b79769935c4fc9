/* SPDX-License-Identifier: MIT */
/*
 * A new file on a real filesystem: whole under its name, or not there; also where the filesystem
 * lacks what that takes, where its directory cannot be synced, and where several make it at once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "pager/open.h"
#include "support/harness.h"
#include "support/scratch_file.h"

static struct io calls;

static int nothing_nameless(void *context, int fd, const char *path)
{
    (void)context, (void)fd, (void)path;
    errno = ENOENT;
    return -1;
}

static int no_rename(void *context, const char *from, const char *to)
{
    (void)context, (void)from, (void)to;
    errno = EINVAL;
    return -1;
}

/* The ways of making a file: each lacks what the one before it needs. */
static void use_way(int way)
{
    calls = mpgi_io_system;
    if (way > 0)
        calls.link = nothing_nameless;
    if (way > 1)
        calls.rename = no_rename;
}

#define WAYS 3

static unsigned entries_of(const char *directory)
{
    DIR *listing = opendir(directory);
    unsigned count = 0;

    assert_non_null(listing);
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            count++;
    (void)closedir(listing);
    return count;
}

static void each_way_makes_the_same_file(void **state)
{
    const struct scratch *scratch = *state;
    mode_t umask_before = umask(027);

    for (int way = 0; way < WAYS; way++) {
        mpg_options options = scratch_options(scratch, 4096);
        mpg_pager *pager, *other;
        struct stat st;

        use_way(way);
        assert_int_equal(mpgi_create_with(&pager, scratch->path, &options, &calls, NULL), 0);
        assert_int_equal(mpg_open(&other, scratch->path, NULL), MPG_E_BUSY);
        assert_int_equal(mpgi_create_with(&other, scratch->path, &options, &calls, NULL),
                         MPG_E_EXISTS);
        check_and_close(pager);
        assert_int_equal(entries_of(scratch->directory), 1);
        assert_int_equal(stat(scratch->path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
        assert_int_equal(st.st_nlink, 1);
        assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
        check_and_close(pager);
        assert_int_equal(unlink(scratch->path), 0);
    }
    (void)umask(umask_before);
}

static int failing_sync(void *context, int fd)
{
    (void)context, (void)fd;
    errno = EIO;
    return -1;
}

static void a_failure_leaves_nothing_behind(void **state)
{
    const struct scratch *scratch = *state;

    for (int way = 0; way < WAYS; way++) {
        mpg_options options = scratch_options(scratch, 4096);
        mpg_pager *pager;

        use_way(way);
        calls.fdatasync = failing_sync;
        assert_int_equal(mpgi_create_with(&pager, scratch->path, &options, &calls, NULL), MPG_E_IO);
        options.flags = MPG_CREATE;
        assert_int_equal(mpgi_open_with(&pager, scratch->path, &options, false, &calls, NULL),
                         MPG_E_IO);
        assert_int_equal(entries_of(scratch->directory), 0);
    }
}

static unsigned refused_removals;

/* The filesystem has not heard of the end of the file's use yet. */
static int unlink_in_use(void *context, const char *path)
{
    if (refused_removals == 0)
        return mpgi_io_system.unlink(context, path);
    refused_removals--;
    errno = ENOSYS;
    return -1;
}

static void a_late_end_of_use_leaves_nothing_behind(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, 4096);
    mpg_pager *pager;

    use_way(2);
    calls.unlink = unlink_in_use;
    refused_removals = 3;
    assert_int_equal(mpgi_create_with(&pager, scratch->path, &options, &calls, NULL), 0);
    check_and_close(pager);
    assert_int_equal(refused_removals, 0);
    assert_int_equal(entries_of(scratch->directory), 1);
    assert_int_equal(unlink(scratch->path), 0);
}

/* What a process leaves that is killed while it makes a file in place. */
static void an_unfinished_file_is_made_anew(void **state)
{
    static const char mark[] = "mappedpages new\n";
    const struct scratch *scratch = *state;

    for (int opening = 0; opening < 2; opening++) {
        mpg_options options = scratch_options(scratch, 4096);
        const mpg_pager *reader;
        mpg_pager *pager;
        int fd = creat(scratch->path, 0600);

        assert_int_equal(write(fd, mark, sizeof(mark) - 1), sizeof(mark) - 1);
        assert_int_equal(ftruncate(fd, 20000), 0);
        assert_int_equal(close(fd), 0);
        assert_int_equal(mpg_open(&pager, scratch->path, NULL), MPG_E_CORRUPT_SUPERBLOCK);
        assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), MPG_E_CORRUPT_SUPERBLOCK);
        options.flags = opening ? MPG_CREATE : 0;
        assert_int_equal(opening ? mpg_open(&pager, scratch->path, &options)
                                 : mpg_create(&pager, scratch->path, &options),
                         0);
        check_and_close(pager);
        assert_int_equal(mpg_create(&pager, scratch->path, &options), MPG_E_EXISTS);
        assert_int_equal(unlink(scratch->path), 0);
    }
}

/* ---- directories that cannot be synced ---- */

static int sync_error;

static int failing_sync_of_name(void *context, int fd, const char *path)
{
    (void)context, (void)fd, (void)path;
    errno = sync_error;
    return -1;
}

static void a_name_that_may_not_last_is_told_of(void **state)
{
    static const int errors[] = {EINVAL, EACCES, EPERM, ENOTSUP, ENOSYS};
    const struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, 4096);
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_pager *pager;

    use_way(0);
    calls.sync_name = failing_sync_of_name;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        sync_error = errors[i];
        assert_int_equal(mpgi_create_with(&pager, scratch->path, &options, &calls, NULL), 0);
        assert_int_equal(mpg_stat(&st, pager), 0);
        assert_true(st.name_unsure);
        check_and_close(pager);
        assert_int_equal(unlink(scratch->path), 0);
    }
    sync_error = EIO;
    assert_int_equal(mpgi_create_with(&pager, scratch->path, &options, &calls, NULL), MPG_E_IO);
    assert_int_equal(entries_of(scratch->directory), 0);
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_stat(&st, pager), 0);
    assert_false(st.name_unsure);
    check_and_close(pager);
}

/* Written, and not read: it can be made there, as by touch. */
static void in_a_directory_that_cannot_be_read(const struct scratch *scratch)
{
    mpg_options options = scratch_options(scratch, 4096);
    struct mpg_stat st = {.size = sizeof(st)};
    mpg_pager *pager;

    must(chmod(scratch->directory, 0300) == 0);
    if (geteuid() == 0)
        must(chown(scratch->directory, 65534, 65534) == 0 && setresgid(65534, 65534, 65534) == 0 &&
             setresuid(65534, 65534, 65534) == 0);
    must(mpg_create(&pager, scratch->path, &options) == 0);
    must(mpg_stat(&st, pager) == 0 && st.name_unsure);
    must(mpg_close(pager) == 0);
}

static void a_directory_that_cannot_be_read_can_have_a_new_file(void **state)
{
    const struct scratch *scratch = *state;
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        in_a_directory_that_cannot_be_read(scratch);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(chmod(scratch->directory, 0700), 0);
}

/* ---- several at once ---- */

#define RACERS 4
#define ROUNDS 24

/* 0: it has it; 1: somebody else has. */
static int race(const struct scratch *scratch, bool create)
{
    mpg_options options = scratch_options(scratch, 4096);
    mpg_pager *pager;
    int result;

    if (create) {
        result = mpgi_create_with(&pager, scratch->path, &options, &calls, NULL);
    } else {
        options.flags = MPG_CREATE;
        result = mpgi_open_with(&pager, scratch->path, &options, false, &calls, NULL);
    }
    if (result == MPG_E_BUSY || (create && result == MPG_E_EXISTS))
        return 1;
    return result == 0 ? 0 : 2; /* it stays open until the process ends, with all its locks */
}

static void of_several_one_makes_it(void **state)
{
    const struct scratch *scratch = *state;

    for (int round = 0; round < ROUNDS; round++) {
        pid_t children[RACERS];
        int winners = 0, start[2];
        char byte;

        use_way(round % 2); /* in place another one may have the lock first */
        assert_int_equal(pipe(start), 0);
        fflush(NULL);
        for (int i = 0; i < RACERS; i++) {
            children[i] = fork();
            assert_true(children[i] >= 0);
            if (children[i] == 0) {
                int result;

                (void)close(start[1]);
                (void)!read(start[0], &byte, 1);
                result = race(scratch, round % 4 < 2);
                _exit(result);
            }
        }
        (void)close(start[0]);
        (void)close(start[1]);
        for (int i = 0; i < RACERS; i++) {
            int status;

            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
            winners += WEXITSTATUS(status) == 0;
        }
        assert_int_not_equal(winners, 0);
        if (round % 4 < 2)
            assert_int_equal(winners, 1);
        check_and_close(scratch_open(scratch));
        assert_int_equal(entries_of(scratch->directory), 1);
        assert_int_equal(unlink(scratch->path), 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(each_way_makes_the_same_file),
        SCRATCH_TEST(a_failure_leaves_nothing_behind),
        SCRATCH_TEST(a_late_end_of_use_leaves_nothing_behind),
        SCRATCH_TEST(an_unfinished_file_is_made_anew),
        SCRATCH_TEST(a_name_that_may_not_last_is_told_of),
        SCRATCH_TEST(a_directory_that_cannot_be_read_can_have_a_new_file),
        SCRATCH_TEST(of_several_one_makes_it),
    };

    return SCRATCH_RUN("new files", tests);
}
