/* SPDX-License-Identifier: MIT */
/*
 * What a process may have: little address space, little locked memory, a limit for the length of
 * files, no standard descriptors, signals all the time. Each is tried in a process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/io.h"
#include "pager/open.h"
#include "support/harness.h"
#include "support/scratch_file.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WITH_SHADOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITH_SHADOW 1
#endif

/* A sanitizer's shadow takes more address space than any limit that makes sense. */
#ifdef WITH_SHADOW
#define need_address_space() skip()
#else
#define need_address_space() (void)0
#endif

#define MIB ((size_t)1 << 20)

/* Runs it in a child, in the directory of the scratch file, which must end well. */
static void in_child(const struct scratch *scratch, void (*run)(const struct scratch *scratch))
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        run(scratch);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        fail_msg("ended by signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a child, what is not so ends it; `must` would abort it, which is as good. */
#define need(call) need_at(call, #call, __LINE__)

static void need_at(int result, const char *call, int line)
{
    mpg_error_info info;

    if (result == 0)
        return;
    (void)mpg_last_error(&info);
    fprintf(stderr, "line %d: %s: %s\n", line, call, info.message);
    _exit(1);
}

static void limit(int resource, rlim_t most)
{
    struct rlimit now = {most, most};

    must(setrlimit((__rlimit_resource_t)resource, &now) == 0);
}

/* ---- address space ---- */

static struct io quick;

static int no_sync(void *context, int fd)
{
    (void)context;
    (void)fd;
    return 0;
}

static int no_sync_of_name(void *context, int fd, const char *path)
{
    (void)fd;
    (void)context;
    (void)path;
    return 0;
}

#define MANY 1000

/* As much address space as a process of 32 bits has, about. */
static void open_many(const struct scratch *scratch)
{
    static void *pages[MANY];
    struct rlimit files = {MANY + 50, MANY + 50};
    mpg_options options = scratch_options(scratch, 4096);

    must(setrlimit(RLIMIT_NOFILE, &files) == 0);
    limit(RLIMIT_AS, 2048 * MIB);
    for (int i = 0; i < MANY; i++) {
        mpg_pager *pager;
        mpg_page_id id;
        char path[96];

        snprintf(path, sizeof(path), "%s/%d", scratch->directory, i);
        need(mpgi_create_with(&pager, path, &options, &quick, NULL));
        need(mpg_alloc(&id, pager, 0));
        need(mpg_page_get_mut(&pages[i], pager, id));
        memset(pages[i], i, 4096);
        must(unlink(path) == 0);
    }
    for (int i = 0; i < MANY; i++)
        must(((unsigned char *)pages[i])[4095] == (unsigned char)i);
    must(mmap(NULL, 256 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED);
}

static void a_thousand_files_are_open_at_once_and_leave_room(void **state)
{
    struct rlimit files;

    need_address_space();
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max < MANY + 50)
        skip();
    in_child(*state, open_many);
}

static void use_in_little_space(const struct scratch *scratch)
{
    mpg_options options = scratch_options(scratch, 4096);
    mpg_page_id ids[1024];
    mpg_pager *pager;
    void *first, *last, *again;

    limit(RLIMIT_AS, 50 * MIB);
    options.cache_size = 65536;
    need(mpg_create(&pager, scratch->path, &options));
    need(mpg_alloc_bulk(ids, pager, 1, 0));
    need(mpg_page_get_mut(&first, pager, ids[0]));
    need(mpg_alloc_bulk(ids, pager, 1024, 0));
    need(mpg_page_get_mut(&last, pager, ids[1023]));
    memset(last, 'x', 4096);
    need(mpg_page_get_mut(&again, pager, (mpg_page_id){3}));
    must(first == again);
    need(mpg_close(pager));
}

static void pointers_work_where_address_space_is_little(void **state)
{
    need_address_space();
    in_child(*state, use_in_little_space);
}

/* A file of more bytes than there are addresses: what is reached, and copied, is what fits. */
static void use_too_large_a_file(const struct scratch *scratch)
{
    mpg_options options = scratch_options(scratch, 1 << 16);
    mpg_page_id id = {20000};
    unsigned char byte = 7;
    mpg_pager *pager;
    void *data;

    if (scratch->format == MPG_FORMAT_0_2)
        return;
    options.flags = MPG_SPARSE;
    need(mpg_create(&pager, scratch->path, &options));
    need(mpg_alloc_at(pager, id, 0));
    need(mpg_close(pager));
    limit(RLIMIT_AS, 300 * MIB);
    options.page_size = 0;
    need(mpg_open(&pager, scratch->path, &options));
    must(mpg_page_get_mut(&data, pager, id) == MPG_E_NO_MEMORY);
    need(mpg_page_write(pager, id, &byte, 9, 1));
    need(mpg_alloc_at(pager, (mpg_page_id){500}, 0));
    need(mpg_page_get_mut(&data, pager, (mpg_page_id){500}));
    memset(data, 'x', 1 << 16);
    must(mmap(NULL, 100 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED);
    need(mpg_close(pager));
}

static void a_file_too_large_for_the_addresses_is_used_as_far_as_they_go(void **state)
{
    need_address_space();
    in_child(*state, use_too_large_a_file);
}

static void use_with_memory_locked(const struct scratch *scratch)
{
    mpg_options options = scratch_options(scratch, 4096);
    mpg_page_id ids[32];
    mpg_pager *pager;
    void *data;

    options.cache_size = 4096;
    need(mpg_create(&pager, scratch->path, &options));
    need(mpg_alloc_bulk(ids, pager, 32, 0));
    need(mpg_close(pager));
    must(chmod(scratch->directory, 0777) == 0 && chmod(scratch->path, 0666) == 0);
    limit(RLIMIT_MEMLOCK, 2 * MIB);
    if (geteuid() == 0)
        must(setresuid(65534, 65534, 65534) == 0);
    must(mlockall(MCL_FUTURE) == 0);
    need(mpg_open(&pager, scratch->path, &options));
    for (int i = 0; i < 32; i++) {
        need(mpg_page_get_mut(&data, pager, ids[i]));
        memset(data, 'x', 4096);
    }
    need(mpg_sync(pager));
}

static void pointers_work_where_little_memory_may_be_locked(void **state)
{
    need_address_space();
    in_child(*state, use_with_memory_locked);
}

/* Through every way in which the map grows, with pages larger and smaller than those of memory. */
static void addresses_stay_while_the_file_grows(void **state)
{
    static const uint32_t sizes[] = {1024, 4096, 1 << 17};
    const struct scratch *scratch = *state;

    for (int i = 0; i < 3; i++) {
        mpg_options options = scratch_options(scratch, sizes[i]);
        unsigned char *seen[16];
        uint64_t ids[16];
        unsigned count = 0;
        mpg_pager *pager;

        options.flags = MPG_SPARSE;
        (void)unlink(scratch->path);
        assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
        for (uint64_t id = 5; id < 8000 && id * sizes[i] < 400 * MIB; id = id * 2 + 1) {
            void *data;

            assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){id}, 0), 0);
            assert_int_equal(mpg_page_get_mut(&data, pager, (mpg_page_id){id}), 0);
            seen[count] = data;
            ids[count] = id;
            memset(data, (int)count++, sizes[i]);
        }
        assert_true(count > 8);
        for (unsigned k = 0; k < count; k++) {
            unsigned char copy[1024];
            const void *data;

            assert_int_equal(mpg_page_get(&data, pager, (mpg_page_id){ids[k]}), 0);
            assert_ptr_equal(data, seen[k]);
            assert_int_equal(seen[k][sizes[i] - 1], k);
            assert_int_equal(mpg_page_read(copy, pager, (mpg_page_id){ids[k]}, 0, 1024), 0);
            assert_memory_equal(copy, seen[k], 1024);
        }
        assert_int_equal(mpg_close(pager), 0);
    }
}

/* ---- the length of files ---- */

static void grow_over_the_limit(const struct scratch *scratch)
{
    static const unsigned flags[] = {0, MPG_SPARSE};

    limit(RLIMIT_FSIZE, 400 * 1024);
    for (int i = 0; i < 2; i++) {
        mpg_options options = scratch_options(scratch, 4096);
        mpg_error_info info;
        mpg_pager *pager;
        mpg_page_id id;

        options.flags = flags[i];
        need(mpg_create(&pager, scratch->path, &options));
        must(mpg_alloc_at(pager, (mpg_page_id){300}, 0) == MPG_E_NO_SPACE);
        must(mpg_last_error(&info) == MPG_E_NO_SPACE && info.system_errno == EFBIG);
        need(mpg_alloc_at(pager, (mpg_page_id){50}, 0));
        need(mpg_alloc(&id, pager, 0));
        need(mpg_free(pager, id));
        need(mpg_close(pager));
        must(unlink(scratch->path) == 0);
        options.initial_pages = 1000;
        must(mpg_create(&pager, scratch->path, &options) == MPG_E_NO_SPACE);
        must(access(scratch->path, F_OK) != 0);
    }
}

static void growing_over_a_limit_for_files_is_an_error(void **state)
{
    in_child(*state, grow_over_the_limit);
}

static void write_over_the_limit(const struct scratch *scratch)
{
    mpg_options options = scratch_options(scratch, 4096);
    mpg_error_info info;
    mpg_pager *pager;

    options.initial_pages = 200;
    need(mpg_create(&pager, scratch->path, &options));
    need(mpg_alloc_at(pager, (mpg_page_id){150}, 0));
    need(mpg_close(pager));
    limit(RLIMIT_FSIZE, 400 * 1024);
    need(mpg_open(&pager, scratch->path, NULL));
    must(mpg_page_write(pager, (mpg_page_id){150}, "x", 0, 1) == MPG_E_NO_SPACE);
    must(mpg_last_error(&info) == MPG_E_NO_SPACE && info.system_errno == EFBIG);
    need(mpg_free(pager, (mpg_page_id){150}));
    need(mpg_close(pager));
}

static void writing_beyond_a_limit_that_the_file_exceeds_is_an_error(void **state)
{
    in_child(*state, write_over_the_limit);
}

static void set_signal(void (*handler)(int))
{
    must(signal(SIGXFSZ, handler) != SIG_ERR);
}

/* Where the signal is ignored the limit is not asked for, and the system says it. */
static void ignore_the_limit_and_grow(const struct scratch *scratch)
{
    set_signal(SIG_IGN);
    grow_over_the_limit(scratch);
}

static void ignore_the_limit_and_write(const struct scratch *scratch)
{
    set_signal(SIG_IGN);
    write_over_the_limit(scratch);
}

/* What was ignored when another file was opened need not be so any more. */
static void ignore_the_limit_no_more(const struct scratch *scratch)
{
    mpg_pager *pager;

    set_signal(SIG_IGN);
    must(mpg_open(&pager, scratch->path, NULL) != 0);
    set_signal(SIG_DFL);
    write_over_the_limit(scratch);
}

static void so_it_is_where_the_signal_is_ignored(void **state)
{
    const struct scratch *scratch = *state;

    in_child(scratch, ignore_the_limit_and_grow);
    in_child(scratch, ignore_the_limit_and_write);
    must(unlink(scratch->path) == 0);
    in_child(scratch, ignore_the_limit_no_more);
}

/* A record and the content behind it are written in one call. */
static void write_gathered_over_the_limit(const struct scratch *scratch)
{
    char bytes[] = "abcd";
    struct iovec pieces[] = {{bytes, 2}, {bytes + 2, 2}};
    int fd = open(scratch->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    must(fd >= 0);
    limit(RLIMIT_FSIZE, 3);
    must(mpgi_io_system.pwritev(NULL, fd, pieces, 2, 0) == 3);
    must(mpgi_io_system.pwritev(NULL, fd, pieces, 2, 3) == -1 && errno == EFBIG);
    must(close(fd) == 0);
}

static void so_is_writing_several_pieces_beyond_it(void **state)
{
    in_child(*state, write_gathered_over_the_limit);
}

/* ---- standard descriptors ---- */

static bool is_closed(int fd)
{
    return fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

static void open_with_all_closed(const struct scratch *scratch)
{
    mpg_options options = scratch_options(scratch, 4096);
    const mpg_pager *reader;
    mpg_pager *pager;

    for (int fd = 0; fd < 3; fd++)
        must(close(fd) == 0);
    need(mpg_create(&pager, scratch->path, &options));
    must(is_closed(0) && is_closed(1) && is_closed(2));
    must((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
    need(mpg_open_readonly(&reader, scratch->path, NULL));
    need(mpg_refresh(reader));
    must(is_closed(0) && is_closed(1) && is_closed(2));
    need(mpg_close(reader));
    need(mpg_close(pager));
    options.flags = MPG_CREATE;
    need(mpg_open(&pager, scratch->path, &options));
    must(is_closed(0) && is_closed(1) && is_closed(2));
    must(write(2, "a message", 9) < 0);
    need(mpg_close(pager));
    must(is_closed(0) && is_closed(1) && is_closed(2) && is_closed(3));
}

static void the_file_never_becomes_a_standard_descriptor(void **state)
{
    in_child(*state, open_with_all_closed);
}

/* The number that the very first call gets, before anything can be done about it. */
static int seen_lowest;

static void see(int fd)
{
    if (seen_lowest < 0 || fd < seen_lowest)
        seen_lowest = fd;
}

static int watching_size(void *context, int fd, uint64_t *bytes)
{
    see(fd);
    return mpgi_io_system.size(context, fd, bytes);
}

static int watching_length(void *context, int fd, uint64_t *bytes)
{
    see(fd);
    return mpgi_io_system.length(context, fd, bytes);
}

static void open_with_one_closed(const struct scratch *scratch)
{
    mpg_options options = scratch_options(scratch, 4096);
    struct io watching = mpgi_io_system;

    watching.size = watching_size;
    watching.length = watching_length;
    for (int fd = 0; fd < 3; fd++) {
        int kept = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        mpg_pager *pager;

        seen_lowest = -1;
        (void)unlink(scratch->path);
        must(close(fd) == 0);
        need(mpgi_create_with(&pager, scratch->path, &options, &watching, NULL));
        must(is_closed(fd));
        need(mpg_close(pager));
        must(seen_lowest > 2);
        must(kept < 0 || dup2(kept, fd) == fd);
    }
}

static void nor_where_only_one_of_them_is_closed(void **state)
{
    in_child(*state, open_with_one_closed);
}

/* ---- signals ---- */

static uint64_t size_of(const struct scratch *scratch)
{
    struct stat st;

    assert_int_equal(stat(scratch->path, &st), 0);
    return (uint64_t)st.st_size;
}

static unsigned allocations;
static uint64_t too_long; /* calls for so many bytes are always interrupted */

static int interrupted_allocate(void *context, int fd, uint64_t offset, uint64_t length)
{
    allocations++;
    if (length >= too_long) {
        errno = EINTR;
        return -1;
    }
    return mpgi_io_system.allocate(context, fd, offset, length);
}

static void growing_gets_on_between_signals(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = scratch_options(scratch, 65536);
    struct io calls = mpgi_io_system;
    mpg_error_info info;
    mpg_pager *pager;
    uint64_t bytes;

    calls.allocate = interrupted_allocate;
    too_long = MIB;
    assert_int_equal(mpgi_create_with(&pager, scratch->path, &options, &calls, NULL), 0);
    allocations = 0;
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){200}, 0), 0);
    assert_in_range(allocations, 13, 200);
    too_long = 0;
    allocations = 0;
    bytes = size_of(scratch);
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){400}, 0), MPG_E_IO);
    assert_int_equal(mpg_last_error(&info), MPG_E_IO);
    assert_int_equal(info.system_errno, EINTR);
    assert_in_range(allocations, 10, 5000);
    assert_int_equal(size_of(scratch), bytes);
    too_long = UINT64_MAX;
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){400}, 0), 0);
    assert_int_equal(mpg_close(pager), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_thousand_files_are_open_at_once_and_leave_room),
        SCRATCH_TEST(pointers_work_where_address_space_is_little),
        SCRATCH_TEST(a_file_too_large_for_the_addresses_is_used_as_far_as_they_go),
        SCRATCH_TEST(pointers_work_where_little_memory_may_be_locked),
        SCRATCH_TEST(addresses_stay_while_the_file_grows),
        SCRATCH_TEST(growing_over_a_limit_for_files_is_an_error),
        SCRATCH_TEST(writing_beyond_a_limit_that_the_file_exceeds_is_an_error),
        SCRATCH_TEST(so_it_is_where_the_signal_is_ignored),
        SCRATCH_TEST(so_is_writing_several_pieces_beyond_it),
        SCRATCH_TEST(the_file_never_becomes_a_standard_descriptor),
        SCRATCH_TEST(nor_where_only_one_of_them_is_closed),
        SCRATCH_TEST(growing_gets_on_between_signals),
    };

    quick = mpgi_io_system;
    quick.fdatasync = no_sync;
    quick.sync_name = no_sync_of_name;
    return scratch_run("limits of the process", tests, sizeof(tests) / sizeof(tests[0]));
}
