/* SPDX-License-Identifier: MIT */
/*
 * Disk space is given back while others allocate, write, commit and free: nobody's content is
 * touched, nobody told BUSY.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "support/scratch_file.h"

#define PAGE_SIZE 4096u
#define THREADS 3
#define ROUNDS 25

static mpg_pager *pager;
static atomic_uint failures;
static atomic_bool done;

static void note(int line, int code)
{
    mpg_error_info info;

    (void)mpg_last_error(&info);
    (void)fprintf(stderr, "line %d: %d %s\n", line, code, info.message);
    failures++;
}

#define SUCCEEDS(call)                                                                             \
    do {                                                                                           \
        int code_ = (call);                                                                        \
        if (code_ != 0)                                                                            \
            note(__LINE__, code_);                                                                 \
    } while (0)

/* A page by number: each thread has numbers of its own. */
static void use_number(uint64_t number, unsigned char mark)
{
    unsigned char written[PAGE_SIZE], read[PAGE_SIZE];
    mpg_page_id id = {number};

    memset(written, mark, sizeof(written));
    SUCCEEDS(mpg_alloc_at(pager, id, 0));
    SUCCEEDS(mpg_page_write(pager, id, written, 0, PAGE_SIZE));
    SUCCEEDS(mpg_page_sync(pager, id));
    SUCCEEDS(mpg_page_read(read, pager, id, 0, PAGE_SIZE));
    if (memcmp(written, read, sizeof(read)) != 0)
        note(__LINE__, 0);
    SUCCEEDS(mpg_free(pager, id));
}

static void write_protected(mpg_protected_id id, const unsigned char *content)
{
    mpg_writer *writer = NULL;

    SUCCEEDS(mpg_writer_open(&writer, pager, id));
    if (writer == NULL)
        return;
    memcpy(mpg_writer_data(writer), content, PAGE_SIZE);
    SUCCEEDS(mpg_writer_commit(writer));
}

static void *work(void *argument)
{
    unsigned thread = *(const unsigned *)argument;
    unsigned char content[PAGE_SIZE], read[PAGE_SIZE];
    mpg_protected_id protected = {thread};

    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(content, (int)(round + 1), sizeof(content));
        write_protected(protected, content);
        use_number(600 + 100 * thread + round % 50, (unsigned char)(round + 7));
        SUCCEEDS(mpg_protected_read(read, pager, protected));
        if (memcmp(content, read, sizeof(read)) != 0)
            note(__LINE__, 0);
    }
    return NULL;
}

static void *trim(void *argument)
{
    (void)argument;
    while (!done)
        SUCCEEDS(mpg_trim(NULL, pager, 0, UINT64_MAX, 0));
    return NULL;
}

static void others_go_on(const struct scratch *scratch, unsigned flags)
{
    unsigned numbers[THREADS] = {0, 1, 2};
    mpg_options options = MPG_OPTIONS_INIT;
    pthread_t threads[THREADS], trimmer;
    mpg_check_result checked;

    options.format = scratch->format;
    options.initial_pages = 1200;
    options.flags = flags;
    failures = 0;
    done = false;
    assert_int_equal(mpg_create(&pager, scratch->path, &options), 0);
    for (uint64_t i = 0; i < THREADS; i++)
        assert_int_equal(mpg_alloc_protected_at(pager, (mpg_protected_id){i}), 0);
    assert_int_equal(pthread_create(&trimmer, NULL, trim, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    done = true;
    assert_int_equal(pthread_join(trimmer, NULL), 0);
    assert_int_equal(failures, 0);
    assert_int_equal(mpg_check(&checked, pager, NULL), 0);
    assert_int_equal(checked.faults, 0);
    assert_int_equal(mpg_close(pager), 0);
}

static void while_pages_are_given_back(void **state)
{
    others_go_on(*state, 0);
}

static void while_all_that_is_freed_is_given_back(void **state)
{
    others_go_on(*state, MPG_DISCARD);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCRATCH_TEST(while_pages_are_given_back),
        SCRATCH_TEST(while_all_that_is_freed_is_given_back),
    };

    return SCRATCH_RUN("trim", tests);
}
