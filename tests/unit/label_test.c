/* SPDX-License-Identifier: MIT */
/*
 * Changing the label: what it shows then, what is refused, and that commits and readers get on
 * beside it.
 */
#include "support/api.h"

#include <pthread.h>
#include <stdatomic.h>

static bool has_label(const mpg_pager *pager, const char *label)
{
    struct mpg_stat st = {.size = sizeof(st)};

    return mpg_stat(&st, pager) == 0 && strcmp(st.label, label) == 0;
}

static bool is_format_1(const mpg_pager *pager)
{
    struct mpg_stat st = {.size = sizeof(st)};

    return mpg_stat(&st, pager) == 0 && st.format == MPG_FORMAT_1;
}

static void it_is_there_at_once_and_after_reopening(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);

    if (!is_format_1(pager)) {
        assert_error(mpg_set_label(pager, "x"), MPG_E_INVALID);
        assert_int_equal(mpg_close(pager), 0);
        return;
    }
    assert_int_equal(mpg_set_label(pager, "one"), 0);
    assert_true(has_label(pager, "one"));
    assert_int_equal(mpg_set_label(pager, "another, longer one"), 0);
    assert_int_equal(mpg_close(pager), 0);
    assert_int_equal(mpg_open(&pager, scratch->path, NULL), 0);
    assert_true(has_label(pager, "another, longer one"));
    assert_int_equal(mpg_set_label(pager, NULL), 0);
    assert_true(has_label(pager, ""));
    assert_int_equal(mpg_close(pager), 0);
}

static void one_that_is_too_long_is_refused(void **state)
{
    mpg_pager *pager = api_create(*state);
    char label[MPG_LABEL_MAX + 2];

    memset(label, 'x', sizeof(label));
    label[MPG_LABEL_MAX + 1] = '\0';
    assert_error(mpg_set_label(pager, label), MPG_E_INVALID);
    assert_true(has_label(pager, ""));
    label[MPG_LABEL_MAX] = '\0';
    if (is_format_1(pager)) {
        assert_int_equal(mpg_set_label(pager, label), 0);
        assert_true(has_label(pager, label));
    }
    assert_int_equal(mpg_close(pager), 0);
}

/* ---- beside commits ---- */

#define ROUNDS 40

struct work {
    mpg_pager *pager;
    const char *path;
    atomic_uint failures;
    atomic_bool done;
};

static void *commit(void *argument)
{
    struct work *work = argument;

    for (unsigned i = 0; i < ROUNDS; i++) {
        mpg_protected_id id;

        work->failures +=
            mpg_alloc_protected(&id, work->pager) != 0 || mpg_free_protected(work->pager, id) != 0;
    }
    return NULL;
}

static void *label_it(void *argument)
{
    struct work *work = argument;

    for (unsigned i = 0; i < ROUNDS; i++) {
        char label[16];

        (void)snprintf(label, sizeof(label), "label %u", i);
        work->failures += mpg_set_label(work->pager, label) != 0;
    }
    return NULL;
}

/* A reader that opens the file meanwhile sees a label, whole. */
static void *read_it(void *argument)
{
    struct work *work = argument;

    while (!work->done) {
        const mpg_pager *reader;
        struct mpg_stat st = {.size = sizeof(st)};
        int result = mpg_open_readonly(&reader, work->path, NULL);

        if (result == MPG_E_STALE)
            continue;
        if (result != 0 || mpg_stat(&st, reader) != 0 ||
            (st.label[0] != '\0' && strncmp(st.label, "label ", 6) != 0))
            work->failures++;
        work->failures += result == 0 && mpg_close(reader) != 0;
    }
    return NULL;
}

static void commits_and_readers_go_on_meanwhile(void **state)
{
    const struct scratch *scratch = *state;
    struct work work = {.pager = api_create(scratch), .path = scratch->path};
    void *(*const what[])(void *) = {commit, commit, label_it, read_it};
    pthread_t threads[4];
    mpg_check_result checked;

    if (is_format_1(work.pager)) {
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, what[i], &work), 0);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        work.done = true;
        assert_int_equal(pthread_join(threads[3], NULL), 0);
        assert_int_equal(work.failures, 0);
        assert_true(has_label(work.pager, "label 39"));
    }
    assert_int_equal(mpg_check(&checked, work.pager, NULL), 0);
    assert_int_equal(checked.faults, 0);
    assert_int_equal(mpg_close(work.pager), 0);
}

static void a_file_that_somebody_changed_is_left_alone(void **state)
{
    const struct scratch *scratch = *state;
    mpg_pager *pager = api_create(scratch);

    if (is_format_1(pager)) {
        assert_int_equal(truncate(scratch->path, 3 * (off_t)api_page_size), 0);
        assert_error(mpg_set_label(pager, "x"), MPG_E_CHANGED);
        assert_true(has_label(pager, ""));
    }
    assert_int_equal(mpg_close(pager), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(it_is_there_at_once_and_after_reopening),
        SCRATCH_TEST(one_that_is_too_long_is_refused),
        SCRATCH_TEST(commits_and_readers_go_on_meanwhile),
        SCRATCH_TEST(a_file_that_somebody_changed_is_left_alone),
    };

    return API_RUN("the label", tests);
}
