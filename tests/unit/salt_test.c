/* SPDX-License-Identifier: MIT */
/* Format 1: two writers never write the same root (rule 12). */
#include <fcntl.h>

#include "base/bytes.h"
#include "format_1/layout.h"
#include "support/scratch_file.h"

#define PAGE_SIZE 4096

static void read_root(unsigned char *root, const struct scratch *scratch, unsigned page)
{
    int fd = open(scratch->path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, root, PAGE_SIZE, (off_t)page * PAGE_SIZE), PAGE_SIZE);
    close(fd);
}

static void write_root(const unsigned char *root, const struct scratch *scratch, unsigned page)
{
    int fd = open(scratch->path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, root, PAGE_SIZE, (off_t)page * PAGE_SIZE), PAGE_SIZE);
    close(fd);
}

/* Opens the file, commits twice, so that both roots are this writer's, and closes it. */
static uint16_t salt_of_a_writer(const struct scratch *scratch)
{
    mpg_pager *pager = scratch_open(scratch);
    unsigned char root[2][PAGE_SIZE];
    mpg_page_id id;

    for (int i = 0; i < 2; i++)
        assert_int_equal(mpg_alloc(&id, pager, 0), 0);
    assert_int_equal(mpg_close(pager), 0);
    read_root(root[0], scratch, 1);
    read_root(root[1], scratch, 2);
    assert_int_equal(get_u16(root[0] + ROOT_SALT), get_u16(root[1] + ROOT_SALT));
    return get_u16(root[0] + ROOT_SALT);
}

static void no_writer_has_the_salt_of_the_one_before(void **state)
{
    const struct scratch *scratch = *state;
    uint16_t last;

    assert_int_equal(mpg_close(scratch_create(scratch, PAGE_SIZE)), 0);
    last = salt_of_a_writer(scratch);
    for (int i = 0; i < 20; i++) {
        uint16_t next = salt_of_a_writer(scratch);

        assert_int_not_equal(next, last);
        last = next;
    }
}

/* A salt that was changed makes a root that counts no more: the other one is the state. */
static void the_checksum_covers_the_salt(void **state)
{
    const struct scratch *scratch = *state;
    struct mpg_stat st = {.size = sizeof(st)};
    unsigned char root[2][PAGE_SIZE];
    const mpg_pager *reader;
    unsigned newer;

    assert_int_equal(mpg_close(scratch_create(scratch, PAGE_SIZE)), 0);
    (void)salt_of_a_writer(scratch);
    read_root(root[0], scratch, 1);
    read_root(root[1], scratch, 2);
    newer = get_u64(root[1] + NODE_GENERATION) > get_u64(root[0] + NODE_GENERATION);
    root[newer][ROOT_SALT] ^= 1;
    write_root(root[newer], scratch, newer + 1);
    assert_int_equal(mpg_open_readonly(&reader, scratch->path, NULL), 0);
    assert_int_equal(mpg_stat(&st, reader), 0);
    assert_int_equal(st.generation, get_u64(root[!newer] + NODE_GENERATION));
    assert_int_equal(mpg_close(reader), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(no_writer_has_the_salt_of_the_one_before),
        SCRATCH_TEST(the_checksum_covers_the_salt),
    };

    scratch_format = MPG_FORMAT_1;
    return cmocka_run_group_tests_name("salts of roots", tests, NULL, NULL);
}
