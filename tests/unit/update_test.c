/* SPDX-License-Identifier: MIT */
/*
 * An older copy is brought up to date: it shows what the file shows, only what differs was written
 * where it could begin as a clone, and whoever is killed at any call leaves the older copy or the
 * new one. What is no older copy is refused.
 */
#include <dirent.h>
#include <sys/wait.h>

#include "life/copy.h"
#include "mappedpages_compact.h"
#include "mappedpages_copy.h"
#include "support/api.h"
#include "support/clone.h"
#include "support/scratch_copy.h"

#define REGULAR 60
#define PROTECTED 30
#define DIED 77

static struct io calls;
static unsigned countdown; /* calls until the process dies, or one fails; 0: never */
static int failure;        /* with what errno; 0: it dies */
static bool replaced;      /* it had its name when the last call was made */
static unsigned counted;
static int unsynced = -1; /* the descriptor that something was written to since it was synced */

/* ---- calls ---- */

/* Whether the call is to fail. */
static bool count_call(void)
{
    counted++;
    if (countdown == 0 || --countdown > 0)
        return false;
    if (failure == 0)
        _exit(DIED);
    errno = failure;
    return true;
}

static ssize_t count_pwrite(void *context, int fd, const void *data, size_t length, uint64_t offset)
{
    if (count_call())
        return -1;
    unsynced = fd;
    return mpgi_io_system.pwrite(context, fd, data, length, offset);
}

static ssize_t count_copy(void *context, int fd, int from, uint64_t offset, size_t length)
{
    if (count_call())
        return -1;
    unsynced = fd;
    return mpgi_io_system.copy(context, fd, from, offset, length);
}

static int count_truncate(void *context, int fd, uint64_t bytes)
{
    if (count_call())
        return -1;
    unsynced = fd;
    return mpgi_io_system.truncate(context, fd, bytes);
}

static int count_punch(void *context, int fd, uint64_t offset, uint64_t length)
{
    if (count_call())
        return -1;
    unsynced = fd;
    return mpgi_io_system.punch(context, fd, offset, length);
}

/* What dies here is a process: nothing depends on what a sync does. */
static int count_fdatasync(void *context, int fd)
{
    (void)context;
    if (count_call())
        return -1;
    if (unsynced == fd)
        unsynced = -1;
    return 0;
}

static int count_link(void *context, int fd, const char *path)
{
    if (count_call())
        return -1;
    return mpgi_io_system.link(context, fd, path);
}

/* What takes the place is durable by then. */
static int count_replace(void *context, int fd, int old, const char *from, const char *to)
{
    if (count_call())
        return -1;
    assert_int_equal(unsynced, -1);
    replaced = mpgi_io_system.replace(context, fd, old, from, to) == 0;
    return replaced ? 0 : -1;
}

static int count_sync_name(void *context, int fd, const char *path)
{
    (void)context, (void)fd, (void)path;
    if (count_call())
        return -1;
    return 0;
}

static int nothing_nameless(void *context, int fd, const char *path)
{
    (void)context, (void)fd, (void)path;
    errno = ENOENT;
    return -1;
}

static void begin_calls(bool nameless)
{
    calls = mpgi_io_system;
    calls.pwrite = count_pwrite;
    calls.pwritev = NULL;
    calls.copy = count_copy;
    calls.truncate = count_truncate;
    calls.punch = count_punch;
    calls.fdatasync = count_fdatasync;
    calls.link = nameless ? count_link : nothing_nameless;
    calls.replace = count_replace;
    calls.sync_name = count_sync_name;
    calls.clone = clone_by_hand;
    unsynced = -1;
    countdown = counted = 0;
    failure = 0;
    replaced = false;
}

/* ---- files ---- */

static unsigned clear_directory(const struct scratch *scratch, const char *prefix)
{
    DIR *listing = opendir(scratch->directory);
    unsigned count = 0;

    assert_non_null(listing);
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        char path[sizeof(scratch->directory) + 256];

        if (entry->d_name[0] == '.' && strncmp(entry->d_name, ".mapped", 7) != 0)
            continue;
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", scratch->directory, entry->d_name);
        count += unlink(path) == 0;
    }
    (void)closedir(listing);
    return count;
}

static int teardown(void **state)
{
    (void)clear_directory(*state, "");
    clone_only = NULL;
    return scratch_end(state);
}

static void put_regular(mpg_pager *pager, uint64_t id, int byte)
{
    unsigned char *page = page_of(byte);

    assert_int_equal(mpg_page_write(pager, (mpg_page_id){id}, page, 0, api_page_size), 0);
    free(page);
}

static void put_in_txn(mpg_txn *txn, uint64_t id, int byte, bool is_protected, bool is_new)
{
    unsigned char *page = page_of(byte);

    if (is_protected) {
        mpg_protected_id named = {id};

        assert_int_equal(is_new ? mpg_txn_alloc_protected_at(txn, named) : 0, 0);
        assert_int_equal(mpg_txn_protected_write(txn, named, page, 0, api_page_size), 0);
    } else {
        mpg_page_id named = {id};

        assert_int_equal(mpg_txn_alloc_at(txn, named, 0), 0);
        assert_int_equal(mpg_txn_page_write(txn, named, page, 0, api_page_size), 0);
    }
    free(page);
}

static void create_file(const struct scratch *scratch)
{
    mpg_pager *pager = api_create(scratch);
    mpg_txn *txn;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (unsigned i = 0; i < REGULAR; i++)
        put_in_txn(txn, 3 + 2 * i, (int)i + 1, false, true);
    for (unsigned i = 0; i < PROTECTED; i++)
        put_in_txn(txn, i, (int)i + 100, true, true);
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(mpg_close(pager), 0);
}

/* Some of each kind changed, came and went. */
static void change_file(const struct scratch *scratch)
{
    mpg_pager *pager;
    mpg_txn *txn;

    assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    for (unsigned i = 0; i < 5; i++) {
        put_regular(pager, 3 + 20 * i, 200 + (int)i);
        assert_int_equal(mpg_txn_free(txn, (mpg_page_id){5 + 20 * i}), 0);
        put_in_txn(txn, 300 + i, 210 + (int)i, false, true);
        put_in_txn(txn, 3 * i, 220 + (int)i, true, false);
        assert_int_equal(mpg_txn_free_protected(txn, (mpg_protected_id){3 * i + 1}), 0);
        put_in_txn(txn, PROTECTED + i, 230 + (int)i, true, true);
    }
    assert_int_equal(mpg_txn_commit(txn, 0), 0);
    assert_int_equal(mpg_close(pager), 0);
}

/* Everything that a file shows, as a number. */
static uint64_t shown_by(const char *path)
{
    uint64_t shown = UINT64_C(0xcbf29ce484222325), total;
    unsigned char *page = page_of(0);
    mpg_check_result checked;
    const mpg_pager *pager;

    assert_int_equal(mpg_open_readonly(&pager, path, NULL), 0);
    assert_int_equal(mpg_check(&checked, pager, NULL), 0);
    assert_int_equal(checked.faults, 0);
    total = stat_of(pager).total_pages;
    for (uint64_t id = 3; id < total; id++) {
        if (use_of(pager, id) != MPG_USE_REGULAR)
            continue;
        assert_int_equal(mpg_page_read(page, pager, (mpg_page_id){id}, 0, api_page_size), 0);
        assert_true(is_filled(page, page[0]));
        shown = (shown ^ (id << 9 | page[0])) * UINT64_C(0x100000001b3);
    }
    for (uint64_t id = 0; id < 2 * PROTECTED; id++) {
        if (mpg_protected_read(page, pager, (mpg_protected_id){id}) != 0)
            continue;
        assert_true(is_filled(page, page[0]));
        shown = (shown ^ (id << 9 | 256 | page[0])) * UINT64_C(0x100000001b3);
    }
    assert_int_equal(mpg_close(pager), 0);
    free(page);
    return shown;
}

static int update_with(mpg_copy_result *result, const struct scratch *scratch, unsigned flags,
                       const struct io *io)
{
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;

    options.flags = MPG_COPY_UPDATE | flags;
    return mpgi_copy_with(result, scratch->path, copy_path, &options, io, NULL);
}

/* The file, an older copy of it, and a link to that to have it again. What each shows. */
static void create_both(const struct scratch *scratch, uint64_t *file, uint64_t *older)
{
    create_file(scratch);
    assert_int_equal(mpg_copy(NULL, scratch->path, copy_path, NULL), 0);
    *older = shown_by(copy_path);
    change_file(scratch);
    *file = shown_by(scratch->path);
    assert_true(*file != *older);
}

static void keep_older(const struct scratch *scratch, char *kept, size_t size)
{
    snprintf(kept, size, "%s/kept", scratch->directory);
    assert_int_equal(link(copy_path, kept), 0);
}

static void have_older_again(const char *kept)
{
    assert_int_equal(unlink(copy_path), 0);
    assert_int_equal(link(kept, copy_path), 0);
}

/* ---- what it is afterwards ---- */

static void shows_what_the_file_shows(void **state)
{
    const struct scratch *scratch = *state;
    uint64_t file, older;

    create_both(scratch, &file, &older);
    for (int way = 0; way < 4; way++) {
        mpg_copy_result result;
        char kept[80];

        keep_older(scratch, kept, sizeof(kept));
        begin_calls(way % 2 == 0);
        clone_only = way < 2 ? copy_path : NULL;
        assert_int_equal(update_with(&result, scratch, 0, &calls), 0);
        assert_true(result.updated);
        assert_false(result.cloned);
        assert_int_equal(shown_by(copy_path), file);
        assert_int_equal(shown_by(kept), older);
        assert_int_equal(clear_directory(scratch, ".mapped"), 0);
        /*
         * 5 of each kind came, 5 changed; in format 0.2 the first content of a new one is beside
         * it.
         */
        if (way < 2)
            assert_in_range(result.written, api_page_size, 20 * (uint64_t)api_page_size);
        else
            assert_true(result.written >= (REGULAR + PROTECTED) * (uint64_t)api_page_size);
        have_older_again(kept);
        assert_int_equal(unlink(kept), 0);
    }
}

/* Nothing has changed: nothing is written but metadata. */
static void writes_nothing_where_nothing_differs(void **state)
{
    const struct scratch *scratch = *state;
    mpg_copy_result result;

    create_file(scratch);
    assert_int_equal(mpg_copy(NULL, scratch->path, copy_path, NULL), 0);
    begin_calls(true);
    clone_only = copy_path;
    assert_int_equal(update_with(&result, scratch, 0, &calls), 0);
    assert_int_equal(result.written, 0);
    assert_int_equal(shown_by(copy_path), shown_by(scratch->path));
}

static void becomes_shorter_with_the_file(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager;
    mpg_copy_result result;
    struct stat st;

    create_file(scratch);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
    assert_int_equal(mpg_alloc_at(pager, (mpg_page_id){2000}, MPG_ZERO), 0);
    put_regular(pager, 2000, 1);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(mpg_copy(NULL, scratch->path, copy_path, NULL), 0);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
    assert_int_equal(mpg_free(pager, (mpg_page_id){2000}), 0);
    assert_int_equal(mpg_compact(NULL, pager, NULL), 0);
    assert_int_equal(mpg_close(pager), 0);
    begin_calls(true);
    clone_only = copy_path;
    assert_int_equal(update_with(&result, scratch, 0, &calls), 0);
    assert_int_equal(shown_by(copy_path), shown_by(scratch->path));
    assert_int_equal(mpg_open(&pager, copy_path, NULL), 0);
    assert_true(stat_of(pager).total_pages < 1000);
    assert_int_equal(stat(copy_path, &st), 0);
    assert_int_equal(st.st_size, stat_of(pager).total_pages * api_page_size);
    assert_int_equal(put_protected(pager, (mpg_protected_id){1}, 1), 0);
    assert_int_equal(mpg_close(pager), 0);
}

static void keeps_uuid_and_mode_and_links(void **state)
{
    const struct scratch *scratch = *state;
    struct mpg_stat before, after;
    const mpg_pager *pager;
    char name[80];
    struct stat st;
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;

    create_file(scratch);
    assert_int_equal(mpg_copy(NULL, scratch->path, copy_path, NULL), 0);
    assert_int_equal(chmod(copy_path, 0604), 0);
    snprintf(name, sizeof(name), "%s/link", scratch->directory);
    assert_int_equal(symlink("copy", name), 0);
    assert_int_equal(mpg_open_readonly(&pager, copy_path, NULL), 0);
    before = stat_of(pager);
    assert_int_equal(mpg_close(pager), 0);
    change_file(scratch);
    options.flags = MPG_COPY_UPDATE;
    assert_int_equal(mpg_copy(NULL, scratch->path, name, &options), 0);
    assert_int_equal(mpg_open_readonly(&pager, copy_path, NULL), 0);
    after = stat_of(pager);
    assert_int_equal(mpg_close(pager), 0);
    assert_memory_equal(before.uuid, after.uuid, sizeof(before.uuid));
    assert_int_equal(lstat(name, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(copy_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0604);
    assert_int_equal(shown_by(copy_path), shown_by(scratch->path));
}

/* ---- killed ---- */

static void update_and_die(const struct scratch *scratch, unsigned call, bool nameless)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        begin_calls(nameless);
        countdown = call;
        _exit(update_with(NULL, scratch, 0, &calls) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), DIED);
}

static void shows_old_or_new_when_killed(void **state)
{
    const struct scratch *scratch = *state;
    uint64_t file, older;
    char kept[80];

    create_both(scratch, &file, &older);
    keep_older(scratch, kept, sizeof(kept));
    for (int way = 0; way < 4; way++) {
        unsigned news = 0, last;

        begin_calls(way % 2 == 0);
        clone_only = way < 2 ? copy_path : NULL;
        assert_int_equal(update_with(NULL, scratch, 0, &calls), 0);
        last = counted;
        have_older_again(kept);
        for (unsigned call = 1; call <= last; call += call + 12 < last ? 4 : 1) {
            uint64_t shown;

            update_and_die(scratch, call, way % 2 == 0);
            shown = shown_by(copy_path);
            assert_true(shown == older || shown == file);
            news += shown == file;
            assert_in_range(clear_directory(scratch, ".mapped"), 0, 1);
            have_older_again(kept);
        }
        assert_in_range(news, 1, last - 1);
    }
}

/* ---- something fails ---- */

static unsigned open_descriptors(void)
{
    DIR *listing = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(listing);
    while (readdir(listing) != NULL)
        count++;
    (void)closedir(listing);
    return count;
}

/*
 * What can be done without is; else the older one stays, unless it was to be made sure that the new
 * one will.
 */
static void a_call_fails(const struct scratch *scratch, unsigned call, int error, uint64_t older,
                         uint64_t file)
{
    unsigned descriptors = open_descriptors();
    uint64_t shown;
    int result;

    begin_calls(true);
    countdown = call;
    failure = error;
    result = update_with(NULL, scratch, 0, &calls);
    shown = shown_by(copy_path);
    assert_true(shown == (replaced ? file : older));
    assert_true(result != 0 || replaced);
    assert_int_equal(clear_directory(scratch, ".mapped"), 0);
    assert_int_equal(open_descriptors(), descriptors);
    assert_int_equal(shown_by(scratch->path), file);
}

static void each_call_can_fail(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EINTR};
    const struct scratch *scratch = *state;
    uint64_t file, older;
    unsigned last;
    char kept[80];

    create_both(scratch, &file, &older);
    keep_older(scratch, kept, sizeof(kept));
    begin_calls(true);
    clone_only = copy_path;
    assert_int_equal(update_with(NULL, scratch, 0, &calls), 0);
    last = counted;
    have_older_again(kept);
    for (unsigned call = 1; call <= last; call++) {
        a_call_fails(scratch, call, errors[call % 3], older, file);
        have_older_again(kept);
    }
}

/* ---- what is refused ---- */

static void is_busy_where_somebody_writes_to_it(void **state)
{
    const struct scratch *scratch = *state;
    const mpg_pager *reader;
    mpg_pager *pager;
    uint64_t file, older;

    create_both(scratch, &file, &older);
    assert_int_equal(mpg_open(&pager, copy_path, NULL), 0);
    assert_error(update_with(NULL, scratch, 0, &mpgi_io_system), MPG_E_BUSY);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(shown_by(copy_path), older);
    /* Who only reads goes on in the older one. */
    assert_int_equal(mpg_open_readonly(&reader, copy_path, NULL), 0);
    assert_int_equal(update_with(NULL, scratch, 0, &mpgi_io_system), 0);
    assert_int_equal(protected_byte(reader, (mpg_protected_id){0}), 100);
    assert_int_equal(mpg_close(reader), 0);
    assert_int_equal(shown_by(copy_path), file);
}

static void strangers_are_refused(void **state)
{
    const struct scratch *scratch = *state;
    struct scratch other = *scratch;
    uint64_t shown;

    create_file(scratch);
    snprintf(other.path, sizeof(other.path), "%s/other", scratch->directory);
    create_file(&other);
    change_file(&other);
    assert_int_equal(mpg_copy(NULL, other.path, copy_path, NULL), 0);
    if (scratch->format == MPG_FORMAT_0_2) { /* so that it has nothing of the file */
        mpg_pager *pager;

        assert_int_equal(mpg_open(&pager, copy_path, NULL), 0);
        for (unsigned i = 0; i < PROTECTED; i += 3)
            assert_int_equal(put_protected(pager, (mpg_protected_id){i}, 1), 0);
        for (unsigned i = 0; i < REGULAR; i++)
            if (use_of(pager, 3 + 2 * i) == MPG_USE_REGULAR)
                put_regular(pager, 3 + 2 * i, 250);
        assert_int_equal(mpg_close(pager), 0);
    }
    shown = shown_by(copy_path);
    assert_error(update_with(NULL, scratch, 0, &mpgi_io_system), MPG_E_EXISTS);
    assert_int_equal(shown_by(copy_path), shown);
    assert_int_equal(clear_directory(scratch, ".mapped"), 0);
    assert_int_equal(update_with(NULL, scratch, MPG_COPY_FORCE, &mpgi_io_system), 0);
    assert_int_equal(shown_by(copy_path), shown_by(scratch->path));
}

/* The file is not to be brought back to what its copy is by two arguments that were mixed up. */
static void the_file_is_no_copy_of_its_copy(void **state)
{
    const struct scratch *scratch = *state;
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;
    uint64_t shown;

    if (scratch->format == MPG_FORMAT_0_2)
        skip(); /* there is nothing to tell them apart by */
    create_file(scratch);
    assert_int_equal(mpg_copy(NULL, scratch->path, copy_path, NULL), 0);
    change_file(scratch);
    shown = shown_by(scratch->path);
    options.flags = MPG_COPY_UPDATE;
    assert_error(mpg_copy(NULL, copy_path, scratch->path, &options), MPG_E_EXISTS);
    assert_int_equal(shown_by(scratch->path), shown);
    assert_error(mpg_copy(NULL, scratch->path, scratch->path, &options), MPG_E_INVALID);
    assert_int_equal(shown_by(scratch->path), shown);
}

static void another_format_or_page_size_is_refused(void **state)
{
    const struct scratch *scratch = *state;
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;
    mpg_options other = api_options(scratch);
    uint64_t shown;
    mpg_pager *pager;

    create_file(scratch);
    options.format = MPG_FORMAT_0_2 + MPG_FORMAT_1 - scratch->format;
    assert_int_equal(mpg_copy(NULL, scratch->path, copy_path, &options), 0);
    shown = shown_by(copy_path);
    assert_error(update_with(NULL, scratch, MPG_COPY_FORCE, &mpgi_io_system), MPG_E_INVALID);
    assert_int_equal(shown_by(copy_path), shown);
    assert_int_equal(unlink(copy_path), 0);
    other.page_size = 2 * api_page_size;
    assert_int_equal(mpg_create(&pager, copy_path, &other), 0);
    assert_int_equal(mpg_close(pager), 0);
    assert_error(update_with(NULL, scratch, MPG_COPY_FORCE, &mpgi_io_system), MPG_E_INVALID);
}

static int no_replace(void *context, int fd, int old, const char *from, const char *to)
{
    (void)context, (void)fd, (void)old, (void)from, (void)to;
    errno = EPERM;
    return -1;
}

static void a_failure_leaves_the_older_one(void **state)
{
    const struct scratch *scratch = *state;
    uint64_t file, older;

    create_both(scratch, &file, &older);
    calls = mpgi_io_system;
    calls.replace = no_replace;
    assert_error(update_with(NULL, scratch, 0, &calls), MPG_E_IO);
    assert_int_equal(clear_directory(scratch, ".mapped"), 0);
    calls.replace = NULL;
    assert_error(update_with(NULL, scratch, 0, &calls), MPG_E_UNSUPPORTED);
    assert_int_equal(shown_by(copy_path), older);
}

static void what_is_missing_is_made(void **state)
{
    const struct scratch *scratch = *state;
    mpg_copy_options options = MPG_COPY_OPTIONS_INIT;
    mpg_copy_result result;

    create_file(scratch);
    options.flags = MPG_COPY_UPDATE;
    assert_int_equal(mpg_copy(&result, scratch->path, copy_path, &options), 0);
    assert_false(result.updated);
    assert_int_equal(shown_by(copy_path), shown_by(scratch->path));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, scratch_begin_copy, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shows_what_the_file_shows),           TEST(writes_nothing_where_nothing_differs),
        TEST(becomes_shorter_with_the_file),       TEST(keeps_uuid_and_mode_and_links),
        TEST(shows_old_or_new_when_killed),        TEST(each_call_can_fail),
        TEST(is_busy_where_somebody_writes_to_it), TEST(strangers_are_refused),
        TEST(the_file_is_no_copy_of_its_copy),     TEST(another_format_or_page_size_is_refused),
        TEST(a_failure_leaves_the_older_one),      TEST(what_is_missing_is_made),
    };

    api_page_size = 1024;
    return SCRATCH_RUN("updates", tests);
}
