/* SPDX-License-Identifier: MIT */
/*
 * Under AddressSanitizer a page that was freed, or that no view shows any more, cannot be touched.
 * In other builds there is nothing to test.
 */
#include <sys/wait.h>

#include "support/scratch_file.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

#define PAGE_SIZE 1024u

/* Whether a process that reads this byte dies of it, with a report about poisoned memory. */
static bool is_caught(const void *address)
{
    char report[4096];
    ssize_t length = 0, got;
    int pipe_ends[2], status;
    pid_t child;

    assert_int_equal(pipe(pipe_ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(pipe_ends[1], STDERR_FILENO);
        (void)close(pipe_ends[0]);
        (void)close(pipe_ends[1]);
        _exit(*(const volatile unsigned char *)address == 255 ? 8 : 7);
    }
    (void)close(pipe_ends[1]);
    while ((got = read(pipe_ends[0], report + length, sizeof(report) - 1 - (size_t)length)) > 0)
        length += got;
    report[length] = '\0';
    (void)close(pipe_ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 7)
        return false;
    assert_non_null(strstr(report, "use-after-poison"));
    return true;
}

static mpg_pager *create(const struct scratch *scratch)
{
    mpg_options options = scratch_options(scratch, PAGE_SIZE);
    mpg_pager *pager;

    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    return pager;
}

static void a_freed_page_is_caught(void **state)
{
    mpg_pager *pager = create(*state);
    mpg_page_id id, beside;
    const unsigned char *data, *other;
    const void *at;

    assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_alloc(&beside, pager, 0), 0);
    assert_int_equal(mpg_page_get(&at, pager, id), 0);
    data = at;
    assert_int_equal(mpg_page_get(&at, pager, beside), 0);
    other = at;
    assert_false(is_caught(data));
    assert_false(is_caught(data + PAGE_SIZE - 1));
    assert_int_equal(mpg_free(pager, id), 0);
    assert_true(is_caught(data));
    assert_true(is_caught(data + PAGE_SIZE - 1));
    assert_false(is_caught(other));
    assert_false(is_caught(other + PAGE_SIZE - 1));
    /* Given out again, it is good again. */
    assert_int_equal(mpg_alloc_at(pager, id, 0), 0);
    assert_int_equal(mpg_page_get(&at, pager, id), 0);
    assert_false(is_caught(data));
    check_and_close(pager);
}

/* All or nothing: where one of them cannot be freed, none is. */
static void a_page_that_was_not_freed_after_all_is_good(void **state)
{
    mpg_pager *pager = create(*state);
    mpg_page_id ids[2];
    const void *data;

    assert_int_equal(mpg_alloc(&ids[0], pager, 0), 0);
    ids[1] = ids[0];
    assert_int_equal(mpg_page_get(&data, pager, ids[0]), 0);
    assert_int_equal(mpg_free_bulk(pager, ids, 2), MPG_E_DOUBLE_FREE);
    assert_false(is_caught(data));
    check_and_close(pager);
}

static void what_no_view_shows_is_caught(void **state)
{
    mpg_pager *pager = create(*state);
    const void *first, *second;
    mpg_protected_id id;

    assert_int_equal(mpg_alloc_protected(&id, pager), 0);
    assert_int_equal(mpg_protected_view(&first, pager, id), 0);
    assert_int_equal(mpg_protected_view(&second, pager, id), 0);
    assert_ptr_equal(first, second);
    mpg_protected_release(pager, second);
    assert_false(is_caught(first));
    mpg_protected_release(pager, first);
    assert_true(is_caught(first));
    assert_int_equal(mpg_protected_view(&second, pager, id), 0);
    assert_false(is_caught(second));
    mpg_protected_release(pager, second);
    check_and_close(pager);
}

static void a_page_that_nobody_was_given_is_caught(void **state)
{
    mpg_pager *pager = create(*state);
    mpg_page_id ids[2];
    const unsigned char *first;
    const void *data;

    assert_int_equal(mpg_alloc_bulk(ids, pager, 2, 0), 0);
    assert_int_equal(mpg_page_get(&data, pager, ids[1]), 0);
    assert_false(is_caught(data));
    first = (const unsigned char *)data - ids[1].value * PAGE_SIZE;
    assert_true(is_caught(first + PAGE_SIZE));
    assert_true(is_caught(first + ids[0].value * PAGE_SIZE)); /* nobody asked for its address */
    check_and_close(pager);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_freed_page_is_caught),
        SCRATCH_TEST(a_page_that_was_not_freed_after_all_is_good),
        SCRATCH_TEST(what_no_view_shows_is_caught),
        SCRATCH_TEST(a_page_that_nobody_was_given_is_caught),
    };

    return sanitized ? SCRATCH_RUN("poison", tests) : 77;
}
