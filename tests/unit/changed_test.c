/* SPDX-License-Identifier: MIT */
/*
 * Rule 12: the lock is no proof that the file is still what the pager left. Somebody cuts it, makes
 * it longer, copies something over it, or writes to it by a way that knows of no lock: from then on
 * nothing is written and nothing acknowledged, and every call that changes something says why.
 */
#include "pager/open.h"
#include "support/api.h"

#define FILLED 0x5e

/* ---- somebody else, with a descriptor of its own ---- */

struct content {
    unsigned char *bytes;
    size_t length;
};

static struct content content_of(const char *path)
{
    struct content content;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    content.length = (size_t)st.st_size;
    content.bytes = malloc(content.length + 1);
    assert_non_null(content.bytes);
    assert_int_equal(read(fd, content.bytes, content.length), content.length);
    close(fd);
    return content;
}

/* As cp does it: the same file, cut and written anew. */
static void copy_over(const char *path, const struct content *content)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content->bytes, content->length), content->length);
    close(fd);
}

/* Fails unless the file still is what somebody else made of it, and frees that. */
static void assert_untouched(const char *path, struct content left)
{
    struct content now = content_of(path);

    assert_int_equal(now.length, left.length);
    assert_int_equal(memcmp(now.bytes, left.bytes, now.length), 0);
    free(now.bytes);
    free(left.bytes);
}

/* ---- a file to be changed ---- */

static const mpg_page_id first = {5}, last = {40};
static const mpg_protected_id guarded = {2};

/* A file whose last page is in use, so that a write there makes a cut file as long as it was. */
static mpg_pager *make_file(const struct scratch *scratch)
{
    mpg_options options = api_options(scratch);
    unsigned char *page = page_of(FILLED);
    mpg_pager *pager = NULL;

    options.initial_pages = last.value + 1;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_alloc_at(pager, first, 0), 0);
    assert_int_equal(mpg_alloc_at(pager, last, 0), 0);
    assert_int_equal(mpg_page_write(pager, first, page, 0, api_page_size), 0);
    assert_int_equal(mpg_page_write(pager, last, page, 0, api_page_size), 0);
    assert_int_equal(mpg_alloc_protected_at(pager, guarded), 0);
    assert_int_equal(put_protected(pager, guarded, 1), 0);
    assert_int_equal(mpg_sync(pager), 0);
    free(page);
    return pager;
}

/* The same, opened again, and with holes, which a page that is handed out must not have. */
static mpg_pager *make_file_with_holes(const struct scratch *scratch)
{
    int fd;

    assert_int_equal(mpg_close(make_file(scratch)), 0);
    fd = open(scratch->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    /* Where the filesystem cannot, there are none. */
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)(20 * (uint64_t)api_page_size), (off_t)(20 * (uint64_t)api_page_size));
    close(fd);
    return scratch_open(scratch);
}

static int put_in_transaction(mpg_pager *pager)
{
    unsigned char *page = page_of(9);
    mpg_txn *txn;
    int result;

    assert_int_equal(mpg_txn_begin(&txn, pager), 0);
    result = mpg_txn_protected_write(txn, guarded, page, 0, api_page_size);
    if (result == 0)
        result = mpg_txn_commit(txn, 0);
    if (result != 0)
        mpg_txn_abort(txn);
    free(page);
    return result;
}

static int write_page(mpg_pager *pager, mpg_page_id id)
{
    unsigned char *page = page_of(9);
    int result = mpg_page_write(pager, id, page, 0, api_page_size);

    free(page);
    return result;
}

/* What changes the file, one call each. */
enum change {
    CHANGE_ALLOC,
    CHANGE_ALLOC_ZERO,
    CHANGE_ALLOC_IN_HOLE,
    CHANGE_GROW,
    CHANGE_FREE,
    CHANGE_WRITE_FIRST,
    CHANGE_WRITE_LAST,
    CHANGE_PAGE_SYNC,
    CHANGE_SYNC,
    CHANGE_ALLOC_PROTECTED,
    CHANGE_FREE_PROTECTED,
    CHANGE_TRANSACTION,
    CHANGE_COUNT
};

static int change(mpg_pager *pager, enum change what)
{
    mpg_protected_id other;
    mpg_page_id id;

    switch (what) {
    case CHANGE_ALLOC:
        return mpg_alloc(&id, pager, 0);
    case CHANGE_ALLOC_ZERO:
        return mpg_alloc(&id, pager, MPG_ZERO);
    case CHANGE_ALLOC_IN_HOLE:
        return mpg_alloc_at(pager, (mpg_page_id){39}, 0);
    case CHANGE_GROW:
        return mpg_alloc_at(pager, (mpg_page_id){200}, 0);
    case CHANGE_FREE:
        return mpg_free(pager, first);
    case CHANGE_WRITE_FIRST:
        return write_page(pager, first);
    case CHANGE_WRITE_LAST:
        return write_page(pager, last);
    case CHANGE_PAGE_SYNC:
        return mpg_page_sync(pager, first);
    case CHANGE_SYNC:
        return mpg_sync(pager);
    case CHANGE_ALLOC_PROTECTED:
        return mpg_alloc_protected(&other, pager);
    case CHANGE_FREE_PROTECTED:
        return mpg_free_protected(pager, guarded);
    case CHANGE_TRANSACTION:
    case CHANGE_COUNT:
        break;
    }
    return put_in_transaction(pager);
}

/*
 * Whatever is called first is told, and so is whatever is called then; the file stays what somebody
 * else made of it, closing included.
 */
static void assert_noticed(const struct scratch *scratch, mpg_pager *pager, enum change what)
{
    struct content left = content_of(scratch->path);

    assert_error(change(pager, what), MPG_E_CHANGED);
    for (int next = 0; next < CHANGE_COUNT; next++)
        assert_error(change(pager, (enum change)next), MPG_E_CHANGED);
    assert_int_equal(mpg_close(pager), 0);
    assert_untouched(scratch->path, left);
}

/* ---- what somebody else may do ---- */

static void a_file_cut_short_is_left_alone(void **state)
{
    const struct scratch *scratch = *state;
    const uint64_t lengths[] = {0,
                                1,
                                3 * (uint64_t)api_page_size,
                                4 * (uint64_t)api_page_size,
                                20 * (uint64_t)api_page_size + 100,
                                last.value * api_page_size,
                                (last.value + 1) * api_page_size - 1};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (int what = 0; what < 2 * CHANGE_COUNT; what++) {
            mpg_pager *pager =
                what < CHANGE_COUNT ? make_file(scratch) : make_file_with_holes(scratch);

            assert_int_equal(truncate(scratch->path, (off_t)lengths[i]), 0);
            assert_noticed(scratch, pager, (enum change)(what % CHANGE_COUNT));
            unlink(scratch->path);
        }
}

static void a_file_made_longer_is_left_alone(void **state)
{
    const struct scratch *scratch = *state;

    for (int what = 0; what < CHANGE_COUNT; what++) {
        mpg_pager *pager = make_file(scratch);

        assert_int_equal(truncate(scratch->path, (off_t)((last.value + 2) * api_page_size)), 0);
        assert_noticed(scratch, pager, (enum change)what);
        unlink(scratch->path);
    }
}

/* A backup of the file itself, and what was committed since. */
static void an_older_copy_is_left_alone(void **state)
{
    const struct scratch *scratch = *state;

    for (int commits = 1; commits <= 3; commits++)
        for (int what = 0; what < CHANGE_COUNT; what++) {
            mpg_pager *pager = make_file(scratch);
            struct content backup = content_of(scratch->path);

            for (int i = 0; i < commits; i++)
                assert_int_equal(put_protected(pager, guarded, 2 + i), 0);
            copy_over(scratch->path, &backup);
            free(backup.bytes);
            assert_noticed(scratch, pager, (enum change)what);
            unlink(scratch->path);
        }
}

static void another_file_copied_over_it_is_left_alone(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = make_file(scratch);
    struct content other;

    assert_int_equal(put_protected(pager, guarded, 7), 0);
    assert_int_equal(put_protected(pager, guarded, 7), 0);
    assert_int_equal(put_protected(pager, guarded, 7), 0);
    assert_int_equal(mpg_close(pager), 0);
    other = content_of(scratch->path);
    for (int what = 0; what < CHANGE_COUNT; what++) {
        unlink(scratch->path);
        pager = make_file(scratch);
        copy_over(scratch->path, &other);
        assert_noticed(scratch, pager, (enum change)what);
    }
    free(other.bytes);
}

/* A pager that is only idle writes a last root as it closes: over nothing but its own. */
static const mpg_protected_id far_off = {64};

/* Made by the same steps as any other of these; only what is in its protected pages is its own. */
static void make_twin(const struct scratch *scratch, unsigned char near_content,
                      unsigned char far_content)
{
    mpg_pager *pager = make_file(scratch);

    assert_int_equal(mpg_alloc_protected_at(pager, far_off), 0);
    assert_int_equal(put_protected(pager, far_off, far_content), 0);
    assert_int_equal(put_protected(pager, guarded, near_content), 0);
    assert_int_equal(mpg_close(pager), 0);
}

/* Nothing but the directory tells them apart, and no commit of this pager is in it yet. */
static void a_twin_copied_over_it_is_left_alone(void **state)
{
    const struct scratch *scratch = *state;
    struct content twins[2];

    for (int i = 0; i < 2; i++) {
        make_twin(scratch, (unsigned char)(3 + i), (unsigned char)(6 - i));
        twins[i] = content_of(scratch->path);
        unlink(scratch->path);
    }
    for (int what = 0; what < 2 * CHANGE_COUNT; what++) {
        mpg_pager *pager;

        make_twin(scratch, 4, 6);
        pager = scratch_open(scratch);
        copy_over(scratch->path, &twins[what / CHANGE_COUNT]);
        assert_noticed(scratch, pager, (enum change)(what % CHANGE_COUNT));
        unlink(scratch->path);
    }
    free(twins[0].bytes);
    free(twins[1].bytes);
}

static void closing_writes_nothing_to_what_is_another(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = make_file(scratch);
    struct content backup = content_of(scratch->path);

    assert_int_equal(put_protected(pager, guarded, 2), 0);
    copy_over(scratch->path, &backup);
    assert_error(mpg_close(pager), MPG_E_CHANGED);
    assert_untouched(scratch->path, backup);
}

/* What is put off was not durable, and is not acknowledged. */
static void what_is_deferred_is_not_acknowledged(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);
    struct content backup;
    mpg_pager *pager;
    mpg_page_id id;

    assert_int_equal(mpg_close(make_file(scratch)), 0);
    backup = content_of(scratch->path);
    options.flags = MPG_DEFER_ALLOCATION;
    assert_int_equal(mpg_open(&pager, scratch->path, &options), 0);
    assert_int_equal(put_protected(pager, guarded, 2), 0);
    assert_int_equal(mpg_free(pager, first), 0);
    copy_over(scratch->path, &backup);
    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_error(mpg_sync(pager), MPG_E_CHANGED);
    assert_int_equal(mpg_close(pager), 0);
    assert_untouched(scratch->path, backup);
}

/* A file that has another name, or none any more, is still this one. */
static void another_name_is_no_change(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = make_file(scratch);
    char moved[80];

    snprintf(moved, sizeof(moved), "%s.moved", scratch->path);
    assert_int_equal(rename(scratch->path, moved), 0);
    assert_int_equal(put_protected(pager, guarded, 2), 0);
    assert_int_equal(unlink(moved), 0);
    assert_int_equal(put_protected(pager, guarded, 3), 0);
    assert_int_equal(protected_byte(pager, guarded), 3);
    check_and_close(pager);
}

/* ---- another writer, by a way on which there is no lock ---- */

static struct io lockless;

static int no_lock(void *context, int fd, enum io_lock lock)
{
    (void)context;
    (void)fd;
    (void)lock;
    return 0;
}

static mpg_pager *second_writer(const struct scratch *scratch)
{
    mpg_pager *pager;

    lockless = mpgi_io_system;
    lockless.lock = no_lock;
    assert_int_equal(mpgi_open_with(&pager, scratch->path, NULL, false, &lockless, NULL), 0);
    return pager;
}

static void of_two_writers_one_is_told(void **state)
{
    const struct scratch *scratch = *state;

    for (int what = 0; what < CHANGE_COUNT; what++) {
        mpg_pager *one = make_file(scratch);
        mpg_pager *two = second_writer(scratch);
        struct content left;

        assert_int_equal(put_protected(two, guarded, 2), 0);
        left = content_of(scratch->path);
        assert_error(change(one, (enum change)what), MPG_E_CHANGED);
        assert_int_equal(mpg_close(one), 0);
        assert_untouched(scratch->path, left);
        assert_int_equal(put_protected(two, guarded, 3), 0);
        assert_int_equal(protected_byte(two, guarded), 3);
        check_and_close(two);
        unlink(scratch->path);
    }
}

/* ---- in the middle of a commit ---- */

static struct io interrupted;
static struct content to_be_restored;
static const char *victim;
static int syncs_until_then;

/* Copies the backup over the file just before a sync. */
static int sync_after_somebody_else(void *context, int fd)
{
    if (syncs_until_then > 0 && --syncs_until_then == 0)
        copy_over(victim, &to_be_restored);
    return mpgi_io_system.fdatasync(context, fd);
}

static mpg_pager *open_to_be_interrupted(const struct scratch *scratch)
{
    mpg_pager *pager;

    victim = scratch->path;
    syncs_until_then = 0;
    interrupted = mpgi_io_system;
    interrupted.fdatasync = sync_after_somebody_else;
    assert_int_equal(mpgi_open_with(&pager, scratch->path, NULL, false, &interrupted, NULL), 0);
    return pager;
}

static void a_change_during_a_commit_is_not_acknowledged(void **state)
{
    const struct scratch *scratch = *state;
    int syncs = scratch->format == MPG_FORMAT_0_2 ? 2 : 1;

    for (int sync = 1; sync <= syncs; sync++) {
        mpg_pager *pager = make_file(scratch);

        to_be_restored = content_of(scratch->path);
        assert_int_equal(mpg_close(pager), 0);
        pager = open_to_be_interrupted(scratch);
        assert_int_equal(put_protected(pager, guarded, 2), 0);
        syncs_until_then = sync;
        assert_error(put_protected(pager, guarded, 3), MPG_E_CHANGED);
        assert_int_equal(syncs_until_then, 0);
        assert_error(put_protected(pager, guarded, 4), MPG_E_CHANGED);
        assert_int_equal(mpg_close(pager), 0);
        assert_untouched(scratch->path, to_be_restored);
        unlink(scratch->path);
    }
}

static void a_change_before_a_sync_of_contents_is_not_acknowledged(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = make_file(scratch);

    to_be_restored = content_of(scratch->path);
    assert_int_equal(mpg_close(pager), 0);
    pager = open_to_be_interrupted(scratch);
    assert_int_equal(put_protected(pager, guarded, 2), 0);
    assert_int_equal(write_page(pager, first), 0);
    syncs_until_then = 1;
    assert_error(mpg_page_sync(pager, first), MPG_E_CHANGED);
    assert_int_equal(mpg_close(pager), 0);
    assert_untouched(scratch->path, to_be_restored);
}

/* ---- reading ---- */

static void count_fault(void *context, const mpg_fault *fault)
{
    int *wanted = context;

    if (fault->code == *wanted)
        *wanted = 0;
}

static void assert_check_says(const mpg_pager *pager, int code)
{
    mpg_check_result result;

    assert_int_equal(mpg_check(&result, pager,
                               &(mpg_check_options){.size = sizeof(mpg_check_options),
                                                    .report = count_fault,
                                                    .context = &code}),
                     0);
    assert_int_equal(code, 0);
    assert_true(result.faults > 0);
}

/* What lies beyond the end is an error, never zeros, and stays one. */
static void beyond_the_end_there_are_no_zeros(void **state)
{
    const struct scratch *scratch = *state;
    unsigned char *page = page_of(0);
    mpg_pager *pager = make_file(scratch);
    const void *view;

    assert_int_equal(truncate(scratch->path, (off_t)(last.value * api_page_size)), 0);
    for (int round = 0; round < 2; round++) {
        assert_error(mpg_page_read(page, pager, last, 0, api_page_size), MPG_E_TRUNCATED);
        assert_error(mpg_raw_read(page, pager, last.value), MPG_E_TRUNCATED);
        assert_int_equal(mpg_page_read(page, pager, first, 0, api_page_size), 0);
        assert_true(is_filled(page, FILLED));
        assert_check_says(pager, MPG_E_CHANGED);
        assert_error(write_page(pager, last), MPG_E_CHANGED);
        assert_error(mpg_page_get(&view, pager, last), MPG_E_TRUNCATED);
        assert_int_equal(mpg_page_get(&view, pager, first), 0);
    }
    assert_int_equal(mpg_close(pager), 0);
    assert_error(mpg_open(&pager, scratch->path, NULL), MPG_E_TRUNCATED);
    free(page);
}

static unsigned lengths_asked;

static int counted_length(void *context, int fd, uint64_t *bytes)
{
    lengths_asked++;
    return mpgi_io_system.length(context, fd, bytes);
}

/*
 * Also where pages are written so fast after one another that not all else is looked at each time.
 */
static void each_write_asks_for_the_length(void **state)
{
    const struct scratch *scratch = *state;
    struct io io = mpgi_io_system;
    mpg_pager *pager = make_file(scratch);

    assert_int_equal(mpg_close(pager), 0);
    io.length = counted_length;
    assert_int_equal(mpgi_open_with(&pager, scratch->path, NULL, false, &io, NULL), 0);
    lengths_asked = 0;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(mpg_page_write(pager, first, "x", 0, 1), 0);
    assert_true(lengths_asked >= 1000);
    assert_int_equal(mpg_close(pager), 0);
}

/* The library itself reads a copy through the map once, to check it: that must be no fault. */
static void a_view_of_what_is_cut_off_is_an_error(void **state)
{
    const struct scratch *scratch = *state;
    unsigned char *page = page_of(0);
    mpg_pager *pager;
    const void *view;

    assert_int_equal(mpg_close(make_file(scratch)), 0);
    pager = scratch_open(scratch);
    assert_int_equal(truncate(scratch->path, (off_t)(4 * (uint64_t)api_page_size)), 0);
    assert_error(mpg_protected_view(&view, pager, guarded), MPG_E_CHANGED);
    assert_error(mpg_protected_read(page, pager, guarded), MPG_E_CHANGED);
    assert_int_equal(mpg_close(pager), 0);
    free(page);
}

static void damage_that_somebody_else_did_is_called_so(void **state)
{
    const struct scratch *scratch = *state;
    unsigned char *page = page_of(0);
    mpg_pager *pager = make_file(scratch);
    struct content backup = content_of(scratch->path);

    assert_int_equal(put_protected(pager, guarded, 2), 0);
    copy_over(scratch->path, &backup);
    assert_error(mpg_protected_read(page, pager, guarded), MPG_E_CHANGED);
    assert_check_says(pager, MPG_E_CHANGED);
    assert_int_equal(mpg_close(pager), 0);
    free(backup.bytes);
    free(page);
}

static void a_reader_sees_that_the_file_ends_early(void **state)
{
    const struct scratch *scratch = *state;
    const mpg_pager *reader;

    assert_int_equal(mpg_close(make_file(scratch)), 0);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    assert_int_equal(truncate(scratch->path, (off_t)(last.value * api_page_size)), 0);
    assert_check_says(reader, MPG_E_TRUNCATED);
    assert_int_equal(mpg_close(reader), 0);
}

/* A reader does not go on with what has other pages, or another format. */
static void a_reader_does_not_move_on_to_another_file(void **state)
{
    const struct scratch *scratch = *state;
    mpg_options options = api_options(scratch);
    struct content others[2];
    const mpg_pager *reader;
    mpg_pager *pager;

    options.page_size = 2048;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_close(pager), 0);
    others[0] = content_of(scratch->path);
    unlink(scratch->path);
    options.page_size = api_page_size;
    options.format = scratch->format == MPG_FORMAT_1 ? MPG_FORMAT_0_2 : MPG_FORMAT_1;
    options.initial_pages = 200;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    assert_int_equal(mpg_close(pager), 0);
    others[1] = content_of(scratch->path);
    unlink(scratch->path);
    assert_int_equal(mpg_close(make_file(scratch)), 0);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    for (int i = 0; i < 2; i++) {
        copy_over(scratch->path, &others[i]);
        assert_error(mpg_refresh(reader), MPG_E_CHANGED);
        free(others[i].bytes);
    }
    assert_int_equal(mpg_close(reader), 0);
}

/* Format 1 has a number for each file. */
static void a_reader_tells_two_files_of_a_kind_apart(void **state)
{
    const struct scratch *scratch = *state;
    const mpg_pager *reader;
    struct content other;

    if (scratch->format != MPG_FORMAT_1)
        return;
    assert_int_equal(mpg_close(make_file(scratch)), 0);
    other = content_of(scratch->path);
    unlink(scratch->path);
    assert_int_equal(mpg_close(make_file(scratch)), 0);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    copy_over(scratch->path, &other);
    assert_error(mpg_refresh(reader), MPG_E_CHANGED);
    assert_int_equal(mpg_close(reader), 0);
    free(other.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_file_cut_short_is_left_alone),
        SCRATCH_TEST(a_file_made_longer_is_left_alone),
        SCRATCH_TEST(an_older_copy_is_left_alone),
        SCRATCH_TEST(another_file_copied_over_it_is_left_alone),
        SCRATCH_TEST(a_twin_copied_over_it_is_left_alone),
        SCRATCH_TEST(closing_writes_nothing_to_what_is_another),
        SCRATCH_TEST(what_is_deferred_is_not_acknowledged),
        SCRATCH_TEST(another_name_is_no_change),
        SCRATCH_TEST(of_two_writers_one_is_told),
        SCRATCH_TEST(a_change_during_a_commit_is_not_acknowledged),
        SCRATCH_TEST(a_change_before_a_sync_of_contents_is_not_acknowledged),
        SCRATCH_TEST(beyond_the_end_there_are_no_zeros),
        SCRATCH_TEST(each_write_asks_for_the_length),
        SCRATCH_TEST(a_view_of_what_is_cut_off_is_an_error),
        SCRATCH_TEST(damage_that_somebody_else_did_is_called_so),
        SCRATCH_TEST(a_reader_sees_that_the_file_ends_early),
        SCRATCH_TEST(a_reader_does_not_move_on_to_another_file),
        SCRATCH_TEST(a_reader_tells_two_files_of_a_kind_apart),
    };
    int failed = 0;

    api_page_size = 1024;
    failed |= SCRATCH_RUN("changed by somebody else, pages of 1024 bytes", tests);
    api_page_size = 16384;
    failed |= SCRATCH_RUN("changed by somebody else, pages of 16384 bytes", tests);
    return failed;
}
